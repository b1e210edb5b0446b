"""The exact latent-variable model."""

from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from mpmath import mp

from gaugebias.flows import LatentVariableFlow, tangent_kernel

RNG = np.random.default_rng(3)
Z = [RNG.standard_normal(50) for _ in range(4)]
SMALL = 0.05 * Z[0], 0.05 * Z[1]
CORRELATED = 0.5 * Z[2] + 0.25 * Z[3], 0.5 * Z[2] - 0.25 * Z[3]
TIMES = jnp.array([0.0, 0.03, 0.2, 0.7, 2.0])

_DATA = np.random.default_rng(5)
X = jnp.asarray(_DATA.standard_normal(6))
Y = jnp.asarray(1.3 * np.asarray(X) + 0.4 * _DATA.standard_normal(6))
N = jnp.array([0.6, 0.8])
_U, _W = 0.5 * _DATA.standard_normal((2, 4))

#: u, w, scale, rate_u, rate_w, sign of the labels, half loss
CASES = {
    "plain": (_U, _W, 1.0, 1.0, 1.0, 1.0, False),
    "rates": (_U, _W, 0.7, 2.0, 0.3, 1.0, False),
    "half": (_U, _W, 0.7, 2.0, 0.3, 1.0, True),
    "negative scale": (_U, _W, -0.7, 2.0, 0.3, 1.0, False),
    "negative target": (_U, _W, 1.5, 0.5, 1.5, -1.0, False),
    "P = 0, learns": (2.0 * _W, -_W, 1.0, 4.0, 1.0, -1.0, False),
    "P = 0, to the saddle": (2.0 * _W, -_W, 1.0, 4.0, 1.0, 1.0, True),
    "Q = 0, learns": (_W, _W, 1.0, 1.0, 1.0, 1.0, False),
    "Q = 0, to the saddle": (_W, _W, -1.0, 1.0, 1.0, 1.0, False),
    "no target": (_U, _W, 1.0, 1.0, 1.0, 0.0, False),
    "no target, P = 0": (2.0 * _W, -_W, 1.0, 4.0, 1.0, 0.0, False),
    "small": (0.03 * _U, 0.03 * _W, 2.0, 1.5, 1.0, 1.0, False),
    "one layer 0": (_U, 0.0 * _W, 1.0, 1.0, 1.0, 1.0, False),
}


@jax.jit
@jax.vmap
def integrate(u, w, scale, rate_u, rate_w, sign, factor):
    """Gradient flow of the network itself, with inputs of two components, by autodiff."""
    off = jnp.array([-0.8, 0.6])

    def loss(params):
        u, w = params
        output = scale * ((X[:, None] * N[None, :]) @ w.T) @ u
        return factor * jnp.mean((output - sign * Y) ** 2)

    def field(t, params, args):
        gu, gw = jax.grad(loss)(params)
        return -rate_u * gu, -rate_w * gw

    start = u, w[:, None] * N[None, :] + 0.3 * off[None, :]
    path = diffrax.diffeqsolve(
        diffrax.ODETerm(field),
        diffrax.Dopri8(),
        0.0,
        TIMES[-1],
        1e-3,
        start,
        saveat=diffrax.SaveAt(ts=TIMES),
        # A step ends at each of the times: between steps the solution is interpolated to 1e-10.
        stepsize_controller=diffrax.ClipStepSizeController(
            diffrax.PIDController(rtol=1e-12, atol=1e-13), step_ts=TIMES
        ),
        max_steps=2000,
        adjoint=diffrax.ForwardMode(),
    )
    assert path.ys is not None
    us, ws = path.ys
    return us, ws @ N, ws @ off


def flow_of(u, w, scale, rate_u, rate_w, sign, half):
    return LatentVariableFlow(
        u,
        w,
        second_moment=jnp.mean(X**2),
        cross_moment=sign * jnp.mean(X * Y),
        rate_u=rate_u,
        rate_w=rate_w,
        scale=scale,
        loss="half" if half else "squared",
    )


@pytest.fixture(scope="module")
def solved():
    columns = list(zip(*CASES.values(), strict=True))
    factor = [0.5 if half else 1.0 for half in columns.pop()]
    paths = integrate(*map(jnp.asarray, [*columns, factor]))
    return {name: [x[k] for x in paths] for k, name in enumerate(CASES)}


