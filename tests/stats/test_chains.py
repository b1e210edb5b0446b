import numpy as np
import pytest

from gaugebias.stats import effective_sample_size, split_rhat


def autoregressive(rng, chains, draws, rho):
    noise = rng.normal(size=(chains, draws)) * np.sqrt(1.0 - rho**2)
    out = np.empty((chains, draws))
    out[:, 0] = rng.normal(size=chains)
    for i in range(1, draws):
        out[:, i] = rho * out[:, i - 1] + noise[:, i]
    return out


def test_effective_sample_size_of_a_known_process():
    # An AR(1) chain has N (1 - rho) / (1 + rho) effective draws; 15% covers the estimator's error
    # here (standard deviation 3% over seeds).
    x = autoregressive(np.random.default_rng(0), 32, 250, 0.5)
    assert effective_sample_size(x) == pytest.approx(8000 / 3, rel=0.15)


def test_agreeing_and_disagreeing_chains():
    rng = np.random.default_rng(1)
    values = np.stack([rng.normal(size=(32, 250)), rng.normal(size=(32, 250))], axis=-1)
    values[:16, :, 1] += 1.0
    rhat = split_rhat(values)
    assert rhat.shape == (2,) and rhat[0] < 1.02 and rhat[1] > 1.1
    assert effective_sample_size(values).shape == (2,)
    # An offset far above the spread must not be lost to rounding.
    assert split_rhat(values + 1e8) == pytest.approx(rhat, abs=1e-6)


def test_frozen_chains_are_seen():
    values = np.repeat(np.arange(32.0)[:, None], 250, axis=1)
    assert split_rhat(values) == np.inf
    assert effective_sample_size(values) == 0.0


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (np.zeros(10), "shape"),
        (np.zeros((10, 2)), "2 draws a chain"),
        (np.zeros((10, 5)), "never changes"),
        (np.full((10, 5), np.inf), "non-finite"),
    ],
)
def test_bad_input_is_named(values, says):
    with pytest.raises(ValueError, match=f"`values`.*{says}"):
        split_rhat(values)
