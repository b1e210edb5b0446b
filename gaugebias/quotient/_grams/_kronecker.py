"""The Kronecker sum `C -> U^T U C + C V^T V` through singular values of `U` and `V`.

The frame of GL(r) is `J C = (U C, -V C^T)`, so with `U = P s A^T` and `V = R t B^T` its singular
values are `h_ij = sqrt(s_i^2 + t_j^2)` with right singular vectors `a_i b_j^T`: everything costs
`O((n + m) r^2 + r^3)`, and neither `U^T U` nor a matrix of size `r^2` is formed. A frame below is
the pair `(U, V)`, shapes (n, r) and (m, r); coefficients have shape (r, r).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ._linalg import (
    after,
    finite_or_nan,
    gram_solve_jvp,
    mm,
    projection_jvp,
    rank_tolerance,
    reciprocal,
    thin_svd,
)

Frame = tuple[Array, Array]


class Spectrum(NamedTuple):
    """Singular values and vectors of both factors; `h` those of the frame, `keep` the non-zero."""

    p: Array
    s: Array
    a: Array
    q: Array
    t: Array
    b: Array
    h: Array
    keep: Array


def _sizes(s: Array, t: Array, frame: Frame) -> tuple[Array, Array]:
    h = jnp.hypot(s[:, None], t[None, :])
    rows = frame[0].shape[0] + frame[1].shape[0]
    floor = rank_tolerance((rows, s.shape[0]), s.dtype) * jnp.hypot(s[0], t[0])
    return h, ~(h <= floor)  # NaN is kept, to be seen


def spectrum(frame: Frame) -> Spectrum:
    """Singular values and vectors of the two factors, and of their frame."""
    p, s, a = thin_svd(frame[0])
    q, t, b = thin_svd(after(frame[1], s))
    h, keep = _sizes(s, t, frame)
    return Spectrum(p, s, a, q, t, b, h, keep)


def _values(frame: Frame) -> tuple[Array, Array]:
    """Singular values of the two factors."""
    s = jnp.linalg.svd(frame[0], compute_uv=False)
    t = jnp.linalg.svd(after(frame[1], s), compute_uv=False)
    s, t = (jnp.pad(x, (0, y.shape[1] - x.shape[0])) for x, y in zip((s, t), frame, strict=True))
    return s, t


def apply(frame: Frame, c: Array) -> Frame:
    """`J C = (U C, -V C^T)`."""
    return mm(frame[0], c), -mm(frame[1], c.T)


def transpose(frame: Frame, v: Frame) -> Array:
    """`J^T (X, Y) = U^T X - Y^T V`."""
    return mm(frame[0].T, v[0]) - mm(v[1].T, frame[1])


def rank(frame: Frame) -> Array:
    """Number of non-zero singular values of the frame."""
    return jnp.sum(_sizes(*_values(frame), frame)[1])


def root(frame: Frame, c: Array) -> Array:
    """`S^(1/2) C`."""
    f = spectrum(frame)
    return mm(f.a, f.h * mm(f.a.T, c, f.b), f.b.T)


@jax.custom_jvp
def solve(frame: Frame, c: Array) -> Array:
    """`S^+ C`, differentiable to any order at constant rank."""
    f = spectrum(frame)
    return mm(f.a, reciprocal(f.h, f.keep) ** 2 * mm(f.a.T, c, f.b), f.b.T)


@solve.defjvp
def _solve_jvp(primals, tangents):
    return gram_solve_jvp(solve, apply, transpose, primals, tangents)


@jax.custom_jvp
def project(frame: Frame, v: Frame) -> Frame:
    """`J S^+ J^T v` through singular vectors on both sides: its error does not grow with `S`."""
    f = spectrum(frame)
    inverse = reciprocal(f.h, f.keep)
    cosine, sine = f.s[:, None] * inverse, f.t[None, :] * inverse
    z = cosine * mm(f.p.T, v[0], f.b) - sine * mm(f.a.T, v[1].T, f.q)
    return mm(f.p, cosine * z, f.b.T), -mm(f.q, (sine * z).T, f.a.T)


@project.defjvp
def _project_jvp(primals, tangents):
    return projection_jvp(project, solve, apply, transpose, primals, tangents)


@jax.custom_jvp
def log_det(frame: Frame) -> Array:
    """`log pdet S = sum_ij log(s_i^2 + t_j^2)`, differentiable to any order at constant rank.

    A frame of rank 0 has an empty determinant, 1.
    """
    h, keep = _sizes(*_values(frame), frame)
    return finite_or_nan(_log(h, keep), *frame)


def _log(h: Array, keep: Array) -> Array:
    return 2.0 * jnp.sum(jnp.where(keep, jnp.log(jnp.where(keep, h, 1.0)), 0.0))


@log_det.defjvp
def _log_det_jvp(primals, tangents):
    """`tr(S^+ dS) = 2 <U F, dU> + 2 <V G, dV>`, with the partial traces `F`, `G` of `S^+`."""
    (frame,), (dframe,) = primals, tangents
    value, on_first, on_second = _log_det_and_traces(frame)
    first = jnp.sum(mm(frame[0], on_first) * dframe[0])
    second = jnp.sum(mm(frame[1], on_second) * dframe[1])
    return value, 2.0 * (first + second)


@jax.custom_jvp
def _log_det_and_traces(frame: Frame) -> tuple[Array, Array, Array]:
    """`log pdet S` and the two partial traces of `S^+`, over the right and over the left index."""
    f = spectrum(frame)
    weight = reciprocal(f.h, f.keep) ** 2
    on_first = mm(f.a * jnp.sum(weight, axis=1)[None, :], f.a.T)
    on_second = mm(f.b * jnp.sum(weight, axis=0)[None, :], f.b.T)
    return finite_or_nan(_log(f.h, f.keep), *frame), on_first, on_second


@_log_det_and_traces.defjvp
def _log_det_and_traces_jvp(primals, tangents):
    (frame,), (dframe,) = primals, tangents
    value, on_first, on_second = _log_det_and_traces(frame)
    first = jnp.sum(mm(frame[0], on_first) * dframe[0])
    second = jnp.sum(mm(frame[1], on_second) * dframe[1])
    slopes = _traces_slope(frame, dframe)
    return (value, on_first, on_second), (2.0 * (first + second), *slopes)


@jax.custom_jvp
def _traces_slope(frame: Frame, dframe: Frame) -> tuple[Array, Array]:
    """Derivative of the partial traces along `dframe`, in the singular bases at `frame`.

    No difference of singular values is divided by, so equal ones do no harm.
    """
    f = spectrum(frame)
    g = reciprocal(f.h, f.keep) ** 2
    null = 1.0 - f.keep.astype(g.dtype)

    def moved(left, x, dx, right):  # right^T (dx^T x + x^T dx) right, with x right = left
        half = mm((mm(dx, right)).T, left)
        return half + half.T

    on_left = moved(f.p * f.s[None, :], frame[0], dframe[0], f.a)
    on_right = moved(f.q * f.t[None, :], frame[1], dframe[1], f.b)

    def weights(g, null):
        return mm(g**2, null.T) + mm(null, (g**2).T) - mm(g, g.T)

    first = on_left * weights(g, null) - jnp.diag(mm(g**2, jnp.diagonal(on_right)))
    second = on_right * weights(g.T, null.T) - jnp.diag(mm((g**2).T, jnp.diagonal(on_left)))
    return mm(f.a, first, f.a.T), mm(f.b, second, f.b.T)


@_traces_slope.defjvp
def _traces_slope_jvp(primals, tangents):
    """Third derivatives and above: `r^2` applications of `solve`, `O(r^5)`."""

    def slope(frame, dframe):
        return jax.jvp(_traces_by_solving, (frame,), (dframe,))[1]

    return _traces_slope(*primals), jax.jvp(slope, primals, tangents)[1]


def _traces_by_solving(frame: Frame) -> tuple[Array, Array]:
    r = frame[0].shape[1]
    basis = jnp.eye(r * r, dtype=frame[0].dtype).reshape(r * r, r, r)
    inverse = jax.vmap(lambda c: solve(frame, c))(basis).reshape(r, r, r, r)
    return jnp.einsum("kjij->ik", inverse), jnp.einsum("iaib->ba", inverse)
