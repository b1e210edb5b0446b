"""Matrix roots and polar factors: values, and derivatives at equal singular values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaugebias.catalogue import DeepLinear, Factorisation, SymmetricFactorisation
from gaugebias.catalogue._roots import polar, psd_root, solve_power_sum


@pytest.mark.parametrize("order", [2, 5])
def test_root_and_equation(getkey, order):
    a, c = jax.random.normal(getkey(), (3, 3)), jax.random.normal(getkey(), (3, 3))
    h = a @ a.T + jnp.eye(3)
    x = psd_root(h, order)
    np.testing.assert_allclose(jnp.linalg.matrix_power(x, order), h, atol=1e-12)
    s = solve_power_sum(x, c, order)
    back = sum(
        jnp.linalg.matrix_power(x, a) @ s @ jnp.linalg.matrix_power(x, order - 1 - a)
        for a in range(order)
    )
    np.testing.assert_allclose(back, c, atol=1e-12)


@pytest.mark.parametrize("shape", [(3, 3), (4, 2)])
def test_polar(getkey, shape):
    w = jax.random.normal(getkey(), shape)
    o, h = polar(w)
    np.testing.assert_allclose(o @ h, w, atol=1e-12)
    np.testing.assert_allclose(o.T @ o, jnp.eye(shape[1]), atol=1e-12)
    np.testing.assert_allclose(h, h.T, atol=1e-12)


def along(fn, x, direction):
    """`fn`, its first and second derivative along one line, by a nested forward mode."""

    def first(t):
        return jax.jvp(lambda r: fn(x + r * direction), (t,), (1.0,))[1]

    return fn(x), first(0.0), jax.jvp(first, (0.0,), (1.0,))[1]


def check_line(fn, x, direction, step=1e-3):
    """First and second derivatives along a line against fourth-order central differences."""
    value, one, two = jax.jit(along, static_argnums=0)(fn, x, direction)
    at = {k: np.asarray(fn(x + k * step * direction)) for k in (-2, -1, 1, 2)}
    first = (8 * (at[1] - at[-1]) - (at[2] - at[-2])) / (12 * step)
    second = (16 * (at[1] + at[-1]) - (at[2] + at[-2]) - 30 * np.asarray(value)) / (12 * step**2)
    np.testing.assert_allclose(one, first, atol=1e-8)
    np.testing.assert_allclose(two, second, atol=1e-6)


def both(w):
    """All of it at once: the two polar factors and the cube root of the second."""
    o, h = polar(jnp.asarray(w))
    return jnp.concatenate([o, h, psd_root(h, 3)])


@pytest.mark.parametrize("equal", [True, False])
def test_two_derivatives(getkey, equal):
    w = 0.7 * jnp.eye(3, 2) if equal else jax.random.normal(getkey(), (3, 2))
    check_line(both, w, jax.random.normal(getkey(), (3, 2)))


def test_reverse_mode_is_the_transpose(getkey):
    w, dw, ct = (jax.random.normal(k, (3, 3)) for k in jax.random.split(getkey(), 3))
    (forward, _) = jax.jvp(polar, (w,), (dw,))[1]
    _, pull = jax.vjp(polar, w)
    (back,) = pull((ct, jnp.zeros_like(w)))
    np.testing.assert_allclose(jnp.sum(back * dw), jnp.sum(ct * forward), rtol=1e-10)


@pytest.mark.parametrize(
    "model",
    [Factorisation(2, 2, 2), SymmetricFactorisation(2, 2), DeepLinear(2, 3)],
    ids=repr,
)
def test_lift_is_smooth_where_singular_values_meet(model, getkey, reference):
    w = model.from_spectrum(jnp.array([1.5, 1.5]))
    direction = jax.random.normal(getkey(), w.shape)

    def back(x):
        return model.invariants(model.lift(x))

    _, first, second = reference.jit(lambda x, v: along(back, x, v))(w, direction)
    np.testing.assert_allclose(first, direction, atol=1e-12)
    np.testing.assert_allclose(second, jnp.zeros_like(w), atol=1e-11)


def test_gradients_of_log_determinants_where_singular_values_meet():
    model = Factorisation(2, 2, 2)
    w = 1.5 * jnp.eye(2)
    gradient = jax.grad(model.log_det_gram)(w)
    step = 1e-5
    moved = jnp.array([[step, 0.3 * step], [0.2 * step, 0.0]])
    change = model.log_det_gram(w + moved) - model.log_det_gram(w - moved)
    np.testing.assert_allclose(jnp.sum(gradient * moved) * 2, change, rtol=1e-6)
