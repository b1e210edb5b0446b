"""What the tests of this room share."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest


def derivatives(potential, x):
    """`(F', F'', autodiff F', autodiff F'', x back from the dual)` at the entries of `x`."""

    def term(t):
        return jnp.sum(potential.terms(t))

    @jax.jit
    def all_of(x):
        ones = jnp.ones_like(x)
        slope = jax.grad(term)
        bend = jax.jvp(slope, (x,), (ones,))[1]
        s = potential.gradient(x)
        return s, potential.curvature(x), slope(x), bend, potential.from_dual(s)

    return all_of(x)


def check_potential(potential, x, rtol=1e-10):
    """`terms`, `gradient`, `curvature`, `from_dual` and `conjugate_terms` belong together."""
    s, bend, auto_slope, auto_bend, back = derivatives(potential, x)
    # The gradient is fixed up to a constant for each coordinate: here all share it.
    np.testing.assert_allclose(auto_slope - auto_slope[0], s - s[0], rtol=rtol, atol=rtol)
    np.testing.assert_allclose(auto_bend, bend, rtol=rtol)
    np.testing.assert_allclose(back, x, rtol=rtol, atol=rtol)
    assert bool(jnp.all(potential.contains(x))) and bool(jnp.all(potential.contains_dual(s)))
    fenchel = potential.terms(x) + potential.conjugate_terms(s) - s * x
    np.testing.assert_allclose(fenchel, fenchel[0], atol=rtol * float(jnp.max(jnp.abs(s * x)) + 1))


@pytest.fixture(scope="session")
def system():
    """`(A, b)`: 4 equations in 9 unknowns, `b` from an `x` inside `(-0.6, 0.6)`."""
    rng = np.random.default_rng(11)
    a = rng.standard_normal((4, 9))
    return jnp.asarray(a), jnp.asarray(a @ rng.uniform(-0.6, 0.6, 9))
