"""What all models share: quotient, loss, transformations, dtypes and bad input."""

import inspect
import textwrap

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gaugebias.catalogue as catalogue
from gaugebias.catalogue import (
    Factorisation,
    HadamardProduct,
    Radial,
    SymmetricFactorisation,
)

SOME = [HadamardProduct((2,), 2), Factorisation(2, 2, 2), Radial(3)]


def test_dimensions_and_shapes(model):
    d = model.dimensions
    assert model.quotient().domain.dimension == d.predictor
    assert d.orbit == d.algebra - d.stabiliser
    assert d.quotient <= min(d.predictor, d.parameters - d.orbit)
    on, off = (jax.eval_shape(lambda b=b: model.init(jax.random.key(0), b)) for b in (True, False))
    assert on == off
    assert sum(x.size for x in jax.tree.leaves(on)) == d.parameters


@pytest.mark.parametrize("model", SOME, ids=repr)
def test_quotient_carries_the_closed_forms(model, getkey):
    q = model.quotient()
    params = model.init(getkey())
    w = q.phi(params)
    assert q.domain.contains(np.reshape(w, (1, -1))).all()
    assert q.predictor_log_det(w) == model.log_det_gram(w)
    assert q.orbit_log_volume(w) == model.log_orbit_volume(w)
    np.testing.assert_allclose(q.phi(q.representative(w)), w, atol=1e-12)


@pytest.mark.parametrize(
    "model",
    [HadamardProduct((2,), 2)],
    ids=repr,
)
def test_quotient_checked_at_a_point(model, getkey):
    # Raises unless the action leaves the predictor alone and the lift inverts it.
    model.quotient(at=model.init(getkey(), balanced=False))


@pytest.mark.parametrize("model", SOME, ids=repr)
def test_init_on_and_off_the_slice(model, getkey):
    on, off = model.init(getkey(), balanced=True), model.init(getkey(), balanced=False)
    moment = jax.tree.leaves(model.action.cotangent(on, on))
    assert all(bool(jnp.all(jnp.abs(m) < 1e-12)) for m in moment)
    moment = jax.tree.leaves(model.action.cotangent(off, off))
    moved = any(bool(jnp.any(jnp.abs(m) > 1e-3)) for m in moment)
    assert moved == (model.dimensions.symmetric > 0)


def test_loss_with_ridge_is_traced_once_over_ridges(getkey):
    model = Factorisation(2, 2, 2)
    params = model.init(getkey(), balanced=False)
    count = []

    def potential(w):
        count.append(1)
        return jnp.sum(w**2)

    value = eqx.filter_jit(lambda loss, p: loss(p))
    for ridge in (0.0, 0.5, 2.0):
        square = sum(jnp.sum(x**2) for x in params)
        expected = jnp.sum((params[0] @ params[1].T) ** 2) + 0.5 * ridge * square
        np.testing.assert_allclose(value(model.loss(potential, ridge), params), expected)
    assert len(count) == 1


def test_per_point_functions_batch_along_any_axis(getkey):
    model = HadamardProduct((2,), 3)
    w = jax.random.normal(getkey(), (2, 5))
    one_by_one = jnp.stack([model.log_density(w[:, i], 0.5) for i in range(5)])
    batched = jax.jit(jax.vmap(lambda x: model.log_density(x, 0.5), in_axes=-1))(w)
    np.testing.assert_allclose(batched, one_by_one, rtol=1e-13)
    lifted = jax.vmap(model.lift, in_axes=-1, out_axes=-1)(w)
    predicted = jax.vmap(model.invariants, in_axes=-1, out_axes=-1)(lifted)
    np.testing.assert_allclose(predicted, w, rtol=1e-13)


def test_numpy_and_number_inputs():
    assert HadamardProduct((), 2).log_det_gram(0.5) == 0.0
    assert HadamardProduct((), 2).log_det_gram(1) == np.log(2.0)
    w = Factorisation(2, 2, 2).invariants((np.eye(2), np.ones((2, 2))))
    np.testing.assert_array_equal(w, np.ones((2, 2)))


def test_bad_input_names_the_argument():
    cases = [
        (lambda: HadamardProduct((2, 2), 2), "`shape`"),
        (lambda: HadamardProduct((0,), 2), "`shape`"),
        (lambda: HadamardProduct((2,), 1), "`depth`"),
        (lambda: Factorisation(2, 2, 3), "`rank`"),
        (lambda: Factorisation(0, 2, 1), "`rows`"),
        (lambda: catalogue.DeepLinear(2, 1), "`depth`"),
        (lambda: catalogue.DeepLinear(2), "`depth`"),
        (lambda: catalogue.DeepLinear((2, 3, 2), 3), "`depth` follows"),
        (lambda: catalogue.DeepLinear((2, 3)), "`widths`"),
        (lambda: catalogue.DeepLinear((2, 0, 3)), "`widths`"),
        (lambda: catalogue.CumulativeHadamard(0), "`size`"),
        (lambda: catalogue.ShallowReLU(1, 0), "`units`"),
        (lambda: catalogue.AttentionLogits(2, 3), "`head` must be at most 2"),
        (lambda: catalogue.AttentionColumns(2, 0), "`columns`"),
        (lambda: catalogue.ValueOutput(2, 1, 2), "`head` must be at most 1"),
        (lambda: catalogue.ScaleInvariant(1), "`dimension`"),
        (lambda: catalogue.WeightNorm(1), "`dimension`"),
        (lambda: catalogue.SoftmaxBias(1), "`classes`"),
        (lambda: catalogue.SoftmaxWeights(2, 0), "`inputs`"),
        (lambda: catalogue.Radial(1), "`dimension`"),
        (lambda: catalogue.SymmetricConjugation(1), "`dimension`"),
        (lambda: catalogue.ReLUNeuron(0), "`inputs`"),
        (lambda: SymmetricFactorisation(2, 0), "`rank`"),
        (lambda: HadamardProduct((2,), 2).lift(jnp.ones(3)), r"`w` must have shape \(2,\)"),
        (lambda: HadamardProduct((2,), 2).invariants((jnp.ones(2),)), "`params` must be a tuple"),
        (lambda: Factorisation(2, 2, 1).invariants((jnp.ones((2, 1)), jnp.ones((2, 2)))), "params"),
        (lambda: HadamardProduct((), 2).loss(jnp.sum, ridge=-1.0), "`ridge`"),
        (lambda: HadamardProduct((), 2).loss(jnp.sum, ridge=float("nan")), "`ridge`"),
        (lambda: HadamardProduct((), 2).loss(jnp.sum, ridge=np.ones(2)), "`ridge`"),
        (lambda: HadamardProduct((), 3).log_density_on_leaf(1.0, 0.5), "`depth`"),
    ]
    for build, message in cases:
        with pytest.raises(ValueError, match=message):
            build()


@pytest.mark.parametrize(
    "name", [n for n in dir(catalogue) if inspect.isclass(getattr(catalogue, n))]
)
def test_docstring_examples_run(name):
    doc = inspect.getdoc(getattr(catalogue, name))
    assert doc
    for block in doc.split("```python")[1:]:
        exec(textwrap.dedent(block.split("```")[0]), {})
