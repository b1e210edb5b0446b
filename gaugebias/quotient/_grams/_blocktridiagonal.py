"""Block tridiagonal Grams through an orthogonal factorisation of their block bidiagonal frame.

Columns come in blocks 1..B. A row meets one block, or two that are neighbours. A frame below is
the pair `(own, shared)`: `own[p]`, shape (d_p, k_p), are the rows of block p alone; `shared[p]`,
shapes (e_p, k_p) and (e_p, k_{p+1}), those of blocks p and p+1. Householder reflections give
`S = R^T R` with `R` block bidiagonal, so no Gram is formed. Costs are `O(sum_p d_p k_p^2)`, memory
that of the rows. Coefficients are tuples of vectors of lengths k_p.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array

from ._linalg import (
    finite_or_nan,
    frame_rank,
    gram_solve_jvp,
    log_pseudo_det_gram,
    mm,
    projection_jvp,
    pseudo_inverse,
    rank_tolerance,
)

Frame = tuple[tuple[Array, ...], tuple[tuple[Array, Array], ...]]
Blocks = tuple[Array, ...]


class Factor(NamedTuple):
    """Diagonal blocks and the blocks beside them of the triangular `R`, and whether it inverts."""

    diagonal: Blocks
    beside: Blocks
    regular: Array


def factorise(frame: Frame) -> Factor:
    """`R` of the frame. Its smallest diagonal entry tells whether `S` is singular."""
    own, shared = frame
    sizes = [block.shape[1] for block in own]
    diagonal, beside = [], []
    carry = jnp.zeros((0, sizes[0]), own[0].dtype)
    for p, k in enumerate(sizes):
        following = sizes[p + 1] if p + 1 < len(sizes) else 0
        top = jnp.concatenate([carry, own[p]])
        rows = jnp.pad(top, ((0, 0), (0, following)))
        if following:
            rows = jnp.concatenate([rows, jnp.concatenate(shared[p], axis=1)])
        rows = jnp.pad(rows, ((0, max(k + following - rows.shape[0], 0)), (0, 0)))
        r = jnp.linalg.qr(rows, mode="r")
        diagonal.append(r[:k, :k])
        beside.append(r[:k, k:])
        carry = r[k:, k:]
    entries = jnp.abs(jnp.concatenate([jnp.diagonal(r) for r in diagonal]))
    longest = jnp.sqrt(jnp.max(jnp.concatenate(_squared_lengths(frame))))
    floor = rank_tolerance((sum(sizes),), entries.dtype) * longest
    return Factor(tuple(diagonal), tuple(beside[:-1]), jnp.min(entries) > floor)


def _squared_lengths(frame: Frame) -> list[Array]:
    own, shared = frame
    out = [jnp.sum(x**2, axis=0) for x in own]
    for p, (left, right) in enumerate(shared):
        out[p] = out[p] + jnp.sum(left**2, axis=0)
        out[p + 1] = out[p + 1] + jnp.sum(right**2, axis=0)
    return out


def triangle(factor: Factor) -> Array:
    """`R` as a dense matrix, shape (k, k)."""
    sizes = [block.shape[0] for block in factor.diagonal]
    rows = []
    for p, block in enumerate(factor.diagonal):
        row = [jnp.zeros((sizes[p], k), block.dtype) for k in sizes]
        row[p] = block
        if p + 1 < len(sizes):
            row[p + 1] = factor.beside[p]
        rows.append(jnp.concatenate(row, axis=1))
    return jnp.concatenate(rows)


def dense(frame: Frame) -> Array:
    """The frame as one matrix, rows of block 1, rows shared by 1 and 2, rows of block 2, ..."""
    own, shared = frame
    sizes = [block.shape[1] for block in own]
    rows = []

    def padded(blocks: tuple[Array, ...], first: int) -> Array:
        before, width = sum(sizes[:first]), sum(block.shape[1] for block in blocks)
        after = sum(sizes) - before - width
        return jnp.pad(jnp.concatenate(blocks, axis=1), ((0, 0), (before, after)))

    for p, block in enumerate(own):
        rows.append(padded((block,), p))
        if p < len(shared):
            rows.append(padded(shared[p], p))
    return jnp.concatenate(rows)


def _undense(matrix: Array, like: Frame) -> Frame:
    """The blocks of `matrix` at the places of those of `like`: the transpose of `dense`."""
    (out,) = jax.linear_transpose(dense, like)(matrix)
    return out


def _split(vector: Array, like: Blocks) -> Blocks:
    ends = [sum(x.shape[0] for x in like[: p + 1]) for p in range(len(like) - 1)]
    return tuple(jnp.split(vector, ends))


def apply(frame: Frame, c: Blocks) -> tuple[Blocks, Blocks]:
    """`J c`: the rows of single blocks, and the rows shared."""
    own, shared = frame
    both = (mm(left, c[p]) + mm(right, c[p + 1]) for p, (left, right) in enumerate(shared))
    return tuple(mm(x, c[p]) for p, x in enumerate(own)), tuple(both)


def transpose(frame: Frame, v: tuple[Blocks, Blocks]) -> Blocks:
    """`J^T v`."""
    own, shared = frame
    out = [mm(x.T, v[0][p]) for p, x in enumerate(own)]
    for p, (left, right) in enumerate(shared):
        out[p] = out[p] + mm(left.T, v[1][p])
        out[p + 1] = out[p + 1] + mm(right.T, v[1][p])
    return tuple(out)


def rank(frame: Frame) -> Array:
    """Numerical rank."""
    f = factorise(frame)
    k = sum(block.shape[0] for block in f.diagonal)
    return jax.lax.cond(
        f.regular, lambda _: jnp.asarray(k), lambda x: jnp.asarray(frame_rank(x), int), triangle(f)
    )


def root(frame: Frame, c: Blocks) -> Blocks:
    """`S^(1/2) c` from the singular values of `R`, `O(k^3)`: the root has no structure."""
    _, s, vt = jnp.linalg.svd(triangle(factorise(frame)))
    return _split(mm(vt.T, s * mm(vt, jnp.concatenate(c))), c)


def _substitute(f: Factor, c: Blocks) -> Blocks:
    """`R^-1 R^-T c`."""
    forward: list[Array] = []
    for p, r in enumerate(f.diagonal):
        right = c[p] - mm(f.beside[p - 1].T, forward[-1]) if p else c[p]
        forward.append(solve_triangular(r, right, trans=1))
    out: list[Array] = []
    for p in reversed(range(len(c))):
        right = forward[p] - mm(f.beside[p], out[-1]) if out else forward[p]
        out.append(solve_triangular(f.diagonal[p], right))
    return tuple(reversed(out))


def _solve_with(f: Factor, c: Blocks) -> Blocks:
    def singular(operands):
        factor, right = operands
        inverse = pseudo_inverse(triangle(factor))
        return _split(mm(inverse, mm(inverse.T, jnp.concatenate(right))), right)

    return jax.lax.cond(f.regular, lambda x: _substitute(*x), singular, (f, c))


@jax.custom_jvp
def solve(frame: Frame, c: Blocks) -> Blocks:
    """`S^+ c`, differentiable to any order at constant rank."""
    return _solve_with(factorise(frame), c)


@solve.defjvp
def _solve_jvp(primals, tangents):
    return gram_solve_jvp(solve, apply, transpose, primals, tangents)


@jax.custom_jvp
def project(frame: Frame, v: tuple[Blocks, Blocks]) -> tuple[Blocks, Blocks]:
    """`J S^+ J^T v` by seminormal equations, corrected once (then as good as `Q Q^T`)."""
    f = factorise(frame)
    once = apply(frame, _solve_with(f, transpose(frame, v)))
    rest = jax.tree.map(jnp.subtract, v, once)
    return jax.tree.map(jnp.add, once, apply(frame, _solve_with(f, transpose(frame, rest))))


@project.defjvp
def _project_jvp(primals, tangents):
    return projection_jvp(project, solve, apply, transpose, primals, tangents)


@jax.custom_jvp
def log_det(frame: Frame) -> Array:
    """`log pdet S`, differentiable to any order at constant rank.

    The gradient has the cost of the value, second derivatives that of a dense pseudo-inverse.
    """
    f = factorise(frame)

    def regular(g: Factor) -> Array:
        entries = jnp.concatenate([jnp.diagonal(r) for r in g.diagonal])
        return 2.0 * jnp.sum(jnp.log(jnp.abs(entries)))

    value = jax.lax.cond(f.regular, regular, lambda g: log_pseudo_det_gram(triangle(g)), f)
    return finite_or_nan(value, *jax.tree.leaves(frame))


@log_det.defjvp
def _log_det_jvp(primals, tangents):
    (frame,), (dframe,) = primals, tangents
    products = jax.tree.map(lambda x, dx: jnp.sum(x * dx), _slope(frame), dframe)
    return log_det(frame), 2.0 * jnp.sum(jnp.stack(jax.tree.leaves(products)))


@jax.custom_jvp
def _slope(frame: Frame) -> Frame:
    """The blocks of `J S^+ = (J^+)^T` at the places of those of `J`."""
    return jax.lax.cond(factorise(frame).regular, _selected, _dense_slope, frame)


@_slope.defjvp
def _slope_jvp(primals, tangents):
    return _slope(*primals), jax.jvp(_dense_slope, primals, tangents)[1]


def _dense_slope(frame: Frame) -> Frame:
    return _undense(pseudo_inverse(dense(frame)).T, frame)


def _selected(frame: Frame) -> Frame:
    """From the blocks of `S^-1` on and beside its diagonal, found from the last to the first."""
    own, shared = frame
    f = factorise(frame)
    on: list[Array] = [jnp.zeros((0, 0))] * len(own)
    beside: list[Array] = [jnp.zeros((0, 0))] * len(shared)
    for p in reversed(range(len(own))):
        r = f.diagonal[p]
        inverse = solve_triangular(r, jnp.eye(r.shape[0], dtype=r.dtype))
        on[p] = mm(inverse, inverse.T)
        if p < len(shared):
            step = mm(inverse, f.beside[p])
            beside[p] = -mm(step, on[p + 1])
            on[p] = on[p] - mm(beside[p], step.T)
    singles = tuple(mm(x, on[p]) for p, x in enumerate(own))
    doubles = tuple(
        (
            mm(left, on[p]) + mm(right, beside[p].T),
            mm(left, beside[p]) + mm(right, on[p + 1]),
        )
        for p, (left, right) in enumerate(shared)
    )
    return singles, doubles
