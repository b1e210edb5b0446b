"""Discovery where inputs show little, leaves differ in size, and memory or candidates are few."""

import jax
import jax.numpy as jnp

import gaugebias as gb
from gaugebias.symmetry import Rescaling
from gaugebias.symmetry._discover._null_space import Triangle


def normal(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)


def leaves(**shapes):
    return {name: normal(i + 1, *shape) for i, (name, shape) in enumerate(shapes.items())}


def relu2(p, x):
    return jax.nn.relu(x @ p["w1"].T + p["b1"][None]) @ p["w2"].T + p["b2"][None]


MLP = leaves(w1=(4, 3), b1=(4,), w2=(2, 4), b2=(2,))
X = normal(9, 40, 3)


def test_memory_is_bounded(monkeypatch):
    """Rows come in blocks whose size the budget sets, and the result is the same."""
    blocks = []

    def seen(self, rows, bounds):
        blocks.append(rows.nbytes + bounds.nbytes)
        return whole(self, rows, bounds)

    whole = Triangle.add
    monkeypatch.setattr(Triangle, "add", seen)
    memory = 2**16
    found = gb.discover(relu2, MLP, X, memory=memory)
    assert found.dimension == 4
    # Fields that act trivially are found from samples of leaves, c + 16 of them or a block.
    assert max(blocks) <= memory and len(blocks) > 20


def test_long_axes_are_searched_by_scalings_only():
    found = gb.discover(relu2, MLP, X, max_candidates=60)
    assert found.dimension == 4 and found.candidates <= 60
    assert "scalings along axes" in found.searched[2]


def test_a_leaf_that_the_predictor_does_not_see():
    """Exactly, or up to rounding: its translations, and no fields beside them."""
    params = leaves(w=(2, 3), b=(3, 2))
    for predict in (
        lambda p, x: x @ p["w"].T,
        lambda p, x: x @ p["w"].T + (1.1 * jnp.sum(p["b"]) - jnp.sum(1.1 * p["b"])),
    ):
        found = gb.discover(predict, params, X)
        assert found.dimension == found.fibre_dimension == 6
        assert found.identification == ("translation of leaf b",)
        assert found.searched[0] == "b: `predict` does not see it: translations"


def test_entries_that_the_inputs_do_not_show():
    """A pixel that is always zero: its weights are free, and the rest is found as without it."""
    inputs = X.at[:, 1].set(0.0)
    found = gb.discover(relu2, MLP, inputs)
    assert found.unseen == 4 and "without 4 entries" in found.searched[2]
    assert found.dimension == found.fibre_dimension == found.orbit_dimension == 4
    assert isinstance(found.action, Rescaling)
    found = gb.discover(lambda w, x: jax.nn.softmax(x @ w.T), MLP["w1"], inputs)
    assert found.dimension == found.fibre_dimension == 2
    (text,) = found.identification
    assert text == "translation of leaf params, constant along axis 0, where it is seen"


def test_sizes_of_leaves_do_not_matter():
    """Found in units of each leaf: rescaled by what spans 12 orders of magnitude."""
    sized = {k: (1e6 if k == "w2" else 1e-6) * x for k, x in MLP.items() if k != "b2"}
    found = gb.discover(relu2, sized | {"b2": MLP["b2"]}, X)
    assert found.identification == ("rescaling of 4 units between b1, w1 and w2",)
