"""Lambda-balanced two-layer networks."""

import equinox as eqx
import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from gaugebias import flows

CASES = [(2.0, 3, 5, 3), (-1.5, 5, 3, 4), (0.0, 4, 4, 2), (0.0, 2, 3, 5)]


def make(lam, n_in, n_out, h):
    rng = np.random.default_rng(3)
    r = min(h, n_in, n_out)
    product = 0.3 * rng.standard_normal((n_out, r)) @ rng.standard_normal((r, n_in))
    turn = np.linalg.qr(rng.standard_normal((h, h)))[0]
    w1, w2 = flows.lambda_balanced_start(product, lam, hidden=h, rotation=turn)
    return product, w1, w2, jnp.asarray(rng.standard_normal((n_out, n_in)))


@pytest.mark.parametrize("case", CASES)
def test_start(case):
    product, w1, w2, _ = make(*case)
    np.testing.assert_allclose(w2 @ w1, product, atol=1e-12)
    gap = w2.T @ w2 - w1 @ w1.T
    np.testing.assert_allclose(gap, case[0] * jnp.eye(case[3]), atol=1e-12)


def test_start_in_float32():
    """What rounding leaves of a rank and of an orthogonal matrix is not refused."""
    product, *_ = make(2.0, 30, 20, 10)
    turn = np.linalg.qr(np.random.default_rng(4).standard_normal((10, 10)))[0]
    product, turn = (v.astype(np.float32) for v in (product, turn))
    w1, w2 = flows.lambda_balanced_start(product, 2.0, hidden=10, rotation=turn)
    assert w1.dtype == jnp.float32
    np.testing.assert_allclose(w2 @ w1, product, atol=1e-4)
    with pytest.raises(ValueError, match="`hidden` is 9, less than the rank"):
        flows.lambda_balanced_start(product, 2.0, hidden=9)


@pytest.mark.parametrize(
    "case", [CASES[0], CASES[3], *(pytest.param(c, marks=pytest.mark.slow) for c in CASES[1:3])]
)
def test_against_an_independent_integration(case):
    _, w1, w2, target = make(*case)
    exact = flows.LambdaBalanced(w1, w2, target)
    assert float(exact.imbalance) == pytest.approx(case[0], abs=1e-12)
    a, b, s = (np.asarray(v) for v in (w1, w2, target))

    def velocity(t, y):
        p, q = y[: a.size].reshape(a.shape), y[a.size :].reshape(b.shape)
        left = s - q @ p
        return np.concatenate([(q.T @ left).ravel(), (left @ p.T).ravel()])

    times = [0.0, 1.0, 40.0]
    y = solve_ivp(velocity, (0, 40), np.concatenate([a.ravel(), b.ravel()]), "DOP853", times,
                  rtol=1e-12, atol=1e-14).y  # fmt: skip
    product = eqx.filter_jit(exact.product)
    for k, t in enumerate(times):
        p, q = y[: a.size, k].reshape(a.shape), y[a.size :, k].reshape(b.shape)
        np.testing.assert_allclose(product(t), q @ p, atol=1e-10)


def in_many_digits(w1, w2, target, times):
    """`W2 W1` by the published solution, growing exponentials and all, in 200 digits."""
    with mpmath.workdps(200):
        first, second, sigma = (mpmath.matrix(np.asarray(v).tolist()) for v in (w1, w2, target))
        n = first.rows
        gap = second.T * second - first * first.T
        lam = sum(gap[i, i] for i in range(n)) / n
        f, q = mpmath.zeros(2 * n), mpmath.zeros(2 * n, n)
        for i in range(n):
            f[i, i], f[n + i, n + i] = -lam / 2, lam / 2
            for j in range(n):
                f[n + i, j] = f[j, n + i] = sigma[i, j]
                q[i, j], q[n + i, j] = first[j, i], second[i, j]
        values, vectors = mpmath.eigsy(f)
        turned, found = vectors.T * q, []
        for t in times:
            grown = mpmath.diag([mpmath.exp(e * t) for e in values]) * turned
            spent = mpmath.diag([mpmath.expm1(2 * e * t) / (2 * e) for e in values])
            core = mpmath.eye(n) + turned.T * spent * turned
            p = vectors * grown * core**-1 * grown.T * vectors.T
            found.append([[float(p[n + i, j]) for j in range(n)] for i in range(n)])
        return np.asarray(found)


@pytest.mark.parametrize("imbalance", [1e-3, 1e-7])
def test_digits_near_a_saddle_are_what_the_condition_says(imbalance):
    """Start and target of opposite determinants: all that leads away from the saddle is lambda."""
    rng = np.random.default_rng(4)
    target, product = rng.standard_normal((3, 3)), 0.1 * rng.standard_normal((3, 3))
    product[0] *= -np.sign(np.linalg.det(product) * np.linalg.det(target))
    turn = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    w1, w2 = flows.lambda_balanced_start(product, imbalance, rotation=turn)
    flow = flows.LambdaBalanced(w1, w2, target)
    times = np.linspace(0.0, 24.0, 17)
    exact, found = in_many_digits(w1, w2, target, times), eqx.filter_jit(flow.product)
    off = max(float(np.abs(found(t) - p).max()) for t, p in zip(times, exact, strict=True))
    bound = 4.0 * np.finfo(float).eps * float(flow.condition) * np.linalg.norm(target, 2)
    assert float(flow.condition) > 0.01 / imbalance
    assert off < bound
    # It does leave, and the bound is no empty one: a relative change of the weights by about 1e-11.
    assert np.abs(exact[-1] - target).max() < 0.2 < np.abs(exact[3] - target).max()
    size = 1e-11 * (np.linalg.norm(w1, 2) ** 2 + np.linalg.norm(w2, 2) ** 2)
    beside = flows.lambda_balanced_start(product, imbalance + size, rotation=turn)
    moved = eqx.filter_jit(flows.LambdaBalanced(*beside, target).product)
    change = max(float(np.abs(moved(t) - p).max()) for t, p in zip(times, exact, strict=True))
    assert 1e-2 < change / (4e-11 * float(flow.condition) * np.linalg.norm(target, 2)) < 1.0


