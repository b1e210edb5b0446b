"""Discovery on models whose symmetries are known: every dimension, by hand, and nothing more."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gaugebias as gb
from gaugebias.quotient._grams._gram_diagonal import DiagonalGram
from gaugebias.symmetry import (
    GeneralLinear,
    LinearFields,
    Product,
    Rescaling,
    RightOrthogonal,
    algebra_dimension,
)


def normal(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)


def leaves(**shapes):
    return {name: normal(i + 1, *shape) for i, (name, shape) in enumerate(shapes.items())}


def relu2(p, x):
    return jax.nn.relu(x @ p["w1"].T + p["b1"][None]) @ p["w2"].T + p["b2"][None]


def relu3(p, x):
    h = jax.nn.relu(x @ p["w1"].T + p["b1"][None])
    return jax.nn.relu(h @ p["w2"].T + p["b2"][None]) @ p["w3"].T


def tanh2(p, x):
    return jnp.tanh(x @ p["w1"].T + p["b1"][None]) @ p["w2"].T + p["b2"][None]


def deep_linear(p, x):
    return x @ p["w1"].T @ p["w2"].T


def tied(p, x):
    return x @ p["w"].T @ p["w"]


def tied_relu(p, x):
    return jax.nn.relu(x @ p["w"].T + p["b"][None]) @ p["w"]


def softmax(p, x):
    return jax.nn.softmax(x @ p["w"].T + p["b"][None])


def attention(p, x):
    if "bk" in p:
        q, k = x @ p["q"].T + p["bq"][None, None], x @ p["k"].T + p["bk"][None, None]
        logits = jnp.einsum("ntd,nsd->nts", q, k)
    else:
        logits = jnp.einsum("nte,de,df,nsf->nts", x, p["q"], p["k"], x)
    out = jax.nn.softmax(logits) @ x @ p["v"].T
    return out @ p["o"].T if "o" in p else out


def two_heads(p, x):
    """Heads side by side in flat leaves, as Equinox keeps them."""
    q, k, v = ((x @ p[name].T).reshape(*x.shape[:2], 2, -1) for name in "qkv")
    weights = jax.nn.softmax(jnp.einsum("nthd,nshd->nhts", q, k))
    mixed = jnp.einsum("nhts,nshd->nthd", weights, v)
    return mixed.reshape(*x.shape[:2], -1) @ p["o"].T


def head_axis(p, x):
    """Heads along an axis of their own, as Flax keeps them; logits only."""
    return jnp.einsum("nte,ehd,fhd,nsf->nhts", x, p["q"], p["k"], x)


def normalised(h):
    h = h - jnp.mean(h, -1, keepdims=True)
    return h / jnp.sqrt(jnp.mean(h**2, -1, keepdims=True))


def layer_norm(p, x):
    h = normalised(x @ p["w1"].T + p["b1"][None])
    h = h * p["gain"][None] + p["shift"][None] if "gain" in p else h
    return jax.nn.relu(h) @ p["w2"].T + p["b2"][None]


def convolutions(p, x):
    def conv(h, w):
        return jax.lax.conv_general_dilated(h, w, (1, 1), "VALID")

    h = jax.nn.relu(conv(x, p["w1"]) + p["b1"][None])
    return conv(h, p["w2"])


MLP = leaves(w1=(4, 3), b1=(4,), w2=(2, 4), b2=(2,))
X = normal(9, 40, 3)
SEQUENCE = normal(9, 24, 3, 3)

# name: predictor, parameters, inputs, dimension, dimension with weight decay, what it is.
#
# Weight decay |theta|^2 keeps exactly the fields that are skew: of GL(r) the rotations SO(r), of
# rescalings, scalings and translations nothing.
CASES = {
    # One positive factor for each of 4 hidden units, (w_j, b_j) up and column j of w2 down. Nothing
    # else: relu commutes with no other linear map, w2 and b2 are seen through independent functions
    # of x.
    "relu2": (relu2, MLP, X, 4, 0, ["rescaling of 4 units between b1, w1 and w2"]),
    # The same at both hidden layers, 4 + 3. b2 is scaled with row j of w2.
    "relu3": (
        relu3,
        leaves(w1=(4, 3), b1=(4,), w2=(3, 4), b2=(3,), w3=(2, 3)),
        X,
        7,
        0,
        [
            "rescaling of 4 units between b1, w1 and w2",
            "rescaling of 3 units between b2, w2 and w3",
        ],
    ),
    # Signs and permutations only: tanh is not homogeneous.
    "tanh2": (tanh2, MLP, X, 0, 0, []),
    # GL(4) between the layers: w2 A w1 + w2 w1 B + C w2 w1 + w2 D w1 = 0 for all w forces D = -A
    # and B = -C a multiple of 1, which acts trivially. 16, with stabilisers: the orbit has
    # dimension 4 (3 + 2) - rank of (w2, w1) -> w2 w1, which is 6: 14. SO(4) is 6.
    "deep linear": (
        deep_linear,
        leaves(w1=(4, 3), w2=(2, 4)),
        X,
        16,
        6,
        ["GL(4) on leaves w1, w2"],
    ),
    # GL(d_head) on the logits: 4; v is seen directly.
    "attention": (
        attention,
        leaves(q=(2, 3), k=(2, 3), v=(2, 3)),
        SEQUENCE,
        4,
        1,
        ["GL(2) on leaves k, q"],
    ),
    # GL(2) on (q, bq) and k, 4. The keys' bias adds one number to all logits of a row, which
    # softmax does not see: 2 translations, and no linear field of bk is more. Decay sees bk by its
    # norm alone, so that SO(2) on bk stands beside SO(2) on the rest.
    "attention with biases": (
        attention,
        leaves(q=(2, 3), k=(2, 3), v=(2, 3), bq=(2,), bk=(2,)),
        SEQUENCE,
        6,
        2,
        ["GL(2) on leaves bq, q, k", "translation of leaf bk"],
    ),
    # And GL(2) between v and o: 8.
    "attention with output": (
        attention,
        leaves(q=(2, 3), k=(2, 3), v=(2, 3), o=(3, 2)),
        SEQUENCE,
        8,
        2,
        ["GL(2) on leaves k, q", "GL(2) on leaves o, v"],
    ),
    # Each head by itself, 2 (4 + 4) = 16; a mixture of the heads is not allowed.
    "two heads": (
        two_heads,
        leaves(q=(4, 3), k=(4, 3), v=(4, 3), o=(3, 4)),
        SEQUENCE,
        16,
        4,
        [
            "GL(2) on leaves k, q, indices 0-1 of 4",
            "GL(2) on leaves k, q, indices 2-3 of 4",
            "GL(2) on leaves o, v, indices 0-1 of 4",
            "GL(2) on leaves o, v, indices 2-3 of 4",
        ],
    ),
    # GL(2) for each of 2 heads.
    "two heads, one axis": (
        head_axis,
        leaves(q=(3, 2, 2), k=(3, 2, 2)),
        SEQUENCE,
        8,
        2,
        ["2 copies of GL(2) on leaves k, q"],
    ),
    # Before the normalisation: the scale of (w1, b1), 1, and the mean over units, w1 + 1 b^T (3)
    # and b1 + c 1 (1). Fields 1 v^T w1 point along these translations and are not new.
    "layer norm": (
        layer_norm,
        MLP,
        X,
        5,
        0,
        [
            "scaling of leaves b1, w1",
            "translation of leaf b1 by a common constant, as of logits",
            "translation of leaf w1, constant along axis 0",
        ],
    ),
    # And the rescaling of 4 units between (gain, shift) and w2: 9.
    "layer norm, affine": (
        layer_norm,
        MLP | {"gain": normal(7, 4), "shift": 0.2 * normal(8, 4)},  # every unit switches
        X,
        9,
        0,
        [
            "rescaling of 4 units between gain, shift and w2",
            "scaling of leaves b1, w1",
            "translation of leaf b1 by a common constant, as of logits",
            "translation of leaf w1, constant along axis 0",
        ],
    ),
    # b + c 1 (1) and w + 1 b^T (3).
    "softmax": (
        softmax,
        leaves(w=(4, 3), b=(4,)),
        X,
        4,
        0,
        [
            "translation of leaf b by a common constant, as of logits",
            "translation of leaf w, constant along axis 0",
        ],
    ),
    # One factor for each of 3 channels, on axis 0 of (w1, b1) and axis 1 of w2. Kernels of 2 x 2
    # on 3 x 3 pictures of one channel.
    "convolutions": (
        convolutions,
        leaves(w1=(3, 1, 2, 2), b1=(3, 1, 1), w2=(2, 3, 2, 2)),
        normal(9, 24, 1, 3, 3),
        3,
        0,
        ["rescaling of 3 units between b1, w1 and w2"],
    ),
    # w^T w: the two factors are one leaf, so A = -A^T is left of GL(3): 3, and decay sees it not.
    "tied": (tied, leaves(w=(3, 4)), normal(9, 40, 4), 3, 3, ["SO(3) on leaves w"]),
    # Rescaling a unit would have to scale one leaf up and down at once.
    "tied relu": (tied_relu, leaves(w=(3, 4), b=(3,)), normal(9, 40, 4), 0, 0, []),
}


def with_decay(predict):
    def decayed(p, x):
        out = jnp.reshape(predict(p, x), (x.shape[0], -1))
        size = 0.1 * sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(p))
        return jnp.concatenate([out, jnp.broadcast_to(size, (x.shape[0], 1))], axis=1)

    return decayed


@pytest.mark.parametrize("name", CASES)
def test_every_dimension_and_no_more(name):
    predict, params, inputs, dimension, _, what = CASES[name]
    found = gb.discover(jax.jit(predict), params, inputs)
    assert found.dimension == dimension
    assert sorted(found.identification) == sorted(what)
    assert algebra_dimension(found.action, params) == dimension
    assert found.gap > 1e9 and found.residual < 1e-10
    # As many directions as leave the predictor alone at one point: no other symmetry is missed.
    assert found.fibre_dimension == found.orbit_dimension
    assert found.orbit_dimension == (14 if name == "deep linear" else dimension)
    assert (found.patterns > 4) == (predict in (relu2, relu3, layer_norm, convolutions, tied_relu))


# The rest of the list breaks in the same ways, and is run with `-m slow`.
QUICK = ("relu2", "deep linear", "attention with output", "layer norm, affine", "softmax", "tied")
CONTROLS = [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in CASES]


@pytest.mark.parametrize("name", CONTROLS)
def test_weight_decay_leaves_rotations_only(name):
    predict, params, inputs, _, dimension, _ = CASES[name]
    found = gb.discover(jax.jit(with_decay(predict)), params, inputs)
    assert found.dimension == dimension
    assert found.residual < 1e-10
    assert "GL" not in str(found.identification) and "scaling" not in str(found.identification)


@pytest.fixture(scope="module")
def network():
    """An Equinox network in float32, with an integer leaf and static fields."""
    model = {"net": eqx.nn.MLP(3, 2, 4, 1, key=jax.random.key(3)), "step": jnp.array(7)}
    model = jax.tree.map(lambda x: x.astype(jnp.float32) if eqx.is_inexact_array(x) else x, model)

    def predict(m, x):
        return jax.vmap(m["net"])(x)

    return predict, model, gb.discover(predict, model, np.asarray(X, np.float32))


def test_an_equinox_network_in_float32(network):
    predict, model, found = network
    assert found.dimension == 4 and found.gap > 1e9
    assert found.identification == (
        "rescaling of 4 units between net.layers.0.weight, net.layers.0.bias and "
        "net.layers.1.weight",
    )
    assert isinstance(found.action, Rescaling)
    assert "gap" in found.table() and "net.layers.0.bias: matrices" in found.table()
    x = jnp.asarray(X, jnp.float32)
    end = found.action.flow(model, jnp.linspace(-1.0, 1.0, 4, dtype=jnp.float32))
    np.testing.assert_allclose(predict(end, x), predict(model, x), rtol=1e-4, atol=1e-5)
    assert end["step"] == 7


def test_the_action_is_usable_everywhere_else(network):
    _, model, found = network
    assert isinstance(gb.orbit_gram(found.action, model), DiagonalGram)
    v = eqx.filter(model, eqx.is_inexact_array)
    lies = found.action.cotangent(model, gb.horizontal(found.action, model, v))
    np.testing.assert_allclose(lies, 0.0, atol=1e-5)


def test_structure_survives():
    predict, params, inputs, *_ = CASES["attention with output"]
    found = gb.discover(predict, params, inputs)
    assert isinstance(found.action, Product)
    assert {type(action) for action in found.action.actions} == {GeneralLinear}
    q = gb.Quotient(lambda p: predict(p, inputs), found.action)
    fixed = gb.fix_gauge(q, params)
    np.testing.assert_allclose(predict(fixed, inputs), predict(params, inputs), atol=1e-8)
    np.testing.assert_allclose(fixed["q"] @ fixed["q"].T, fixed["k"] @ fixed["k"].T, atol=1e-6)


def test_an_action_without_generators_is_usable_too():
    predict, params, inputs, *_ = CASES["tanh2"]
    action = gb.discover(predict, params, inputs).action
    assert gb.log_orbit_volume(action, params) == 0.0
    assert int(gb.quotient.orbit_rank(action, params)) == 0
    across = gb.horizontal(action, params, params)
    jax.tree.map(np.testing.assert_array_equal, across, params)
    assert gb.symmetry.structure_constants(action, params).shape == (0, 0, 0)
    assert gb.symmetry.closure_residual(action, params) == 0.0
    assert gb.symmetry.conserved_quantities(action, params).shape == (0,)
    assert gb.symmetry.compact_split(action, params).compact.shape == (0, 0)


def test_groups_that_do_not_commute_become_one_action():
    """Scale and translations before a normalisation: an affine group, of one set of fields."""
    predict, params, inputs, *_ = CASES["layer norm"]
    found = gb.discover(predict, params, inputs)
    assert isinstance(found.action, LinearFields)
    end = found.action.flow(params, jnp.linspace(-0.5, 0.5, 5))
    np.testing.assert_allclose(predict(end, inputs), predict(params, inputs), atol=1e-12)


def test_rotations_come_back_as_rotations():
    predict, params, inputs, *_ = CASES["tied"]
    assert isinstance(gb.discover(predict, params, inputs).action, RightOrthogonal)


def test_scalar_leaves_without_inputs_and_uneven_powers():
    params = {"u": jnp.array(1.5), "v": jnp.array([0.7])}
    found = gb.discover(lambda p: p["u"] * p["v"] ** 2, params)
    assert found.dimension == found.fibre_dimension == 1
    assert isinstance(found.action, Rescaling) and found.action.powers == (1.0, -0.5)


def test_a_symmetry_broken_by_little_is_not_a_symmetry():
    """An epsilon of a normalisation breaks its scale invariance: 4 translations are left."""

    def predict(p, x):
        h = x @ p["w1"].T + p["b1"][None]
        h = h - jnp.mean(h, -1, keepdims=True)
        h = jax.nn.relu(h / jnp.sqrt(jnp.mean(h**2, -1, keepdims=True) + 1e-3))
        return h @ p["w2"].T + p["b2"][None]

    assert gb.discover(predict, MLP, X).dimension == 4
