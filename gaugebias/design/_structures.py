"""Penalties of several coordinates: sums over entries, linear transforms, norms."""

import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike

from ._penalties import L1, AbstractPenalty, Lp


class Linear(eqx.Module):
    """`sum_i penalty((D w)_i)` for a matrix `D` of full row rank; `w` a vector.

    The law is `exp(-(l + R)/T) dw` with `d = D w` as coordinates; directions that `D` does not
    see are left free.

    **Arguments:** `penalty` of one coordinate; `analysis`, the matrix `D`, shape `(p, n)`; `name`,
    what `d_i` is, for formulas.
    """

    penalty: AbstractPenalty
    analysis: np.ndarray
    name: str = eqx.field(static=True)

    def __init__(self, penalty: AbstractPenalty, analysis: Any, name: str = "d_i = (D w)_i"):
        self.penalty, self.name = _of_one(penalty), str(name)
        matrix = np.asarray(analysis, np.float64)
        if matrix.ndim != 2 or not np.all(np.isfinite(matrix)):
            raise ValueError("`analysis` must be a matrix of finite numbers, shape (p, n).")
        p, n = matrix.shape
        rank = np.linalg.matrix_rank(matrix)
        if rank < p:
            raise ValueError(
                f"`analysis` has {p} rows of rank {rank}: coordinates that depend on each other "
                "cannot be given laws one by one; leave rows out, or use a norm "
                "(`Norm(penalty, norm)`), which needs no coordinates."
            )
        self.analysis = matrix

    def __call__(self, w: Array) -> Array:
        return jnp.sum(jax.vmap(self.penalty)(jnp.asarray(self.analysis, w.dtype) @ w))

    @property
    def formula(self) -> str:
        return f"sum over i of {self.penalty.text('d_i')}, {self.name}"


def TotalVariation(weight: ArrayLike = 1.0, length: int = 2, *, p: float = 1.0, scale: float = 0.0):
    """`weight sum_i |w_(i+1) - w_i|^p`, smoothed at `scale`; the level `w_1` is free.

    A `Linear` penalty of vectors of `length` entries.
    """
    if isinstance(length, bool) or not isinstance(length, int | np.integer) or length < 2:
        raise ValueError(f"`length` must be an integer of at least 2, but is {length!r}.")
    steps = np.diff(np.eye(int(length)), axis=0)
    return Linear(Lp(p, weight, scale), steps, "d_i = w_(i+1) - w_i")


class Norm(eqx.Module):
    """`penalty(|w|)` of any norm or gauge of a vector or matrix; over leading axes a sum.

    **Arguments:**

    - `penalty`: of one coordinate, used at sizes `>= 0`.
    - `norm`: a traceable function of one point of shape `core`, positive, with
        `norm(c w) = c norm(w)` for `c > 0` (checked).
    - `core`: number of trailing axes of a point that the norm takes.
    - `name`: for formulas.
    """

    penalty: AbstractPenalty
    norm: Callable
    core: int = eqx.field(static=True)
    name: str = eqx.field(static=True)

    def __init__(self, penalty: AbstractPenalty, norm: Callable, core: int = 1, name: str = "|w|"):
        self.penalty = _of_one(penalty)
        if not callable(norm):
            raise ValueError("`norm` must be a function of one vector or matrix.")
        if self.penalty.lower > 0.0 or math.isfinite(self.penalty.upper):
            raise ValueError("`penalty` must be defined at all sizes from 0 to infinity.")
        self.norm, self.core, self.name = norm, int(core), str(name)

    def __call__(self, w: Array) -> Array:
        groups = w.reshape(-1, *w.shape[w.ndim - self.core :])
        return jnp.sum(jax.vmap(lambda x: self.penalty(self.norm(x)))(groups))

    @property
    def formula(self) -> str:
        text = self.penalty.text("N").replace("log|N|", "log N").replace("|N|", "N")
        return f"{text}, N = {self.name}"


def euclidean_norm(w: Array) -> Array:
    """`|w|`, with gradient 0 at 0."""
    square = jnp.sum(jnp.square(w))
    positive = square > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, square, 1.0)), 0.0)


def nuclear_norm(w: Array) -> Array:
    """The sum of the singular values of a matrix."""
    return jnp.sum(jnp.linalg.svd(w, compute_uv=False))


class SchattenGauge(eqx.Module):
    """`(sum s_i^p)^(1/p)` of the singular values; for `p < 1` a gauge, not a norm."""

    p: float = eqx.field(static=True)

    def __call__(self, w: Array) -> Array:
        s = jnp.linalg.svd(w, compute_uv=False)
        return jnp.sum(s**self.p) ** (1.0 / self.p)


def Group(penalty: AbstractPenalty | None = None) -> Norm:
    """Group sparsity: `sum_g penalty(|w_g|)` over the leading axes, `w_g` the last axis.

    The default is the group lasso, `L1()`.
    """
    return Norm(L1() if penalty is None else penalty, euclidean_norm, 1, "|w_g|")


def Nuclear(penalty: AbstractPenalty | None = None) -> Norm:
    """A penalty of the nuclear norm `sum_i s_i` of matrices; default `L1()`.

    The law is `exp(-(l + R)/T) dW`: that of the singular values of `n x m` matrices has the factor
    `prod s_i^|n-m| prod_(i<j) |s_i^2 - s_j^2|` (`gaugebias.laws.spectral` adds it).
    """
    return Norm(L1() if penalty is None else penalty, nuclear_norm, 2, "|W|_*")


def Schatten(p: float, weight: ArrayLike = 1.0) -> Norm:
    """`weight sum_i s_i^p` of the singular values of matrices, 0 < p <= 2."""
    return Norm(Lp(p, weight, 0.0), SchattenGauge(float(p)), 2, f"(sum s_i^{p:g})^{1 / p:g}")


def _of_one(penalty: object) -> AbstractPenalty:
    if not isinstance(penalty, AbstractPenalty):
        raise ValueError(
            f"`penalty` must be one of one coordinate, such as `L1(0.1)` or `Penalty(fn)`, but is "
            f"{penalty!r}."
        )
    return penalty
