"""The models under test, and dense autodiff references for their closed forms."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from gaugebias.catalogue import (
    DeepLinear,
    Factorisation,
    HadamardProduct,
    Radial,
    ReLUNeuron,
    SymmetricConjugation,
    SymmetricFactorisation,
)

MODELS = {
    "hadamard-scalar-2": HadamardProduct((), 2),
    "hadamard-scalar-3": HadamardProduct((), 3),
    "hadamard-2-4": HadamardProduct((2,), 4),
    "factors-2-2-2": Factorisation(2, 2, 2),
    "factors-2-3-2": Factorisation(2, 3, 2),
    "factors-4-3-2": Factorisation(4, 3, 2),
    "symmetric-3-3": SymmetricFactorisation(3, 3),
    "symmetric-3-2": SymmetricFactorisation(3, 2),
    "symmetric-2-3": SymmetricFactorisation(2, 3),
    "linear-2-2": DeepLinear(2, 2),
    "linear-2-3": DeepLinear(2, 3),
    "linear-1-3": DeepLinear(1, 3),
    "radial-3": Radial(3),
    "conjugation-3": SymmetricConjugation(3),
    "relu-3": ReLUNeuron(3),
    "relu-1": ReLUNeuron(1),
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
    """A predictor whose singular values (entries, gaps, norm) are among `sizes`, decreasing."""
    rng = np.random.default_rng(seed)
    sizes = np.sort(np.asarray(sizes, float))[::-1]
    if isinstance(model, HadamardProduct):
        n = model.shape[0] if model.shape else 1
        return (sizes[:n] * rng.choice([-1.0, 1.0], size=n)).reshape(model.shape)
    if isinstance(model, Radial):
        return sizes[0]
    if isinstance(model, ReLUNeuron):
        z = rng.normal(size=model.inputs)
        return sizes[0] * z / np.linalg.norm(z)
    if isinstance(model, SymmetricConjugation):
        return rng.normal() + np.cumsum(sizes[: model.dimension])[::-1]
    w = np.asarray(model.from_spectrum(sizes[: min(model.dimensions.quotient, _rank(model))]))
    if isinstance(model, SymmetricFactorisation):
        q = _frame(rng, model.rows)
        matrix = q @ np.asarray(model.matrix(w)) @ q.T
        upper = matrix[np.triu_indices(model.rows, 1)]
        return np.concatenate([np.diag(matrix), np.sqrt(2.0) * upper])
    return _frame(rng, w.shape[0]) @ w @ _frame(rng, w.shape[1])


def _rank(model):
    if isinstance(model, DeepLinear):
        return model.width
    if isinstance(model, SymmetricFactorisation):
        return min(model.rows, model.rank)
    return model.rank


def _fields(model, params):
    """The dense orbit Jacobian, columns in ravel order of the coefficients."""
    zero, unravel = ravel_pytree(
        jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), model.action.algebra(params))
    )
    return jax.jacfwd(lambda c: ravel_pytree(model.action.tangent(params, unravel(c)))[0])(zero)


@functools.lru_cache
def _jacobians(model):
    def evaluate(w):
        params = model.lift(w)
        flat, unravel = ravel_pytree(params)
        predict = jax.jacfwd(lambda x: ravel_pytree(model.invariants(unravel(x)))[0])(flat)
        return flat, _fields(model, params), predict, model.invariants(params)

    return quick_jit(evaluate)


@functools.lru_cache
def _generators(model):
    """The matrices `A_a` of the (linear) fields, `[j, i, a]` for entry `(i, j)`."""
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0)))
    flat, unravel = ravel_pytree(jax.tree.map(lambda s: jnp.zeros(s.shape), shapes))
    columns = quick_jit(jax.vmap(lambda x: _fields(model, unravel(x))))(jnp.eye(flat.size))
    return np.asarray(columns)


def _log_pdet(jacobian, rank):
    """log pdet of `jacobian^T jacobian`, from singular values; the others must vanish."""
    s = np.linalg.svd(jacobian, compute_uv=False)
    assert rank <= s.size
    assert np.all(s[rank:] <= 1e-7 * s[0]), s
    return 2.0 * np.sum(np.log(s[:rank]))


def _matrix_bases(model):
    """Symmetric (orthonormal) and skew (`A_ij = c, A_ji = -c`) coefficients of a GL(r) action."""
    if isinstance(model, (Factorisation, DeepLinear)):
        r = model.rank if isinstance(model, Factorisation) else model.width
        copies = 1 if isinstance(model, Factorisation) else model.depth - 1
        symmetric, skew = [], []
        for i in range(r):
            for j in range(i, r):
                a = np.zeros((r, r))
                a[i, j] += 1.0
                a[j, i] += 1.0
                symmetric.append((a / np.linalg.norm(a)).ravel())
                if i < j:
                    a = np.zeros((r, r))
                    a[i, j], a[j, i] = 1.0, -1.0
                    skew.append(a.ravel())
        bases = [np.array(b).reshape(-1, r * r).T for b in (symmetric, skew)]
        return [np.kron(np.eye(copies), b) for b in bases]
    k = model.dimensions.algebra
    everything, nothing = np.eye(k), np.zeros((k, 0))
    return [everything, nothing] if model.dimensions.symmetric else [nothing, everything]


class Reference:
    """Dense float64 values at `lift(w)`: log determinants by Jacobians, no closed form."""

    predictor_with = staticmethod(predictor_with)
    jit = staticmethod(quick_jit)

    def __init__(self, model, w):
        d = model.dimensions
        values = _jacobians(model)(jnp.asarray(w, jnp.float64))
        self.params, self.orbit, self.predict, self.w = map(np.asarray, values)
        assert self.orbit.shape == (d.parameters, d.algebra)
        assert self.predict.shape == (d.predictor, d.parameters)
        assert d.orbit == d.algebra - d.stabiliser == d.parameters - d.quotient
        self.log_det_orbit_gram = _log_pdet(self.orbit, d.orbit)
        self.log_det_gram = _log_pdet(self.predict.T, d.quotient)
        symmetric, skew = _matrix_bases(model)
        self.symmetric = self.orbit @ symmetric
        assert self.symmetric.shape[1] == d.symmetric
        self.log_det_symmetric = _log_pdet(self.symmetric, d.symmetric) if d.symmetric else 0.0
        residual = self.orbit @ skew
        rank = min(skew.shape[1], d.orbit)
        self.log_det_residual = _log_pdet(residual, rank) if rank else 0.0

    def traces(self, model):
        """`tr(P A_a)` of every generator."""
        u, _, _ = np.linalg.svd(self.orbit)
        horizontal = u[:, model.dimensions.orbit :]
        return np.einsum("ik,jk,jia->a", horizontal, horizontal, _generators(model))

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