def test_derivatives_in_time_are_the_velocity():
    _, w1, w2, target = make(*CASES[0])
    flow = flows.LambdaBalanced(w1, w2, target)
    left = target - w2 @ w1
    velocity = w2 @ (w2.T @ left) + (left @ w1.T) @ w1
    slope = eqx.filter_jit(lambda f, t: jax.jvp(f.product, (t,), (jnp.ones(()),))[1])
    np.testing.assert_allclose(slope(flow, jnp.asarray(0.0)), velocity, atol=1e-12)
    h, t = 1e-5, jnp.asarray(0.6)
    ahead, behind = flow.product(t + h), flow.product(t - h)
    np.testing.assert_allclose(slope(flow, t), (ahead - behind) / (2 * h), atol=1e-8)


def test_kernel_is_that_of_the_weights():
    _, w1, w2, target = make(*CASES[0])
    exact = flows.LambdaBalanced(w1, w2, target)
    x = jnp.asarray(np.random.default_rng(0).standard_normal((3, 2)))
    kernel = jax.jit(lambda p: flows.tangent_kernel(lambda q: q[1] @ q[0] @ x, p))((w1, w2))
    np.testing.assert_allclose(eqx.filter_jit(exact.kernel)(0.0, x), kernel, atol=1e-12)


def test_a_large_imbalance_is_lazy():
    """Square layers: between unequal ones the larger has to turn, however large the imbalance."""
    rng = np.random.default_rng(3)
    product, target = (jnp.asarray(0.5 * rng.standard_normal((3, 3))) for _ in range(2))
    moved = []
    for lam in (0.0, 100.0):
        exact = flows.LambdaBalanced(*flows.lambda_balanced_start(product, lam), target)
        kernel = eqx.filter_jit(exact.kernel)
        kernels = [kernel(jnp.asarray(t), jnp.eye(3)) for t in (0.0, 30.0)]
        moved.append(float(flows.kernel_distance(*kernels)))
    assert moved[1] < 1e-4 < 1e-2 < moved[0]


def test_rest_at_any_time():
    _, w1, w2, target = make(*CASES[2])
    exact = flows.LambdaBalanced(w1, w2, target)
    late = eqx.filter_jit(exact.product)(1e6)
    u, s, vt = np.linalg.svd(np.asarray(target))
    np.testing.assert_allclose(late, u[:, :2] * s[:2] @ vt[:2], atol=1e-10)


def test_one_aligned_mode_is_the_logistic_curve():
    """`sdot = sqrt(lambda^2 + 4 s^2)(s* - s)`, at `lambda = 0` by hand."""
    w1, w2 = flows.lambda_balanced_start(jnp.array([[0.01]]), 0.0)
    exact = flows.LambdaBalanced(w1, w2, jnp.array([[2.0]]))
    t = 1.7
    expected = 2.0 / (1.0 + (2.0 / 0.01 - 1.0) * np.exp(-2 * 2.0 * t))
    assert float(eqx.filter_jit(exact.product)(t)[0, 0]) == pytest.approx(expected, rel=1e-12)


def test_what_bad_input_says():
    _, w1, w2, target = make(*CASES[0])
    with pytest.raises(ValueError, match="are not lambda-balanced.*lambda_balanced_start"):
        flows.LambdaBalanced(w1, w2.at[0, 0].add(0.1), target)
    with pytest.raises(ValueError, match="must have shapes"):
        flows.LambdaBalanced(w1, w2, target.T)
    with pytest.raises(ValueError, match="are 0: the flow does not move"):
        flows.LambdaBalanced(0 * w1, 0 * w2, target)
    with pytest.raises(ValueError, match="`t` must be finite and not negative"):
        flows.LambdaBalanced(w1, w2, target).product(np.inf)
    with pytest.raises(ValueError, match="must be concrete"):
        jax.jit(lambda w: flows.LambdaBalanced(w, w2, target).product(1.0))(w1)
    with pytest.raises(ValueError, match="`hidden` is 6, but `imbalance` 1 needs at most 5"):
        flows.lambda_balanced_start(target, 1.0, hidden=6)
    with pytest.raises(ValueError, match="less than the rank"):
        flows.lambda_balanced_start(target, 1.0, hidden=2)
    with pytest.raises(ValueError, match="`rotation` must be an orthogonal matrix"):
        flows.lambda_balanced_start(target, 1.0, rotation=2 * np.eye(3))
    with pytest.raises(ValueError, match="`product` must be a matrix"):
        flows.lambda_balanced_start(jnp.ones(3), 1.0)
