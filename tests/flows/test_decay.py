"""Weight decay that commutes with a parametrisation, beyond the sum of squares."""

import jax.numpy as jnp
import numpy as np
import pytest

from gaugebias import flows

RNG = np.random.default_rng(5)
A = RNG.standard_normal((3, 6))
Y = A @ np.array([1.0, 1.0, 0.0, 0.0, 0.0, 0.0])
START = (jnp.asarray(RNG.uniform(0.6, 1.1, 6)), jnp.asarray(RNG.uniform(0.5, 0.9, 6)))
DEPTH = flows.PowerDifference(4)


def quartic(w):
    return jnp.sum(w[0] ** 4 + w[1] ** 4)


def squares(w):
    return jnp.sum(w[0] ** 2 + w[1] ** 2)


def rate(t):
    return 0.1 * jnp.exp(-t)


@pytest.mark.parametrize("penalty", [quartic, pytest.param(squares, marks=pytest.mark.slow)])
def test_the_decayed_potential_is_that_of_the_process(penalty):
    """`u^4 - v^4`: residual at rounding for the penalty that commutes, not for the start's own.

    The sum of squares does not commute at depth 4: the shifted start then has a residual, too.
    """
    model = flows.LinearModel(A, Y)
    path = flows.gradient_flow(
        DEPTH, model, START, 400.0, decay=rate, penalty=penalty, tolerance=1e-12
    )
    amount = path.decay[-1]
    assert float(amount) == pytest.approx(0.1, rel=1e-9)
    shifted = flows.decayed_start(DEPTH, quartic, START, amount)
    potential = flows.decayed_potential(DEPTH, quartic, START, amount)
    found = flows.certificate(potential, A, path.end, DEPTH(shifted), Y)
    assert float(found.fit) < 1e-8
    own = flows.certificate(DEPTH.potential(START), A, path.end, DEPTH(START), Y)
    assert float(own.residual) > 1e-2
    if penalty is quartic:
        assert float(found.residual) < 1e-9
    else:
        assert float(found.residual) > 1e-3


def test_the_shift_of_powers_in_closed_form():
    """`dw = -4 w^3 dA`: `w = (w_0^-2 + 8 A)^(-1/2)`."""
    shifted = flows.decayed_start(DEPTH, quartic, START, 0.1)
    for w, w0 in zip(shifted, START, strict=True):
        np.testing.assert_allclose(w, (w0**-2 + 0.8) ** -0.5, rtol=1e-11)


@pytest.mark.slow
def test_products_agree_with_the_closed_form():
    """The sum of squares on `m w`: `a = u_0 v_0 exp(-4 A)`."""
    product, start = flows.Product(), (START[0], 0.4 * START[1])
    found = flows.decayed_potential(product, squares, start, 0.3)
    closed = flows.decayed_entropy(start, 0.3)
    x = jnp.linspace(-1.0, 1.0, 6)
    np.testing.assert_allclose(found.gradient(x), closed.gradient(x), rtol=1e-10)


def test_brackets():
    assert float(flows.decay_bracket(DEPTH, quartic, START)) < 1e-14
    assert float(flows.decay_bracket(DEPTH, squares, START)) > 0.1
    # 1/1000 of a penalty does not commute either.
    assert float(flows.decay_bracket(DEPTH, lambda w: 1e-3 * squares(w), START)) > 0.1


def test_bad_input():
    with pytest.raises(ValueError, match="`penalty` does not commute with `fn` .bracket 0.5"):
        flows.decayed_start(DEPTH, squares, START, 0.1)
    with pytest.raises(ValueError, match="gradients of `fn` do not commute"):
        flows.decayed_start(lambda w: jnp.outer(w[0], w[1]), squares, START, 0.1)
    with pytest.raises(ValueError, match="`decay` is an integral of a non-negative rate"):
        flows.decayed_start(DEPTH, quartic, START, -0.1)
    with pytest.raises(ValueError, match="`decay` must be a scalar"):
        flows.decayed_start(DEPTH, quartic, START, jnp.ones(2))
    with pytest.raises(ValueError, match="`penalty` must be a scalar function"):
        flows.decay_bracket(DEPTH, lambda w: w[0], START)
    with pytest.raises(ValueError, match="`fn` must be a parametrisation"):
        flows.decayed_potential(lambda w: w[0] * w[1], squares, START, 0.1)
    model = flows.LinearModel(A, Y)
    with pytest.raises(ValueError, match="`penalty` needs a rate"):
        flows.gradient_flow(DEPTH, model, START, 1.0, penalty=quartic)
