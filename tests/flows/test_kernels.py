"""Tangent kernels."""

import jax.numpy as jnp
import numpy as np
import pytest

from gaugebias.flows import kernel_distance, tangent_kernel


def test_the_kernel_of_a_diagonal_network_at_its_start():
    """`8 alpha^2 <x, x'>` for `<u^2 - v^2, x>` at `u = v = alpha` (2002.09277)."""
    x = jnp.asarray(np.random.default_rng(0).standard_normal((3, 4)))
    w = 0.3 * jnp.ones((2, 4))
    kernel = tangent_kernel(lambda w: x @ (w[0] ** 2 - w[1] ** 2), w)
    np.testing.assert_allclose(kernel, 8 * 0.3**2 * x @ x.T, rtol=1e-12)


def test_distance():
    a, b = jnp.eye(3), jnp.diag(jnp.array([1.0, 1.0, 0.0]))
    assert float(kernel_distance(a, 5.0 * a)) == pytest.approx(0.0, abs=1e-30)
    assert float(kernel_distance(a, b)) == pytest.approx(1 - 2 / np.sqrt(6))
    tiny = a.at[0, 0].add(1e-7)
    assert float(kernel_distance(a, tiny)) == pytest.approx(1e-14 / 9, rel=1e-5)
    with pytest.raises(ValueError, match="differ in shape"):
        kernel_distance(a, jnp.eye(2))


@pytest.mark.parametrize("bad", [jnp.zeros((2, 2)), jnp.full((2, 2), jnp.nan)])
def test_no_distance_of_a_kernel_without_size(bad):
    with pytest.raises(ValueError, match="`second` must be finite and not 0"):
        kernel_distance(jnp.eye(2), bad)
