"""The certificate of a deterministic bias: a residual that is 0 at the predicted minimiser."""

from typing import final

import equinox as eqx
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, ArrayLike

from .._parametrisations._parametrisation import check_entries
from ._potential import AbstractPotential, as_float


@final
class Certificate(eqx.Module):
    """What [`gaugebias.flows.certificate`][] measured.

    - `residual`: the part of `grad R(x) - grad R(x_0)` outside of range(A^T), over its length:
        0 at the minimiser, between 0 and 1 otherwise.
    - `absolute`: the same, not divided, in units of dual time.
    - `fit`: `|A x - b|` over `|b|` (over 1 where `b = 0`), each equation divided by the length of
        its row of `A`; NaN where no `b` was given.
    - `multipliers`: least-squares `nu` with `A^T nu = grad R(x) - grad R(x_0)`, shape `(n,)`.
    """

    residual: Array
    absolute: Array
    fit: Array
    multipliers: Array


def check_matrix(A: ArrayLike) -> Array:
    """A finite matrix `(n, d)`; `ValueError` naming `A` otherwise."""
    A = as_float(A)
    if A.ndim != 2:
        raise ValueError(f"`A` must be a matrix (n, d), but has shape {A.shape}.")
    check_entries(jnp.isfinite(A), "A", "must be finite")
    return A


def check_system(A: ArrayLike, b: ArrayLike, *, name: str = "b") -> tuple[Array, Array]:
    """A matrix and a vector that fit together; `ValueError` naming them otherwise."""
    matrix, vector = check_matrix(A), as_float(b)
    if vector.shape != matrix.shape[:1]:
        raise ValueError(
            f"`{name}` must have shape {matrix.shape[:1]}, as `A` has rows, not {vector.shape}."
        )
    check_entries(jnp.isfinite(vector), name, "must be finite")
    return matrix, vector


@final
class RowSpace(eqx.Module):
    """An orthonormal basis of range(A^T), whatever the lengths of the rows of `A`.

    Constraints `A x = b` do not change when a row and its entry of `b` are multiplied by a number:
    `A = diag(lengths) U diag(s) rows` up to rank, the rows divided by their lengths before the
    rank is told. `rows` of shape `(r, d)`, `r = min(n, d)`, with zero rows beyond the numerical
    rank; `kept` says which are not; `lengths` of shape `(n,)`, 1 for rows of zeros; `u` and `s` of
    shapes `(n, r)` and `(r,)`.
    """

    lengths: Array
    u: Array
    s: Array
    rows: Array
    kept: Array

    def __init__(self, A: Array):
        self.lengths = row_lengths(A)
        A = A / self.lengths[:, None]
        u, s, rows = jnp.linalg.svd(A, full_matrices=False)
        least = jnp.finfo(A.dtype).eps * max(A.shape) * jnp.max(s, initial=0.0)
        self.kept = s > least
        self.u = jnp.where(self.kept[None, :], u, 0.0)
        self.rows = jnp.where(self.kept[:, None], rows, 0.0)
        self.s = jnp.where(self.kept, s, 1.0)

    def outside(self, v: Array) -> Array:
        """The part of `v` orthogonal to range(A^T), to rounding."""
        v = v - self.rows.T @ (self.rows @ v)
        return v - self.rows.T @ (self.rows @ v)

    def target(self, b: Array) -> Array:
        """`rows x` where `A x = b`: shape `(r,)`."""
        return jnp.where(self.kept, (self.u.T @ (b / self.lengths)) / self.s, 0.0)

    def multipliers(self, eta: Array) -> Array:
        """The least `nu`, in rows of length 1, with `A^T nu = rows^T eta`: shape `(n,)`."""
        return (self.u @ (eta / self.s)) / self.lengths

    def misfit(self, A: Array, x: Array, b: Array) -> Array:
        """`|A x - b|` over `|b|` (over 1 where `b = 0`), rows divided by their lengths."""
        length = jnp.linalg.norm(b / self.lengths)
        gap = jnp.linalg.norm((A @ x - b) / self.lengths)
        return gap / jnp.where(length > 0, length, 1.0)


def row_lengths(A: Array) -> Array:
    """The lengths of the rows of a matrix, without overflow; 1 for rows of zeros."""
    most = jnp.max(jnp.abs(A), axis=1, initial=0.0)
    most = jnp.where(most > 0, most, 1.0)
    return most * jnp.maximum(jnp.linalg.norm(A / most[:, None], axis=1), 1.0)


@eqx.filter_jit
def _certify(potential, A, x, x0, b) -> Certificate:
    space = RowSpace(A)
    moved = potential.gradient(x) - potential.gradient(x0)
    left, size = jnp.linalg.norm(space.outside(moved)), jnp.linalg.norm(moved)
    residual = jnp.where(size == 0, 0.0, left / jnp.where(size == 0, 1.0, size))
    fit = jnp.full((), jnp.nan, x.dtype) if b is None else space.misfit(A, x, b)
    return Certificate(residual, left, fit, space.multipliers(space.rows @ moved))


def certificate(
    potential: AbstractPotential,
    A: ArrayLike,
    x: ArrayLike,
    start: ArrayLike,
    b: ArrayLike | None = None,
) -> Certificate:
    """Whether `x` is the minimiser of `D_R(z, start)` on `{A z = A x}`, as a residual.

    It is, for a strictly convex `R`, if and only if `grad R(x) - grad R(start)` is in the range of
    `A^T`: no reference solution is needed. Works on what any process ends at.

    **Arguments:**

    - `potential`: `R`.
    - `A`: shape `(n, d)`; rows may be dependent and of any lengths, by which they are divided
        before the rank is told (so a row of rounding errors counts: leave it out, or make it 0).
    - `x`, `start`: shape `(d,)`, inside the domain.
    - `b`: shape `(n,)`, to report the fit as well.

    **Returns:** a [`gaugebias.flows.Certificate`][].

    **Raises:** `ValueError` where shapes do not fit, a point is outside the domain, or the gradient
    is not finite there.

    !!! example

        ```python
        entropy = gb.flows.psi_alpha(0.1)
        found = gb.flows.minimise_bregman(entropy, A, b, start=jnp.zeros(5))
        gb.flows.certificate(entropy, A, found.x, jnp.zeros(5), b).residual     # about 1e-15
        ```
    """
    if b is None:
        matrix, vector = check_matrix(A), None
    else:
        matrix, vector = check_system(A, b)
    point, first = (
        check_point(potential, each, name, matrix) for each, name in ((x, "x"), (start, "start"))
    )
    found = _certify(potential, matrix, point, first, vector)
    if not isinstance(found.absolute, Tracer) and not bool(jnp.isfinite(found.absolute)):
        raise ValueError(
            "`potential` has no finite gradient at `x` or `start`: it does not describe the flow "
            "up to there, as where a weight has reached the end of its branch. Start nearer, or "
            "give the `dual_range` of a map of your own."
        )
    return found


def check_point(potential: AbstractPotential, x: ArrayLike, name: str, A: Array) -> Array:
    """`x` as a vector inside the domain; `ValueError` naming it otherwise."""
    x = as_float(x)
    if x.shape != A.shape[1:]:
        raise ValueError(f"`{name}` must have shape {A.shape[1:]}, as `A` has columns: {x.shape}.")
    inside = potential.contains(x)
    if not isinstance(inside, Tracer) and not bool(jnp.all(inside)):
        raise ValueError(
            f"`{name}` is outside the domain of the potential, {potential.describe_domain()}: its "
            "gradient is not defined there. Start inside, or take a potential with a larger domain."
        )
    return x
