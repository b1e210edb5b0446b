"""What is particular to one model."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaugebias import laws
from gaugebias.catalogue import (
    AttentionColumns,
    AttentionLogits,
    DeepLinear,
    Factorisation,
    HadamardProduct,
    ReLUNeuron,
    ScaleInvariant,
    ShallowReLU,
    SoftmaxWeights,
    SymmetricFactorisation,
    agreement,
)
from gaugebias.quotient import require_moment_map
from gaugebias.symmetry import Generators


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_hadamard_gram_symbolically(depth):
    # The matrix-tree theorem for a path, and K, off the slice too: both are
    # sum_k prod_(j != k) u_j^2.
    import sympy

    u = sympy.symbols(f"u1:{depth + 1}", positive=True)
    fields = sympy.zeros(depth, depth - 1)
    for p in range(depth - 1):
        fields[p, p], fields[p + 1, p] = u[p], -u[p + 1]
    gram = sympy.Mul(*u) ** 2 * sympy.Add(*(1 / x**2 for x in u))
    assert sympy.expand((fields.T * fields).det() - gram) == 0
    predict = sympy.Matrix([sympy.prod(u)]).jacobian(u)
    assert sympy.expand((predict * predict.T)[0] - gram) == 0
    balanced = gram.subs({x: sympy.Rational(3, 2) for x in u})
    value = HadamardProduct((), depth).log_det_gram(jnp.array(1.5**depth))
    np.testing.assert_allclose(np.exp(value), float(balanced), rtol=1e-13)


def test_a_group_of_one_element():
    """O(1) has no generator: w = u^2 under plain noise has the law w^(-1/2) e^(-l/T)."""
    model = SymmetricFactorisation(1, 1)
    params = model.init(jax.random.key(0))
    assert all(line.holds for line in agreement(model, params))
    w = model.invariants(params)
    law = laws.horizontal(model.quotient(at=params), lambda w: jnp.sum(w), 0.5)
    change = law.log_density(4.0 * w) - law.log_density(w)
    np.testing.assert_allclose(change, -0.5 * jnp.log(4.0) - 6.0 * w[0], rtol=1e-10)


def test_hadamard_leaf():
    model = HadamardProduct((2,), 2)
    u, v = jnp.array([2.0, -0.3]), jnp.array([0.5, 1.7])
    chi = 0.5 * (u**2 - v**2)
    value = model.log_det_gram_on_leaf(u * v, chi)
    np.testing.assert_allclose(value, jnp.sum(jnp.log(u**2 + v**2)), rtol=1e-13)
    density = model.log_density_on_leaf(u * v, jnp.zeros(2))
    np.testing.assert_allclose(density, model.log_density(u * v, 0.0), rtol=1e-13)


def test_hadamard_signs():
    u, v = HadamardProduct((2,), 2).lift(jnp.array([4.0, -9.0]))
    np.testing.assert_allclose(u, [2.0, 3.0])
    np.testing.assert_allclose(v, [2.0, -3.0])
    for factor in HadamardProduct((), 3).lift(jnp.array(-8.0)):
        np.testing.assert_allclose(factor, -2.0)


@pytest.mark.parametrize("depth", [2, 3])
def test_deep_linear_slice_drift(reference, depth):
    model = DeepLinear(2, depth)
    s = np.array([1.3, 0.4])
    truth = reference(model, np.diag(s))
    # At diagonal W the lift is diagonal: the generators E_ii scale its singular directions.
    traces = truth.traces(model).reshape(depth - 1, 2, 2)
    drift = model.slice_drift(jnp.array(s))
    np.testing.assert_allclose(drift, np.einsum("pii->pi", traces), atol=1e-12)
    np.testing.assert_allclose(model.slice_drift(jnp.array([0.7, 0.7])), 0.0, atol=1e-14)
    # Outer layers grow relative to the middle ones.
    assert depth == 2 or drift[0].sum() < 0 < drift[-1].sum()


def test_factorisation_slice_drift(reference):
    for rows, columns in [(2, 3), (4, 3)]:
        model = Factorisation(rows, columns, 2)
        w = reference.predictor_with(model, [1.0, 0.3], 0)
        traces = reference(model, w).traces(model).reshape(2, 2)
        np.testing.assert_allclose(traces, (rows - columns) * np.eye(2), atol=1e-12)


def test_symmetric_spectrum_from_the_factor(getkey):
    model = SymmetricFactorisation(3, 2)
    u = model.init(getkey())
    np.testing.assert_allclose(
        model.spectrum_of(u), model.spectrum(model.invariants(u)), rtol=1e-12
    )
    np.testing.assert_allclose(model.matrix(model.invariants(u)), u @ u.T, rtol=1e-12)
    # The potential |W - 1|^2 is the same in coordinates.
    identity = model.from_spectrum(jnp.ones(2))
    square = jnp.sum((model.invariants(u) - identity) ** 2)
    expected = jnp.sum((u @ u.T - jnp.diag(jnp.array([1.0, 1.0, 0.0]))) ** 2)
    np.testing.assert_allclose(square, expected, rtol=1e-12)


def test_relu_imbalance_and_branch(reference, getkey):
    model = ReLUNeuron(3)
    w, v = model.init(getkey())
    assert v > 0
    np.testing.assert_allclose(jnp.sum(w**2), v**2, rtol=1e-12)
    traces = reference(model, model.invariants((w, v))).traces(model)
    np.testing.assert_allclose(traces, [2.0], atol=1e-12)
    x = jax.random.normal(getkey(), (3,))
    flowed = model.action.flow((w, v), jnp.array(0.7))
    np.testing.assert_allclose(model.predict(flowed, x), model.predict((w, v), x), rtol=1e-12)
    # On the other branch the closed form of K is the same.
    jacobian = jax.jacfwd(lambda p: model.invariants((p[:3], p[3])))(jnp.append(w, -v))
    log_det = jnp.linalg.slogdet(jacobian @ jacobian.T)[1]
    np.testing.assert_allclose(log_det, model.log_det_gram(v * w), rtol=1e-12)


@pytest.mark.parametrize("widths", [(3, 2, 2, 3), (3, 2, 4), (2, 4, 2), (2, 3, 2, 2)])
def test_deep_linear_slice_drift_of_any_widths(reference, widths):
    model = DeepLinear(widths)
    w = np.asarray(model.from_spectrum(jnp.array([1.3, 0.4])))
    traces, start = reference(model, w).traces(model), 0
    drift = np.asarray(model.slice_drift(jnp.array([1.3, 0.4])))
    for p, d in enumerate(widths[1:-1]):
        own = traces[start : start + d * d].reshape(d, d)
        start += d * d
        # At diagonal W the layers are diagonal, up to signs: E_ii scale its singular directions.
        expected = np.zeros((d, d))
        expected[:2, :2] = np.diag(drift[p])
        np.testing.assert_allclose(own, expected, atol=1e-12)


def test_shallow_relu_network(reference, getkey):
    model = ShallowReLU(2, 3, 2)
    params, x = model.init(getkey(), balanced=False), jax.random.normal(getkey(), (2,))
    w, b, v = params
    expected = v @ jax.nn.relu(w @ x + b)
    np.testing.assert_allclose(model.predict(params, x), expected, rtol=1e-12)
    np.testing.assert_allclose(model.network(model.invariants(params), x), expected, rtol=1e-12)
    flowed = model.action.flow(params, jnp.array([0.7, -0.3, 0.1]))
    assert not np.allclose(flowed[1], b)
    np.testing.assert_allclose(model.predict(flowed, x), expected, rtol=1e-12)
    # The imbalance drifts at d_in - d_out, the bias counted.
    model = ShallowReLU(2, 2, 2)
    w = reference.predictor_with(model, [1.0, 0.5, 0.2], 0)
    traces = reference(model, w).traces(model)
    np.testing.assert_allclose(traces, 1.0, atol=1e-12)


def test_columns_are_the_diagonal_subgroup_of_the_logits(getkey):
    logits, columns = AttentionLogits(3, 2), AttentionColumns(3, 2)
    q, k = columns.init(getkey(), balanced=False)
    total = columns.invariants((q, k)).sum(0)
    np.testing.assert_allclose(logits.invariants((q[None], k[None]))[0], total, rtol=1e-12)
    along = columns.action.tangent((q, k), jnp.array([0.3, -0.7]))
    full = logits.action.tangent((q[None], k[None]), jnp.diag(jnp.array([0.3, -0.7]))[None])
    for one, other in zip(along, full, strict=True):
        np.testing.assert_allclose(one, other[0], rtol=1e-12)


def test_normalised_norm_grows_without_noise(reference):
    # tr(P A) = D - 1, and A = I: with decay lam the norm settles where T (D - 1) = lam |w|^2.
    model = ScaleInvariant(3)
    truth = reference(model, reference.predictor_with(model, [1.0, 1.0, 1.0], 0))
    np.testing.assert_allclose(truth.traces(model), [2.0], atol=1e-12)
    norm = model.norm_with_decay(0.1, 0.4)
    np.testing.assert_allclose(0.1 * truth.traces(model)[0], 0.4 * norm**2, rtol=1e-12)


def test_the_linear_field_of_a_softmax_shift_has_no_moment_map(getkey):
    model = SoftmaxWeights(3, 2)
    w = model.init(getkey(), balanced=False)
    linear = Generators(_linear_shift, (3,))
    # The same orbits, to first order: the linear fields shift every column by one number.
    moved = linear.tangent(w, jnp.array([0.3, 1.0, -0.4]))
    np.testing.assert_allclose(moved - moved.mean(axis=0, keepdims=True), 0.0, atol=1e-12)
    with pytest.raises(ValueError, match="not closed under transpose"):
        require_moment_map(linear, w)
    with pytest.raises(ValueError, match="not linear"):
        require_moment_map(model.action, w)


def _linear_shift(w, a):
    return jnp.ones((3, 1)) * jnp.sum(a[:, None] * w, axis=0, keepdims=True)
