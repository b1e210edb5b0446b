"""What the tests of this room share."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest


def derivatives(potential, x):
    """`F', F'', F' and F'' by autodiff, x back from the dual, F, F*, inside` at entries of `x`."""

    def term(t):
        return jnp.sum(potential.terms(t))

    @jax.jit
    def all_of(x):
        ones = jnp.ones_like(x)
        slope = jax.grad(term)
        bend = jax.jvp(slope, (x,), (ones,))[1]
        s = potential.gradient(x)
        inside = jnp.all(potential.contains(x)) & jnp.all(potential.contains_dual(s))
        back, both = potential.from_dual(s), (potential.terms(x), potential.conjugate_terms(s))
        return s, potential.curvature(x), slope(x), bend, back, *both, inside

    return all_of(x)


def check_potential(potential, x, rtol=1e-10):
    """`terms`, `gradient`, `curvature`, `from_dual` and `conjugate_terms` belong together."""
    x = np.asarray(x)
    found = [np.asarray(v) for v in derivatives(potential, jnp.asarray(x))]
    s, bend, auto_slope, auto_bend, back, height, conjugate, inside = found
    # The gradient is fixed up to a constant for each coordinate: here all share it.
    np.testing.assert_allclose(auto_slope - auto_slope[0], s - s[0], rtol=rtol, atol=rtol)
    np.testing.assert_allclose(auto_bend, bend, rtol=rtol)
    np.testing.assert_allclose(back, x, rtol=rtol, atol=rtol)
    assert bool(inside)
    fenchel = height + conjugate - s * x
    np.testing.assert_allclose(fenchel, fenchel[0], atol=rtol * (np.abs(s * x).max() + 1))


@pytest.fixture(scope="session")
def system():
    """`(A, b)`: 4 equations in 9 unknowns, `b` from an `x` inside `(-0.6, 0.6)`."""
    rng = np.random.default_rng(11)
    a = rng.standard_normal((4, 9))
    return jnp.asarray(a), jnp.asarray(a @ rng.uniform(-0.6, 0.6, 9))