@pytest.mark.parametrize("name", CASES)
def test_closed_form_against_the_integrated_network(solved, name):
    u, w, across = solved[name]
    flow = flow_of(*CASES[name])
    if name == "small":  # the form for large xi, beyond that for moderate ones
        assert float(flow.log_xi(TIMES)[-1]) > 4.0
    close: dict[str, Any] = {"rtol": 1e-9, "atol": 1e-10}
    for exact, found in zip(flow.weights(TIMES), (u, w), strict=True):
        np.testing.assert_allclose(exact, found, **close)
    np.testing.assert_allclose(across, 0.3, rtol=0, atol=1e-12)  # no input there, no movement
    slope = flow.scale * jnp.sum(u * w, 1)
    np.testing.assert_allclose(flow.prediction(TIMES), slope, **close)
    miss = flow.cross_moment - flow.second_moment * slope
    np.testing.assert_allclose(flow.residual(TIMES), miss, **close)
    norms = jnp.linalg.norm(u, axis=1), jnp.linalg.norm(w, axis=1)
    np.testing.assert_allclose(jnp.stack(flow.norms(TIMES)), jnp.stack(norms), **close)
    size = norms[0] * norms[1]
    zeta = jnp.where(size > 0, jnp.sum(u * w, 1) / jnp.where(size > 0, size, 1.0), 0.0)
    np.testing.assert_allclose(flow.alignment(TIMES), zeta, rtol=1e-8, atol=1e-9)
    kernel = flow.scale**2 * (flow.rate_u * norms[1] ** 2 + flow.rate_w * norms[0] ** 2)
    np.testing.assert_allclose(flow.kernel(TIMES), kernel, **close)
    # A change near 0 is a difference of numbers near 1: what is known of it is known of those.
    np.testing.assert_allclose(1.0 + flow.kernel_change(TIMES), kernel / kernel[0], **close)


def test_the_loss_convention_and_the_published_form_of_xi():
    """The cross-ratio of `xi` with its two roots decays at `4 gamma h Delta`; half, at half."""
    u, w, scale, rate_u, rate_w, sign, _ = CASES["rates"]
    for half, factor in ((False, 4.0), (True, 2.0)):
        flow = flow_of(u, w, scale, rate_u, rate_w, sign, half)
        a, b, h = flow.second_moment, flow.cross_moment, np.sqrt(rate_u * rate_w)
        p, q = flow.initial_norms
        delta = np.sqrt(b**2 + a**2 * scale**2 * h**2 * p * q)
        assert float(flow.learning_time) == pytest.approx(1 / (factor * scale * h * delta))
        high, low = ((b + s * delta) / (a * scale * h * p) for s in (1, -1))
        xi = flow.xi(TIMES)
        expected = (1 - high) / (1 - low) * jnp.exp(-TIMES / flow.learning_time)
        np.testing.assert_allclose((xi - high) / (xi - low), expected, rtol=1e-9)
        assert float(flow.xi(jnp.inf)) == pytest.approx(float(high), rel=1e-13)


def test_the_kernel_is_the_tangent_kernel_of_rescaled_layers():
    flow = flow_of(*CASES["rates"])
    roots = jnp.sqrt(flow.rate_u), jnp.sqrt(flow.rate_w)
    u, w = flow.weights(0.2)

    def output(layers):
        return flow.scale * X * jnp.sum(roots[0] * layers[0] * roots[1] * layers[1])

    kernel = tangent_kernel(output, (u / roots[0], w / roots[1]))
    np.testing.assert_allclose(kernel, flow.kernel(0.2) * jnp.outer(X, X), rtol=1e-11)


def test_demonstrations():
    """The three of the publication's mechanisms, on fixed draws."""
    ends = jnp.array([0.0, 50.0])
    flow = LatentVariableFlow(*SMALL)
    np.testing.assert_allclose(flow.alignment(ends), [0.11, 0.99], atol=0.006)
    np.testing.assert_allclose(flow.prediction(ends), [0.016, 1.0], atol=5e-4)
    flow = LatentVariableFlow(*CORRELATED, cross_moment=0.5)
    np.testing.assert_allclose(flow.alignment(ends), [0.695, 0.042], atol=6e-4)
    np.testing.assert_allclose(flow.prediction(ends), [11.6, 0.5], atol=0.05)
    ones = 0.1 * jnp.ones(50)
    flow = LatentVariableFlow(ones, ones, cross_moment=4.0)
    np.testing.assert_array_equal(flow.alignment(ends), [1.0, 1.0])
    np.testing.assert_allclose(flow.norms(ends)[0], [0.7071, 2.0], atol=1e-4)


