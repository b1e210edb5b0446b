"""The models under test, and dense autodiff references for their closed forms."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from jax.flatten_util import ravel_pytree

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
    SoftmaxBias,
    SoftmaxWeights,
    SymmetricConjugation,
    SymmetricFactorisation,
    ValueOutput,
    WeightNorm,
)

MODELS = {
    "hadamard-scalar-3": HadamardProduct((), 3),
    "hadamard-2-4": HadamardProduct((2,), 4),
    "cumulative-3": CumulativeHadamard(3),
    "factors-2-2-2": Factorisation(2, 2, 2),
    "factors-4-3-2": Factorisation(4, 3, 2),
    "symmetric-3-2": SymmetricFactorisation(3, 2),
    "symmetric-2-3": SymmetricFactorisation(2, 3),
    "linear-2-3": DeepLinear(2, 3),
    "linear-1-3": DeepLinear(1, 3),
    "linear-3-2-2-3": DeepLinear((3, 2, 2, 3)),
    "linear-2-4-2": DeepLinear((2, 4, 2)),
    "linear-3-4-2": DeepLinear((3, 4, 2)),
    "relu-3": ReLUNeuron(3),
    "relu-1": ReLUNeuron(1),
    "shallow-2-2-2": ShallowReLU(2, 2, 2),
    "shallow-2-2-2-unbiased": ShallowReLU(2, 2, 2, bias=False),
    "attention-2-heads": AttentionLogits(3, 2, 2),
    "attention-cross": AttentionLogits(2, 1, 1, 3),
    "columns-2": AttentionColumns(2, 2),
    "value-output": ValueOutput(3, 2, 2),
    "scale-3": ScaleInvariant(3),
    "weight-norm-3": WeightNorm(3),
    "softmax-bias": SoftmaxBias(3),
    "softmax-weights": SoftmaxWeights(3, 2),
    "radial-3": Radial(3),
    "conjugation-3": SymmetricConjugation(3),
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    chosen = [str(mark.args[0]) for mark in metafunc.definition.iter_markers("parametrize")]
    if "model" in metafunc.fixturenames and not any("model" in names for names in chosen):
        metafunc.parametrize("model", list(MODELS.values()), ids=list(MODELS))


def _frame(rng, n):
    q, r = np.linalg.qr(rng.normal(size=(n, n)))
    return q * np.sign(np.diag(r))


def quick_jit(fn):
    """`jax.jit` without optimisation, which would take longer here than it saves."""
    options = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
    return jax.jit(fn, compiler_options=options)


def predictor_with(model, sizes, seed):
    """A predictor whose singular values (entries, gaps, norms) are among `sizes`, decreasing."""
    rng = np.random.default_rng(seed)
    sizes = np.sort(np.asarray(sizes, float))[::-1]

    def vector(n, size):
        z = rng.normal(size=n)
        return size * z / np.linalg.norm(z)

    def matrix(n, m, rank):
        w = np.zeros((n, m))
        w[:rank, :rank] = np.diag(sizes[:rank])
        return _frame(rng, n) @ w @ _frame(rng, m)

    match model:
        case HadamardProduct():
            n = model.shape[0] if model.shape else 1
            return (sizes[:n] * rng.choice([-1.0, 1.0], size=n)).reshape(model.shape)
        case CumulativeHadamard():
            signs = rng.choice([-1.0, 1.0], size=model.size)
            return np.cumsum(sizes[: model.size] * signs)
        case Radial():
            return sizes[0]
        case ReLUNeuron():
            return vector(model.inputs, sizes[0])
        case ShallowReLU():
            d = model.inputs + model.bias
            halves = [(vector(d, s), vector(model.outputs, s)) for s in sizes[: model.units]]
            return np.stack([np.concatenate(pair) for pair in halves])
        case AttentionLogits():
            keys = model.embedding if model.context is None else model.context
            rows = range(model.heads)
            return np.stack([matrix(model.embedding, keys, model.head) for _ in rows])
        case ValueOutput():
            rows = range(model.heads)
            return np.stack([matrix(model.inputs, model.outputs, model.head) for _ in rows])
        case AttentionColumns():
            n, count = model.embedding, model.columns
            return np.stack([np.outer(vector(n, s), vector(n, 1.0)) for s in sizes[:count]])
        case ScaleInvariant():
            return vector(model.dimension, 1.0)
        case WeightNorm():
            return vector(model.dimension, sizes[0])
        case SoftmaxBias():
            return vector(model.classes - 1, sizes[0])
        case SoftmaxWeights():
            return sizes[0] * rng.normal(size=(model.classes - 1, model.inputs))
        case SymmetricConjugation():
            return rng.normal() + np.cumsum(sizes[: model.dimension])[::-1]
        case SymmetricFactorisation():
            w = np.asarray(model.from_spectrum(sizes[: min(model.rows, model.rank)]))
            q = _frame(rng, model.rows)
            full = q @ np.asarray(model.matrix(w)) @ q.T
            upper = full[np.triu_indices(model.rows, 1)]
            return np.concatenate([np.diag(full), np.sqrt(2.0) * upper])
    n, m = np.shape(model.from_spectrum(sizes[: model.rank]))
    return matrix(n, m, model.rank)


def _fields(model, params):
    """The dense orbit Jacobian, columns in ravel order of the coefficients."""
    zero, unravel = ravel_pytree(
        jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), model.action.algebra(params))
    )
    return jax.jacfwd(lambda c: ravel_pytree(model.action.tangent(params, unravel(c)))[0])(zero)


@functools.lru_cache
def _jacobians(model):
    gauge = model.description.gauge

    def evaluate(w):
        params = model.lift(w)
        flat, unravel = ravel_pytree(params)
        predict = jax.jacfwd(lambda x: ravel_pytree(model.invariants(unravel(x)))[0])(flat)
        chi = ravel_pytree(gauge.chi(model.action, params))[0]
        return flat, _fields(model, params), predict, model.invariants(params), chi

    return quick_jit(evaluate)


@functools.lru_cache
def _generators(model):
    """The affine fields `A_a x + b_a`: `A_a` as `[i, j, a]` for entry `(j, i)`, and `b_a`."""
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0)))
    flat, unravel = ravel_pytree(jax.tree.map(lambda s: jnp.zeros(s.shape), shapes))
    points = jnp.concatenate([jnp.eye(flat.size), jnp.zeros((1, flat.size))])
    columns = np.asarray(quick_jit(jax.vmap(lambda x: _fields(model, unravel(x))))(points))
    return columns[:-1] - columns[-1:], columns[-1]


def _log_pdet(jacobian, rank=None):
    """log pdet of `jacobian^T jacobian`, from singular values; those beyond `rank` must vanish."""
    s = np.linalg.svd(jacobian, compute_uv=False)
    rank = int(np.sum(s > 1e-7 * s[0])) if rank is None else rank
    assert rank <= s.size
    assert np.all(s[rank:] <= 1e-7 * s[0]), s
    return 2.0 * np.sum(np.log(s[:rank]))


def _matrix_bases(model):
    """Symmetric (orthonormal) and skew (`A_ij = c, A_ji = -c`) coefficients of a GL action."""
    match model:
        case Factorisation():
            sizes = [model.rank]
        case DeepLinear():
            sizes = model.widths[1:-1]
        case AttentionLogits() | ValueOutput():
            sizes = [model.head] * model.heads
        case _:
            k = model.dimensions.algebra
            everything, nothing = np.eye(k), np.zeros((k, 0))
            return [everything, nothing] if model.dimensions.symmetric else [nothing, everything]
    blocks = [], []
    for r in sizes:
        symmetric, skew = [np.zeros((0, r * r))], [np.zeros((0, r * r))]
        for i in range(r):
            for j in range(i, r):
                a = np.zeros((r, r))
                a[i, j] += 1.0
                a[j, i] += 1.0
                symmetric.append((a / np.linalg.norm(a)).reshape(1, -1))
                if i < j:
                    a = np.zeros((1, r, r))
                    a[0, i, j], a[0, j, i] = 1.0, -1.0
                    skew.append(a.reshape(1, -1))
        for block, rows in zip(blocks, (symmetric, skew), strict=True):
            block.append(np.concatenate(rows).T)
    return [scipy.linalg.block_diag(*block) for block in blocks]


class Reference:
    """Dense float64 values at `lift(w)`: log determinants by Jacobians, no closed form."""

    predictor_with = staticmethod(predictor_with)
    jit = staticmethod(quick_jit)

    def __init__(self, model, w):
        d = model.dimensions
        values = _jacobians(model)(jnp.asarray(w, jnp.float64))
        self.params, self.orbit, self.predict, self.w, self.chi = map(np.asarray, values)
        assert self.orbit.shape == (d.parameters, d.algebra)
        assert self.predict.shape == (d.predictor, d.parameters)
        assert d.orbit == d.algebra - d.stabiliser
        self.separates = d.quotient == d.parameters - d.orbit
        self.log_det_orbit_gram = _log_pdet(self.orbit, d.orbit)
        self.log_det_gram = _log_pdet(self.predict.T, d.quotient)
        symmetric, skew = _matrix_bases(model)
        self.symmetric = self.orbit @ symmetric
        assert self.symmetric.shape[1] == d.symmetric
        self.log_det_symmetric = _log_pdet(self.symmetric) if d.symmetric else 0.0
        self.log_det_residual = _log_pdet(self.orbit @ skew) if skew.size else 0.0

    def generators(self, model):
        """`A_a`, shape `(D, D, k)`, and the largest part of the fields that is not `A_a x`."""
        matrices, constant = _generators(model)
        return matrices, np.max(np.abs(constant), initial=0.0)

    def traces(self, model):
        """`tr(P A_a)` of every generator."""
        u, _, _ = np.linalg.svd(self.orbit)
        horizontal = u[:, model.dimensions.orbit :]
        return np.einsum("ik,jk,jia->a", horizontal, horizontal, _generators(model)[0])

    @property
    def log_volume(self):
        return 0.5 * self.log_det_orbit_gram

    @property
    def log_conditioned_volume(self):
        return 0.5 * (self.log_det_residual - self.log_det_symmetric)


@pytest.fixture(scope="session")
def reference():
    """`reference(model, w)`: dense autodiff values; `reference.predictor_with(...)` makes a w."""
    return Reference
