"""Mirror potentials: their gradients, duals and Bregman divergences."""

import abc
from typing import TypeAlias

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike

#: Ends of an open interval, one pair for all coordinates or one for each.
Interval: TypeAlias = tuple[float | Array, float | Array]


def as_float(x: ArrayLike) -> Array:
    """`x` as an array of real floating numbers."""
    x = jnp.asarray(x)
    return x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(jnp.result_type(float))


class AbstractPotential(eqx.Module):
    r"""A strictly convex potential \(R\) on an open set of \(R^d\).

    The mirror flow of \(R\) is \(d \nabla R(x)/dt = -\nabla L(x)\). Its dual variable
    \(s = \nabla R(x)\) moves by the loss gradient alone, so that on `A x = b` it ends at the
    minimiser of [`bregman`][gaugebias.flows.AbstractPotential.bregman]`(z, x_0)`.

    Potentials are fixed up to affine terms, which no Bregman divergence sees.
    """

    @abc.abstractmethod
    def value(self, x: ArrayLike) -> Array:
        """`R(x)`, a scalar: `x` of shape `(d,)` or `()`."""

    @abc.abstractmethod
    def gradient(self, x: ArrayLike) -> Array:
        """`grad R(x)`, the dual point `s`, of the shape of `x`."""

    @abc.abstractmethod
    def from_dual(self, s: ArrayLike) -> Array:
        """The point `x` with `grad R(x) = s`: the gradient of the conjugate; NaN where none has."""

    @abc.abstractmethod
    def conjugate(self, s: ArrayLike) -> Array:
        """`R*(s) = s . x - R(x)` at `x = from_dual(s)`, a scalar, up to a constant."""

    @abc.abstractmethod
    def hessian_apply(self, x: Array, v: Array) -> Array:
        """`hess R(x) v`, of the shape of `x`."""

    @abc.abstractmethod
    def dual_gram(self, s: Array, rows: Array) -> Array:
        """`Q H* Q^T` for `rows` `Q` of shape `(k, d)` and `H* = (hess R)^-1` at the dual `s`."""

    @abc.abstractmethod
    def contains(self, x: ArrayLike) -> Array:
        """Whether `x` is inside the domain, a boolean for each entry (or one for all)."""

    @abc.abstractmethod
    def contains_dual(self, s: ArrayLike) -> Array:
        """Whether `s` is inside the range of the gradient, likewise."""

    @abc.abstractmethod
    def describe_domain(self) -> str:
        """The domain in words, for error messages."""

    def bregman(self, z: ArrayLike, x: ArrayLike) -> Array:
        """`D_R(z, x) = R(z) - R(x) - <grad R(x), z - x>`, a scalar, not negative."""
        z, x = as_float(z), as_float(x)
        return self.value(z) - self.value(x) - jnp.sum(self.gradient(x) * (z - x))


class AbstractSeparablePotential(AbstractPotential):
    """A potential `R(x) = sum_i F_i(x_i)` on a box."""

    @property
    @abc.abstractmethod
    def domain(self) -> Interval:
        """Ends of the open interval of each coordinate."""

    @property
    @abc.abstractmethod
    def dual_domain(self) -> Interval:
        """Ends of the range of `F'`."""

    @property
    @abc.abstractmethod
    def legendre(self) -> bool:
        """Whether `|F'|` grows without bound at every finite end of the domain.

        If not, a flow can reach such an end, where the potential no longer describes it.
        """

    @abc.abstractmethod
    def terms(self, x: ArrayLike) -> Array:
        """`F_i(x_i)`, of the shape of `x`."""

    @abc.abstractmethod
    def curvature(self, x: ArrayLike) -> Array:
        """`F_i''(x_i)`, of the shape of `x`."""

    @abc.abstractmethod
    def dual_curvature(self, s: ArrayLike) -> Array:
        """`(F_i*)''(s_i) = 1 / F_i''(x_i)` at `x = from_dual(s)`, of the shape of `s`."""

    @abc.abstractmethod
    def conjugate_terms(self, s: ArrayLike) -> Array:
        """`F_i*(s_i)`, of the shape of `s`, each up to a constant."""

    def value(self, x: ArrayLike) -> Array:
        return jnp.sum(self.terms(x))

    def conjugate(self, s: ArrayLike) -> Array:
        return jnp.sum(self.conjugate_terms(s))

    def hessian_apply(self, x: Array, v: Array) -> Array:
        return self.curvature(x) * v

    def dual_gram(self, s: Array, rows: Array) -> Array:
        return (rows * self.dual_curvature(s)[None, :]) @ rows.T

    def contains(self, x: ArrayLike) -> Array:
        low, high = self.domain
        return (as_float(x) > low) & (as_float(x) < high)

    def contains_dual(self, s: ArrayLike) -> Array:
        low, high = self.dual_domain
        return (as_float(s) > low) & (as_float(s) < high)

    def describe_domain(self) -> str:
        low, high = (jnp.asarray(end) for end in self.domain)
        if low.ndim or high.ndim:
            return "a box"
        return f"the open interval ({float(low):g}, {float(high):g})"
