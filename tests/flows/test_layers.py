"""Diagnostics of layers along a trajectory."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaugebias.flows import (
    LatentVariableFlow,
    feature_alignment,
    layer_diagnostics,
)

RNG = np.random.default_rng(3)
U, W = 0.05 * jnp.asarray(RNG.standard_normal((2, 50)))
TIMES = jnp.linspace(0.0, 20.0, 9)


def test_the_latent_model():
    flow = LatentVariableFlow(U, W)
    u, w = flow.weights(TIMES)
    found = layer_diagnostics({"a_w": w[:, :, None], "b_u": u[:, None, :]})
    np.testing.assert_allclose(found.alignment[:, 0], jnp.abs(flow.alignment(TIMES)), rtol=1e-11)
    norms = jnp.stack(flow.norms(TIMES)[::-1], 1)
    np.testing.assert_allclose(found.norm, norms, rtol=1e-11)
    assert found.mechanism(0).net == "alignment"
    features = jnp.asarray(RNG.standard_normal(7))[:, None] * w[3][None, :]
    exact = abs(float(flow.alignment(TIMES[3])))
    assert float(feature_alignment(u[3][None], features)) == pytest.approx(exact, rel=1e-11)


@pytest.mark.slow
def test_a_network_of_equinox_trained_by_gradient_descent(getkey):
    """ReLU layers from a small start align, from a large one they fit and stay as they are."""
    x = jax.random.normal(getkey(), (64, 6))
    y = jnp.abs(x[:, 0])
    net = eqx.nn.MLP(6, "scalar", 32, 2, key=getkey())
    start, static = eqx.partition(net, eqx.is_inexact_array)

    def loss(params):
        return jnp.mean((jax.vmap(eqx.combine(params, static))(x) - y) ** 2)

    @jax.jit
    def train(params, rate):
        def step(params, _):
            value, grads = jax.value_and_grad(loss)(params)
            new = jax.tree.map(lambda p, g: p - rate * g, params, grads)
            return new, (params, value)

        return jax.lax.scan(step, params, None, length=400)[1]

    nets, alignment = {}, {}
    for scale, rate in ((0.3, 0.2), (5.0, 1e-4)):
        path, value = train(jax.tree.map(lambda p, s=scale: s * p, start), rate)
        assert float(value[-1]) < 0.03 * float(value[0])
        found = layer_diagnostics(path)
        assert found.norm.shape == (400, 3) and found.alignment.shape == (400, 2)
        named = layer_diagnostics(path, lambda m: [layer.weight for layer in m.layers])
        np.testing.assert_array_equal(found.alignment, named.alignment)
        nets[scale] = [found.mechanism(k, tolerance=0.05).net for k in range(2)]
        alignment[scale] = float(found.alignment[-1, 1])
        first, last = path.layers[0].weight[-1], path.layers[1].weight[-1]
        direct = jnp.linalg.norm(last @ first) / jnp.linalg.norm(last) / jnp.linalg.norm(first)
        assert float(found.alignment[-1, 0]) == pytest.approx(float(direct), rel=1e-10)
    assert nets[0.3][1] == "alignment" and alignment[0.3] > 0.6
    assert not {"alignment", "disalignment"} & set(nets[5.0]) and alignment[5.0] < 0.25


def test_rescaling_and_rotation_are_told_apart():
    a, b = jnp.asarray(RNG.standard_normal((2, 3, 3)))
    turn, _ = jnp.linalg.qr(b)
    small = jnp.array([[0.0, -1e-7, 0.0], [1e-7, 0.0, 0.0], [0.0, 0.0, 0.0]])
    first = jnp.stack([a, 2.0 * a, a + a @ small, turn @ a])
    second = jnp.stack([0.0 * b, b, b, b])
    found = layer_diagnostics((first, second))
    assert float(found.rotation[1, 0]) < 1e-30 and float(found.movement[1, 0]) == 1.0
    # The angle of the small turn is known to first order; 1 - cos keeps it.
    unit = a / jnp.linalg.norm(a)
    gap = unit @ small
    expected = 0.5 * (jnp.sum(gap**2) - jnp.sum(gap * unit) ** 2)
    assert float(found.rotation[2, 0]) == pytest.approx(float(expected), rel=1e-5)
    cosine = jnp.sum((turn @ a) * a) / jnp.sum(a**2)
    assert float(found.rotation[3, 0]) == pytest.approx(1.0 - float(cosine), rel=1e-12)
    assert float(found.norm[3, 0]) == pytest.approx(float(found.norm[0, 0]), rel=1e-12)
    # A layer that starts at 0.
    assert found.movement[:, 1].tolist() == [0.0, np.inf, np.inf, np.inf]
    assert found.rotation[:, 1].tolist() == [1.0] * 4 and float(found.alignment[0, 0]) == 0.0


def test_random_layers_are_aligned_by_the_root_of_the_width():
    a, b = jnp.asarray(RNG.standard_normal((2, 1, 200, 200)))
    found = layer_diagnostics((a, b))
    assert float(found.alignment[0, 0]) == pytest.approx(200**-0.5, rel=0.02)
    one = jnp.ones((1, 1, 200))
    assert float(layer_diagnostics((one.mT, one)).alignment[0, 0]) == pytest.approx(1.0)


def test_what_bad_input_says():
    w = jnp.ones((2, 4, 3))
    bad = [
        ((w,), None, "1 weights of shape"),
        ((w, w), None, "weight 1 takes 3 units, but weight 0 gives 4"),
        ((w, jnp.ones((3, 2, 4))), None, "weight 0 has 2 times, weight 1 3"),
        ((w, jnp.ones((2, 2, 4)) * jnp.nan), None, "must be finite, but weight 1"),
        ((w, jnp.ones((2, 2, 4, 1))), None, "as of convolutions"),
        ((w, w), lambda t: t[0], "`layers` must return a tuple"),
        ((w, w), lambda t: (t[0], t[1][0]), "weight 1 must have shape"),
        ((w, jnp.ones((2, 0, 4))), None, "weight 1 must have shape"),
    ]
    for trajectory, layers, says in bad:
        with pytest.raises(ValueError, match=says):
            layer_diagnostics(trajectory, layers)
    with pytest.raises(ValueError, match="`layer` must lie in 0..0"):
        layer_diagnostics((w, jnp.ones((2, 2, 4)))).mechanism(1)
    with pytest.raises(ValueError, match="`weight` and `features` must have shapes"):
        feature_alignment(jnp.ones((2, 3)), jnp.ones((5, 4)))
