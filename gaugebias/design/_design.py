"""A designed parametrisation: what it is, at which temperature, and the law it has."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, PyTree

from ..dynamics import AbstractSDE, Langevin, ProjectedLangevin
from ..laws import Condition, DensityLaw
from ..quotient import Domain, Quotient
from ..symmetry import AbstractAction
from ._penalties import number


class Design(eqx.Module):
    """A parametrisation with a bias: made by [`gaugebias.design.from_penalty`][].

    Or claimed by hand, to be put to the test by [`gaugebias.design.validate`][].

    **Arguments** (and fields):

    - `parametrisation`: `params -> w`; also called `phi`.
    - `penalty`: `R`, a function of one predictor `w`, a scalar in units of the loss.
    - `temperature`: the temperature `T` at which `R` is the bias: the law of `w` under noise
        across the orbits is `exp(-(l + R)/T) dw`.
    - `lift`: `w -> params`, on the balanced slice where the parametrisation is redundant.
    - `shape`: of `w`.
    - `action`: the symmetry of the parametrisation, `None` where it has none.
    - `domain`: of `w`, with the points where its density may be singular.
    - `closed_form`: the parametrisation in a line where it is known, else `None`.
    - `formula`: the penalty in a line.
    - `text`: the parametrisation in a line, also where it has no closed form.
    - `notes`: what else holds: continuations, ends, errors of tables.

    At another temperature `T'` the same parametrisation has the law `exp(-l/T' - R/T) dw`: the
    penalty is `R T'/T`. At `T' = 0` there is none, and the initialisation decides.
    """

    parametrisation: Callable
    penalty: Callable
    temperature: Array
    lift: Callable
    shape: tuple[int, ...] = eqx.field(static=True)
    action: AbstractAction | None
    domain: Domain
    closed_form: str | None = eqx.field(static=True)
    formula: str = eqx.field(static=True)
    text: str = eqx.field(static=True)
    notes: tuple[str, ...] = eqx.field(static=True)
    reach: tuple[float, float] | None = eqx.field(static=True)

    def __init__(
        self,
        parametrisation: Callable,
        penalty: Callable,
        temperature: ArrayLike,
        *,
        lift: Callable,
        shape: tuple[int, ...] = (),
        action: AbstractAction | None = None,
        domain: Domain | None = None,
        closed_form: str | None = None,
        formula: str = "R(w)",
        text: str | None = None,
        notes: tuple[str, ...] = (),
        reach: tuple[float, float] | None = None,
    ):
        for name, value in (("parametrisation", parametrisation), ("penalty", penalty)):
            if not callable(value):
                raise ValueError(f"`{name}` must be a function, but is {value!r}.")
        if not callable(lift):
            raise ValueError("`lift` must be a function, w -> params.")
        self.parametrisation, self.penalty, self.lift = parametrisation, penalty, lift
        self.temperature = temperature_of(temperature)
        self.shape = tuple(shape)
        self.action = action
        self.domain = _whole(self.shape) if domain is None else domain
        self.closed_form, self.formula = closed_form, formula
        self.text = closed_form or "w = phi(params), given" if text is None else text
        self.notes, self.reach = tuple(notes), reach

    def __check_init__(self):
        if self.action is not None and not isinstance(self.action, AbstractAction):
            raise ValueError("`action` must be an action of `gaugebias.symmetry`, or `None`.")
        if self.domain.dimension != max(1, int(np.prod(self.shape, dtype=int))):
            raise ValueError(
                f"`domain` has {self.domain.dimension} coordinates for w of shape {self.shape}."
            )

    def __str__(self) -> str:
        """Penalty, parametrisation, where that holds, and what else does, a line each."""
        lines = [f"R = {self.formula}", self.text, self.holds_at, *self.notes]
        return "\n".join(lines)

    @property
    def phi(self) -> Callable:
        """The parametrisation, by the name it has in a `gaugebias.Quotient`."""
        return self.parametrisation

    @property
    def holds_at(self) -> str:
        """At which temperature the bias is the penalty, and what happens at another."""
        t = float(self.temperature)
        return (
            f"law exp(-(l + R)/T) dw at T = {t:g}; at another temperature T' the law is "
            f"exp(-l/T' - R/{t:g}) dw: the penalty is then R T'/{t:g}. Without noise there is no "
            "such bias."
        )

    def penalty_at(self, temperature: ArrayLike) -> Callable:
        """The effective penalty at another temperature: `R T'/T`, a function of `w`."""
        return _Scaled(self.penalty, temperature_of(temperature) / self.temperature)

    def law(self, potential: Callable, temperature: ArrayLike | None = None) -> DensityLaw:
        """The designed law of `w`: `exp(-l/T' - R/T) dw`, `T' = T` by default.

        A statement, from the penalty alone; [`gaugebias.design.validate`][] holds it against the
        process. Without walls its exponent (1)
        multiplies `-R/T`, so that `gaugebias.compare` also tests the strength of the penalty.

        **Raises:** [`gaugebias.laws.NotNormalisable`][] where it has infinite mass (in one
        coordinate); `ValueError` where it puts more than 1e-6 of it beyond `reach`.
        """
        if not callable(potential):
            raise ValueError("`potential` must be callable: w -> l(w).")
        own = self.temperature if temperature is None else temperature_of(temperature)
        bias = _PenaltyWeight(self.penalty, self.temperature)
        weight, volume = _LossWeight(potential), bias
        if np.any(np.isfinite([*self.domain.lower, *self.domain.upper])):
            # At a wall R may be infinite: no score test of its strength.
            weight, volume = _Weight(weight, bias), None
        law = DensityLaw(
            weight,
            self.domain,
            own,
            volume=volume,
            exponent=1.0,
            name="designed",
            conditions=(Condition("temperature of the design", True, float(own), self.holds_at),),
            shape=self.shape,
            resolution=1e-60 if self.domain.dimension == 1 else 1e-9,
        )
        if self.domain.dimension == 1 and self.reach is not None:
            a, b = (float(x) for x in law.cdf(np.asarray(self.reach).reshape((2, *self.shape))))
            if not a + 1.0 - b < 1e-6:
                raise ValueError(
                    f"the law puts {a + 1.0 - b:.1e} of its mass beyond the reach {self.reach} of "
                    "the parametrisation, where u does not resolve w: give a potential that "
                    "confines w, a larger `scale`, or a box "
                    "(`Penalty(fn, lower=..., upper=...)`)."
                )
        return law

    def process(self, potential: Callable, temperature: ArrayLike | None = None) -> AbstractSDE:
        """The Langevin process of the parameters whose noise is across the orbits.

        Isotropic where there are none; with an action [`gaugebias.dynamics.ProjectedLangevin`][].
        """
        own = self.temperature if temperature is None else temperature_of(temperature)
        loss = Loss(potential, self.parametrisation)
        if self.action is None:
            return Langevin(loss, own)
        return ProjectedLangevin(loss, self.action, own, alpha=1.0, beta=0.0)

    def quotient(self, at: PyTree = None, domain: Domain | None = None) -> Quotient:
        """The `gaugebias.Quotient` of a redundant design, for laws and gauges.

        **Arguments:** `at`, a parameter point (default: the lift of a generic `w`); `domain`, as
        where a balanced start keeps the sign of `w`.

        **Raises:** `ValueError` where the design has no symmetry: it needs no quotient.
        """
        if self.action is None:
            raise ValueError(
                "the design has no symmetry, so that there is no quotient: `process` is Langevin "
                'dynamics of `parametrisation` itself, and `form="product"` makes a redundant one.'
            )
        at = self.lift(jnp.asarray(self.generic())) if at is None else at
        domain = self.domain if domain is None else domain
        return Quotient(self.phi, self.action, lift=self.lift, at=at, domain=domain)

    def generic(self) -> np.ndarray:
        """A generic point of the domain, of shape `shape`."""
        points = []
        size = self.domain.dimension
        for i, (a, b) in enumerate(zip(self.domain.lower, self.domain.upper, strict=True)):
            part = (i + 1.0) / (size + 1.0)
            if np.isfinite(a) and np.isfinite(b):
                points.append(a + (b - a) * (0.5 + 0.4 * part))
            else:
                base = a if np.isfinite(a) else b - 2.0 if np.isfinite(b) else 0.0
                points.append(base + 0.25 + 0.5 * part)
        return np.asarray(points).reshape(self.shape)

    def __call__(self, params: PyTree) -> Array:
        """`parametrisation(params)`."""
        return self.parametrisation(params)


class Loss(eqx.Module):
    """`params -> potential(phi(params))`."""

    potential: Callable
    phi: Callable

    def __call__(self, params: PyTree) -> Array:
        return self.potential(self.phi(params))


class _LossWeight(eqx.Module):
    potential: Callable

    def __call__(self, w: Array, temperature: ArrayLike) -> Array:
        return -self.potential(w) / temperature


class _PenaltyWeight(eqx.Module):
    penalty: Callable
    temperature: Array

    def __call__(self, w: Array) -> Array:
        return -self.penalty(w) / self.temperature


class _Weight(eqx.Module):
    loss: _LossWeight
    bias: _PenaltyWeight

    def __call__(self, w: Array, temperature: ArrayLike) -> Array:
        return self.loss(w, temperature) + self.bias(w)


class _Scaled(eqx.Module):
    penalty: Callable
    factor: Array

    def __call__(self, w: Array) -> Array:
        return self.factor * self.penalty(w)


def temperature_of(value: Any) -> Array:
    """A concrete positive temperature.

    **Raises:** `ValueError` saying what designs without noise are called.
    """
    array = number(value, "temperature")
    if not float(array) > 0.0:
        raise ValueError(
            f"`temperature` must be positive, but is {float(array):g}: the bias of a penalty is "
            "made by noise; for gradient flow without noise, `from_potential` designs the "
            "potential that it minimises."
        )
    return array


def _whole(shape: tuple[int, ...]) -> Domain:
    size = max(1, int(np.prod(shape, dtype=int)))
    return Domain(np.full(size, -np.inf), np.full(size, np.inf))


def batch_of(fn: Callable, points: PyTree) -> Any:
    """`vmap(fn)` over the leading axis, compiled once a function."""
    return _batch(fn, points)


@eqx.filter_jit
def _batch(fn: Callable, points: PyTree) -> Any:
    return jax.vmap(fn)(points)
