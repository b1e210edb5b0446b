"""Windows of effective rank."""

import numpy as np
import pytest

from gaugebias import flows

SPECTRUM = np.array([10.0, 5.0, 1.0] + 7 * [0.0])
# T2 of the acceptance tests at depths 2 and 3; 4 and 5 are measured by this code and held here.
TABLE = [
    (2, 0.01, 2, 1550, 3126, 1.4957, 1.5050),
    (3, 0.1, 1, 1082, 1422, 1.0019, 1.0049),
    (3, 0.1, 2, 2127, 7327, 1.499, 1.506),
    (4, 0.2, 1, 1407, 1964, 1.0022, 1.0048),
    (5, 0.3, 2, 2679, 10390, 1.5021, 1.5065),
]


@pytest.mark.parametrize(("depth", "alpha", "rank", "first", "last", "low", "high"), TABLE)
def test_table(depth, alpha, rank, first, last, low, high):
    window = flows.stopping_window(SPECTRUM, depth, 1e-3, alpha, rank=rank, leakage=0.05)
    assert (window.first, window.last) == pytest.approx((first, last), abs=1)
    assert not window.empty and window.stop == window.first
    path = flows.spectral_descent(SPECTRUM, depth, 1e-3, alpha, steps=12_000)
    seen = np.asarray(path.effective_rank)[int(window.first) : int(window.last) + 1]
    assert (seen.min(), seen.max()) == pytest.approx((low, high), abs=1e-3)
    assert window.lower <= seen.min() and seen.max() <= window.upper
    assert window.target == SPECTRUM[:rank].sum() / 10


def test_an_empty_window_says_why():
    window = flows.stopping_window(SPECTRUM, 2, 1e-3, 0.01, rank=1, leakage=0.05)
    assert window.empty and window.stop is None and "in a ratio of 2" in window.warning
    tie = flows.stopping_window([5.0, 5.0, 1.0], 3, 1e-3, 0.1, rank=1)
    assert tie.empty and "equal to the last one kept" in tie.warning
    large = flows.stopping_window([5.0, 1.0], 3, 1e-3, 1.0, rank=1)
    assert large.empty and "start 1 of every eigenvalue is above" in large.warning


def test_equal_eigenvalues_together_and_the_default_rank():
    window = flows.stopping_window([1.0, 5.0, 5.0, 0.0, -2.0], 3, 1e-3, 0.1)
    assert window.rank == 3 and window.last == np.inf  # 0 follows 1
    window = flows.stopping_window([1.0, 5.0, 5.0], 3, 1e-3, 0.1, rank=2)
    assert not window.empty and window.target == 2.0
    assert flows.stopping_window([5.0, 5.0, 1.0, 0.9], 3, 1e-3, 0.1).rank == 4


@pytest.mark.parametrize("seed", range(6))
def test_windows_hold_for_random_spectra(seed):
    """Any signs, starts above and below the eigenvalues: no step of a window is outside."""
    rng = np.random.default_rng(seed)
    depth = int(rng.integers(2, 6))
    lam = np.sort(np.concatenate([10 ** rng.uniform(-1.5, 1, 3), [0.0, -rng.uniform(0, 2)]]))[::-1]
    alpha = float(rng.uniform(0.05, 0.9))
    rate = 0.2 * flows.stable_learning_rate(lam, depth, alpha)
    rank = np.asarray(flows.spectral_descent(lam, depth, rate, alpha, steps=20_000).effective_rank)
    for kept in (1, 2, 3):
        window = flows.stopping_window(lam, depth, rate, alpha, rank=kept, accuracy=0.05)
        if not window.empty and window.first <= 20_000:
            part = rank[int(window.first) : int(min(window.last, 20_000)) + 1]
            assert window.lower <= part.min() and part.max() <= window.upper


def test_what_bad_input_says():
    with pytest.raises(ValueError, match="`rank` is 4, but `spectrum` has 3 positive"):
        flows.stopping_window(SPECTRUM, 2, 1e-3, 0.01, rank=4)
    with pytest.raises(ValueError, match="no positive eigenvalue"):
        flows.stopping_window([-1.0, 0.0], 2, 1e-3, 0.01)
    with pytest.raises(ValueError, match="negative eigenvalues, which depth 1 recovers"):
        flows.stopping_window([1.0, -1.0], 1, 1e-3, 0.01)
    with pytest.raises(ValueError, match="hold below"):
        flows.stopping_window(SPECTRUM, 2, 0.2, 0.01)
    with pytest.raises(ValueError, match="`init` must be positive"):
        flows.stopping_window(SPECTRUM, 2, 1e-3, 0.0)
    with pytest.raises(ValueError, match="`accuracy` is 1"):
        flows.stopping_window(SPECTRUM, 2, 1e-3, 0.01, accuracy=1.0)
    with pytest.raises(ValueError, match="`leakage` is 20"):
        flows.stopping_window(SPECTRUM, 2, 1e-3, 0.01, leakage=20.0)