def test_late_times_keep_their_digits():
    flow = LatentVariableFlow(*SMALL, scale=-2.0, rate_u=3.0)
    tc = float(flow.learning_time)
    late = jnp.array([30.0, 80.0, 600.0]) * tc
    residual = flow.residual(late)
    assert float(residual[0] / residual[1]) == pytest.approx(np.exp(50.0), rel=1e-12)
    assert 0 < abs(float(residual[2])) < 1e-250
    far = jnp.array([1e6, 1e300, jnp.inf]) * tc
    np.testing.assert_allclose(flow.prediction(far), 1.0, rtol=1e-14)
    np.testing.assert_array_equal(flow.residual(far), 0.0)
    values = [*flow.weights(far), *flow.norms(far), flow.kernel(far), flow.alignment(far)]
    assert all(bool(jnp.all(jnp.isfinite(v))) for v in values)
    # Weights from which xi grows by 44 orders of magnitude.
    tiny = LatentVariableFlow(1e-22 * Z[0], 1e-22 * Z[1])
    assert float(tiny.prediction(jnp.inf)) == pytest.approx(1.0, rel=1e-12)
    assert float(tiny.alignment(jnp.inf)) == pytest.approx(1.0, abs=1e-14)


def test_the_saddle_is_reached_where_one_half_is_exactly_zero():
    for target, end in ((1.0, 0.0), (-1.0, -1.0)):
        flow = LatentVariableFlow(SMALL[0], -SMALL[0], cross_moment=target)
        u, w = flow.weights(jnp.inf)
        assert float(flow.prediction(jnp.inf)) == pytest.approx(end, abs=1e-14)
        assert float(flow.alignment(jnp.inf)) == -1.0
        np.testing.assert_array_equal(u, -w)
    flow = LatentVariableFlow(SMALL[0], -SMALL[0], cross_moment=1.0)
    assert float(flow.log_xi(1000.0)) == pytest.approx(1000.0 / float(flow.learning_time), rel=0.01)
    assert float(flow.residual(1e5)) == 1.0
    still = LatentVariableFlow(SMALL[0], -SMALL[0], cross_moment=0.0)
    assert float(still.learning_time) == np.inf
    times, size = np.array([1.0, 1e3, 1e6]), float(still.initial_norms[1])
    # f = -Q/xi / 2 with xi = 1 + 2 Q t.
    np.testing.assert_allclose(
        still.prediction(times), -0.5 * size / (1 + 2 * size * times), rtol=1e-13
    )
    assert float(still.prediction(jnp.inf)) == 0.0


def _exact(u, w, t, a, b, rates, scale, factor):
    """The published form in 300 digits, where it may cancel and overflow as it likes."""
    u, w = [[mp.mpf(float(x)) for x in v] for v in (u, w)]
    a, b, scale, t, *rates = (mp.mpf(float(x)) for x in (a, b, scale, t, *rates))
    ru, rw = map(mp.sqrt, rates)
    p = [(x / ru + y / rw) / mp.sqrt(2) for x, y in zip(u, w, strict=True)]
    q = [(x / ru - y / rw) / mp.sqrt(2) for x, y in zip(u, w, strict=True)]
    big_p, big_q = sum(x * x for x in p), sum(x * x for x in q)
    cross = sum(x * y for x, y in zip(p, q, strict=True))
    speed = scale * ru * rw
    delta = mp.sqrt(b**2 + (a * speed) ** 2 * big_p * big_q)
    high, low = (b + delta) / (a * speed * big_p), (b - delta) / (a * speed * big_p)
    ratio = (1 - high) / (1 - low) * mp.exp(-2 * factor * speed * delta * t)
    xi = (high - ratio * low) / (1 - ratio)
    grown, shrunk = big_p * xi, big_q / xi
    total, slope = grown + shrunk, speed * (grown - shrunk) / 2
    return {
        "log_xi": mp.log(xi),
        "prediction": slope,
        "residual": b - a * slope,
        "kernel": speed**2 * total,
        "kernel_change": total / (big_p + big_q) - 1,
        "alignment": (grown - shrunk) / mp.sqrt(total**2 - 4 * cross**2),
    }


