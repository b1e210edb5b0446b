"""Every closed form of every model against dense autodiff Jacobians."""

import functools

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from gaugebias.catalogue import (
    AttentionLogits,
    DeepLinear,
    Factorisation,
    HadamardProduct,
    ShallowReLU,
    SymmetricConjugation,
    SymmetricFactorisation,
    WeightNorm,
)

FRACTIONS = st.lists(st.floats(0.0, 1.0, width=32), min_size=3, max_size=3)
SEEDS = st.integers(0, 2**32 - 1)
SCALES = st.sampled_from([0.05, 1.0, 30.0])
EXPONENTS = (-1.0, 0.25)
SINGLE = [
    HadamardProduct((2,), 4),
    DeepLinear(2, 3),
    DeepLinear((3, 2, 2, 3)),
    SymmetricFactorisation(3, 2),
    SymmetricConjugation(3),
    ShallowReLU(2, 2, 2),
    AttentionLogits(3, 2, 2),
    WeightNorm(3),
]
"""One model an idea: single precision costs a compilation each."""

TEMPERATURE = 0.1


def potential(w):
    return 0.5 * jnp.sum(jnp.square(w - 1.0))


@functools.lru_cache
def closed_forms(model, jit):
    def evaluate(w):
        out = {
            "log_det_gram": model.log_det_gram(w),
            "log_det_orbit_gram": model.log_det_orbit_gram(w),
            "log_volume": model.log_orbit_volume(w),
            "log_conditioned_volume": model.log_conditioned_volume(w),
        }
        for name in ("log_det_symmetric", "log_det_residual"):
            if hasattr(model, name):
                out[name] = getattr(model, name)(w)
        for s in EXPONENTS:
            out[f"density {s}"] = model.log_density(w, s)
        out["gram"] = model.apply_gram(
            w, jnp.cos(jnp.arange(w.size, dtype=w.dtype).reshape(w.shape))
        )
        out["effective loss"] = model.effective_loss(w, potential, TEMPERATURE, jnp.asarray(-1.0))
        return out

    return jit(evaluate)


def check(model, reference, w, tolerance):
    """Closed forms in the dtype of `w` against float64 Jacobians at the lift of the same `w`."""
    truth = reference(model, np.asarray(w, np.float64))
    values = closed_forms(model, reference.jit)(jnp.asarray(w))
    expected = {}
    for s in EXPONENTS:
        literal = s != -1 or model.dimensions.symmetric == 0
        weight = s * truth.log_volume if literal else truth.log_conditioned_volume
        expected[f"density {s}"] = weight - 0.5 * truth.log_det_gram
    bias = TEMPERATURE * expected["density -1.0"]
    expected["effective loss"] = float(potential(np.asarray(w, np.float64))) - bias
    # K itself, applied to a fixed covector.
    gram, values = values["gram"], {k: v for k, v in values.items() if k != "gram"}
    product = truth.predict @ (truth.predict.T @ np.cos(np.arange(w.size)))
    assert gram.dtype == w.dtype and gram.shape == w.shape
    scale = max(1.0, np.max(np.abs(product)))
    assert np.max(np.abs(np.ravel(gram) - product)) < tolerance * scale
    for name, value in values.items():
        assert value.dtype == w.dtype and value.shape == (), name
        right = expected[name] if name in expected else getattr(truth, name)
        error = abs(float(value) - right) / max(1.0, abs(right))
        assert error < tolerance, (name, float(value), right)
    return truth


@settings(max_examples=8)
@given(fractions=FRACTIONS, seed=SEEDS, scale=SCALES)
def test_float64(model, reference, fractions, seed, scale):
    sizes = scale * 10.0 ** -np.array(fractions)
    w = np.float64(reference.predictor_with(model, sizes, seed))
    truth = check(model, reference, w, 1e-10)
    # The lift inverts the predictor and lies on the slice of the model's gauge.
    np.testing.assert_allclose(truth.w, w, rtol=0, atol=1e-12 * scale * 3)
    assert np.max(np.abs(truth.chi), initial=0.0) < 1e-12 * (1.0 + np.sum(truth.params**2))
    failing = {failure.condition for failure in model.failing}
    assert truth.separates == ("closed orbits" not in failing)


@pytest.mark.parametrize(("condition", "tolerance"), [(10.0, 1e-4), (1e3, 1e-2)])
@pytest.mark.parametrize("model", SINGLE, ids=repr)
@settings(max_examples=5)
@given(fractions=FRACTIONS, seed=SEEDS)
def test_float32(model, reference, condition, tolerance, fractions, seed):
    fractions[0], fractions[-1] = 0.0, 1.0
    sizes = condition ** -np.array(fractions)
    w = np.float32(reference.predictor_with(model, sizes, seed))
    check(model, reference, w, tolerance)


MATRICES = [DeepLinear(2, 3), Factorisation(2, 2, 2)]


@pytest.mark.parametrize("model", [*MATRICES, SymmetricFactorisation(3, 3)], ids=repr)
def test_equal_singular_values(model, reference):
    check(model, reference, np.float64(reference.predictor_with(model, np.full(3, 0.7), 0)), 1e-10)


@pytest.mark.parametrize("model", MATRICES, ids=repr)
def test_symmetric_and_residual_parts_make_the_whole(model, reference):
    w = jnp.asarray(reference.predictor_with(model, [1.0, 0.5, 0.3], 1))
    pairs = model.dimensions.algebra - model.dimensions.symmetric
    parts = model.log_det_symmetric(w) + model.log_det_residual(w) - pairs * np.log(2.0)
    np.testing.assert_allclose(parts, model.log_det_orbit_gram(w), rtol=1e-12)
