"""Potentials given by a function, and multiples of potentials."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaugebias import flows

from .conftest import check_potential


def log_cosh(x):
    return jnp.logaddexp(x, -x)


def test_a_potential_from_its_function():
    potential = flows.SeparablePotential(log_cosh)
    assert potential.dual_domain == (-1.0, 1.0)
    x = jnp.array([-2.0, -0.3, 0.0, 1.0, 2.5])
    check_potential(potential, x, rtol=1e-9)
    np.testing.assert_allclose(potential.from_dual(0.5), np.arctanh(0.5), rtol=1e-14)


def test_a_bounded_domain():
    potential = flows.SeparablePotential(lambda x: x * jnp.log(x) - x, (0.0, np.inf))
    assert potential.legendre
    np.testing.assert_allclose(potential.from_dual(jnp.array([-3.0, 2.0])), np.exp([-3.0, 2.0]))
    assert not bool(potential.contains(-1.0))


ENDS = {
    "0 inf": (lambda x: jnp.sqrt(1.0 + x**2), (-np.inf, np.inf), (-1.0, 1.0)),
    "inf/inf": (lambda x: x * jnp.arctan(x) - 0.5 * jnp.log1p(x**2), (-np.inf, np.inf), None),
    "0/0": (lambda x: x * jnp.sqrt(x), (0.0, np.inf), (0.0, np.inf)),
    "0 log 0": (lambda x: x * jnp.log(x) - x, (0.0, np.inf), (-np.inf, np.inf)),
}


@pytest.mark.parametrize("name", ENDS)
def test_slopes_at_ends_are_limits_where_autodiff_has_none(name):
    """Otherwise the range of `F'` counts as unbounded, and its potential as Legendre."""
    fn, domain, expected = ENDS[name]
    potential = flows.SeparablePotential(fn, domain)
    expected = (-np.pi / 2, np.pi / 2) if expected is None else expected
    np.testing.assert_allclose(tuple(potential.dual_domain), expected, rtol=1e-12)
    assert potential.legendre == (name != "0/0")


@pytest.mark.slow
def test_scaled_has_the_same_minimisers(system):
    a, b = system
    plain = flows.psi_alpha(0.2)
    scaled = flows.Scaled(plain, 7.0)
    one, two = (flows.minimise_bregman(p, a, b) for p in (plain, scaled))
    np.testing.assert_allclose(one.x, two.x, rtol=1e-10)
    np.testing.assert_allclose(7.0 * one.multipliers, two.multipliers, rtol=1e-9)
    x = one.x
    v = jnp.ones_like(x)
    np.testing.assert_allclose(scaled.hessian_apply(x, v), 7 * plain.hessian_apply(x, v))
    np.testing.assert_allclose(scaled.conjugate(7.0 * plain.gradient(x)),
                               7 * plain.conjugate(plain.gradient(x)))  # fmt: skip
    assert bool(jnp.all(scaled.contains(x)))


def test_what_bad_input_says():
    with pytest.raises(ValueError, match="`fn` must be convex.*-1 at x = 0"):
        flows.SeparablePotential(jnp.cos)
    with pytest.raises(ValueError, match="second derivative is 0 from x = -0.988 to 0.988"):
        flows.SeparablePotential(lambda x: jnp.maximum(jnp.abs(x) - 1.0, 0.0) ** 2)
    with pytest.raises(ValueError, match="`fn` is not finite at x = -7.9.*: give the `domain`"):
        flows.SeparablePotential(lambda x: -jnp.log(x))
    with pytest.raises(ValueError, match="no second derivative at x = 0: smooth it there"):
        flows.SeparablePotential(lambda x: jnp.sqrt(x * x))
    with pytest.raises(ValueError, match="`domain` must be an interval"):
        flows.SeparablePotential(log_cosh, (1.0, 1.0))
    with pytest.raises(ValueError, match="`base` must be inside the domain"):
        flows.SeparablePotential(log_cosh, (0.0, 1.0), base=1.0)
    with pytest.raises(ValueError, match="`factor` must be positive"):
        flows.Scaled(flows.psi_alpha(1.0), -1.0)


@pytest.mark.slow
def test_made_within_jit():
    found = jax.jit(lambda s: flows.SeparablePotential(log_cosh).from_dual(s))(0.5)
    np.testing.assert_allclose(found, np.arctanh(0.5), rtol=1e-12)
    found = jax.jit(lambda w: flows.Elementwise(jnp.sinh).dual(w))(0.5)
    np.testing.assert_allclose(found, np.arctan(np.sinh(0.5)), rtol=1e-12)


def test_isolated_zeros_of_the_curvature_are_allowed():
    quartic = flows.SeparablePotential(lambda x: x**4)
    np.testing.assert_allclose(quartic.from_dual(jnp.array([-4.0, 32.0])), [-1.0, 2.0])


KINKS = {
    "elastic net": (lambda x: 0.5 * x**2 + jnp.abs(x), 0.0, 2.0),
    "off 0": (lambda x: x**2 + 1e-3 * jnp.abs(x - 0.3), 0.3, 2e-3),
}


@pytest.mark.parametrize("name", KINKS)
def test_kinks_are_not_passed_over(name):
    """Derivatives are those of the smooth part alone: `x^2/2 + |x|` would be taken for `x^2/2`."""
    fn, at, jump = KINKS[name]
    with pytest.raises(ValueError, match="kink at x = .*Smooth it") as caught:
        flows.SeparablePotential(fn)
    words = str(caught.value)
    found = re.findall(r"x = (\S+): its slope jumps by (\S+),", words)[0]
    np.testing.assert_allclose([float(v) for v in found], [at, jump], rtol=1e-3, atol=1e-9)


def test_steep_and_singular_bends_are_no_kinks():
    for fn in (lambda x: jnp.abs(x) ** 1.05, lambda x: jnp.sqrt(x**2 + 1e-12)):
        flows.SeparablePotential(fn, base=0.1)
