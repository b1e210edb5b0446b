import json

import jax.numpy as jnp
import numpy as np
import pytest

import gaugebias as gb
from gaugebias.stats import kolmogorov_smirnov
from gaugebias.verdicts import compare

# Fixed seeds throughout. A right law is called anything but consistent with probability 1e-3 a
# row; what is asserted of wrong laws fails with probability below 0.2 at a fresh seed and is
# certain at this one.


@pytest.fixture(scope="module")
def right(power_law):
    return power_law()


def test_p_values_are_uniform_under_the_law(right):
    # 200 rows of 400 draws, whose statistics are skewed; each of the four checks fails for a right
    # implementation with probability 1e-3. Rows are Bonferroni: valid, and not absurdly shy.
    rng = np.random.default_rng(1)
    rows = [compare(right.draw(rng, 400), right).rows[0] for _ in range(200)]
    for name in ("ks", "temperature", "exponent"):
        p = np.asarray([row.tests[name].p_value for row in rows])
        assert kolmogorov_smirnov(p, lambda u: u).p_value > 1e-3
    assert 0.1 < np.mean(np.asarray([row.p_value for row in rows]) < 0.3) < 0.4


def test_score_tests_reject_temperature_and_exponent(right, power_law):
    draws = right.draw(np.random.default_rng(2), 26_000)
    laws = {
        "exponent": [power_law(-0.4, name="flatter"), power_law(-0.6, name="steeper")],
        "temperature": [
            power_law(temperature=0.105, name="hot"),
            power_law(temperature=0.095, name="cold"),
        ],
    }
    assert compare(draws, right).rows[0].verdict == "consistent"
    for name, rivals in laws.items():
        for row in compare(draws, rivals).rows:
            assert row.verdict == "rejected"
            assert row.tests[name].p_value < 1e-6


def test_kolmogorov_smirnov_rejects_temperature_and_exponent(right, power_law):
    draws = right.draw(np.random.default_rng(3), 120_000)
    assert kolmogorov_smirnov(draws, right.cdf).p_value > 1e-3
    for rival in (
        power_law(-0.4),
        power_law(-0.6),
        power_law(temperature=0.105),
        power_law(temperature=0.095),
    ):
        assert kolmogorov_smirnov(draws, rival.cdf).p_value < 1e-6


def test_too_few_draws_to_reject_anything_decide_nothing():
    """Samples a hundred standard deviations apart are not consistent because they are small."""
    draws = np.random.default_rng(20).normal(size=(8, 8))
    row = compare(draws, draws[::-1] + 100.0)[0]
    assert row.p_value > 1e-3 and (row.verdict, row.reason) == ("undecided", "too few draws")
    # In one coordinate eight draws a side can speak, and ten in eight.
    assert compare(draws[:, 0], draws[::-1, 0])[0].verdict == "consistent"
    draws = np.random.default_rng(21).normal(size=(2, 10, 8))
    assert compare(draws[0], draws[1])[0].verdict == "consistent"
    assert compare(draws[0], draws[1] + 100.0)[0].p_value < 1e-3

    class Normal:
        name = "normal"

        def score(self, x):
            return -x

    few = np.random.default_rng(22).normal(size=(99, 1)) + 10.0
    row = compare(few[:, 0], Normal(), tests="stein")[0]
    assert (row.verdict, row.reason) == ("undecided", "too few draws")
    more = np.random.default_rng(23).normal(size=120)
    assert compare(more, Normal(), tests="stein")[0].verdict == "consistent"
    assert compare(more + 10.0, Normal(), tests="stein")[0].verdict == "rejected"


def test_chains_left_out_are_named(right, make_ensemble):
    values = right.draw(np.random.default_rng(25), 1500, 6)
    ensemble = make_ensemble(values, results=np.arange(1500) % 3 == 0)
    row = compare(ensemble, right, drop_failed=True)[0]
    assert row.draws == 1000 and "500 of 1,500 chains failed and were left out" in row.detail
    row = compare(values[:, 0], ensemble, drop_failed=True)[0]
    assert "target: 500 of 1,500 chains failed and were left out" in row.detail
    assert "left out" not in compare(make_ensemble(values), right, drop_failed=True)[0].detail


def test_a_wrong_reference_measure_is_rejected(right, power_law):
    # The density exp(-l/T) belongs to the quotient volume |w|^(-1/2) dw; read in dw it is another
    # law.
    draws = right.draw(np.random.default_rng(4), 4096)
    verdict = compare(draws, [right, power_law(0.0, name="read in dw")])
    assert verdict["power law"].verdict == "consistent"
    assert verdict["read in dw"].verdict == "rejected"