def test_digits_over_many_orders_of_magnitude():
    """All to 1e-12 of themselves, for layers, rates and targets of any size, early and late."""
    rng = np.random.default_rng(0)
    for trial in range(12):
        sizes, rates = 10.0 ** rng.uniform(-6, 3, (2, 1)), 10.0 ** rng.uniform(-3, 3, 2)
        u, w = sizes * rng.standard_normal((2, 3))
        if trial % 4 == 0:  # nearly antiparallel layers, alike in size
            rates = np.ones(2)
            w = -u * (1.0 + 1e-6 * rng.standard_normal(3))
        a, b = 10.0 ** rng.uniform(-2, 2), rng.standard_normal() * 10.0 ** rng.uniform(-3, 3)
        scale = (-1) ** trial * 10.0 ** rng.uniform(-2, 2)
        flow = LatentVariableFlow(
            u,
            w,
            second_moment=a,
            cross_moment=b,
            rate_u=rates[0],
            rate_w=rates[1],
            scale=scale,
            loss="half" if trial % 2 else "squared",
        )
        times = jnp.array([1e-6, 0.1, 1.0, 5.0, 200.0]) * flow.learning_time
        found = {
            name: np.asarray(getattr(flow, name)(times))
            for name in ("log_xi", "prediction", "residual", "kernel", "kernel_change", "alignment")
        }
        for k, t in enumerate(times):
            with mp.workdps(300):
                exact = _exact(u, w, t, a, b, rates, scale, 1 if trial % 2 else 2)
                for name, value in exact.items():
                    gap = abs(mp.mpf(float(found[name][k])) / value - 1)
                    assert gap < 1e-12, (trial, name, k)


def test_vmap_jit_and_gradient():
    us, ws = jnp.stack([SMALL[0], CORRELATED[0]]), jnp.stack([SMALL[1], CORRELATED[1]])

    @jax.jit
    def zeta(us, ws, rates, ts):
        def one(u, w, r):
            return LatentVariableFlow(u, w, rate_u=r).alignment(ts)

        return jax.vmap(one)(us, ws, rates)

    rates = jnp.array([0.5, 2.0])
    found = zeta(us, ws, rates, TIMES)
    for k in range(2):
        alone = LatentVariableFlow(us[k], ws[k], rate_u=rates[k]).alignment(TIMES)
        np.testing.assert_allclose(found[k], alone, rtol=1e-12)

    def end(scale):
        return LatentVariableFlow(*SMALL, scale=scale).kernel(1.3)

    slope = (end(1.0 + 1e-5) - end(1.0 - 1e-5)) / 2e-5
    assert float(jax.grad(end)(1.0)) == pytest.approx(float(slope), rel=1e-7)


def test_float32_is_finite_and_close():
    u, w = (jnp.asarray(x, jnp.float32) for x in SMALL)
    one = jnp.float32(1.0)
    flow = LatentVariableFlow(
        u, w, second_moment=one, cross_moment=one, rate_u=one, rate_w=one, scale=one
    )
    ts = jnp.array([0.0, 1.0, 1e4], jnp.float32)
    assert flow.alignment(ts).dtype == jnp.float32
    exact = LatentVariableFlow(*SMALL).alignment(ts.astype(float))
    np.testing.assert_allclose(flow.alignment(ts), exact, rtol=2e-5)


def test_what_bad_input_says():
    u, w = SMALL
    bad = [
        (dict(rate_u=0.0), "`rate_u` must be positive"),
        (dict(rate_w=-1.0), "`rate_w` must be positive"),
        (dict(second_moment=0.0), "`second_moment` must be positive"),
        (dict(second_moment=np.nan), "`second_moment` must be positive"),
        (dict(cross_moment=np.nan), "`cross_moment` must be finite"),
        (dict(scale=0.0), "`scale` must be finite and not 0"),
        (dict(scale=jnp.ones(2)), "`scale` must be a scalar"),
        (dict(loss="mean"), "`loss` must be 'squared' or 'half'"),
    ]
    for settings, says in bad:
        with pytest.raises(ValueError, match=says):
            LatentVariableFlow(u, w, **settings)
    weights = [
        (u, w[:-1], "`u` and `w` must be vectors of one length"),
        (u[None], w[None], "`vmap` over further axes"),
        (u[:0], w[:0], "`u` and `w` are empty"),
        (u * np.nan, w, "`u` must be finite .entry 0."),
        (0 * u, 0 * w, "`u` and `w` are all 0"),
    ]
    for first, second, says in weights:
        with pytest.raises(ValueError, match=says):
            LatentVariableFlow(first, second)
    with pytest.raises(ValueError, match="`t` must be a time of at least 0"):
        LatentVariableFlow(u, w).xi(jnp.array([0.0, -1.0]))
    with pytest.raises(ValueError, match="`t` must be a time of at least 0"):
        LatentVariableFlow(u, w).xi(jnp.nan)
