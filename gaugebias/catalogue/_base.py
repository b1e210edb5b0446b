"""What every model of the catalogue offers."""

import abc
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, ArrayLike, PyTree

from ..quotient import Domain, Quotient
from ..symmetry import AbstractAction
from ._describe import Description, Dimensions, Failure, LawStatement, failures


class RidgeLoss(eqx.Module):
    """`params -> potential(invariants(params)) + ridge/2 |params|^2`, a scalar.

    Made by a model's `loss`. `ridge` is an array, so that a scan over it is one trace.
    """

    model: "AbstractModel"
    potential: Callable
    ridge: Array = eqx.field(converter=jnp.asarray)

    def __check_init__(self):
        if not callable(self.potential):
            raise ValueError("`potential` must be callable: predictor w -> scalar.")
        if self.ridge.shape != ():
            raise ValueError(f"`ridge` must be a scalar, but has shape {self.ridge.shape}.")
        traced = isinstance(self.ridge, Tracer)
        if not traced and not 0 <= float(self.ridge) < float("inf"):
            raise ValueError(f"`ridge` must be finite and not negative, but is {self.ridge}.")

    def __call__(self, params: PyTree) -> Array:
        value = jnp.asarray(self.potential(self.model.invariants(params)))
        leaves = jax.tree.leaves(eqx.filter(params, eqx.is_inexact_array))
        square = sum((jnp.sum(jnp.square(x)) for x in leaves), jnp.zeros((), value.dtype))
        return value + 0.5 * self.ridge.astype(value.dtype) * square


class AbstractModel(eqx.Module):
    """A parametrisation with a symmetry and everything that is known about it in closed form.

    Notation: `phi = invariants`, `S = J^T J` the orbit Gram in the basis of the coefficients of
    `action`, `K = Dphi Dphi^T` the predictor Gram, both at the representative `lift(w)`. All
    additive constants are included, so that the closed forms equal autodiff exactly.
    Everything is per point and composes with `jit`, `grad` and `vmap`.
    """

    @property
    @abc.abstractmethod
    def action(self) -> AbstractAction:
        """The group that leaves the predictor unchanged."""

    @property
    @abc.abstractmethod
    def dimensions(self) -> Dimensions:
        """Dimensions of parameters, orbits and quotient at a generic point."""

    @property
    @abc.abstractmethod
    def domain(self) -> Domain | None:
        """The box of the predictor, cut at the singular strata that are aligned with it."""

    @property
    @abc.abstractmethod
    def laws(self) -> tuple[LawStatement, ...]:
        """Which stationary laws hold, and why the others do not."""

    @property
    @abc.abstractmethod
    def description(self) -> Description:
        """The model in formulas, for the table of `gaugebias catalogue`."""

    @abc.abstractmethod
    def invariants(self, params: PyTree) -> Array:
        """The predictor `w`: everything that the loss sees."""

    @abc.abstractmethod
    def lift(self, w: ArrayLike) -> PyTree:
        """A representative of the orbits over `w`, on the slice of `description.gauge`."""

    @abc.abstractmethod
    def init(self, key: Array, balanced: bool = True) -> PyTree:
        """Random parameters: on the slice if `balanced`, else independent normal entries."""

    @abc.abstractmethod
    def apply_gram(self, w: ArrayLike, z: ArrayLike) -> Array:
        """`K(w) z` for a covector `z` of the shape of `w` (a gradient of `l`), of that shape.

        In closed form, differentiable at equal singular values where `lift` is.
        """

    @abc.abstractmethod
    def log_det_gram(self, w: ArrayLike) -> Array:
        """`log det K(w)` (pseudo-determinant where `K` is singular)."""

    @abc.abstractmethod
    def log_det_orbit_gram(self, w: ArrayLike) -> Array:
        """`log det S(w)` (pseudo-determinant where there is a stabiliser)."""

    @abc.abstractmethod
    def log_conditioned_volume(self, w: ArrayLike) -> Array:
        """What replaces `-log V` under slice conditioning: `log[vol(H-orbit)/sqrt(det S_sym)]`.

        Local volumes, up to a constant. Only the symmetric generators are conditioned on; `H` is
        the residual compact group of the slice.
        """

    @property
    def failing(self) -> tuple[Failure, ...]:
        """The conditions that fail for this model, each with what follows from it."""
        return failures(self.description, self.dimensions, self.laws)

    def log_orbit_volume(self, w: ArrayLike) -> Array:
        """`log V_loc = 1/2 log det S` at the representative of `w`."""
        return 0.5 * self.log_det_orbit_gram(w)

    def log_density(self, w: ArrayLike, exponent: ArrayLike) -> Array:
        """Log density of `w` without `-l(w)/T`, not normalised: `-1/2 log det K + s log V`.

        With respect to Lebesgue measure in the entries of `w` (Hausdorff measure of the image
        where `K` is singular). The exponent -1 stands for the slice-conditioned law, where only
        the symmetric generators count (`log_conditioned_volume`); for a compact group nothing
        is conditioned, and every exponent is taken literally. `exponent` may be traced.
        """
        weight = weight_by_exponent(
            exponent,
            self.log_orbit_volume(w),
            self.log_conditioned_volume(w),
            self.dimensions.symmetric > 0,
        )
        return weight - 0.5 * self.log_det_gram(w)

    def effective_loss(
        self, w: ArrayLike, potential: Callable, temperature: ArrayLike, exponent: ArrayLike
    ) -> Array:
        """`L_eff(w) = l(w) + (T/2) log det K - s T log V`, minus `T` times the law's log density.

        For the exponent -1 as in `log_density`.
        """
        return potential(w) - temperature * self.log_density(w, exponent)

    def quotient(self, at: PyTree = None) -> Quotient:
        """The [`gaugebias.quotient.Quotient`][] of this model, with its closed forms.

        `at`: an optional parameter point at which conditions are checked.
        """
        return Quotient(
            self.invariants,
            self.action,
            gauge=self.description.gauge,
            lift=self.lift,
            at=at,
            domain=self.domain,
            log_det_gram=self.log_det_gram,
            log_volume=self.log_orbit_volume,
        )

    def loss(self, potential: Callable, ridge: ArrayLike = 0.0) -> RidgeLoss:
        """The loss `potential(invariants(params)) + ridge/2 |params|^2` as a function of params.

        **Raises:** `ValueError` when `ridge` is negative, not finite or no scalar.
        """
        return RidgeLoss(self, potential, jnp.asarray(ridge))