def test_the_detectable_deviation_is_detected_that_often(power_law):
    # At the exponent said to be visible with power 0.9, at least 0.7 of 40 rows are rejected
    # (4 standard errors).
    rng = np.random.default_rng(5)
    law = power_law()
    shift = compare(law.draw(rng, 3000), law).rows[0].detectable["exponent"]
    other = power_law(-0.5 - shift)
    seen = [compare(other.draw(rng, 3000), law).rows[0].p_value < 1e-6 for _ in range(40)]
    assert np.mean(seen) > 0.7


def test_draws_against_draws(right, power_law):
    rng = np.random.default_rng(6)
    draws = right.draw(rng, 4000)
    verdict = compare(draws, [right.draw(rng, 3000), power_law(0.5).draw(rng, 3000)])
    same, other = verdict.rows
    assert (same.verdict, other.verdict) == ("consistent", "rejected")
    assert same.reference == "samples" and set(same.tests) == {"ks"}
    assert same.law == "draws 0"


def test_ensemble_uses_the_last_draw_and_reports_mixing(right, make_ensemble):
    rng = np.random.default_rng(7)
    values = right.draw(rng, 512, 6)
    values[:, 0] += 3.0
    row = compare(make_ensemble(values), right).rows[0]
    assert row.verdict == "consistent" and row.draws == 512
    assert row.rhat is not None and row.ess is not None and 0 < row.ess
    frozen = np.repeat(right.draw(rng, 512, 1), 6, axis=1)
    row = compare(make_ensemble(frozen), right).rows[0]
    assert row.rhat == np.inf and "not mixed" in row.detail
    one = compare(make_ensemble(values[:, -1:]), right).rows[0]
    assert one.rhat is None and one.p_value == compare(values[:, -1], right).rows[0].p_value


def test_two_coordinates(right, pair, make_ensemble):
    rng = np.random.default_rng(8)
    draws = right.draw(rng, 1500, 2)
    row = compare(make_ensemble(draws[:, None]), pair(right)).rows[0]
    assert row.verdict == "consistent"
    assert set(row.tests) == {"ks[0]", "ks[1]", "energy"}
    # The right marginals with another dependence: only the joint test can see it.
    tied = np.stack([draws[:, 0], np.where(rng.uniform(size=1500) < 0.7, *draws.T)], axis=1)
    row = compare(tied, pair(right)).rows[0]
    assert row.verdict == "rejected" and row.detail.startswith("energy")
    assert compare(tied, pair(right), joint=False).rows[0].verdict == "consistent"


def test_a_law_without_marginals_is_compared_by_its_draws(right, pair):
    class Sampled:
        name, reference, domain = "sampled", "lebesgue", pair(right).domain
        sample = pair(right).sample

        def marginal(self, fn):
            raise ValueError("too many coordinates")

    rng = np.random.default_rng(9)
    row = compare(right.draw(rng, 1500, 2), Sampled(), law_draws=1500).rows[0]
    assert row.verdict == "consistent" and "by 1,500 of its draws" in row.detail
    wrong = compare(1.2 * right.draw(rng, 1500, 2), Sampled(), law_draws=1500).rows[0]
    assert wrong.verdict == "rejected"


def test_a_single_coordinate_may_have_a_trailing_axis(right):
    draws = right.draw(np.random.default_rng(10), 500)
    assert compare(draws[:, None], right).rows[0].p_value == compare(draws, right).rows[0].p_value


def test_a_law_may_decline_a_score_test(right, power_law):
    class Declines(power_law):
        def statistic(self, name):
            if name == "exponent":
                raise ValueError("no volume")
            return super().statistic(name)

    row = compare(right.draw(np.random.default_rng(11), 500), Declines()).rows[0]
    assert set(row.tests) == {"ks", "temperature"}
    assert "no exponent score test" in row.detail


def test_report_is_text_and_json(right, power_law):
    draws = right.draw(np.random.default_rng(12), 4096)
    verdict = compare(draws, [right, power_law(0.5)], names=["half", "wrong"])
    table = verdict.table()
    assert len(table.splitlines()) == 5 and "consistent" in table and "rejected" in table
    assert "distance" in table and "exponent" in table
    plain = json.loads(json.dumps(verdict.to_dict(), allow_nan=False))
    assert [row["law"] for row in plain["rows"]] == ["half", "wrong"]
    assert plain["false_alarm"] == pytest.approx(2e-3) and len(verdict) == 2
    with pytest.raises(KeyError, match="no row 'other'"):
        verdict["other"]
    assert compare(draws, right).table() == compare(draws, right).table()


def test_failed_chains_are_counted_or_dropped(right, make_ensemble):
    values = right.draw(np.random.default_rng(13), 40, 1)
    values[[3, 4, 9]] = np.nan
    codes = np.zeros(40, dtype=int)
    codes[[3, 4]], codes[9] = 1, 7
    ensemble = make_ensemble(values, codes)
    with pytest.raises(ValueError, match=r"3 of 40 chains.*2 with code 1, 1 with code 7"):
        compare(ensemble, right)
    assert compare(ensemble, right, drop_failed=True).rows[0].draws == 37
    with pytest.raises(ValueError, match=r"`targets\[0\]`: 3 of 40"):
        compare(right.draw(np.random.default_rng(0), 40), ensemble)


