"""Scalings with width, against the table and the exact solution."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from gaugebias import flows

SCALINGS: dict[str, dict[str, Any]] = {
    "tangent kernel": {"output_scale": -0.5},
    "standard": {"sigma_u": -0.5, "rate_u": -1.0, "rate_w": -1.0},
    "mean field": {"output_scale": -1.0, "rate_u": 1.0, "rate_w": 1.0},
    "Xavier": {"sigma_u": -0.5, "sigma_w": -0.5},
    "muP": {"sigma_u": -1.0, "rate_u": -1.0, "rate_w": 1.0},
    "small": {"sigma_u": -1.0, "sigma_w": -1.0},
}


@pytest.mark.parametrize(
    ("name", "width", "change", "zeta"),
    [
        ("tangent kernel", 1e6, 5e-7, 0.001),
        ("tangent kernel", 1e4, 5e-5, 0.010),
        ("standard", 1e6, 2e-12, 0.001),
        ("standard", 1e4, 2e-8, 0.010),
        ("mean field", 1e6, 2**0.5 - 1, 0.5**0.5),
        ("Xavier", 1e6, 2**0.5 - 1, 0.5**0.5),
        ("muP", 1e6, 2**0.5 - 1, 0.5**0.5),
        ("small", 1e6, 1e6, 1.0),
        ("small", 1e4, 1e4, 1.0),
    ],
)
def test_table(name, width, change, zeta):
    phase = flows.phase(width, **SCALINGS[name])
    assert phase.kernel_change == pytest.approx(change, rel=0.02)
    assert phase.alignment == pytest.approx(zeta, rel=0.02)
    kernel = name in ("tangent kernel", "standard")
    assert (phase.regime == "kernel") == kernel
    assert phase.boundary == (name in ("mean field", "Xavier", "muP"))


@pytest.mark.parametrize("name", SCALINGS)
def test_the_exact_solution_at_width_10000(name):
    """Within sampling error: relative fluctuations of P, Q are about sqrt(2/d), 1.4%."""
    c = SCALINGS[name]
    d = 10_000
    rng = np.random.default_rng(0)
    half = rng.standard_normal((2, d // 2))
    # f = 0 at the start.
    u = np.concatenate([half[0], -half[0]]) * d ** c.get("sigma_u", 0.0)
    w = np.concatenate([half[1], half[1]]) * d ** c.get("sigma_w", 0.0)
    scales: dict[str, Any] = {
        k: float(d ** c.get(k, 0.0)) for k in ("output_scale", "rate_u", "rate_w")
    }
    flow = flows.LatentVariable(u, w, second_moment=1.0, correlation=1.0, **scales)
    assert float(flow.slope(0.0)) == pytest.approx(0.0, abs=1e-9)
    phase = flows.phase(d, **c)
    change = float(flow.kernel(jnp.inf) / flow.kernel(0.0)) - 1.0
    assert change == pytest.approx(phase.kernel_change, rel=0.1, abs=1e-12)
    assert float(flow.alignment(jnp.inf)) == pytest.approx(phase.alignment, rel=0.05)
    assert float(flow.time_constant) == pytest.approx(phase.time_constant, rel=0.05)


def test_an_exponent_just_off_the_boundary():
    on = flows.phase(1e6, output_scale=-1.0)
    assert on.boundary and on.exponent == 0.0 and on.regime == "feature learning"
    off = flows.phase(1e6, output_scale=-0.99)
    assert not off.boundary and off.regime == "kernel" and off.exponent == pytest.approx(0.01)
    # The speed: gamma h Delta grows as d^(1 - 2 * 0.5) = 1 for the tangent kernel scaling.
    assert flows.phase(1e6, output_scale=-0.5).speed == 0.0
    assert flows.phase(1e4, output_scale=-0.5, loss="half").time_constant == pytest.approx(
        2 * flows.phase(1e4, output_scale=-0.5).time_constant
    )


def test_what_bad_input_says():
    with pytest.raises(ValueError, match="`rate_u` must be a finite exponent"):
        flows.phase(100.0, rate_u=np.inf)
    with pytest.raises(ValueError, match="`width` must be at least 2"):
        flows.phase(1.0)
    with pytest.raises(ValueError, match="`correlation` must be finite and not 0"):
        flows.phase(100.0, correlation=0.0)
    with pytest.raises(ValueError, match="`second_moment` must be positive"):
        flows.phase(100.0, second_moment=0.0)
