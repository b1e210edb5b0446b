"""Conserved quantities of the latent-variable model."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaugebias.flows import LatentVariableFlow, latent_invariants

RNG = np.random.default_rng(7)
U, W = jnp.asarray(RNG.standard_normal((2, 5)))
RATES: dict[str, Any] = {"rate_u": 2.0, "rate_w": 0.3}


def test_the_flow_conserves_all_of_them():
    start = latent_invariants(U, W, **RATES)
    flow = LatentVariableFlow(U, W, cross_moment=-3.0, scale=0.6, **RATES)
    for t in (0.1, 1.0, 40.0):
        u, w = flow.weights(t)
        assert float(jnp.abs(u - U).max()) > 0.05  # it has moved
        now = latent_invariants(u, w, **RATES)
        for name in ("imbalance", "direction_p", "direction_q", "product", "overlap"):
            exact = getattr(start, name)
            np.testing.assert_allclose(getattr(now, name), exact, atol=1e-13, err_msg=name)
        np.testing.assert_allclose(now.independent, start.independent, atol=1e-13)
        np.testing.assert_allclose(now.pair(1, 3), start.pair(1, 3), atol=1e-13)


def test_other_rates_do_not():
    u, w = LatentVariableFlow(U, W, **RATES).weights(1.0)
    wrong = latent_invariants(u, w).imbalance - latent_invariants(U, W).imbalance
    assert float(jnp.abs(wrong).max()) > 1e-3


def test_there_are_as_many_as_degrees_of_freedom_but_one():
    """Their gradients span all that is orthogonal to the direction of the flow."""

    def fn(v):
        return latent_invariants(v[:5], v[5:], pivot=(1, 2), **RATES).independent

    v = jnp.concatenate([U, W])
    rows = jax.jacfwd(fn)(v)
    assert rows.shape == (9, 10)
    assert int(np.linalg.matrix_rank(np.asarray(rows), tol=1e-8)) == 9
    velocity = jnp.concatenate([RATES["rate_u"] * W, RATES["rate_w"] * U])  # up to a factor
    np.testing.assert_allclose(rows @ velocity, 0.0, atol=1e-13)


def test_their_meaning():
    found = latent_invariants(U, W, **RATES)
    np.testing.assert_allclose(found.imbalance, U**2 / 2.0 - W**2 / 0.3, rtol=1e-12)
    p = (U / 2.0**0.5 + W / 0.3**0.5) / 2**0.5
    q = (U / 2.0**0.5 - W / 0.3**0.5) / 2**0.5
    a, b = int(jnp.argmax(jnp.abs(p))), int(jnp.argmax(jnp.abs(q)))
    others = [*range(b + 1, 5), *range(b)]
    expected = [*(p * q[b]), *(p[a] * q[jnp.asarray(others)])]
    np.testing.assert_allclose(found.independent, jnp.stack(expected), rtol=1e-12)
    opposite = latent_invariants(U, -U)
    np.testing.assert_array_equal(opposite.direction_p, 0.0)
    assert float(jnp.linalg.norm(opposite.direction_q)) == pytest.approx(1.0)


def test_what_bad_input_says():
    with pytest.raises(ValueError, match="`u` and `w` must be vectors of one length"):
        latent_invariants(U, W[:3])
    with pytest.raises(ValueError, match="`rate_w` must be positive"):
        latent_invariants(U, W, rate_w=0.0)
    with pytest.raises(ValueError, match="`pivot` must lie in 0..4"):
        latent_invariants(U, W, pivot=(0, 5))