def test_bad_input_is_named(right, pair, make_ensemble):
    draws = right.draw(np.random.default_rng(14), 64)
    with pytest.raises(ValueError, match="`ensemble`.*non-finite"):
        compare(np.append(draws, np.nan), right)
    with pytest.raises(ValueError, match="`ensemble`.*at least 8"):
        compare(draws[:5], right)
    with pytest.raises(ValueError, match="2 coordinates but a draw has shape"):
        compare(draws, pair(right))
    with pytest.raises(ValueError, match="`targets`.*cannot be compared"):
        compare(draws, draws.reshape(32, 2))
    with pytest.raises(ValueError, match="`names` has 2 entries for 1"):
        compare(draws, right, names=["a", "b"])
    with pytest.raises(ValueError, match="`targets` is empty"):
        compare(draws, [])
    with pytest.raises(ValueError, match="`law_draws`"):
        compare(draws, right, law_draws=1)
    several = make_ensemble({"w": draws[:, None], "norm": draws[:, None]})
    with pytest.raises(ValueError, match=r"2 leaves.*\['norm'\].*observable"):
        compare(several, right)
    assert compare(several, right, observable=lambda v: v["w"]).rows[0].draws == 64
    with pytest.raises(ValueError, match="one result code a chain"):
        compare(make_ensemble(draws[:, None], np.zeros(3, dtype=int)), right)
    with pytest.raises(ValueError, match="holds no draws"):
        compare(make_ensemble(np.zeros((10, 0))), right)


def test_a_law_of_the_package_plugs_in(power_law):
    action = gb.symmetry.Rescaling(lambda p: p["u"], lambda p: p["v"], axes=(None, None))
    quotient = gb.Quotient(
        lambda p: p["u"] * p["v"],
        action,
        at={"u": jnp.asarray(1.0), "v": jnp.asarray(1.0)},
        lift=lambda w: {"u": jnp.sqrt(w), "v": jnp.sqrt(w)},
    )
    domain = gb.quotient.Domain.box(np.zeros(1), np.full(1, np.inf))
    law = gb.laws.horizontal(quotient, lambda w: (w - 1) ** 2 / 2, 0.1, domain=domain)
    rng = np.random.default_rng(15)
    row = compare(power_law().draw(rng, 26_000), law).rows[0]
    assert row.verdict == "consistent" and row.reference == "lebesgue"
    assert set(row.tests) == {"ks", "temperature", "exponent"} and row.wasserstein is not None
    for wrong in (power_law(-0.4), power_law(-0.6), power_law(temperature=0.105)):
        assert compare(wrong.draw(rng, 26_000), law).rows[0].verdict == "rejected"


def test_draws_outside_of_the_domain_of_a_law_are_never_consistent(power_law):
    """Two draws of 2,000 at w < 0: too few for any test, and impossible under a law of w > 0."""
    law = power_law()
    law.domain = gb.quotient.Domain.line(lower=0.0)
    draws = law.draw(np.random.default_rng(31), 2000)
    assert compare(draws, law, tests="ks").rows[0].verdict == "consistent"
    draws[:2] = -0.01
    row = compare(draws, law, tests="ks").rows[0]
    assert row.p_value >= 1e-3 and (row.verdict, row.reason) == (
        "undecided",
        "outside of the domain",
    )
    assert "2 of 2,000 draws lie outside of the law's domain" in row.detail
    law.domain = gb.quotient.Domain.line()
    assert compare(draws, law, tests="ks").rows[0].verdict == "consistent"
    wrong = power_law(0.5)
    wrong.domain = gb.quotient.Domain.line(lower=0.0)
    row = compare(draws, wrong, tests="ks").rows[0]
    assert (row.verdict, row.reason) == ("rejected", "")


def test_names_and_draws_that_are_ambiguous(power_law):
    law = power_law()
    draws = law.draw(np.random.default_rng(20), 100)
    verdict = compare(draws, [law, power_law(0.5, name=law.name)])
    with pytest.raises(KeyError, match="2 rows are called 'power law': index by position"):
        verdict["power law"]
    assert compare(draws, law, names="mine")["mine"].law == "mine"
    with pytest.raises(ValueError, match="`ensemble` is a list of numbers: make it an array"):
        compare(list(draws), law)
    with pytest.raises(ValueError, match="`ensemble` must be real"):
        compare(draws + 0j, law)
    many = {f"w{i:02}": draws for i in range(30)}
    with pytest.raises(ValueError, match="30 leaves .*w03.*, ...\\)") as error:
        compare(many, law)
    assert "w04" not in str(error.value)
