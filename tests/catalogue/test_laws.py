"""The tables of laws against what can be measured: traces on the slice, scaling, local powers."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaugebias.catalogue import (
    AttentionColumns,
    AttentionLogits,
    CumulativeHadamard,
    DeepLinear,
    Factorisation,
    HadamardProduct,
    Radial,
    ReLUNeuron,
    ScaleInvariant,
    ShallowReLU,
    SoftmaxWeights,
    SymmetricConjugation,
    SymmetricFactorisation,
    ValueOutput,
    WeightNorm,
    entries,
)
from gaugebias.quotient import MomentMapGauge

BALANCED = pytest.mark.parametrize(
    "model",
    [
        HadamardProduct((2,), 4),
        CumulativeHadamard(3),
        Factorisation(2, 2, 2),
        Factorisation(4, 3, 2),
        DeepLinear(2, 3),
        DeepLinear(1, 3),
        DeepLinear((3, 2, 2, 3)),
        DeepLinear((3, 1, 1, 1, 2)),
        DeepLinear((2, 4, 2)),
        ReLUNeuron(3),
        ReLUNeuron(1),
        ShallowReLU(2, 2, 2),
        ShallowReLU(1, 2, 1, bias=False),
        AttentionLogits(3, 2, 2),
        AttentionColumns(2, 2),
        ValueOutput(3, 2, 2),
        SymmetricFactorisation(3, 2),
        SymmetricFactorisation(2, 3),
        Radial(3),
        SymmetricConjugation(3),
    ],
    ids=repr,
)
"""Models with a law in their own scales; with a normalisation the norm is not one of them."""

SIZES = [[1.0, 0.6, 0.25], [2.0, 0.3, 0.2], [0.9, 0.8, 0.01]]


def statement(model, name, calculus="any"):
    (found,) = [s for s in model.laws if s.name == name and s.calculus == calculus]
    return found


def test_laws_apply_exactly_where_their_conditions_hold(model, reference):
    # The conditions of `gaugebias.laws`, measured here on dense Jacobians and generators.
    worst, separates = 0.0, True
    for seed, sizes in enumerate(SIZES):
        truth = reference(model, reference.predictor_with(model, sizes, seed))
        worst = max(worst, np.max(np.abs(truth.traces(model))))
        separates = separates and truth.separates
    matrices, constant = truth.generators(model)
    size = np.linalg.norm(matrices)
    transposed = np.swapaxes(matrices, 0, 1)
    span = matrices.reshape(-1, matrices.shape[-1])
    mirrored = transposed.reshape(span.shape)
    outside = mirrored - span @ np.linalg.lstsq(span, mirrored, rcond=None)[0]
    isometric = np.linalg.norm(matrices + transposed) <= 1e-12 * size
    linear = constant == 0.0 and np.linalg.norm(outside) <= 1e-12 * size
    slice_met = linear and isinstance(model.description.gauge, MomentMapGauge)
    # Where the condition fails it fails by far, not by rounding.
    assert worst < 1e-10 or worst > 1e-2
    balanced = separates and slice_met
    stays = isometric or worst < 1e-10
    assert statement(model, "horizontal", "ito").applies == (
        separates and (isometric or slice_met) and stays
    )
    expected = separates and (isometric or slice_met)
    assert statement(model, "horizontal", "stratonovich").applies == expected
    assert statement(model, "pushforward").applies == (separates and isometric)
    assert statement(model, "projected", "ito").applies == (separates and isometric)
    sphere = not isinstance(model.description.gauge, MomentMapGauge)
    conditioned = (balanced and not isometric) or (separates and sphere)
    assert statement(model, "conditioned").applies == conditioned


def test_table_is_complete_and_says_why(model):
    kinds = [(s.name, s.calculus) for s in model.laws]
    assert kinds == [
        ("horizontal", "ito"),
        ("horizontal", "stratonovich"),
        ("pushforward", "any"),
        ("projected", "ito"),
        ("conditioned", "any"),
    ]
    for s in model.laws:
        assert s.reason and s.reference == "lebesgue"
        assert not s.applies or s.density
    failing = {failure.condition: failure.detail for failure in model.failing}
    d = model.dimensions
    assert all(failing.values())
    assert ("stabiliser" in failing) == (d.stabiliser > 0)
    assert ("full rank" in failing) == (d.quotient < d.predictor)
    assert ("slice invariance" in failing) != statement(model, "horizontal", "ito").applies
    assert ("integrability" in failing) == any(s.applies and not s.normalisable for s in model.laws)


@pytest.mark.parametrize(("model", "norm"), [(ScaleInvariant(4), "w"), (WeightNorm(3), "v")])
def test_statements_on_scalings_say_what_the_norm_does(model, norm):
    # d(|w|^2/2)/(T dt) under sqrt(2T) P dW and under sqrt(2T) P o dW, by autodiff of P.
    x = jax.random.normal(jax.random.key(0), (model.dimension,))

    def project(x):
        return jnp.eye(x.size) - jnp.outer(x, x) / jnp.sum(x**2)

    ito = float(jnp.trace(project(x)))
    slope = jax.jacfwd(project)(x)
    correction = jnp.einsum("ijk,kj->i", slope, project(x))
    stratonovich = ito + float(x @ correction)
    assert abs(ito - (model.dimension - 1)) < 1e-12 and abs(stratonovich) < 1e-12
    rate = f"d(|{norm}|^2/2) = T ({'D' if norm == 'w' else 'd'} - 1) dt"
    assert rate in statement(model, "horizontal", "ito").reason
    said = statement(model, "horizontal", "stratonovich").reason
    assert rate not in said and f"|{norm}| is conserved" in said


def test_statements_name_the_variables_of_the_model():
    for calculus in ("ito", "stratonovich"):
        said = statement(CumulativeHadamard(3), "horizontal", calculus).reason
        assert "keeps the sign of d_t" in said and "sign of w" not in said
    # Several heads of one column: a sum over heads, as in the closed form.
    model = ValueOutput(1, 3, 1, heads=2)
    w = jnp.array([[[3.0, 0.0, 4.0]], [[0.0, 2.0, 0.0]]])
    assert model.description.orbit_gram == "sum log(2 s_h)"
    np.testing.assert_allclose(model.log_det_orbit_gram(w), math.log(10.0) + math.log(4.0))
    assert model.description.gram == "sum log(2 s_h) + 2 sum log s_h"
    expected = math.log(10.0) + math.log(4.0) + 2.0 * (math.log(5.0) + math.log(2.0))
    np.testing.assert_allclose(model.log_det_gram(w), expected)
    assert statement(model, "horizontal", "stratonovich").density == "prod_h s_h^(1/2)"
    assert "s_j = 0" in statement(AttentionColumns(1, 2), "conditioned").reason
    # The linear fields span the orbits of W -> W + 1 b^T only where W has as many independent rows.
    details = {f.condition: f.detail for f in SoftmaxWeights(2, 4).failing}
    assert "where W has rank 4" in details["transpose"]


@pytest.mark.parametrize(
    "model",
    [AttentionLogits(1, 1, 2), AttentionColumns(1, 2), ValueOutput(1, 1, 1, 2)],
    ids=repr,
)
def test_numbers_are_cut_at_their_stratum(model):
    """One by one, a head is `w = uv`, whose density is singular at 0."""
    assert model.domain == HadamardProduct((2,), 2).domain


@pytest.mark.slow
@pytest.mark.parametrize("name", list(entries()))
def test_laws_agree_with_the_builders(name, monkeypatch):
    # What `gaugebias.laws` decides for the model's quotient, without building the densities
    # (slow: some ten seconds of compilation each).
    from gaugebias import laws
    from gaugebias.laws import _builders

    monkeypatch.setattr(_builders, "build", lambda *args, **kwargs: None)
    model = entries()[name]
    q = model.quotient(at=model.init(jax.random.key(1)))
    full = model.dimensions.quotient == model.dimensions.predictor
    more = {"reference": "lebesgue" if full else "quotient"}
    for s in model.laws:
        extra = dict(more)
        if s.name == "horizontal":
            extra["calculus"] = s.calculus
        if s.name == "projected":
            extra |= {"alpha": 1.0, "beta": 0.5}
        try:
            getattr(laws, s.name)(q, lambda w: jnp.sum(w**2), 0.1, **extra)
            built = True
        except laws.LawRefused:
            built = False
        assert built == s.applies, (s.name, s.calculus)


def spectral(model):
    """log density of one-dimensional or spectral coordinates, their number, and the density."""
    if isinstance(model, HadamardProduct):
        n = model.shape[0] if model.shape else 1
        return n, lambda x, s: model.log_density(x.reshape(model.shape), s)
    if isinstance(model, CumulativeHadamard):
        return model.size, lambda x, s: model.log_density(jnp.cumsum(x), s)
    if isinstance(model, Radial):
        return 1, lambda x, s: model.log_density(x[0], s)
    if isinstance(model, ReLUNeuron):
        return 1, lambda x, s: model.log_radial_density(x[0], s)
    if isinstance(model, (ShallowReLU, AttentionColumns)):
        count = model.units if isinstance(model, ShallowReLU) else model.columns
        return count, model.log_radial_density
    if isinstance(model, (AttentionLogits, ValueOutput)):
        shape = (model.heads, model.head)
        return math.prod(shape), lambda x, s: model.log_spectral_density(x.reshape(shape), s)
    return model.spectral_domain.dimension, model.log_spectral_density


def degree(model):
    """`phi` is homogeneous of this degree in the parameters."""
    if isinstance(model, (HadamardProduct, CumulativeHadamard, DeepLinear)):
        return model.depth
    return 1 if isinstance(model, (Radial, SymmetricConjugation)) else 2


@BALANCED
def test_horizontal_density_scales_as_the_dimension_of_the_quotient(model):
    # With a ridge alone |theta|^2 counts dim(quotient) (virial identity), and on the slice it is a
    # power of the scale of w: the density of w must be homogeneous of degree
    # dim(quotient)/degree - (number of coordinates). An independent check of every power.
    count, log_density = spectral(model)
    x = jnp.array([1.0, 0.6, 0.35, 0.25])[:count]
    grown = log_density(2.0 * x, 0.0) - log_density(x, 0.0)
    power = model.dimensions.quotient / degree(model) - count
    np.testing.assert_allclose(grown / np.log(2.0), power, atol=1e-10)


@BALANCED
def test_normalisable_as_stated(model):
    count, log_density = spectral(model)
    x = jnp.array([1.0, 0.6, 0.35, 0.25])[:count]

    def power(one, other, exponent, ratio):
        change = log_density(other, exponent) - log_density(one, exponent)
        return float(change) / np.log(ratio)

    stated = [s for s in model.laws if s.applies and s.exponent is not None]
    for exponent, normalisable in {s.exponent: s.normalisable for s in stated}.items():
        # The last coordinate alone at 0, and all of them together.
        alone = power(x.at[-1].set(1e-9), x.at[-1].set(1e-8), exponent, 10.0)
        joint = power(x, 2.0 * x, exponent, 2.0)
        assert normalisable == (alone > -1 + 1e-3 and joint > -count + 1e-3)


def orbit_log_volume(fields):
    s = np.linalg.svd(np.stack(fields, 1), compute_uv=False)
    return np.sum(np.log(s[s > 1e-9 * s[0]]))


def skews(n):
    for i in range(n):
        for j in range(i + 1, n):
            a = np.zeros((n, n))
            a[i, j], a[j, i] = 1.0, -1.0
            yield a


@pytest.mark.parametrize("exponent", [-1.0, 0.5])
@pytest.mark.parametrize(
    "model",
    [
        Factorisation(2, 2, 2),
        Factorisation(4, 3, 2),
        Factorisation(2, 3, 1),
        DeepLinear(3, 3),
        DeepLinear((4, 2, 3, 2)),
        SymmetricFactorisation(3, 2),
        SymmetricFactorisation(2, 3),
    ],
    ids=repr,
)
def test_spectral_density_is_density_times_volume_of_the_rotations(model, exponent):
    # Weyl's Jacobian, here as the numerical orbit volume of W -> O_1 W O_2 at diag(s). Constants
    # of the rotations are left out of the spectral density: compare two spectra.
    def difference(s):
        w = np.asarray(model.from_spectrum(jnp.array(s)))
        if isinstance(model, SymmetricFactorisation):
            matrix = np.asarray(model.matrix(w))
            fields = [(a @ matrix - matrix @ a).ravel() for a in skews(model.rows)]
        else:
            fields = [(a @ w).ravel() for a in skews(w.shape[0])]
            fields += [(w @ a).ravel() for a in skews(w.shape[1])]
        # A rank-one W of one row has no rotation on that side.
        volume = orbit_log_volume(fields) if fields else 0.0
        spectral = model.log_spectral_density(jnp.array(s), exponent)
        return float(spectral - model.log_density(w, exponent)) - volume

    count = model.spectral_domain.dimension
    one, other = difference([1.0, 0.6, 0.25][:count]), difference([2.0, 1.1, 0.01][:count])
    np.testing.assert_allclose(one, other, atol=1e-10)


def pair_product(x, fn):
    return sum(np.log(fn(x[i], x[j])) for i in range(len(x)) for j in range(i + 1, len(x)))


PUBLISHED = {
    "weight norm": (WeightNorm(3), -1.0, lambda w: -2.0 * np.log(np.linalg.norm(w))),
    "bottleneck s=0": (
        DeepLinear((3, 2, 2, 3)),
        0.0,
        lambda s: pair_product(s, lambda a, b: a ** (2 / 3) - b ** (2 / 3)),
    ),
    "factors s=0": (
        Factorisation(4, 3, 2),
        0.0,
        lambda s: (3.5 - 2 - 0.5) * np.sum(np.log(s)) + pair_product(s, lambda a, b: a - b),
    ),
    "factors s=-1": (
        Factorisation(3, 2, 2),
        -1.0,
        lambda s: (2.5 - 2 - 1) * np.sum(np.log(s)) + pair_product(s, lambda a, b: a - b),
    ),
    "square factors s=-1": (
        Factorisation(3, 3, 3),
        -1.0,
        lambda s: (
            -np.sum(np.log(s))
            - pair_product(s, lambda a, b: a + b)
            + pair_product(s, lambda a, b: a**2 - b**2)
        ),
    ),
    "symmetric s=0.5": (
        SymmetricFactorisation(3, 2),
        0.5,
        lambda w: pair_product(w, lambda a, b: (a - b) * (a + b) ** -0.25),
    ),
    "wishart": (
        SymmetricFactorisation(4, 2),
        1.0,
        lambda w: 0.5 * np.sum(np.log(w)) + pair_product(w, lambda a, b: a - b),
    ),
    "wishart, more columns than rows": (
        SymmetricFactorisation(2, 5),
        1.0,
        lambda w: np.sum(np.log(w)) + pair_product(w, lambda a, b: a - b),
    ),
    "deep linear s=0": (
        DeepLinear(3, 3),
        0.0,
        lambda s: (
            -2 / 3 * np.sum(np.log(s)) + pair_product(s, lambda a, b: a ** (2 / 3) - b ** (2 / 3))
        ),
    ),
    "conjugation": (
        SymmetricConjugation(3),
        0.25,
        lambda x: 0.25 * pair_product(x, lambda a, b: a - b),
    ),
}


@pytest.mark.parametrize(("model", "exponent", "formula"), PUBLISHED.values(), ids=PUBLISHED)
def test_published_spectral_laws(model, exponent, formula):
    whole = isinstance(model, WeightNorm)
    count = model.dimension if whole else model.spectral_domain.dimension
    one, other = np.array([1.0, 0.6, 0.25])[:count], np.array([3.0, 0.5, 0.1])[:count]
    log_density = model.log_density if whole else model.log_spectral_density
    left, right = (log_density(jnp.array(x), exponent) for x in (one, other))
    np.testing.assert_allclose(left - right, formula(one) - formula(other), atol=1e-12)


def test_wishart_is_the_law_of_a_gaussian_factor():
    # For U of independent standard normal entries, n x 2, E det(U^T U) = n (n - 1): here by a
    # midpoint rule over the closed density at s = 1 (T = 1, l = |U|^2/2).
    model = SymmetricFactorisation(3, 2)
    step = 0.1
    grid = np.arange(step / 2, 40.0, step)
    a, b = np.meshgrid(grid, grid, indexing="ij")
    points = jnp.array(np.stack([a, b], -1)[a > b])
    log_density = jax.jit(jax.vmap(lambda s: model.log_spectral_density(s, 1.0)))
    weight = jnp.exp(log_density(points) - points.sum(-1) / 2)
    mean = jnp.sum(weight * points.prod(-1)) / jnp.sum(weight)
    np.testing.assert_allclose(mean, 3.0 * 2.0, rtol=2e-2)
