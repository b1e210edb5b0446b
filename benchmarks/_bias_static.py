"""Rows of `deterministic_bias` about minimisers: potentials, certificates, limits."""

import time

import jax
import jax.numpy as jnp
import numpy as np

from gaugebias import flows

from ._bias_rows import Rows

# |x - x*|^2 at alpha^D = 1e1, 1e0, ..., 1e-8.
KERNEL_RICH = {
    2: (0.904, 0.904, 0.903, 0.808, 0.237, 0.0388, 0.0168, 0.0125, 0.0112, 0.0105),
    3: (0.904, 0.904, 0.902, 0.671, 0.0392, 0.0084, 0.0079, 0.0079, 0.0080, 0.0081),
}


def sparse_regression():
    """`(A, y, x*)`: 100 samples of 1000 features, five of them active, noise 0.1."""
    rng = np.random.default_rng(0)
    a = rng.standard_normal((100, 1000))
    x = np.zeros(1000)
    x[:5] = 1.0 / np.sqrt(5.0)
    return jnp.asarray(a), jnp.asarray(a @ x + 0.1 * rng.standard_normal(100)), jnp.asarray(x)


def kernel_rich(depths=(2, 3, 2.5, 5)) -> Rows:
    """The curve between the kernel and the rich regime at `d = 1000`, `N = 100`."""
    rows = Rows()
    a, y, truth = sparse_regression()
    least = jnp.linalg.pinv(a) @ y
    rows.close("least l2 norm: error", 0.9043, jnp.sum((least - truth) ** 2))
    rows.close("least l2 norm: its l1 norm", 7.73, jnp.sum(jnp.abs(least)))
    for depth in depths:
        worst, ends = 0.0, []
        for k, power in enumerate(range(1, -9, -1)):
            potential = flows.kernel_rich(depth, (10.0**power) ** (1.0 / depth))
            found = flows.minimise_bregman(potential, a, y)
            error = float(jnp.sum((found.x - truth) ** 2))
            check = flows.certificate(potential, a, found.x, jnp.zeros(1000), y)
            worst = max(worst, float(check.residual), float(check.fit))
            ends.append((error, float(jnp.sum(jnp.abs(found.x)))))
            if depth in KERNEL_RICH:
                expected = KERNEL_RICH[depth][k]
                rows.close(f"depth {depth}, alpha^D = 1e{power}: error", expected, error)
        rows.below(f"depth {depth}: certificate and fit over the curve", 1e-9, worst)
        rows.close(f"depth {depth}: error at the kernel end", 0.9043, ends[0][0])
        rows.close(f"depth {depth}: l1 norm at the rich end", 2.63, ends[-1][1])
    return rows


def newton_time() -> Rows:
    """Dual Newton at `d = 1000`, `N = 100`, after compilation: the best of five."""
    rows = Rows()
    a, y, _ = sparse_regression()
    for depth in (2, 3):
        potential = flows.kernel_rich(depth, 1e-3 ** (1.0 / depth))
        walls = []
        for _ in range(6):
            begin = time.perf_counter()
            jax.block_until_ready(flows.minimise_bregman(potential, a, y).x)
            walls.append(time.perf_counter() - begin)
        rows.below(f"dual Newton, depth {depth}, d = 1000, N = 100: seconds", 1.0, min(walls[1:]))
    return rows


def powers() -> Rows:
    """`u^L - v^L`, `1 < L < 2`, finds the least l_p norm, `p = 2/L`, in the lazy dual flow."""
    rows = Rows()
    rng = np.random.default_rng(0)
    a = rng.standard_normal((5, 12))
    y = a @ np.array([1.0, 1.0, *[0.0] * 10])
    limits = {1.2: 6e-3, 1.5: 1e-4, 1.8: 1e-4}
    for p, limit in limits.items():
        depth, zero = 2.0 / p, jnp.zeros(12)
        exact = flows.minimise_bregman(flows.PowerEntropy(depth, zero, zero), a, y).x
        slope = jnp.sign(exact) * jnp.abs(exact) ** (p - 1.0)
        rows.below(
            f"p = {p}: the reference has sign(x)|x|^(p-1) in range(A^T), residual",
            1e-9,
            _outside(a, slope),
        )
        start = jnp.full(12, 1e-6)
        lazy = flows.minimise_bregman(flows.PowerEntropy(depth, start, start), a, y).x
        rows.below(f"p = {p}: distance to the least l_p norm, init 1e-6", limit, _off(lazy, exact))
    depth, start = 2.0 / 1.5, (jnp.full(12, 1e-6),) * 2

    def clipped(w):
        return jnp.maximum(w[0], 0.0) ** depth - jnp.maximum(w[1], 0.0) ** depth

    model = flows.LinearModel(a, y)
    path = flows.gradient_flow(clipped, model, start, 200.0, stop=1e-8, tolerance=1e-8)
    zero = jnp.zeros(12)
    exact = flows.minimise_bregman(flows.PowerEntropy(depth, zero, zero), a, y).x
    rows.above("p = 1.5: the clipped flow of weights sticks, distance", 1e-2, _off(path.end, exact))
    return rows


def _outside(a, v) -> float:
    rows = np.linalg.svd(np.asarray(a), full_matrices=False)[2]
    v = np.asarray(v)
    return float(np.linalg.norm(v - rows.T @ (rows @ v)) / np.linalg.norm(v))


def _off(x, y) -> float:
    return float(jnp.linalg.norm(x - y) / jnp.linalg.norm(y))
