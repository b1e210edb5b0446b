"""Certificates: 0 at the minimiser, not elsewhere."""

import jax.numpy as jnp
import numpy as np
import pytest

from gaugebias import flows


def test_zero_at_the_minimiser_only(system):
    a, b = system
    potential, start = flows.psi_alpha(0.2), jnp.full(9, 0.1)
    found = flows.minimise_bregman(potential, a, b, start=start)
    good = flows.certificate(potential, a, found.x, start, b)
    assert float(good.residual) < 1e-13 and float(good.fit) < 1e-13
    np.testing.assert_allclose(good.multipliers, found.multipliers, rtol=1e-9)
    # Another solution of the system; another start; another potential.
    null = jnp.linalg.svd(a)[2][-1]
    assert float(flows.certificate(potential, a, found.x + 0.1 * null, start, b).residual) > 1e-2
    assert float(flows.certificate(potential, a, found.x, jnp.zeros(9), b).residual) > 1e-2
    assert float(flows.certificate(flows.psi_alpha(0.3), a, found.x, start, b).residual) > 1e-3
    assert float(flows.certificate(potential, a, found.x, start, 1.01 * b).fit) > 9e-3


def test_dependent_rows_and_no_move(system):
    a, b = system
    twice = jnp.concatenate([a, a[:2]])
    potential, zero = flows.psi_alpha(0.2), jnp.zeros(9)
    found = flows.minimise_bregman(potential, a, b)
    check = flows.certificate(potential, twice, found.x, zero)
    assert float(check.residual) < 1e-13 and np.isnan(float(check.fit))
    assert float(flows.certificate(potential, a, zero, zero).residual) == 0.0


def test_what_bad_input_says(system):
    a, b = system
    x = jnp.ones(9)
    positive = flows.Power(2).potential()
    with pytest.raises(ValueError, match="`A` must be a matrix"):
        flows.certificate(positive, b, x, x)
    with pytest.raises(ValueError, match="`b` must have shape"):
        flows.certificate(positive, a, x, x, b[:2])
    with pytest.raises(ValueError, match="`x` must have shape"):
        flows.certificate(positive, a, x[:3], x)
    with pytest.raises(ValueError, match=r"`start` is outside the domain.*\(0, inf\)"):
        flows.certificate(positive, a, x, -x)


def test_a_gradient_that_is_not_finite_is_no_residual():
    own = flows.Elementwise(lambda w: w**1.5, (0.0, np.inf))
    potential = flows.SignedDifference(own).potential((jnp.full(3, 0.3), jnp.full(3, 0.3)))
    with pytest.raises(ValueError, match="`potential` has no finite gradient at `x` or `start`"):
        flows.certificate(potential, jnp.ones((1, 3)), jnp.full(3, 5.0), jnp.zeros(3))


@pytest.mark.parametrize("spread", [1e15, 1e40])
def test_the_lengths_of_rows_do_not_matter(system, spread):
    """An equation multiplied by a number is the same equation, at any number."""
    a, b = system
    potential, start = flows.psi_alpha(0.2), jnp.full(9, 0.1)
    lengths = spread ** jnp.linspace(-0.5, 0.5, len(b))
    found = flows.minimise_bregman(potential, a, b, start=start)
    same = flows.minimise_bregman(potential, lengths[:, None] * a, lengths * b, start=start)
    np.testing.assert_allclose(same.x, found.x, rtol=1e-12)
    np.testing.assert_allclose(lengths * same.multipliers, found.multipliers, rtol=1e-9)
    good = flows.certificate(potential, lengths[:, None] * a, found.x, start, lengths * b)
    assert float(good.residual) < 1e-13 and float(good.fit) < 1e-13
    # A point that meets the long rows only.
    null = jnp.linalg.svd(a[1:])[2][-1]
    off = flows.certificate(
        potential, lengths[:, None] * a, found.x + 0.1 * null, start, lengths * b
    )
    assert float(off.residual) > 1e-2 and float(off.fit) > 1e-3


def test_rows_of_zeros_say_nothing(system):
    a, b = system
    potential, zero = flows.psi_alpha(0.2), jnp.zeros(9)
    more = jnp.concatenate([a, 0.0 * a[:1]])
    found = flows.minimise_bregman(potential, a, b)
    check = flows.certificate(potential, more, found.x, zero, jnp.append(b, 0.0))
    assert float(check.residual) < 1e-13 and float(check.multipliers[-1]) == 0.0