def weight_by_exponent(
    exponent: ArrayLike, log_volume: Array, log_conditioned: Array, symmetric: bool
) -> Array:
    """`s log V`, or the conditioned weight where `s = -1` and there are symmetric generators."""
    literal = jnp.asarray(exponent, log_volume.dtype) * log_volume
    if not symmetric:
        return literal
    return jnp.where(jnp.asarray(exponent) == -1, log_conditioned, literal)


def box(size: int, *, lower: float = -np.inf, cut: bool = False, ordered: bool = False) -> Domain:
    """`size` coordinates between `lower` and infinity, each with a break at 0 if `cut`."""
    breaks = ((0.0,),) * size if cut else None
    return Domain(np.full(size, lower), np.full(size, np.inf), breaks, ordered and size > 1)


def positive_int(value: object, name: str, least: int = 1) -> None:
    """Raise `ValueError` unless `value` is an integer of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"`{name}` must be an integer of at least {least}, but is {value!r}.")


def as_float(x: ArrayLike) -> Array:
    """`x` as an array of floating dtype."""
    out = jnp.asarray(x)
    return out if jnp.issubdtype(out.dtype, jnp.inexact) else out.astype(jnp.result_type(float))


def check_array(x: ArrayLike, shape: tuple[int, ...], name: str) -> Array:
    """`x` as a floating array of exactly this shape; `ValueError` naming it otherwise."""
    out = as_float(x)
    if out.shape != shape:
        raise ValueError(f"`{name}` must have shape {shape}, but has shape {out.shape}.")
    return out


def check_tuple(params: PyTree, shapes: tuple[tuple[int, ...], ...]) -> tuple[Array, ...]:
    """The factors of `params`, each of its shape; `ValueError` otherwise."""
    if not isinstance(params, (tuple, list)) or len(params) != len(shapes):
        raise ValueError(
            f"`params` must be a tuple of {len(shapes)} arrays of shapes {shapes}, but is "
            f"{jax.tree.map(jnp.shape, params)}."
        )
    return tuple(
        check_array(x, shape, f"params[{i}]")
        for i, (x, shape) in enumerate(zip(params, shapes, strict=True))
    )
