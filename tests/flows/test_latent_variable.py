"""The exact latent-variable model against its differential equation and its laws."""

from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaugebias import flows

RNG = np.random.default_rng(3)
D = 6
CASES: list[dict[str, Any]] = [
    {"second_moment": 0.7, "correlation": 1.3},
    {"second_moment": 0.7, "correlation": -1.3, "output_scale": 0.4, "rate_u": 2.0, "rate_w": 0.3},
    {"second_moment": 1.5, "correlation": 0.0, "rate_u": 0.5, "loss": "half"},
]
U, W = RNG.standard_normal((2, D))


@jax.jit
def integrated(u, w, a, b, gamma, rate_u, rate_w, factor, t):
    """`(u, w)` at `t` by an ODE solver, from the loss itself."""

    def loss(params):
        s = gamma * jnp.sum(params[0] * params[1])
        return factor * (a * s**2 - 2.0 * b * s)

    def field(t, y, args):
        g = jax.grad(loss)(y)
        return -rate_u * g[0], -rate_w * g[1]

    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(field),
        diffrax.Dopri8(),
        0.0,
        t,
        None,
        (u, w),
        stepsize_controller=diffrax.PIDController(rtol=1e-12, atol=1e-13),
        max_steps=100_000,
    )
    return jax.tree.map(lambda leaf: leaf[-1], solution.ys)


def numbers(case):
    one = {"output_scale": 1.0, "rate_u": 1.0, "rate_w": 1.0, **case}
    factor = 0.5 if one.get("loss") == "half" else 1.0
    names = "second_moment", "correlation", "output_scale", "rate_u", "rate_w"
    return [jnp.asarray(v, float) for v in (*(one[name] for name in names), factor)]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kind", ["random", "P = 0", "Q = 0"])
def test_weights_solve_the_flow(case, kind):
    given = numbers(case)
    ratio = float(jnp.sqrt(given[3] / given[4]))
    u = {"random": U, "P = 0": -ratio * W, "Q = 0": ratio * W}[kind]
    flow = flows.LatentVariable(u, W, **case)
    for t in (0.3, 2.0):
        wanted = integrated(jnp.asarray(u), jnp.asarray(W), *given, jnp.asarray(t))
        got = flow.weights(t)
        np.testing.assert_allclose(got[0], wanted[0], atol=1e-9)
        np.testing.assert_allclose(got[1], wanted[1], atol=1e-9)
        later = flows.LatentVariable(*got, **case)
        np.testing.assert_allclose(later.imbalance, flow.imbalance, atol=1e-9)
        slope = given[2] * jnp.sum(got[0] * got[1])
        np.testing.assert_allclose(flow.slope(t), slope, atol=1e-12)
        kernel = given[2] ** 2 * (given[3] * jnp.sum(got[1] ** 2) + given[4] * jnp.sum(got[0] ** 2))
        np.testing.assert_allclose(flow.kernel(t), kernel, rtol=1e-12)
        zeta = jnp.sum(got[0] * got[1]) / jnp.linalg.norm(got[0]) / jnp.linalg.norm(got[1])
        np.testing.assert_allclose(flow.alignment(t), zeta, atol=1e-9)


@pytest.mark.parametrize("case", CASES[:2])
def test_the_end_and_how_it_is_reached(case):
    flow = flows.LatentVariable(U, W, **case)
    end = case["correlation"] / case["second_moment"]
    assert float(flow.slope(jnp.inf)) == pytest.approx(end, rel=1e-12)
    tc = float(flow.time_constant)
    gaps = [float(flow.slope(n * tc)) - end for n in (9.0, 10.0)]
    assert gaps[1] / gaps[0] == pytest.approx(np.exp(-1), rel=0.01)


def test_a_sign_that_cannot_be_reached():
    # Q = 0 and a negative target: f falls to 0 and stays.
    flow = flows.LatentVariable(W, W, second_moment=1.0, correlation=-1.0)
    assert float(flow.slope(50.0)) == pytest.approx(0.0, abs=1e-12)
    assert float(flow.alignment(3.0)) == pytest.approx(1.0)


def demonstration(name):
    z = np.random.default_rng(3).standard_normal((4, 50))
    if name == "alignment":
        return 0.05 * z[0], 0.05 * z[1], 1.0
    if name == "disalignment":
        return 0.5 * z[2] + 0.25 * z[3], 0.5 * z[2] - 0.25 * z[3], 0.5
    return np.full(50, 0.1), np.full(50, 0.1), 4.0


@pytest.mark.parametrize(
    ("name", "zeta", "slope"),
    [
        ("alignment", (0.11, 0.99), 0.016),
        ("disalignment", (0.695, 0.042), 11.6),
        ("rescaling", (1.0, 1.0), 0.5),
    ],
)
def test_the_three_mechanisms(name, zeta, slope):
    u, w, target = demonstration(name)
    flow = flows.LatentVariable(u, w, second_moment=1.0, correlation=target)
    seen = float(flow.alignment(0.0)), float(flow.alignment(jnp.inf))
    assert seen == pytest.approx(zeta, rel=0.05, abs=0.006)
    assert float(flow.slope(0.0)) == pytest.approx(slope, rel=0.03)
    kernel = float(flow.kernel(0.0)), float(flow.kernel(jnp.inf))
    assert flows.mechanism(seen, kernel) == name
    if name == "rescaling":
        assert float(jnp.linalg.norm(flow.weights(jnp.inf)[0])) == pytest.approx(2.0)


def test_it_maps_over_times_and_starts():
    flow = flows.LatentVariable(U, W, **CASES[0])
    times = jnp.linspace(0.0, 3.0, 7)
    path = jax.vmap(flow.xi)(times)
    assert float(path[0]) == 1.0 and path.shape == (7,)

    def end(u):
        return flows.LatentVariable(u, jnp.asarray(W), **CASES[0]).kernel(1.0)

    assert jax.vmap(end)(jnp.stack([U, -U])).shape == (2,)
    assert bool(jnp.isfinite(jax.grad(lambda u: end(u))(jnp.asarray(U))).all())


def test_what_bad_input_says():
    good: dict[str, Any] = {"second_moment": 1.0, "correlation": 1.0}
    with pytest.raises(ValueError, match="`u` and `w` must be vectors of one length"):
        flows.LatentVariable(U, W[:3], **good)
    with pytest.raises(ValueError, match="where nothing moves"):
        flows.LatentVariable(0 * U, 0 * W, **good)
    with pytest.raises(ValueError, match="`rate_u` must be positive"):
        flows.LatentVariable(U, W, rate_u=0.0, **good)
    with pytest.raises(ValueError, match="`second_moment` must be positive"):
        flows.LatentVariable(U, W, second_moment=0.0, correlation=1.0)
    with pytest.raises(ValueError, match="`correlation` must be finite"):
        flows.LatentVariable(U, W, second_moment=1.0, correlation=np.inf)
