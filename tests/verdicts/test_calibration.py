"""The tests of the package under their true law: false alarms at 0.05 are 0.05.

The processes and tests are those of `python -m benchmarks.calibration`. An interval of 4 standard
errors: a right test falls outside of it with probability 6e-5.
"""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest
from threadpoolctl import threadpool_limits

from gaugebias.verdicts import compare
from gaugebias.verdicts._scores import score_tests

ROOT = Path(__file__).parents[2]


@pytest.fixture
def cases(monkeypatch):
    if not (ROOT / "benchmarks").is_dir():
        pytest.skip("the benchmarks are not part of this distribution")
    monkeypatch.syspath_prepend(ROOT)
    from benchmarks import _calibration_cases

    return _calibration_cases


@pytest.fixture(autouse=True)
def one_thread():
    # Thousands of small matrix products: threads of BLAS would only wait for each other.
    with threadpool_limits(1, user_api="blas"):
        yield


def check(found, repetitions):
    reach = 4.0 * np.sqrt(0.05 * 0.95 / repetitions)
    wrong = []
    for case in found:
        low = int(np.count_nonzero(case.p_values <= 0.05))
        fraction = low / repetitions
        right = {
            "calibrated": abs(fraction - 0.05) <= reach,
            "at most": fraction <= 0.05 + reach,
            "not": binomtest(low, repetitions, 0.05).pvalue < 1e-4,
        }[case.kind]
        if not right:
            wrong.append(f"{case.test}, {case.process}: {fraction:.4f} ({case.kind})")
    assert not wrong, "\n".join(wrong)


def test_false_alarms_on_exact_draws_and_autoregressive_chains(cases):
    # At 200 repetitions the interval is [0, 0.112]: this sees gross errors only, and not that a
    # test with the effective sample size alarms too rarely.
    check(cases.exact_cases(200, 40), 200)
    check((c for c in cases.chain_cases(200, 40) if "effective" not in c.test), 200)


@pytest.mark.slow
def test_false_alarms_of_two_thousand_repetitions(cases):
    check(cases.exact_cases(2000), 2000)
    check(cases.chain_cases(2000), 2000)
    check(cases.simulated_cases(2000), 2000)


@pytest.mark.parametrize(("name", "sign"), [("temperature", 1), ("temperature", -1)])
def test_the_smallest_visible_deviation_is_seen_that_often(power_law, name, sign):
    # The row says which relative error of the temperature it would have rejected with probability
    # 0.9; at that error at least 0.7 of 60 rows are (5 standard errors), and at a third of it
    # fewer than 0.2.
    rng = np.random.default_rng(0)
    law, n = power_law(), 20_000
    visible = compare(law.draw(rng, n), law, tests="scores")[0].detectable[name]
    assert 0.02 < visible < 0.1
    for size, low, high in ((1.0, 0.7, 1.0), (1 / 3, 0.0, 0.2)):
        other = power_law(temperature=0.1 * np.exp(sign * size * visible))
        rows = [compare(other.draw(rng, n), law, tests="scores")[0] for _ in range(60)]
        seen = np.mean([row.p_value < 1e-6 for row in rows])
        assert low <= seen <= high


def test_few_draws_do_not_reject_a_right_law_by_their_own_skewness(power_law):
    """Skewness -5 under the law: 8 draws hardly ever show it. Of 3,000 right laws about 3 should
    be below 1e-3 (more than 12 with probability 1e-4; the skewness of the draws gives 16)."""
    law = power_law()
    draws = law.draw(np.random.default_rng(26), 3000, 8)
    statistic = law.statistic("exponent")
    mean, variance = law.expectation(statistic)
    z = (statistic(draws).mean(axis=1) - mean) / np.sqrt(variance / 8)
    # A p-value below 1e-3 needs |z| > 3.29: the normal tail is never undercut.
    p = [score_tests(law, x)[0]["exponent"].p_value for x in draws[np.abs(z) > 3.2]]
    assert np.sum(np.asarray(p) < 1e-3) <= 12
    assert np.min(p) > 1e-6
    # The same test of a wrong law: an exponent of 1/2 more.
    wrong = power_law(exponent=0.5)
    p = score_tests(law, wrong.draw(np.random.default_rng(27), 400))[0]["exponent"].p_value
    assert p < 1e-6
