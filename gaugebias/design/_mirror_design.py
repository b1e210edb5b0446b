"""What [`gaugebias.design.from_potential`][] makes: maps, mirror designs and their check."""

import math
from typing import Any, NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, PyTree

from ..flows import (
    AbstractElementwise,
    AbstractSeparablePotential,
    Certificate,
    FlowPath,
    Identity,
    LinearModel,
    SeparablePotential,
    SignedDifference,
    certificate,
    gradient_flow,
)
from ._monotone import MonotoneMap


class Chart(eqx.Module):
    """The line onto an interval: `x = y`, `low + e^y`, `high - e^-y` or a sigmoid."""

    low: float = eqx.field(static=True)
    high: float = eqx.field(static=True)
    trivial: bool = eqx.field(static=True)

    def x(self, y: Array) -> Array:
        if self.trivial:
            return y
        if not math.isfinite(self.high):
            return self.low + jnp.exp(y)
        if not math.isfinite(self.low):
            return self.high - jnp.exp(-y)
        return self.low + (self.high - self.low) * jax.nn.sigmoid(y)

    def y(self, x: Array) -> Array:
        if self.trivial:
            return x
        if not math.isfinite(self.high):
            return jnp.log(x - self.low)
        if not math.isfinite(self.low):
            return -jnp.log(self.high - x)
        return jnp.log(x - self.low) - jnp.log(self.high - x)

    def log_slope(self, y: Array) -> Array:
        if self.trivial:
            return jnp.zeros_like(y)
        if not math.isfinite(self.high):
            return y
        if not math.isfinite(self.low):
            return -y
        return jnp.log(self.high - self.low) + jax.nn.log_sigmoid(y) + jax.nn.log_sigmoid(-y)


@final
class Designed(AbstractElementwise):
    """`x = rho(w)` with `rho' = R''(rho)^(-1/2)`: an elementwise map of `gaugebias.flows`.

    Made by [`gaugebias.design.from_potential`][].
    """

    target: SeparablePotential
    map: MonotoneMap
    chart: Chart

    @property
    def domain(self):
        return self.target.domain

    @property
    def branch(self):
        low, high = self.map.folds
        return (-math.inf if low is None else low), (math.inf if high is None else high)

    @property
    def dual_domain(self):
        return self.target.dual_domain

    @property
    def legendre(self) -> bool:
        return self.target.legendre

    def __call__(self, params: PyTree) -> Array:
        return self.chart.x(self.map(params))

    def derivative(self, w: ArrayLike) -> Array:
        return self.target.curvature(self(w)) ** -0.5

    def inverse(self, x: ArrayLike) -> Array:
        return self.map.inverse(self.chart.y(jnp.asarray(x)))

    def dual(self, w: ArrayLike) -> Array:
        return self.target.gradient(self(w))

    def dual_inverse(self, s: ArrayLike) -> Array:
        return self.inverse(self.target.from_dual(s))

    def potential_terms(self, x: ArrayLike) -> Array:
        return self.target.terms(x)


class FlowCheck(NamedTuple):
    """What `MirrorDesign.validate` found.

    - `path`: the gradient flow. `certificate`: of its end, with the potential of the flow itself.
    - `target`: the certificate with the potential asked for (the same for elementwise designs; for
        a signed difference it holds as the start tends to 0).
    - `rival`: with `x^2/2`, of plain gradient flow.
    - `holds`: whether the first residual is below `tolerance` and the rival's is 100 times above.
    """

    path: FlowPath
    certificate: Certificate
    target: Certificate
    rival: Certificate
    holds: bool


class MirrorDesign(eqx.Module):
    """A parametrisation whose gradient flow is the mirror flow of a potential.

    - `parametrisation`: an elementwise map of `gaugebias.flows`, or a signed difference of
        two, `x = rho(u) - rho(v)`; `rho`: the map itself.
    - `potential`: the `R` asked for.
    - `closed_form`: in a line where it is known; `notes`: what else holds.
    """

    parametrisation: Designed | SignedDifference
    potential: AbstractSeparablePotential
    rho: Designed
    closed_form: str | None = eqx.field(static=True)
    notes: tuple[str, ...] = eqx.field(static=True)

    def __call__(self, params: PyTree) -> Array:
        return self.parametrisation(params)

    def lift(self, x: ArrayLike, scale: ArrayLike | None = None) -> PyTree:
        """Weights of the predictor `x`; for a difference `x = (x + s) - s`, `s = scale > 0`.

        **Raises:** `ValueError` where `x` is outside the domain, or a difference has no `scale`.
        """
        if isinstance(self.parametrisation, Designed):
            return self.parametrisation.lift(x)
        if scale is None:
            raise ValueError(
                "`scale` must be given for a signed difference: the size of rho(u) and rho(v) at "
                "x = 0; the smaller, the closer the bias is to the potential."
            )
        x = jnp.asarray(x)
        size = jnp.broadcast_to(jnp.asarray(scale, x.dtype), x.shape)
        up = jnp.maximum(x, 0.0) + size
        return self.rho.lift(up), self.rho.lift(up - x)

    def validate(
        self,
        A: ArrayLike,
        y: ArrayLike,
        start: PyTree,
        *,
        time: float = 1e4,
        tolerance: float = 1e-6,
        stop: float = 1e-12,
        solver: Any = None,
    ) -> FlowCheck:
        """Gradient flow of the weights on `A x = y`, and the certificate of its end.

        **Arguments:** `A`, `y`: an underdetermined system; `start`: weights, as from `lift`;
        `time`: of the flow, cut short where the gradient has fallen to `stop` of its start;
        `solver`: of diffrax, a stiff one such as `diffrax.Kvaerno5()` where `R''` varies much.

        **Returns:** a [`gaugebias.design.FlowCheck`][].
        """
        model = LinearModel(A, y)
        path = gradient_flow(self.parametrisation, model, start, time, stop=stop, solver=solver)
        x0, x = self.parametrisation(start), path.end
        own = certificate(self.parametrisation.potential(start), A, x, x0, y)
        target = own
        if isinstance(self.parametrisation, SignedDifference):
            target = certificate(Even(self.potential), A, x, x0, y)
        rival = certificate(Identity().potential(x0), A, x, x0, y)
        holds = float(own.residual) < tolerance and float(rival.residual) > 100.0 * tolerance
        return FlowCheck(path, own, target, rival, bool(holds and float(own.fit) < tolerance))


@final
class Even(AbstractSeparablePotential):
    """A potential of `x > 0`, continued to both signs."""

    half: AbstractSeparablePotential

    @property
    def domain(self):
        high = jnp.asarray(self.half.domain[1])
        return -high, high

    @property
    def dual_domain(self):
        high = jnp.asarray(self.half.dual_domain[1])
        return -high, high

    @property
    def legendre(self) -> bool:
        return self.half.legendre

    def terms(self, x):
        return self.half.terms(jnp.maximum(jnp.abs(x), 1e-300))

    def gradient(self, x):
        x = jnp.asarray(x)
        tiny = jnp.asarray(1e-300, x.dtype)
        slope = self.half.gradient(jnp.maximum(jnp.abs(x), tiny))
        return jnp.where(x == 0.0, 0.0, jnp.sign(x) * slope)

    def curvature(self, x):
        return self.half.curvature(jnp.abs(x))

    def from_dual(self, s):
        return jnp.sign(s) * self.half.from_dual(jnp.abs(s))

    def dual_curvature(self, s):
        return self.half.dual_curvature(jnp.abs(s))

    def conjugate_terms(self, s):
        return self.half.conjugate_terms(jnp.abs(s))
