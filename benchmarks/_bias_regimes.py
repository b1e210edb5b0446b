"""Rows of `deterministic_bias` about regimes: bounds, wide factors, completion, masks, decay."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from scipy.optimize import linprog

from gaugebias import flows

from ._bias_rows import Rows
from ._bias_static import sparse_regression


def regimes() -> Rows:
    """Starts that are small or large enough, and the potential that the flow does not have."""
    rows = Rows()
    a, y, _ = sparse_regression()
    d = a.shape[1]
    both = np.hstack([np.asarray(a), -np.asarray(a)])
    l1 = float(linprog(np.ones(2 * d), A_eq=both, b_eq=np.asarray(y), method="highs").fun)
    l2 = float(jnp.linalg.norm(jnp.linalg.pinv(a) @ y))
    for excess in (0.1, 0.05):
        log_alpha = flows.log_rich_alpha(l1, d, excess)
        found = _rich_limit(a, y, float(log_alpha))
        share = float(jnp.sum(jnp.abs(found))) / l1 - 1.0
        name = f"log alpha = {float(log_alpha):.0f} (Theorem 2: "
        name += f"{float(flows.log_rich_alpha(l1, d, excess, bound='published')):.0f})"
        rows.below(f"{name}: excess of |x|_1", excess, share)
        for bound in ("derived", "published"):
            log_alpha = flows.log_kernel_alpha(l2, excess, bound=bound)
            found = flows.minimise_bregman(flows.kernel_rich(2, jnp.exp(log_alpha)), a, y).x
            share = float(jnp.sum(found**2)) / l2**2 - 1.0
            name = f"alpha = {float(jnp.exp(log_alpha)):.3g} ({bound}): excess of |x|_2^2"
            rows.below(name, excess, share)
    alpha = 0.03
    own = flows.minimise_bregman(flows.kernel_rich(2, alpha), a, y).x
    distance = flows.distance_potential(alpha)
    near = flows.minimise_bregman(distance, a, y).x
    rows.above("nearest weights to the start: distance to the flow's limit", 0.3, _off(near, own))
    check = flows.certificate(distance, a, own, jnp.zeros(d), y)
    rows.above("their potential r at the flow's limit: KKT residual", 0.1, check.residual)
    rho, few = flows.PowerDifference(2), a[:20]
    start = rho.lift(jnp.zeros(d), alpha)
    kernel = flows.tangent_kernel(lambda w: few @ rho(w), start)
    off = _off(kernel, 8.0 * alpha**2 * few @ few.T)
    rows.below("tangent kernel at the start against 8 alpha^2 <x, x'>", 1e-12, off)
    return rows


def _rich_limit(a, y, log_alpha):
    """`argmin Q_alpha` for a tiny `alpha`: multipliers grow like `log(1/alpha)`, followed down."""
    level, multipliers = -2.0, None
    while True:
        found = flows.minimise_bregman(
            flows.kernel_rich(2, float(np.exp(level))), a, y, multipliers=multipliers
        )
        if level == log_alpha:
            return found.x
        before, level = level, max(log_alpha, 1.4 * level)
        multipliers = found.multipliers * (level / before)


def wide() -> Rows:
    """Gaussian factors of growing width under commuting measurements: `Q_mu` of the spectrum."""
    rows = Rows()
    rng = np.random.default_rng(0)
    d, n, mu2 = 6, 3, 0.02
    basis = np.linalg.qr(rng.standard_normal((d, d)))[0]
    values = rng.standard_normal((n, d))
    x = jnp.asarray(np.einsum("ij,nj,kj->nik", basis, values, basis))
    y = jnp.asarray(values @ np.array([1.0, -0.5, *[0.0] * (d - 2)]))

    def loss(m):
        return 0.5 * jnp.sum((jnp.einsum("nij,ij->n", x, m) - y) ** 2)

    errors = []
    for width in (100, 10_000):
        alpha = float(np.sqrt(2.0 * mu2 / width))
        found = flows.commuting_sensing(x, y, alpha, width)
        start = tuple(alpha * jr.normal(jr.key(0), (2, d, width)))
        path = flows.gradient_flow(
            lambda w: w[0] @ w[1].T, loss, start, 1e3, stop=1e-7, tolerance=1e-7
        )
        errors.append(_off(path.end, found.matrix))
        rows.below(f"width {width}: flow against argmin Q_mu", 5.0 / width**0.5, errors[-1])
        other = flows.commuting_sensing(x, y, 3.0 * alpha, width)
        off = _off(other.matrix, found.matrix)
        rows.above(f"width {width}: argmin at three times alpha, distance", 0.15, off)
    rows.close(
        "error at width 10,000 over that at 100 (1/sqrt(width))", 0.1, errors[1] / errors[0], 0.5
    )
    return rows


def completion(seeds=range(4)) -> Rows:
    """A matrix of rank one, 10 x 10, from 60 entries: by small weights, and not by wide ones."""
    rows = Rows()
    settings = {"small, square": (10, 1e-2), "large, square": (10, 1.0), "small, wide": (1000, 0.1)}
    seen = {name: [] for name in settings}
    for seed in seeds:
        truth, mask = _rank_one(seed)
        hidden = jnp.linalg.norm((1.0 - mask) * truth)

        def loss(m, truth=truth, mask=mask):
            return 0.5 * jnp.sum(mask * (m - truth) ** 2)

        for name, (width, alpha) in settings.items():
            start = tuple(alpha * jr.normal(jr.key(seed), (2, 10, width)))
            path = flows.gradient_flow(
                lambda w: w[0] @ w[1].T, loss, start, 1e4, stop=1e-4, tolerance=1e-6
            )
            m = path.end
            error = jnp.linalg.norm((1.0 - mask) * (m - truth)) / hidden
            nuclear = jnp.sum(jnp.linalg.svd(m, compute_uv=False))
            seen[name].append((float(error), float(nuclear) / 10.0))
    for name, (width, alpha) in settings.items():
        error, nuclear = np.median(np.asarray(seen[name]), axis=0)
        label = f"k = {width}, alpha = {alpha:g} ({name})"
        if name == "small, square":
            rows.below(f"{label}: error of the 40 entries", 0.1, error)
            rows.close(f"{label}: nuclear norm over that of the truth", 1.0, nuclear)
        else:
            rows.above(f"{label}: error of the 40 entries", 0.9, error)
            rows.above(f"{label}: nuclear norm over that of the truth", 1.3, nuclear)
    return rows


def _rank_one(seed):
    """A matrix of rank one and norm 10, and the 60 of its entries that are seen."""
    rng = np.random.default_rng(seed)
    truth = np.outer(rng.standard_normal(10), rng.standard_normal(10))
    mask = np.zeros(100)
    mask[rng.permutation(100)[:60]] = 1.0
    return jnp.asarray(10.0 * truth / np.linalg.norm(truth)), jnp.asarray(mask.reshape(10, 10))


def masks(inits=range(5)) -> Rows:
    """Masks `x = m w` with decay that ends, that stays, without, and the l1 penalty itself."""
    rows = Rows()
    rng = np.random.default_rng(0)
    a = rng.standard_normal((40, 100))
    truth = np.zeros(100)
    truth[:5] = rng.choice([-1.0, 1.0], 5) * rng.uniform(0.5, 1.5, 5)
    y, product = a @ truth, flows.Product()
    model = flows.LinearModel(a, y)
    schedules = {"none": None, "constant": lambda t: 0.02 + 0.0 * t, "decaying": _until_100}
    errors = {name: [] for name in schedules}
    worst = 0.0
    for init in inits:
        # m as a dense network's weights, w as a mask near one half.
        draw = np.random.default_rng(100 + init)
        start = (jnp.asarray(0.5 * draw.standard_normal(100)), jnp.full(100, 1.0))
        for name, schedule in schedules.items():
            path = flows.gradient_flow(
                product, model, start, 1e3, decay=schedule, stop=1e-9, tolerance=1e-9
            )
            errors[name].append(_off(path.end, truth))
            if name == "decaying":
                potential = flows.decayed_entropy(start, path.decay[-1])
                origin = potential.from_dual(jnp.zeros(100))
                check = flows.certificate(potential, a, path.end, origin, y)
                worst = max(worst, float(check.residual))
    medians = {name: float(np.median(v)) for name, v in errors.items()}
    lasso = _off(_lasso(a, y, 0.04), truth)
    rows.below("decay that ends: distance to the truth", 1e-2, medians["decaying"])
    rows.below("decay that ends: KKT residual of R_a, worst of five", 1e-6, worst)
    rows.above("decay that stays: distance", 10.0 * medians["decaying"], medians["constant"])
    rows.above("no decay: distance", 10.0 * medians["decaying"], medians["none"])
    rows.above("l1 penalty 0.04: distance", 10.0 * medians["decaying"], lasso)
    return rows


def _until_100(t):
    """A rate of 0.1 that ends smoothly about time 100: its integral is 10."""
    return 0.1 * jax.nn.sigmoid(100.0 - t)


def _lasso(a, y, weight, steps=5000):
    """`argmin |a x - y|^2/(2n) + weight |x|_1` by accelerated proximal gradient."""
    a, y = jnp.asarray(a), jnp.asarray(y)
    size = len(y) / jnp.linalg.norm(a, 2) ** 2

    def step(_, state):
        x, z, t = state
        new = z - size * (a.T @ (a @ z - y)) / len(y)
        new = jnp.sign(new) * jnp.maximum(jnp.abs(new) - size * weight, 0.0)
        later = 0.5 * (1.0 + jnp.sqrt(1.0 + 4.0 * t**2))
        return new, new + (t - 1.0) / later * (new - x), later

    zero = jnp.zeros(a.shape[1])
    return jax.jit(lambda: jax.lax.fori_loop(0, steps, step, (zero, zero, 1.0))[0])()


def commuting_decay() -> Rows:
    """Decay of `u^4 - v^4` by `u^4 + v^4`, which commutes, and by the sum of squares."""
    rows = Rows()
    rng = np.random.default_rng(5)
    a = rng.standard_normal((5, 12))
    y = a @ np.array([1.0, 1.0, *[0.0] * 10])
    start = (jnp.asarray(rng.uniform(0.6, 1.1, 12)), jnp.asarray(rng.uniform(0.5, 0.9, 12)))
    model, rho = flows.LinearModel(a, y), flows.PowerDifference(4)

    def quartic(w):
        return jnp.sum(w[0] ** 4 + w[1] ** 4)

    def squares(w):
        return jnp.sum(w[0] ** 2 + w[1] ** 2)

    for name, penalty in (("u^4 + v^4", quartic), ("u^2 + v^2", squares)):
        bracket = flows.decay_bracket(rho, penalty, start)
        path = flows.gradient_flow(
            rho,
            model,
            start,
            400.0,
            decay=lambda t: 0.1 * jnp.exp(-t),
            penalty=penalty,
            tolerance=1e-12,
        )
        shifted = flows.decayed_start(rho, quartic, start, path.decay[-1])
        check = flows.certificate(rho.potential(shifted), a, path.end, rho(shifted), y)
        if penalty is quartic:
            rows.below(f"{name}: bracket", 1e-12, bracket)
            rows.below(f"{name}: KKT residual of the shifted start", 1e-9, check.residual)
            own = flows.certificate(rho.potential(start), a, path.end, rho(start), y)
            rows.above(f"{name}: KKT residual of the start as it was", 1e-2, own.residual)
        else:
            rows.above(f"{name}: bracket", 0.1, bracket)
            rows.above(f"{name}: KKT residual of the shifted start", 1e-3, check.residual)
    return rows


def _off(x, y) -> float:
    return float(jnp.linalg.norm(x - y) / jnp.linalg.norm(y))
