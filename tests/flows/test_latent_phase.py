"""The phase diagram of the latent-variable model."""

import math
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from gaugebias.flows import (
    LATENT_SCALINGS,
    LatentScaling,
    LatentVariableFlow,
    latent_prediction,
    latent_start,
)

#: Relative change of the kernel and alignment at the end, at widths 1e4 and 1e6.
TABLE = {
    "NTK": ((5e-5, 0.010), (5e-7, 0.001)),
    "standard": ((2e-8, 0.010), (2e-12, 0.001)),
    "mean-field": ((0.4142, 0.7071), (0.4142, 0.7071)),
    "Xavier": ((0.4142, 0.7071), (0.4142, 0.7071)),
    "muP": ((0.4142, 0.7071), (0.4142, 0.7071)),
    "small": ((1e4, 1.0), (1e6, 1.0)),
}


@pytest.mark.parametrize("name", TABLE)
def test_table(name):
    for width, (change, zeta) in zip((10_000, 1_000_000), TABLE[name], strict=True):
        found = LATENT_SCALINGS[name].at(width)
        assert found.kernel_change == pytest.approx(change, rel=3e-4)
        assert found.alignment == pytest.approx(zeta, rel=1e-3)


@pytest.mark.parametrize("width", [10_000, 1_000_000])
def test_table_against_the_exact_solution_of_paired_draws(getkey, width):
    """`S` of a draw has a relative deviation of `sqrt(2/d)`, or `2/sqrt(d)` where one layer rules.

    The change of the kernel has at most twice that: 2.5 deviations are allowed, on fixed draws.
    """
    key = getkey()
    for name, scaling in LATENT_SCALINGS.items():
        values: dict[str, Any] = scaling.settings(width)
        sigmas: dict[str, Any] = {s: values.pop(s) for s in ("sigma_u", "sigma_w")}
        flow = LatentVariableFlow(*latent_start(key, width, paired=True, **sigmas), **values)
        found = scaling.at(width)
        rel = 10.0 * width**-0.5
        assert float(flow.prediction(0.0)) == pytest.approx(0.0, abs=1e-12)
        change = float(flow.kernel_change(jnp.inf))
        assert change == pytest.approx(found.kernel_change, rel=rel), name
        assert float(flow.alignment(jnp.inf)) == pytest.approx(found.alignment, rel=rel), name
        assert float(flow.learning_time) == pytest.approx(found.learning_time, rel=rel), name
        assert float(flow.log_xi(jnp.inf)) == pytest.approx(found.log_xi, rel=rel), name


def test_an_output_at_the_start_changes_the_kernel_limit(getkey):
    """Either sign of the change: `r^2/2 (1 - (A f_0/B)^2)`."""
    scaling = LATENT_SCALINGS["NTK"]
    values: dict[str, Any] = scaling.settings(10_000)
    sigmas: dict[str, Any] = {s: values.pop(s) for s in ("sigma_u", "sigma_w")}
    u, w = latent_start(getkey(), 10_000, **sigmas)
    signs = set()
    for target in (0.2, 5.0):
        flow = LatentVariableFlow(u, w, cross_moment=target, **values)
        start = float(flow.prediction(0.0))
        p, q = flow.initial_norms
        r = 2.0 * target / (values["scale"] * float(p + q))
        expected = 0.5 * r**2 * (1.0 - (start / target) ** 2)
        assert float(flow.kernel_change(jnp.inf)) == pytest.approx(expected, rel=1e-3)
        signs.add(np.sign(expected))
        assert abs(start) < 5.0 * scaling.at(10_000).initial_output
    assert signs == {-1.0, 1.0}


def test_regimes():
    regimes = {name: s.regime for name, s in LATENT_SCALINGS.items()}
    assert regimes == {
        "NTK": "kernel",
        "standard": "kernel",
        "mean-field": "boundary",
        "Xavier": "boundary",
        "muP": "boundary",
        "small": "feature learning",
    }
    assert LATENT_SCALINGS["NTK"].kernel_exponent == 0.5
    assert LATENT_SCALINGS["standard"].kernel_exponent == 1.0
    assert LATENT_SCALINGS["small"].kernel_exponent == -1.0
    assert "boundary" in LATENT_SCALINGS["muP"].statement
    assert "d^-1" in LATENT_SCALINGS["NTK"].statement
    # On the boundary by thirds, which floats do not hold.
    thirds = LatentScaling(scale=-1 / 3, u=-1 / 3, w=-1 / 3)
    assert thirds.regime == "boundary" and thirds.at(1000).ratio == pytest.approx(1.0)
    assert LatentScaling(scale=-1 / 3 + 1e-6, u=-1 / 3, w=-1 / 3).regime == "kernel"
    # The swap of the layers is a symmetry of the model.
    swap = LatentScaling(w=-1.0, rate_w=-1.0, rate_u=1.0)
    assert swap.kernel_exponent == LATENT_SCALINGS["muP"].kernel_exponent


