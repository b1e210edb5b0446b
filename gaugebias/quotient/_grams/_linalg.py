"""Small linear algebra on frames of orbit directions: always on the frame, never on its Gram."""

from collections.abc import Callable
from functools import partial, reduce

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from ...symmetry._matrices import rank_tolerance


def mm(*matrices: Array) -> Array:
    """Product of matrices, from the left, at full precision on every backend."""
    return reduce(partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST), matrices)


def thin_svd(matrix: Array) -> tuple[Array, Array, Array]:
    """`u, s, v` with `matrix = u @ diag(s) @ v.T`, columns of `v` a full basis, `u` thin.

    A wide matrix is filled up with rows of zeros, so that `s` has one entry for each column. On
    CPU the singular vectors come from the QR algorithm: LAPACK's divide and conquer takes 40 times
    longer from 64 columns on where its threads outnumber the free cores.
    """
    rows, columns = matrix.shape
    filled = jnp.pad(matrix, ((0, max(columns - rows, 0)), (0, 0)))
    algorithms = jax.lax.linalg.SvdAlgorithm
    on_cpu = jax.default_backend() == "cpu"
    u, s, vt = jax.lax.linalg.svd(
        filled,
        full_matrices=False,
        algorithm=algorithms.QR if on_cpu else algorithms.DEFAULT,
    )
    return u[:rows], s, vt.T


def after(matrix: Array, values: Array) -> Array:
    """`matrix`, known to the compiler to need singular `values` of another one, bit for bit.

    On CPUs jaxlib shares a batched decomposition among the threads of the pool that it runs on, and
    waits for them: as many decompositions at once as there are threads, each waiting for threads,
    wait for ever. Two of them on two cores are enough; so they are made one after the other.
    """
    return jnp.where(jnp.isnan(values[0]), jnp.nan, matrix) if values.size else matrix


def reciprocal(x: Array, keep: Array) -> Array:
    """`1 / x` where `keep`, else 0, with finite derivatives."""
    return jnp.where(keep, 1.0 / jnp.where(keep, x, 1.0), 0.0)


def finite_or_nan(value: Array, *inputs: Array) -> Array:
    """`value`, but NaN where an input is not finite: a rank test would hide that."""
    fine = jnp.all(jnp.stack([jnp.all(jnp.isfinite(x)) for x in inputs]))
    return jnp.where(fine, value, jnp.nan)


@jax.custom_jvp
def pseudo_inverse(frame: Float[Array, "D k"]) -> Float[Array, "k D"]:
    """Moore-Penrose inverse, differentiable to any order at constant rank.

    The derivative is Golub and Pereyra's formula in the inverse itself: differentiating the
    singular vectors instead would give NaN at equal singular values.
    """
    u, s, vt = jnp.linalg.svd(frame, full_matrices=False)
    keep = s > rank_tolerance(frame.shape, frame.dtype) * jnp.max(s, initial=0.0)
    return (vt.T * reciprocal(s, keep)[None, :]) @ u.T


@pseudo_inverse.defjvp
def _pseudo_inverse_jvp(primals, tangents):
    (frame,), (dframe,) = primals, tangents
    p = pseudo_inverse(frame)
    row = dframe.T - (dframe.T @ frame) @ p
    column = dframe.T - p @ (frame @ dframe.T)
    return p, -p @ dframe @ p + p @ (p.T @ row) + (column @ p.T) @ p


@jax.custom_jvp
def log_pseudo_det_gram(frame: Float[Array, "D k"]) -> Float[Array, ""]:
    """`log pdet(J^T J)` of a frame `J`, by its singular values.

    Differentiable to any order at constant rank: `d log pdet(J^T J) = 2 tr(J^+ dJ)`.
    A frame of rank 0 has an empty determinant, 1.
    """
    s = jnp.linalg.svd(frame, compute_uv=False)
    keep = (s > rank_tolerance(frame.shape, frame.dtype) * jnp.max(s, initial=0.0)) & (s > 0)
    value = 2.0 * jnp.sum(jnp.where(keep, jnp.log(jnp.where(keep, s, 1.0)), 0.0))
    return finite_or_nan(value, frame)


@log_pseudo_det_gram.defjvp
def _log_pseudo_det_gram_jvp(primals, tangents):
    (frame,), (dframe,) = primals, tangents
    return log_pseudo_det_gram(frame), 2.0 * jnp.sum(pseudo_inverse(frame).T * dframe)


