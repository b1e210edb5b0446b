"""Commuting parametrisations: brackets, and what follows from them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaugebias import flows

W = jnp.asarray(np.random.default_rng(0).standard_normal((2, 3)))


def diagonal(w):
    return w[0] ** 2 - w[1] ** 2


def outer(w):
    return jnp.outer(w[0], w[1])


def quadratic(matrices):
    return lambda w: 0.5 * jnp.einsum("kij,i,j->k", matrices, w, w)


def test_commuting_and_not():
    params = {"u": W[0], "v": W[1], "n": 3}
    key = jax.random.key(3)
    good = flows.commutation(lambda p: p["u"] ** 2 - p["v"] ** 2, params, key=key, probes=3)
    assert good.mirror is True and good.commutes and not good.excluded
    assert float(good.bracket) < 1e-14 and int(good.rank) == 3
    bad = flows.commutation(outer, W)
    assert bad.mirror is False and float(bad.bracket) > 0.1 and float(bad.seen) > 0.1


@pytest.mark.parametrize("shared", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_quadratic_forms_commute_with_their_matrices(shared):
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((2, 4, 4))
    a, b = a + a.T, b + b.T
    if shared:
        b = a @ a - 0.5 * a
    found = flows.commutation(quadratic(jnp.stack([jnp.asarray(a), jnp.asarray(b)])), jnp.ones(4))
    assert found.commutes is shared and found.mirror is shared


@pytest.mark.slow
def test_full_rank_is_asked_for():
    found = flows.commutation(lambda w: jnp.stack([w[0, 0] ** 2, w[0, 0] ** 2]), W)
    assert found.commutes and int(found.rank) == 1 and found.outputs == 2
    assert found.mirror is None


@pytest.mark.parametrize(("fn", "same"), [(diagonal, True), (outer, False)])
def test_orders_of_two_losses(fn, same):
    """A mirror flow depends on the sum of what acted, not on its order."""
    size = fn(W).size
    rng = np.random.default_rng(2)
    mu, nu = (jnp.asarray(0.2 * rng.standard_normal(size)) for _ in range(2))
    one = fn(flows.dual_flow(fn, flows.dual_flow(fn, W, mu), nu))
    two = fn(flows.dual_flow(fn, flows.dual_flow(fn, W, nu), mu))
    gap = float(jnp.max(jnp.abs(one - two)))
    assert gap < 1e-8 if same else gap > 1e-3
    if same:
        potential = flows.PowerDifference(2).potential((W[0], W[1]))
        np.testing.assert_allclose(one, potential.from_dual(mu + nu), atol=1e-8)


def test_hessian_of_the_potential_by_autodiff():
    potential = flows.PowerDifference(2).potential((W[0], W[1]))
    expected = jnp.diag(potential.curvature(diagonal(W)))
    found = jax.jit(lambda w: flows.mirror_hessian(diagonal, w))(W)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)


def test_what_bad_input_says():
    with pytest.raises(ValueError, match="`params` has no floating leaves"):
        flows.commutation(diagonal, jnp.arange(4))
    with pytest.raises(ValueError, match="`probes` must be at least 1"):
        flows.commutation(diagonal, W, probes=0)
    with pytest.raises(ValueError, match="`fn` or its second derivatives are not finite"):
        flows.commutation(lambda w: jnp.sqrt(w[0]), -jnp.abs(W))
    with pytest.raises(ValueError, match="`dual` must have one entry for each of the 3 outputs"):
        flows.dual_flow(diagonal, W, jnp.ones(2))
