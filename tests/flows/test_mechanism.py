"""Mechanisms of feature learning: of the exact solution and of measured runs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaugebias.flows import LatentVariableFlow, classify_mechanism, latent_mechanism

RNG = np.random.default_rng(3)
Z = [RNG.standard_normal(50) for _ in range(4)]
SMALL = 0.05 * Z[0], 0.05 * Z[1]
CORRELATED = 0.5 * Z[2] + 0.25 * Z[3], 0.5 * Z[2] - 0.25 * Z[3]
ONES = 0.1 * np.ones(50), 0.1 * np.ones(50)
LARGE = 1000.0 * Z[0], 1000.0 * Z[1]

#: Layers, target, and the mechanisms in order.
DEMONSTRATIONS = {
    "small": (SMALL, 1.0, "alignment", ["alignment", "rescaling"]),
    "correlated": (CORRELATED, 0.5, "disalignment", ["disalignment"]),
    "balanced": (ONES, 4.0, "rescaling", ["rescaling"]),
    "opposite": (CORRELATED, -40.0, "alignment", ["disalignment", "alignment", "rescaling"]),
    "kernel": (LARGE, 1.0, "none", []),
    "saddle": ((ONES[0], -ONES[1]), 4.0, "rescaling", ["rescaling"]),
}


@pytest.mark.parametrize("name", DEMONSTRATIONS)
def test_the_exact_solution(name):
    layers, target, net, kinds = DEMONSTRATIONS[name]
    if name == "kernel":  # a start of f = 1e6 times more is no kernel: pair it to 0
        layers = np.concatenate([layers[0], -layers[0]]), np.concatenate([layers[1], layers[1]])
    found = latent_mechanism(LatentVariableFlow(*layers, cross_moment=target))
    assert found.net == net
    assert [p.kind for p in found.phases] == kinds


@jax.jit
def descend(u, w, target):
    """Discrete gradient descent of the network itself."""

    def step(layers, _):
        u, w = layers
        gap = 0.004 * (target - jnp.sum(u * w))
        return (u + gap * w, w + gap * u), layers

    return jax.lax.scan(step, (u, w), None, length=4000)[1]


@pytest.mark.parametrize("name", ["small", "correlated", "balanced", "opposite"])
def test_a_measured_run(name):
    (u, w), target, net, kinds = DEMONSTRATIONS[name]
    us, ws = descend(u, w, target)
    norms = jnp.stack([jnp.linalg.norm(us, axis=1), jnp.linalg.norm(ws, axis=1)], 1)
    zeta = jnp.sum(us * ws, 1) / norms[:, 0] / norms[:, 1]
    found = classify_mechanism(zeta, norms)
    assert found.net == net
    assert [p.kind for p in found.phases] == kinds
    expected = abs(float(zeta[-1])) - abs(float(zeta[0]))
    assert found.alignment_change == pytest.approx(expected, abs=1e-12)
    exact = latent_mechanism(LatentVariableFlow(u, w, cross_moment=target))
    assert exact.alignment_change == pytest.approx(found.alignment_change, abs=0.02)


def test_phases_lie_where_they_were_put():
    flat = np.full(10, 0.2)
    zeta = np.concatenate([flat, np.linspace(0.2, 0.8, 11), np.linspace(0.8, 0.5, 11)[1:]])
    norms = np.ones((len(zeta), 2))
    norms[:10, 0] = np.linspace(1.0, 3.0, 10)
    norms[10:, 0] = 3.0
    found = classify_mechanism(zeta, norms)
    assert [tuple(p) for p in found.phases] == [
        ("rescaling", 0, 10),
        ("alignment", 10, 20),
        ("disalignment", 20, 30),
    ]
    assert found.net == "alignment" and found.norm_change == pytest.approx(2.0)
    noise = 0.004 * np.random.default_rng(0).uniform(-1, 1, len(zeta))
    kinds = [p.kind for p in classify_mechanism(zeta + noise, norms).phases]
    assert kinds == ["rescaling", "alignment", "disalignment"]
    assert len(classify_mechanism(zeta + noise, norms, tolerance=1e-4).phases) > 5


def test_nets_without_a_change_of_size():
    ones, level = np.ones((3, 2)), np.full(3, 0.7)
    assert classify_mechanism(np.array([-0.7, 0.1, 0.7]), ones).net == "reversal"
    assert classify_mechanism(level, ones).net == "none"
    assert classify_mechanism(level, ones).phases == ()
    assert classify_mechanism(level, ones * np.arange(1.0, 4.0)[:, None]).net == "rescaling"
    # One unit: the layers are always parallel, and a layer goes through 0.
    one = latent_mechanism(LatentVariableFlow(jnp.ones(1), -0.5 * jnp.ones(1), cross_moment=2.0))
    assert one.net == "reversal" and {p.kind for p in one.phases} == {"rescaling"}


def test_what_bad_input_says():
    norms = np.ones((3, 2))
    bad = [
        (([0.1], norms[:1]), {}, "`alignment` must hold at least two times"),
        (([0.1, 0.2], norms), {}, "`norms` must have shape .2, layers."),
        (([0.1, 0.2, np.nan], norms), {}, "`alignment` must lie in"),
        (([0.1, 0.2, 1.5], norms), {}, "`alignment` must lie in"),
        (([0.1, 0.2, 0.3], -norms), {}, "`norms` must be finite and not negative"),
        (([0.1, 0.2, 0.3], norms), {"tolerance": 0.0}, "`tolerance` must be positive"),
    ]
    for args, settings, says in bad:
        with pytest.raises(ValueError, match=says):
            classify_mechanism(np.asarray(args[0]), args[1], **settings)