@pytest.mark.parametrize(
    "scaling",
    [
        *LATENT_SCALINGS.values(),
        LatentScaling(scale=0.2, u=-0.7, w=0.1, rate_u=0.6, rate_w=-1.1),
        LatentScaling(scale=-1.5, u=0.3, w=-0.2, rate_u=-0.4, rate_w=0.9),
        LatentScaling(scale=-0.4, w=-0.5),
    ],
)
def test_exponents_are_the_slopes_of_the_predictions(scaling):
    low, high = scaling.at(10**12), scaling.at(10**14)

    def slope(name):
        return math.log(getattr(high, name) / getattr(low, name)) / math.log(100.0)

    kappa = scaling.kernel_exponent
    assert slope("ratio") == pytest.approx(-kappa, abs=0.01)
    assert slope("alignment") == pytest.approx(scaling.alignment_exponent, abs=0.01)
    assert slope("learning_time") == pytest.approx(scaling.time_exponent, abs=0.01)
    assert slope("initial_output") == pytest.approx(scaling.output_exponent, abs=1e-9)
    change = -2.0 * kappa if kappa > 0 else -kappa
    assert slope("kernel_change") == pytest.approx(change, abs=0.01)


def test_kernels_with_aligned_layers():
    """A small layer aligns though the kernel stays: `alignment_exponent` tells them apart."""
    scaling = LatentScaling(scale=-0.75, u=-0.5)
    assert scaling.regime == "kernel" and scaling.alignment_exponent == 0.0
    found = scaling.at(10**12)
    assert found.kernel_change < 1e-5 and found.alignment > 0.99


def test_conventions_and_signs():
    plain, half = latent_prediction(100), latent_prediction(100, loss="half")
    assert half.learning_time == pytest.approx(2.0 * plain.learning_time)
    assert half.kernel_change == plain.kernel_change
    turned = latent_prediction(100, cross_moment=-1.0)
    assert turned.alignment == -plain.alignment and turned.log_xi == -plain.log_xi
    assert turned.kernel_change == plain.kernel_change
    one = latent_prediction(100, sigma_u=0.0)
    assert one.alignment == pytest.approx(1.0) and one.asymmetry == -1.0


def test_what_bad_input_says(getkey):
    for name in ("width", "rate_u", "rate_w", "second_moment"):
        settings: dict[str, Any] = {"width": 10, name: 0}
        with pytest.raises(ValueError, match=f"`{name}` must be positive and finite"):
            latent_prediction(**settings)
    with pytest.raises(ValueError, match="`sigma_u` must be positive and finite"):
        latent_prediction(10, sigma_u=math.nan)
    with pytest.raises(ValueError, match="both 0"):
        latent_prediction(10, sigma_u=0.0, sigma_w=0.0)
    with pytest.raises(ValueError, match="`scale` must be finite and not 0"):
        latent_prediction(10, scale=0.0)
    with pytest.raises(ValueError, match="`cross_moment` must be finite"):
        latent_prediction(10, cross_moment=math.inf)
    with pytest.raises(ValueError, match="`loss` must be"):
        latent_prediction(10, loss="mse")
    with pytest.raises(ValueError, match="`u` must be a finite exponent"):
        LatentScaling(u=math.nan)
    with pytest.raises(ValueError, match="leaves float64"):
        LatentScaling(u=100.0).at(10_000)
    with pytest.raises(ValueError, match="`width` must be at least 1"):
        LatentScaling().at(0)
    with pytest.raises(ValueError, match="`width` must be even"):
        latent_start(getkey(), 5, paired=True)
    with pytest.raises(ValueError, match="`width` must be at least 1"):
        latent_start(getkey(), 0)
