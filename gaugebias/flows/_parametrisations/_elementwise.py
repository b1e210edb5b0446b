"""Elementwise parametrisations and their potentials."""

import abc
from typing import final

from jaxtyping import Array, ArrayLike, PyTree

from .._potentials._potential import AbstractSeparablePotential, Interval, as_float
from ._parametrisation import AbstractParametrisation, check_entries


class AbstractElementwise(AbstractParametrisation):
    r"""An increasing map \(x = \rho(w)\) of an open interval, the `branch`, onto the `domain`.

    With the dual time \(S(w) = \int dw/\rho'(w)\) the potential is
    \(F'(x) = S(\rho^{-1}(x))\), \(F'' = 1/\rho'^2\).
    """

    @property
    @abc.abstractmethod
    def branch(self) -> Interval:
        """Ends of the open interval of weights `w`."""

    @property
    @abc.abstractmethod
    def dual_domain(self) -> Interval:
        """Ends of the range of the dual time."""

    @property
    @abc.abstractmethod
    def legendre(self) -> bool:
        """Whether the dual time is unbounded at every finite end of the domain."""

    @abc.abstractmethod
    def derivative(self, w: ArrayLike) -> Array:
        """`rho'(w)`."""

    @abc.abstractmethod
    def inverse(self, x: ArrayLike) -> Array:
        """`w` on the branch with `rho(w) = x`."""

    @abc.abstractmethod
    def dual(self, w: ArrayLike) -> Array:
        """The dual time `S(w)`."""

    @abc.abstractmethod
    def dual_inverse(self, s: ArrayLike) -> Array:
        """`w` with `S(w) = s`; NaN where none has."""

    @abc.abstractmethod
    def potential_terms(self, x: ArrayLike) -> Array:
        """`F(x)`, entry by entry, with `F'(x) = S(rho^-1(x))`."""

    def gram(self, params: PyTree) -> Array:
        return self.derivative(params) ** 2

    def potential(self, start: PyTree = None) -> AbstractSeparablePotential:
        if start is not None:
            low, high = self.branch
            w = as_float(start)
            check_entries(
                (w > low) & (w < high),
                "start",
                f"must lie in the open interval ({float(low):g}, {float(high):g}) on which "
                f"{type(self).__name__} is increasing",
            )
        return Reparametrised(self)

    def lift(self, x: ArrayLike) -> Array:
        """Parameters with predictor `x`: the inverse.

        **Raises:** `ValueError` where `x` is outside the domain.
        """
        low, high = self.domain
        x = as_float(x)
        check_entries(
            (x > low) & (x < high),
            "x",
            f"must lie in the open interval ({float(low):g}, {float(high):g}), the range of "
            f"{type(self).__name__}",
        )
        return self.inverse(x)


@final
class Reparametrised(AbstractSeparablePotential):
    r"""The potential \(F'(x) = \int dw/\rho'(w)\), \(F'' = 1/\rho'(\rho^{-1}(x))^2\).

    What `gaugebias.flows.AbstractElementwise.potential` returns; closed forms for the maps of
    the catalogue, quadrature for [`gaugebias.flows.Elementwise`][]. Source: 2308.04921; every row
    re-derived.
    """

    rho: AbstractElementwise

    @property
    def domain(self) -> Interval:
        return self.rho.domain

    @property
    def dual_domain(self) -> Interval:
        return self.rho.dual_domain

    @property
    def legendre(self) -> bool:
        return self.rho.legendre

    def terms(self, x: ArrayLike) -> Array:
        return self.rho.potential_terms(as_float(x))

    def gradient(self, x: ArrayLike) -> Array:
        return self.rho.dual(self.rho.inverse(as_float(x)))

    def curvature(self, x: ArrayLike) -> Array:
        return self.rho.derivative(self.rho.inverse(as_float(x))) ** -2

    def from_dual(self, s: ArrayLike) -> Array:
        return self.rho(self.rho.dual_inverse(as_float(s)))

    def dual_curvature(self, s: ArrayLike) -> Array:
        return self.rho.derivative(self.rho.dual_inverse(as_float(s))) ** 2

    def conjugate_terms(self, s: ArrayLike) -> Array:
        x = self.from_dual(s)
        return as_float(s) * x - self.terms(x)
