"""Bounds on the start, the distance to the start, and wide factors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import linprog

from gaugebias import flows


@pytest.fixture(scope="module")
def problem():
    """`(A, b, least l1 norm, least l2 norm)`: 8 equations in 30 unknowns, two of them active."""
    rng = np.random.default_rng(4)
    a = rng.standard_normal((8, 30))
    b = a @ np.array([0.6, -0.6, *[0.0] * 28]) + 0.1 * rng.standard_normal(8)
    found = linprog(np.ones(60), A_eq=np.hstack([a, -a]), b_eq=b, method="highs")
    return a, b, float(found.fun), float(np.linalg.norm(np.linalg.pinv(a) @ b))


def limit(problem, log_alpha):
    a, b, *_ = problem
    return flows.minimise_bregman(flows.kernel_rich(2, jnp.exp(jnp.asarray(log_alpha))), a, b).x


@pytest.mark.parametrize("excess", [0.3, 0.05])
def test_below_the_rich_bound_the_l1_norm_is_nearly_least(problem, excess):
    """Both bounds hold; at a start of 1 the excess is far above (so that they say something)."""
    least = problem[2]
    derived = flows.log_rich_alpha(least, 30, excess)
    published = flows.log_rich_alpha(least, 30, excess, bound="published")
    assert float(published) < float(derived) < 0.0
    found = jnp.sum(jnp.abs(limit(problem, derived)))
    assert least * (1.0 - 1e-6) < float(found) < (1.0 + excess) * least
    assert float(jnp.sum(jnp.abs(limit(problem, 0.0)))) > 1.4 * least


@pytest.mark.parametrize("excess", [0.3, 0.01])
def test_above_the_kernel_bound_the_l2_norm_is_nearly_least(problem, excess):
    least = problem[3]
    derived = flows.log_kernel_alpha(least, excess)
    assert float(derived) < float(flows.log_kernel_alpha(least, excess, bound="published"))
    found = jnp.sum(limit(problem, derived) ** 2)
    assert least**2 * (1.0 - 1e-6) < float(found) < (1.0 + excess) * least**2
    assert float(jnp.sum(limit(problem, jnp.log(1e-3)) ** 2)) > 1.3 * least**2


def test_the_published_bounds_are_those_of_the_theorem():
    """2002.09277, Theorem 2, for numbers that do not underflow."""
    eps, b, d = 0.5, 1.7, 3
    rich = min((2 * (1 + eps) * b) ** (-(2 + eps) / (2 * eps)), np.exp(-d / (eps * b)))
    found = flows.log_rich_alpha(b, d, eps, bound="published")
    assert float(found) == pytest.approx(np.log(rich), rel=1e-12)
    kernel = np.sqrt(2 * (1 + eps) * (1 + 2 / eps) * b)
    found = flows.log_kernel_alpha(b, eps, bound="published")
    assert float(found) == pytest.approx(np.log(kernel), rel=1e-12)


def smallest_root(z):
    roots = np.roots([1, -6, 12 - 2 * z**2, -(8 + 10 * z**2), z**2 + z**4])
    return min(roots[np.abs(roots.imag) < 1e-9].real)


def test_the_distance_to_the_start_is_the_potential_of_depth_4():
    """The quartic's root, a search over weights, and not Q of depth 2."""
    alpha, z = 0.7, np.array([0.05, 0.4, 2.0, 6.0])
    potential = flows.distance_potential(alpha)
    both = jax.jit(jax.vmap(lambda x: (potential.value(x), potential.value(-x))))
    found, mirrored = (np.asarray(v) for v in both(jnp.asarray(alpha**2 * z)))
    np.testing.assert_allclose(found, [alpha**2 * smallest_root(v) for v in z], rtol=1e-9)
    np.testing.assert_allclose(found, mirrored, rtol=1e-12)
    u = alpha * np.linspace(np.sqrt(z), np.sqrt(z) + 1.5, 200_001)
    v = np.sqrt(np.maximum(u**2 - alpha**2 * z, 0.0))
    nearest = np.min((u - alpha) ** 2 + (v - alpha) ** 2, axis=0)
    np.testing.assert_allclose(found, nearest, rtol=1e-4)
    own = flows.kernel_rich(2, alpha)
    ratio = np.asarray([own.value(jnp.asarray(alpha**2 * v)) for v in z]) / found
    assert ratio[-1] / ratio[0] > 1.1


def test_wide_factors_have_the_scale_of_their_gram():
    """`x = a sinh(2 s)` with `a = alpha^2 k`: that of `Q_mu`, `2 mu^2 = alpha^2 k`."""
    found = flows.wide_potential(0.1, 50)
    assert isinstance(found, flows.HyperbolicEntropy)
    assert float(found.scale) == pytest.approx(0.01 * 50, rel=1e-12)


REFUSED = {
    "l1": (lambda: flows.log_rich_alpha(0.0, 3, 0.1), "`l1_norm` must be positive"),
    "excess": (lambda: flows.log_kernel_alpha(1.0, -0.1), "`excess` must be positive"),
    "dimension": (lambda: flows.log_rich_alpha(1.0, 0, 0.1), "`dimension` must be a positive"),
    "bound": (lambda: flows.log_kernel_alpha(1.0, 0.1, bound="x"), "`bound` must be"),
    "alpha": (lambda: flows.distance_potential(0.0), "`alpha` must be positive"),
    "width": (lambda: flows.wide_potential(0.1, 0), "`width` must be a positive integer"),
    "scale": (lambda: flows.wide_potential(-0.1, 5), "`alpha` must be positive"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input(case):
    call, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        call()
