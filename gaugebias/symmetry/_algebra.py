"""The Lie algebra behind an action: brackets, its compact part, conserved quantities, stabilisers.

Dense tools, for checks and for small groups: they hold the k generators as matrices on the D
parameters, `k (D + 1)^2` numbers. They need concrete parameters, except where they say otherwise:
ranks and null spaces are found on the host.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.flatten_util import ravel_pytree

from .._types import Array, Params, PyTree, Where
from ._action import (
    AbstractAction,
    algebra_dimension,
    generator_name,
    orbit_jacobian,
    unravel_coefficients,
)
from ._fields import field_jacobians
from ._leaves import is_moving, moving_part, select, with_moving
from ._matrices import rank_tolerance


def _tolerance(dtype) -> float:
    return float(jnp.finfo(dtype).eps) ** 0.5


def _stacked(action: AbstractAction, params: Params, rows: np.ndarray) -> PyTree:
    """Rows of raveled coefficients as one coefficient pytree with a leading axis."""
    algebra = action.algebra(params)
    return jax.vmap(lambda row: unravel_coefficients(algebra, row))(jnp.asarray(rows))


@eqx.filter_jit
def _matrices(action: AbstractAction, params: Params) -> tuple[Array, Array]:
    """Homogeneous matrices at `params`, and how far each field is from affine at other points."""
    flat, unravel = ravel_pytree(moving_part(params))

    def fields(x: Array) -> Array:
        return orbit_jacobian(action, with_moving(params, unravel(x))).T

    linear = field_jacobians(action, params)
    here = fields(flat)
    shift = here - jnp.einsum("aij,j->ai", linear, flat)
    size = jnp.sqrt(jnp.mean(flat**2)) + 1.0 * jnp.all(flat == 0)
    steps = 0.5 * size * jax.random.normal(jax.random.key(0), (2, flat.size), flat.dtype)
    remainder = jnp.zeros((), flat.dtype)
    for step in steps:
        there = fields(flat + step)
        off = there - here - jnp.einsum("aij,j->ai", linear, step)
        scale = jnp.linalg.norm(there, axis=1) + jnp.linalg.norm(here, axis=1)
        remainder = jnp.maximum(
            remainder, jnp.linalg.norm(off, axis=1) / jnp.where(scale > 0, scale, 1.0)
        )
    top = jnp.concatenate([linear, shift[:, :, None]], axis=2)
    return jnp.pad(top, ((0, 0), (0, 1), (0, 0))), remainder


def generator_matrices(action: AbstractAction, params: Params) -> Array:
    r"""The generators as matrices in homogeneous coordinates \((\theta, 1)\).

    The field of generator a is \(X_a(\theta) = A_a \theta + b_a\); its matrix is
    \([[A_a, b_a], [0, 0]]\). The matrices do not depend on the point.

    **Arguments:** the action and a parameter point (concrete; D entries in its floating leaves).

    **Returns:** shape (k, D + 1, D + 1), in the order of
    [`generator_name`][gaugebias.symmetry.generator_name]. The last column is zero for a linear
    action.

    **Raises:** `ValueError` where `params` is traced, and where a field is not affine in the
    parameters: which, and by how much.
    """
    if any(isinstance(x, Tracer) for x in jax.tree.leaves((action, params))):
        raise ValueError(
            "`params` is traced: the tools on Lie algebras test numbers, so call them outside "
            "`jax.jit`, `jax.vmap` and `jax.grad`."
        )
    matrices, remainder = _matrices(action, params)
    if remainder.size and not float(jnp.max(remainder)) < 10 * _tolerance(matrices.dtype):
        worst = int(jnp.argmax(jnp.where(jnp.isnan(remainder), jnp.inf, remainder)))
        raise ValueError(
            f"`action` is not affine in the parameters: the field of "
            f"{generator_name(action, params, worst)} leaves a relative remainder of "
            f"{float(remainder[worst]):.2e}. Its generators are no matrices; use other parameters "
            "in which it is affine."
        )
    return matrices


def _rows(matrices: np.ndarray) -> np.ndarray:
    """Each matrix as one row; there may be no matrix at all."""
    return matrices.reshape(len(matrices), int(np.prod(matrices.shape[1:])))


class _Span(NamedTuple):
    """An orthonormal basis of matrices, shape (N^2, r), and coefficients that lead there."""

    matrices: np.ndarray
    basis: np.ndarray
    coefficients: np.ndarray
    pseudo_inverse: np.ndarray

    def outside(self, others: np.ndarray) -> np.ndarray:
        """Norms of the parts of `others`, shape (n, N, N), outside the span."""
        flat = _rows(others)
        return np.linalg.norm(flat - (flat @ self.basis) @ self.basis.T, axis=1)

    def independent(self) -> np.ndarray:
        """Matrices of the orthonormal coefficients, shape (r, N, N)."""
        return np.tensordot(self.coefficients, self.matrices, 1)


def _span(action: AbstractAction, params: Params) -> _Span:
    matrices = np.asarray(generator_matrices(action, params))
    k = len(matrices)
    u, s, vt = np.linalg.svd(_rows(matrices).T, full_matrices=False)
    floor = rank_tolerance((k, matrices.shape[1]), s.dtype) * np.max(s, initial=0.0)
    r = int(np.sum(s > floor))
    return _Span(matrices, u[:, :r], vt[:r], (vt[:r].T / s[None, :r]) @ u[:, :r].T)


def _relative(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return part / np.where(whole > 0, whole, 1.0)


def _brackets(span: _Span) -> tuple[np.ndarray, np.ndarray]:
    """Structure constants, and the relative remainder of each bracket outside the span."""
    m = span.matrices
    sizes = np.linalg.norm(m, axis=(1, 2))
    constants = np.zeros((len(m),) * 3, m.dtype)
    remainder = np.zeros((len(m),) * 2, m.dtype)
    for a, matrix in enumerate(m):
        bracket = matrix @ m - m @ matrix
        constants[a] = _rows(bracket) @ span.pseudo_inverse.T
        remainder[a] = _relative(span.outside(bracket), 2.0 * sizes[a] * sizes)
    return constants, remainder


def structure_constants(action: AbstractAction, params: Params) -> Array:
    r"""\(f_{abc}\) with \([A_a, A_b] = \sum_c f_{abc} A_c\), the commutator of the matrices.

    The bracket of the vector fields, \(DX_b[X_a] - DX_a[X_b]\), has the opposite sign. Where
    generators are linearly dependent, the constants of least norm.

    **Arguments:** the action and a parameter point, as `generator_matrices`.

    **Returns:** shape (k, k, k).

    **Raises:** `ValueError` as `generator_matrices`, and where a bracket leaves the span of the
    generators: which, and by how much. The generators then do not form a Lie algebra.
    """
    constants, remainder = _brackets(_span(action, params))
    worst = float(np.max(remainder, initial=0.0))
    if worst > _tolerance(remainder.dtype):
        a, b = divmod(int(np.argmax(remainder)), len(remainder))
        raise ValueError(
            f"`action` is not closed: the bracket of {generator_name(action, params, a)} and "
            f"{generator_name(action, params, b)} leaves the span of the generators (relative "
            f"remainder {worst:.2e}). Add it to the generators."
        )
    return jnp.asarray(constants)


def closure_residual(action: AbstractAction, params: Params) -> Array:
    r"""Largest part of a bracket outside the span: 0 to rounding for a Lie algebra, at most 1.

    Relative to twice the product of the Frobenius norms of the two generators. A scalar.

    **Raises:** `ValueError` as `generator_matrices`.
    """
    return jnp.asarray(np.max(_brackets(_span(action, params))[1], initial=0.0))


def killing_form(action: AbstractAction, params: Params) -> Array:
    r"""\(B_{ab} = \mathrm{tr}(\mathrm{ad}_a \mathrm{ad}_b) = \sum_{cd} f_{acd} f_{bdc}\).

    Negative on a compact semisimple algebra, degenerate exactly where the algebra is not
    semisimple (its null space holds the centre), zero for commuting generators.

    **Returns:** shape (k, k).

    **Raises:** `ValueError` as `structure_constants`.

    !!! Example

        ```python
        killing_form(Orthogonal("0"), (jnp.ones(3),))  # -2 I: so(3)
        ```
    """
    f = structure_constants(action, params)
    return jnp.einsum("acd,bdc->ab", f, f)


class CompactSplit(NamedTuple):
    """A basis of each part, as coefficient pytrees with a leading axis.

    - `compact`: generators with an antisymmetric matrix, which rotate the parameters.
    - `non_compact`: generators with a symmetric matrix, each with a moment map.
    """

    compact: PyTree
    non_compact: PyTree


def _null_space(matrix: np.ndarray, floor: float) -> np.ndarray:
    """Orthonormal rows spanning what `matrix` sends below `floor`."""
    if len(matrix) > matrix.shape[1] > 0:
        matrix = np.asarray(np.linalg.qr(matrix, mode="r"))
    _, s, vt = np.linalg.svd(matrix, full_matrices=True)
    return vt[int(np.sum(s > floor)) :]


def compact_split(action: AbstractAction, params: Params) -> CompactSplit:
    r"""The antisymmetric and the symmetric part of an algebra closed under transpose.

    Such an algebra is the direct sum of the two (the Cartan decomposition of GL(r) into rotations
    and symmetric matrices, for example). Coefficients are orthonormal; generators that act
    trivially are left out.

    **Arguments:** the action and a parameter point, as `generator_matrices`.

    **Returns:** a [`CompactSplit`][gaugebias.symmetry.CompactSplit].

    **Raises:** `ValueError` as `generator_matrices`, and where the algebra is not closed under
    transpose: which generator, and by how much. Such an algebra does not split.
    """
    span = _span(action, params)
    _require_in_span(
        action,
        params,
        span,
        np.swapaxes(span.matrices, 1, 2),
        "is not closed under transpose: that of",
        "so it does not split into a compact and a non-compact part",
    )
    full = span.independent()
    sizes = np.linalg.norm(full, axis=(1, 2))
    floor = _tolerance(full.dtype) * float(np.max(sizes, initial=0.0))
    parts = []
    for sign in (1.0, -1.0):
        kept = _rows(full + sign * np.swapaxes(full, 1, 2)).T
        parts.append(_stacked(action, params, _null_space(kept, floor) @ span.coefficients))
    return CompactSplit(*parts)


def _require_in_span(
    action: AbstractAction, params: Params, span: _Span, others: np.ndarray, what: str, so: str
) -> None:
    sizes = np.linalg.norm(span.matrices, axis=(1, 2))
    remainder = _relative(span.outside(others), sizes)
    worst = int(np.argmax(remainder)) if remainder.size else 0
    if remainder.size and remainder[worst] > _tolerance(remainder.dtype):
        raise ValueError(
            f"`action` {what} {generator_name(action, params, worst)} leaves the algebra (relative "
            f"remainder {remainder[worst]:.2e}), {so}."
        )


def conserved_quantities(action: AbstractAction, params: Params) -> PyTree:
    r"""What gradient flow of an invariant loss conserves: Noether's theorem.

    Along \(\dot\theta = -\nabla L\) with L invariant, every symmetric generator conserves
    \(\theta^\top A \theta\), whose rate is \(-2 X_A \cdot \nabla L = 0\); a translation b conserves
    \(2 b^\top \theta\) by the same reasoning. In general
    \(\theta^\top A_a \theta + 2 b_a^\top \theta\) for generator a: for GL(r) the matrix
    \(U^\top U - V^\top V\), for rescalings the differences of squared norms, identically zero for
    rotations. Twice the moment map where there is one.

    **Arguments:** the action and a parameter point. Where `params` is traced (inside `jax.jit`, an
    ODE solver) the conditions are not checked.

    **Returns:** a coefficient pytree, one number for each generator.

    **Raises:** `ValueError` as `generator_matrices`, and where the symmetric part of a generator
    is not in the algebra (as for triangular matrices): it then belongs to no symmetry.
    """
    if not any(isinstance(x, Tracer) for x in jax.tree.leaves((action, params))):
        span = _span(action, params)
        symmetric = span.matrices.copy()
        symmetric[:, :-1, :-1] += np.swapaxes(symmetric[:, :-1, :-1], 1, 2).copy()
        symmetric[:, :-1, :-1] /= 2.0
        _require_in_span(
            action,
            params,
            span,
            symmetric,
            "is not closed under transpose: the symmetric part of",
            "so gradient flow conserves no quadratic form for it",
        )
    moving = moving_part(params)
    origin = with_moving(params, jax.tree.map(jnp.zeros_like, moving))
    return jax.tree.map(jnp.add, action.cotangent(params, moving), action.cotangent(origin, moving))


def effective_subalgebra(action: AbstractAction, params: Params, where: Where) -> PyTree:
    r"""The generators that move the leaves `where` and nothing else.

    The symmetry left when every other leaf is frozen at its value in `params`: the coefficients c
    for which the tangent \(X_c\) vanishes off `where`, whatever the values at `where`, modulo
    those that then move nothing at all. Freezing one factor of \(U V^\top\) leaves nothing of
    GL(r), unless its columns are dependent.

    **Arguments:** the action, a parameter point, and `where`, the leaves: a function, a path string
    or a tuple of them.

    **Returns:** orthonormal coefficients as one coefficient pytree; the leading axis has the
    dimension of the effective group, 0 where nothing is left.

    **Raises:** `ValueError` as `generator_matrices`, and where `where` names no floating leaf.

    !!! Example

        ```python
        act = Product(Rescaling("0", "1"), Rescaling("1", "2"))
        params = (jnp.ones(3), jnp.ones(3), jnp.ones(3))
        effective_subalgebra(act, params, ("0", "1"))  # a tuple of arrays of shape (3, 3)
        ```
    """
    (slots,) = select(params, (where, None, "where"))
    chosen = {slot.index for slot in slots}
    span = _span(action, params)
    leaves = [(i, x) for i, x in enumerate(jax.tree.leaves(params)) if is_moving(x)]
    free = np.concatenate([np.full(x.size, i in chosen) for i, x in leaves])
    flat = np.asarray(ravel_pytree(moving_part(params))[0])
    frozen = np.append(np.where(free, 0.0, flat), 1.0).astype(flat.dtype)
    full = span.independent()[:, :-1]

    def motion(of: np.ndarray) -> np.ndarray:
        """What each generator does to the entries `of`, for all values of the free ones."""
        rows = full[:, of]
        slopes = _rows(rows[:, :, :-1][:, :, free])
        return np.concatenate([rows @ frozen, slopes], axis=1).T

    size = np.max(np.abs(frozen)) * np.max(np.abs(span.matrices), initial=0.0)
    floor = _tolerance(full.dtype) * float(size)
    kept = _null_space(motion(~free), floor)
    idle = _null_space(motion(free) @ kept.T, floor)
    effective = _null_space(idle, 0.5) @ kept
    return _stacked(action, params, effective @ span.coefficients)


def stabiliser_dimension(action: AbstractAction, params: Params) -> Array:
    """How many independent generators leave `params` where it is: k minus the orbit's dimension.

    SO(3) on a vector of three entries: 1. Counts generators that act trivially everywhere too. An
    integer scalar, from the singular values of the dense frame; can be jitted and vmapped, and
    needs no affine fields.
    """
    frame = orbit_jacobian(action, params)
    s = jnp.linalg.svd(frame, compute_uv=False)
    floor = rank_tolerance(frame.shape, frame.dtype) * jnp.max(s, initial=0.0)
    return algebra_dimension(action, params) - jnp.sum((s > floor) & (s > 0))
