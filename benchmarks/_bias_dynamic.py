"""Rows of `deterministic_bias` about processes: flows, discrete steps, exact trajectories."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from gaugebias import flows

from ._bias_rows import Rows

POSITIVE, BOUNDED, LINE = "positive", "bounded", "line"
CATALOGUE = {
    "w": (flows.Identity(), LINE),
    "w^3": (flows.Power(3), POSITIVE),
    "w^1.5": (flows.Power(1.5), POSITIVE),
    "w^0.7": (flows.Power(0.7), POSITIVE),
    "w^2": (flows.Power(2), POSITIVE),
    "e^w": (flows.Exponential(), POSITIVE),
    "sinh w": (flows.Sinh(), LINE),
    "tan w": (flows.Tan(), LINE),
    "sin w": (flows.Sine(), BOUNDED),
    "tanh w": (flows.Tanh(), BOUNDED),
    "arcsinh w": (flows.Arcsinh(), LINE),
    "u^2 - v^2": (flows.PowerDifference(2), LINE),
    "u^3 - v^3": (flows.PowerDifference(3), LINE),
    "u^4 - v^4": (flows.PowerDifference(4), LINE),
    "u v": (flows.Product(), LINE),
    "w + w^3, by quadrature": (flows.Elementwise(lambda w: w + w**3), LINE),
    "sinh u - sinh v": (flows.SignedDifference(flows.Sinh()), LINE),
}


def catalogue(names=tuple(CATALOGUE)) -> Rows:
    """Gradient flow of every map ends at the minimiser of its divergence."""
    rows = Rows()
    for name in names:
        rho, kind = CATALOGUE[name]
        rng = np.random.default_rng(7)
        a = rng.standard_normal((4, 10))
        low, high = {POSITIVE: (0.5, 1.5), BOUNDED: (-0.6, 0.6), LINE: (-1.0, 1.0)}[kind]
        y = a @ rng.uniform(low, high, 10)
        x0 = jnp.asarray(rng.uniform(low, high, 10))
        if isinstance(rho, flows.AbstractElementwise):
            start = rho.lift(x0)
        else:
            start = (jnp.asarray(rng.uniform(0.5, 1, 10)), jnp.asarray(rng.uniform(0.2, 0.45, 10)))
            x0 = rho(start)
        model, potential = flows.LinearModel(a, y), rho.potential(start)
        path = flows.gradient_flow(rho, model, start, 2e3, stop=1e-11, tolerance=1e-11)
        check = flows.certificate(potential, a, path.end, x0, y)
        rows.below(f"{name}: KKT residual of the flow's end", 5e-9, check.residual)
        rows.below(f"{name}: fit", 1e-9, check.fit)
        found = flows.minimise_bregman(potential, a, y, start=x0)
        rows.below(f"{name}: distance to dual Newton", 1e-8, jnp.max(jnp.abs(path.end - found.x)))
        fall = flows.divergence_along(potential, path.x, found.x)
        rows.below(f"{name}: largest rise of D_F along the flow", 1e-9, fall.largest_rise)
    return rows


def links() -> Rows:
    """One limit, whatever the loss and the link."""
    rows = Rows()
    rng = np.random.default_rng(3)
    a = rng.standard_normal((4, 12))
    z = a @ np.array([1.0, -1.0, *[0.0] * 10])
    p = 1.0 / (1.0 + np.exp(-z))
    rho = flows.PowerDifference(2)
    start = rho.lift(jnp.zeros(12), 0.2)
    exact = flows.minimise_bregman(rho.potential(start), a, z).x
    for link, loss, y in (
        ("identity", "squared", z),
        ("logistic", "squared", p),
        ("logistic", "cross-entropy", p),
    ):
        model = flows.LinearModel(a, y, link=link, loss=loss)
        path = flows.gradient_flow(rho, model, start, 1e5, stop=1e-10, tolerance=1e-11)
        rows.below(f"{link} link, {loss}: distance to dual Newton", 1e-7, _off(path.end, exact))
        fall = flows.divergence_along(rho.potential(start), path.x, exact)
        rows.below(f"{link} link, {loss}: largest rise of D_F", 1e-9, fall.largest_rise)
    return rows


def initialisation() -> Rows:
    """`u v` under discrete steps is an exact running product, and says where they end."""
    rows = Rows()
    a = np.random.default_rng(0).standard_normal((4, 12))
    y = a @ np.array([1.0, 1.0, *[0.0] * 10])
    model, rho = flows.LinearModel(a, y), flows.PowerDifference(2)
    start = rho.lift(jnp.zeros(12), 0.1)
    plain = flows.minimise_bregman(rho.potential(start), a, y).x
    batches = {"key": jr.key(0), "batch_size": 1}
    # Not more steps than it takes: where a gradient is at rounding, a step rounds u and v one way.
    for name, rate, steps, how in (("GD", 0.125, 4000, {}), ("batch-1 SGD", 0.01, 40_000, batches)):
        path = flows.gradient_descent(rho, model, start, rate, steps=steps, **how)
        u, v = (w[-1] for w in path.params)
        made = path.initialisation
        assert made is not None
        off = jnp.max(jnp.abs(jnp.log(jnp.abs(u * v)) - jnp.log(made.scale)))
        rows.below(f"{name}: log |uv| against the product", 1e-12, off)
        check = flows.certificate(made.potential, a, path.end, made.start, y)
        rows.below(f"{name}: KKT residual, effective initialisation", 1e-12, check.residual)
        naive = flows.certificate(rho.potential(start), a, path.end, jnp.zeros(12), y)
        rows.above(f"{name}: KKT residual, the start as it was", 1e-5, naive.residual)
        found = flows.minimise_bregman(made.potential, a, y, start=made.start).x
        rows.below(f"{name}: distance to dual Newton", 1e-9, _off(path.end, found))
        rows.above(f"{name}: distance to the flow's limit", 1e-5, _off(path.end, plain))
    return rows


def decay() -> Rows:
    """Weight decay that is switched off: the derived constant, and the published one."""
    rows = Rows()
    rng = np.random.default_rng(5)
    a = rng.standard_normal((5, 12))
    y = a @ np.array([1.0, 1.0, *[0.0] * 10])
    start = (jnp.asarray(rng.uniform(0.6, 1.2, 12)), jnp.asarray(rng.uniform(-0.4, 0.4, 12)))
    model, rho = flows.LinearModel(a, y), flows.Product()
    path = flows.gradient_flow(
        rho, model, start, 400.0, decay=lambda t: 0.2 * jnp.exp(-t), tolerance=1e-13
    )
    rows.close("integral of the decay rate", 0.2, path.decay[-1], 1e-9)
    for constant in ("derived", "published"):
        potential = flows.decayed_entropy(start, path.decay[-1], constant=constant)
        origin = potential.from_dual(jnp.zeros(12))
        check = flows.certificate(potential, a, path.end, origin, y)
        if constant == "derived":
            rows.below("weight decay: KKT residual, derived constant", 1e-10, check.residual)
        else:
            rows.above("weight decay: KKT residual, published constant", 0.1, check.residual)
    return rows


def natural() -> Rows:
    """Natural gradient: one limit for every parametrisation, the Euclidean projection."""
    rows = Rows()
    a = np.random.default_rng(0).standard_normal((4, 12))
    y = a @ np.array([1.0, 1.0, *[0.0] * 10])
    model = flows.LinearModel(a, y)
    nearest = jnp.linalg.pinv(jnp.asarray(a)) @ jnp.asarray(y)
    ends = []
    for depth in (2, 3):
        rho = flows.PowerDifference(depth)
        start = rho.lift(jnp.zeros(12), 0.1)
        plain = flows.gradient_flow(rho, model, start, 1e5, stop=1e-10, tolerance=1e-11)
        rows.above(
            f"depth {depth}: gradient flow, distance to least l2", 0.1, _off(plain.end, nearest)
        )
        path = flows.natural_gradient_flow(rho, model, start, 1e3, stop=1e-11, tolerance=1e-11)
        rows.below(
            f"depth {depth}: natural gradient, distance to least l2", 1e-9, _off(path.end, nearest)
        )
        ends.append(path.end)
        data = flows.natural_gradient_flow(rho, model, start, 30.0, metric="data", tolerance=1e-11)
        rows.below(
            f"depth {depth}: pseudo-inverse of the data's Fisher, to gradient flow",
            1e-7,
            _off(data.end, plain.end),
        )
    rows.below("natural gradient, depth 2 against depth 3", 1e-9, _off(*ends))
    return rows


def lambda_balanced() -> Rows:
    """Two-layer networks against the integrated weights at `t = 40`, unequal widths too."""
    rows = Rows()
    rng = np.random.default_rng(0)
    for lam, n_in, n_out, h in ((2.0, 3, 5, 3), (-1.5, 5, 3, 4), (0.0, 4, 4, 2)):
        target = jnp.asarray(rng.standard_normal((n_out, n_in)))
        r = min(h, n_in, n_out)
        w = 0.3 * rng.standard_normal((n_out, r)) @ rng.standard_normal((r, n_in))
        turn = np.linalg.qr(rng.standard_normal((h, h)))[0]
        start = flows.lambda_balanced_start(w, lam, hidden=h, rotation=turn)
        exact = flows.LambdaBalanced(*start, target)
        times = jnp.array([0.0, 0.5, 40.0])

        def loss(p, target=target):
            return 0.5 * jnp.sum((p - target) ** 2)

        path = flows.gradient_flow(lambda p: p[1] @ p[0], loss, start, times, tolerance=1e-13)
        name = f"lambda = {lam:g}, widths {n_in}-{h}-{n_out}"
        for k in (1, 2):
            off = jnp.max(jnp.abs(exact.product(times[k]) - path.x[k]))
            rows.below(f"{name}: against the ODE at t = {float(times[k]):g}", 1e-10, off)
        x = jnp.asarray(rng.standard_normal((n_in, 4)))
        last = jax.tree.map(lambda leaf: leaf[-1], path.params)
        kernel = flows.tangent_kernel(lambda p, x=x: p[1] @ p[0] @ x, last)
        off = jnp.max(jnp.abs(kernel - exact.kernel(40.0, x))) / jnp.max(jnp.abs(kernel))
        rows.below(f"{name}: tangent kernel at t = 40, relative", 1e-10, off)
    return rows


def neuron() -> Rows:
    """A single neuron: the closed form in time, and the limit with fewer data than inputs."""
    rows = Rows()
    target = jnp.array([0.0, 1.0])
    times = jnp.array([0.0, 1.0, 20.0])

    def loss(x):
        return 0.5 * jnp.sum((x - target) ** 2)

    for delta in (-4.0, -1.0, 0.0, 4.0):
        start = flows.neuron_start(jnp.array([-1.0, 0.1]), delta)
        exact = flows.SingleNeuron(*start, target)
        path = flows.gradient_flow(lambda p: p[0] * p[1], loss, start, times, tolerance=1e-13)
        off = max(
            float(jnp.max(jnp.abs(exact.weights(t)[1] - path.params[1][k])))
            for k, t in enumerate(times)
        )
        rows.below(f"neuron, delta = {delta:g}: w against the ODE, t <= 20", 1e-9, off)
    rng = np.random.default_rng(2)
    a, x0 = rng.standard_normal((3, 8)), jnp.asarray(rng.standard_normal(8))
    y = a @ rng.standard_normal(8)
    for delta in (-0.5, 1.0):
        potential, start = flows.NeuronEntropy(delta), flows.neuron_start(x0, delta)
        path = flows.gradient_flow(
            lambda p: p[0] * p[1], flows.LinearModel(a, y), start, 1e4, stop=1e-11, tolerance=1e-11
        )
        check = flows.certificate(potential, a, path.end, x0, y)
        rows.below(f"neuron, delta = {delta:g}: KKT residual of q_delta", 5e-9, check.residual)
        found = flows.minimise_bregman(potential, a, y, start=x0)
        rows.below(f"neuron, delta = {delta:g}: to dual Newton", 1e-8, _off(path.end, found.x))
    return rows


def catapult() -> Rows:
    """The catapult's table and thresholds, and the recursion against the weights."""
    rows = Rows()
    rng = np.random.default_rng(0)
    u, v = jnp.asarray(rng.standard_normal(1000)), jnp.asarray(rng.standard_normal(1000))
    f, lam = flows.catapult_start(u, v)
    rows.close("curvature at the start", 2.00236, lam, 1e-5)
    rows.close("loss over width at the start", 0.001748, f**2 / 2000, 1e-3)
    table = {1.9: (0.00175, 0, None), 2.1: (0.0042, 8, 1.858), 3.0: (0.185, 4, 0.19),
             3.9: (0.466, 3, 1.14)}  # fmt: skip
    for product, (most, when, final) in table.items():
        rate = product / float(lam)
        path = flows.catapult(f, lam, rate, width=1000, steps=400)
        loss = np.asarray(path.loss) / 1000
        name = f"eta lambda = {product}"
        rows.close(f"{name}: largest loss over width", most, loss.max())
        rows.true(f"{name}: at step", str(when), str(int(loss.argmax())))
        if final is not None:
            rows.close(f"{name}: final eta lambda", final, rate * path.curvature[-1])
        rows.below(f"{name}: final loss", 1e-12, path.loss[-1])
        regime = "lazy" if product < 2 else "catapult"
        rows.true(f"{name}: regime", regime, flows.catapult_regime(rate, float(lam)))
        weights = _descend(u, v, rate, 60)
        short = path.output[:61]
        off = jnp.max(jnp.abs(weights - short)) / jnp.max(jnp.abs(short))
        rows.below(f"{name}: recursion against weights, 60 steps", 1e-12, off)
    path = flows.catapult(f, lam, 4.1 / lam, width=1000, steps=400)
    rows.true("eta lambda = 4.1: diverges", "True", str(not bool(jnp.isfinite(path.output[-1]))))
    rows.true("eta lambda = 4.1: regime", "divergent", flows.catapult_regime(4.1, 1.0))
    return rows


def _descend(u, v, rate, steps):
    root = u.size**0.5

    def step(w, _):
        f = jnp.sum(w[0] * w[1]) / root
        return (w[0] - rate * f * w[1] / root, w[1] - rate * f * w[0] / root), f

    return jax.lax.scan(step, (u, v), None, length=steps + 1)[1]


def _off(x, y) -> float:
    return float(jnp.linalg.norm(x - y) / jnp.linalg.norm(y))
