"""Flax NNX states: discovered, named and moved as any other pytree.

Flax comes with the test extra.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import gaugebias as gb
from gaugebias.symmetry import LinearFields, Rescaling, algebra_dimension


def normal(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)


class Network(nnx.Module):
    """Two layers, with a counter that is no parameter."""

    def __init__(self, rngs: nnx.Rngs):
        self.first = nnx.Linear(3, 4, rngs=rngs)
        self.second = nnx.Linear(4, 2, rngs=rngs)
        self.calls = nnx.Variable(jnp.array(3))

    def __call__(self, x):
        return self.second(nnx.relu(self.first(x)))


class Attention(nnx.Module):
    """Two heads with biases, their projections as Flax keeps them: (in, heads, head)."""

    def __init__(self, rngs: nnx.Rngs):
        self.query = nnx.LinearGeneral(3, (2, 2), rngs=rngs)
        self.key = nnx.LinearGeneral(3, (2, 2), rngs=rngs)

    def __call__(self, x):
        logits = jnp.einsum("nthd,nshd->nhts", self.query(x), self.key(x))
        return jax.nn.softmax(logits)


X = normal(5, 40, 3)


@pytest.fixture(scope="module")
def network():
    graph, params, rest = nnx.split(Network(nnx.Rngs(0)), nnx.Param, ...)

    def predict(p, x):
        return nnx.merge(graph, p, rest)(x)

    return predict, params, gb.discover(predict, params, X)


def test_the_state_of_a_network(network):
    """One factor for each of 4 hidden units, and a state comes back as a state."""
    predict, params, found = network
    assert found.dimension == found.fibre_dimension == 4
    assert found.identification == (
        "rescaling of 4 units between first.bias.value, first.kernel.value and second.kernel.value",
    )
    assert found.gap > 1e9 and found.residual < 1e-10
    end = found.action.flow(params, jnp.linspace(-1.0, 1.0, 4, dtype=jnp.float32))
    assert isinstance(end, nnx.State) and isinstance(end["first"]["kernel"], nnx.Param)
    np.testing.assert_allclose(predict(end, X), predict(params, X), atol=1e-5)
    moved = end["first"]["kernel"][...] / params["first"]["kernel"][...]
    np.testing.assert_allclose(np.log(moved[0]), np.linspace(-1.0, 1.0, 4), atol=1e-5)


def test_the_whole_state_with_its_counter(network):
    """Leaves that are no floating arrays stay where they are, as in the whole module."""
    graph, state = nnx.split(Network(nnx.Rngs(0)))
    found = gb.discover(lambda s, x: nnx.merge(graph, s)(x), state, X)
    assert found.identification == network[2].identification
    end = found.action.flow(state, jnp.ones(4, jnp.float32))
    assert end["calls"][...] == 3 and end["calls"][...].dtype == jnp.arange(1).dtype


def test_variables_are_named_by_themselves(network):
    """`p["first"]["kernel"]` is a box around one array: no `.value` has to be written."""
    _, params, found = network
    coeffs = jnp.linspace(-0.5, 0.5, 4, dtype=jnp.float32)
    by_function = Rescaling(
        lambda p: (p["first"]["kernel"], p["first"]["bias"]),
        lambda p: p["second"]["kernel"],
        axes=((1, 0), 0),
    )
    by_path = Rescaling(("first.kernel", "first.bias"), "second.kernel", axes=((1, 0), 0))
    ends = [act.flow(params, coeffs) for act in (found.action, by_function, by_path)]
    for end in ends[1:]:
        jax.tree.map(np.testing.assert_array_equal, end, ends[0])


def test_the_rest_of_the_package_takes_states(network):
    predict, params, found = network
    q = gb.Quotient(lambda p: predict(p, X), found.action)
    fixed = gb.fix_gauge(q, params)
    np.testing.assert_allclose(predict(fixed, X), predict(params, X), atol=1e-5)
    rising = np.sum(fixed["first"]["kernel"][...] ** 2, 0) + fixed["first"]["bias"][...] ** 2
    np.testing.assert_allclose(rising, np.sum(fixed["second"]["kernel"][...] ** 2, 1), rtol=1e-5)
    assert isinstance(gb.horizontal(found.action, params, params), nnx.State)


def test_heads_with_biases():
    r"""GL(2) for each of 2 heads, on (q, b_q) and k: 8. The keys' biases add \(q_t \cdot b\) to
    all logits of a row, which softmax does not see: 4 translations. 12."""
    graph, params = nnx.split(Attention(nnx.Rngs(0)))
    found = gb.discover(lambda p, x: nnx.merge(graph, p)(x), params, normal(6, 30, 3, 3))
    assert sorted(found.identification) == [
        "2 copies of GL(2) on leaves key.kernel.value, query.bias.value, query.kernel.value",
        "translation of leaf key.bias.value",
    ]
    assert found.dimension == found.fibre_dimension == algebra_dimension(found.action, params) == 12
    assert not isinstance(found.action, LinearFields)
    assert "key.bias.value: `predict` does not see it" in found.table()