def frame_rank(frame: Float[Array, "D k"]) -> Array:
    """Numerical rank of a frame."""
    s = jnp.linalg.svd(frame, compute_uv=False)
    keep = (s > rank_tolerance(frame.shape, frame.dtype) * jnp.max(s, initial=0.0)) & (s > 0)
    return jnp.sum(keep)


def gram_solve_jvp(
    solve: Callable, apply: Callable, transpose: Callable, primals: tuple, tangents: tuple
) -> tuple[PyTree, PyTree]:
    """Derivative rule of `solve(frame, c) = S^+ c` at constant rank, in `solve` itself.

    `apply(frame, c) = J c` and `transpose(frame, v) = J^T v` are linear in the frame and in their
    argument. With `N = I - S S^+`,
    `d(S^+) = -S^+ dS S^+ + S^+ S^+ dS N + N dS S^+ S^+` (Golub and Pereyra for a symmetric `S`).
    """
    (frame, c), (dframe, dc) = primals, tangents

    def gram(f, x):
        return transpose(f, apply(f, x))

    def moved(x):
        return _plus(transpose(dframe, apply(frame, x)), transpose(frame, apply(dframe, x)))

    x = solve(frame, c)
    null = _minus(c, gram(frame, x))
    turned = moved(solve(frame, x))
    out = solve(frame, _plus(_minus(dc, moved(x)), solve(frame, moved(null))))
    return x, _plus(out, _minus(turned, gram(frame, solve(frame, turned))))


def projection_jvp(
    project: Callable,
    solve: Callable,
    apply: Callable,
    transpose: Callable,
    primals: tuple,
    tangents: tuple,
) -> tuple[PyTree, PyTree]:
    """Derivative rule of `project(frame, v) = Q v`, `Q = J S^+ J^T`, at constant rank.

    `dQ = P dJ J^+ + (P dJ J^+)^T` with `P = I - Q`: no singular vector is differentiated.
    """
    (frame, v), (dframe, dv) = primals, tangents
    along = project(frame, v)
    moved = apply(dframe, solve(frame, transpose(frame, v)))
    back = apply(frame, solve(frame, transpose(dframe, _minus(v, along))))
    out = _plus(project(frame, _minus(dv, moved)), _plus(moved, back))
    return along, out


def _plus(a: PyTree, b: PyTree) -> PyTree:
    return jax.tree.map(jnp.add, a, b)


def _minus(a: PyTree, b: PyTree) -> PyTree:
    return jax.tree.map(jnp.subtract, a, b)


def _solve_frame(frame: Array, c: Array) -> Array:
    inverse = pseudo_inverse(frame)
    return inverse @ (inverse.T @ c)


@jax.custom_jvp
def project_on_frame(frame: Float[Array, "D k"], v: Float[Array, " D"]) -> Float[Array, " D"]:
    """Orthogonal projection of `v` on the span of the columns, differentiable to any order."""
    u, s, _ = jnp.linalg.svd(frame, full_matrices=False)
    keep = s > rank_tolerance(frame.shape, s.dtype) * jnp.max(s, initial=0.0)
    return u @ jnp.where(keep, u.T @ v, 0.0)


@project_on_frame.defjvp
def _project_on_frame_jvp(primals, tangents):
    return projection_jvp(
        project_on_frame, _solve_frame, lambda f, c: f @ c, lambda f, v: f.T @ v, primals, tangents
    )


def _dot(a: Array, b: Array) -> Array:
    return jnp.sum(a * b, axis=0, keepdims=True)


@partial(jax.jit, inline=True)
def orthonormalise(columns: list[Array]) -> list[Array]:
    """Gram-Schmidt, twice, of arrays of shape `(D, *batch)`, each batch index by itself.

    Columns that depend on earlier ones become zero, so the result spans the same space at any
    rank. Written with elementwise products and sums only: under `vmap` with the batch last this
    vectorises over chains, where a LAPACK call for each chain would cost microseconds.
    """
    if not columns:
        return []
    largest = columns[0] * 0
    largest = jnp.sum(largest, axis=0, keepdims=True)
    for column in columns:
        largest = jnp.maximum(largest, _dot(column, column))
    shape = (columns[0].shape[0], len(columns))
    floor = rank_tolerance(shape, columns[0].dtype) ** 2 * largest
    basis: list[Array] = []
    for column in columns:
        for _ in range(2):
            for q in basis:
                column = column - q * _dot(q, column)
        square = _dot(column, column)
        keep = square > floor
        basis.append(column * jnp.where(keep, 1.0 / jnp.sqrt(jnp.where(keep, square, 1.0)), 0.0))
    return basis
