"""One coordinate from its density: `u` as a function of `w`, by diffrax, in logarithms."""

from collections.abc import Callable
from typing import NamedTuple

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .._compile import compiled_once

_NODES = 4096
_TOLERANCE = 1e-12
_SHORTEST = 2e-4
_NOTHING = -1e4
# What `u` may grow by (in logarithm) in tables; what features between two nodes may add to it.
_MOST, _UNRESOLVED, _BETWEEN = 80.0, 0.02, 8
_PLACES = (np.arange(_BETWEEN) + 0.5) / _BETWEEN
_LEAVE_OUT = "leave that point out: `Penalty(fn, lower=..., upper=...)`, or `domain` of a potential"


class Ray(eqx.Module):
    """`t -> log (du/dw)` at the distance `exp(t)` from `anchor`, on the side `sign`."""

    log_density: Callable
    anchor: Array
    sign: Array

    def __call__(self, t: Array) -> Array:
        return self.log_density(self.anchor + self.sign * jnp.exp(t))


class Growth(NamedTuple):
    """`log u` as a function of `t = log |w - anchor|`, on a grid. Host arrays, float64.

    - `t`, `log_u`, `elasticity`: the grid, `log u` there, and `d log u / d log w`, shape `(n,)`.
    - `ray`, `dimension`: what was integrated.
    - `missed`: what features of the density between the nodes add to `u`, relative, at most.
    - `short`: whether the grid ends where the density begins to change between nodes, as one that
        oscillates for ever does.
    """

    t: np.ndarray
    log_u: np.ndarray
    elasticity: np.ndarray
    ray: Ray
    dimension: int
    missed: float
    short: bool = False

    def cut(self, stop: int) -> "Growth":
        """The first `stop` nodes."""
        return self._replace(
            t=self.t[:stop], log_u=self.log_u[:stop], elasticity=self.elasticity[:stop]
        )

    def log_u_at(self, t: np.ndarray) -> np.ndarray:
        """Cubic Hermite interpolation of `log u`, extended by its end slopes."""
        inside = np.clip(t, self.t[0], self.t[-1])
        i = np.clip(np.searchsorted(self.t, inside, side="right") - 1, 0, len(self.t) - 2)
        h = self.t[i + 1] - self.t[i]
        x = (inside - self.t[i]) / h
        a, b = self.log_u[i], self.log_u[i + 1]
        da, db = h * self.elasticity[i], h * self.elasticity[i + 1]
        c = 3.0 * (b - a) - 2.0 * da - db
        d = 2.0 * (a - b) + da + db
        value = a + x * (da + x * (c + x * d))
        ends = np.where(t < self.t[0], self.elasticity[0], self.elasticity[-1])
        return value + ends * (t - inside)

    def t_at(self, log_u: np.ndarray) -> np.ndarray:
        """The inverse of `log_u_at`, by safeguarded Newton steps from the grid."""
        i = np.clip(np.searchsorted(self.log_u, log_u, side="right") - 1, 0, len(self.t) - 2)
        low, high = self.t[i], self.t[i + 1]
        low = np.where(log_u < self.log_u[0], -np.inf, low)
        rise = np.maximum(self.log_u[i + 1] - self.log_u[i], 1e-300)
        t = self.t[i] + (log_u - self.log_u[i]) / rise * (self.t[i + 1] - self.t[i])
        slope = rise / (self.t[i + 1] - self.t[i])
        for _ in range(12):
            off = self.log_u_at(t) - log_u
            low, high = np.where(off < 0, t, low), np.where(off > 0, t, high)
            step = t - off / slope
            middle = 0.5 * (np.where(np.isfinite(low), low, t - 1.0) + high)
            t = np.where((step >= low) & (step <= high), step, middle)
        return t

    def slopes(self, t: np.ndarray, log_u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`dw/du` and `d2w/du2` at the nodes, both positive distances from their anchors."""
        rate, change = (np.asarray(x) for x in _rates(self.ray, t))
        d, w, u = self.dimension, np.exp(t), np.exp(log_u)
        first = np.exp(-rate + (d - 1) * (log_u - t))
        second = first * (-change / w * first + (d - 1) * (1.0 / u - first / w))
        return first, second


@compiled_once
def _rates(ray: Ray, t: Array) -> tuple[Array, Array]:
    return jax.vmap(jax.value_and_grad(ray))(t)


@compiled_once
def _integrate(t: Array, rate: Array, change: Array, dimension: Array) -> tuple[Array, Array]:
    """`log v`, `v = int_0^w x^(D-1) (du/dw) dx`, at the grid `t`, and its slope.

    `rate` and `change`, the log density and its slope in `t` there, are interpolated between the
    nodes (cubic Hermite): one compilation serves every density.
    """
    step = (t[-1] - t[0]) / (t.shape[0] - 1)

    def at(time):
        place = (time - t[0]) / step
        i = jnp.clip(place.astype(jnp.int32), 0, t.shape[0] - 2)
        x = place - i
        rise = rate[i + 1] - rate[i]
        da, db = step * change[i], step * change[i + 1]
        return rate[i] + x * (da + x * (3 * rise - 2 * da - db + x * (da + db - 2 * rise)))

    def growth(time, y, _):
        return jnp.exp(dimension * time + at(time) - y)

    # Below the first node the density is a power of the distance: exactly so in the limit.
    power = jnp.maximum(dimension + change[0], 1e-3)
    start = dimension * t[0] + rate[0] - jnp.log(power)
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(growth),
        diffrax.Dopri8(),
        t[0],
        t[-1],
        None,
        start,
        saveat=diffrax.SaveAt(ts=t),
        # Rounding of `w` near a wall is noise to the controller: no step gets shorter than this.
        stepsize_controller=diffrax.PIDController(
            rtol=_TOLERANCE, atol=_TOLERANCE, dtmax=0.25, dtmin=_SHORTEST, force_dtmin=True
        ),
        max_steps=1_000_000,
        throw=False,
    )
    assert solution.ys is not None
    failed = solution.result != diffrax.RESULTS.successful
    log_v = jnp.where(failed, jnp.nan, solution.ys)
    return log_v, jnp.exp(dimension * t + rate - log_v)


def grow(
    log_density: Callable,
    anchor: float,
    sign: int,
    dimension: int,
    first: float,
    last: float,
    fine: bool = False,
    needed: float = np.inf,
) -> Growth:
    """Integrate one side of an anchor, from the distance `first` to the distance `last`.

    Beyond the distance `needed` it stops where the density begins to oscillate between the nodes.

    `u` with `u^D / D = int_0^w x^(D-1) exp(log_density) dx` in the distances from the anchor: for
    `D = 1` the distance whose derivative is `exp(log_density)`. The equation solved is
    `d log v/dt = exp(D t + log_density - log v)` in `t = log w`, so that `u` is relative to its
    size on every scale.

    **Raises:** `ValueError` where the density is NaN, naming the point.
    """
    t = np.linspace(np.log(first), np.log(last), (2 if fine else 1) * _NODES)
    ray = Ray(log_density, jnp.asarray(float(anchor)), jnp.asarray(float(sign)))
    rate, change = (np.asarray(x) for x in _rates(ray, jnp.asarray(t)))
    # Where the penalty overflows there is no mass.
    change = np.where(np.isfinite(change) & (rate > _NOTHING), change, 0.0)
    rate = np.where(rate <= _NOTHING, _NOTHING, rate)
    between = _between(ray, t, rate, change)
    stop = _lost(t, between, needed)
    if stop < len(t) - 1:
        # The rest is made flat, for a solver compiled for so many nodes, and left out.
        rate[stop:], change[stop:] = rate[stop], 0.0
        between[:, :, stop:] = rate[stop]
    log_v, elasticity = (
        np.asarray(x)
        for x in _integrate(*(jnp.asarray(x, jnp.float64) for x in (t, rate, change, dimension)))
    )
    if not np.all(np.isfinite(log_v)):
        raise ValueError(
            "the differential equation for the parametrisation cannot be solved "
            f"{'above' if sign > 0 else 'below'} {anchor:g}: the penalty jumps or oscillates too "
            f"fast there; smooth it, or {_LEAVE_OUT}."
        )
    missed, where = _missed(t, between, log_v, dimension)
    if missed > _UNRESOLVED:
        raise ValueError(
            "the differential equation for the parametrisation cannot be solved near w = "
            f"{anchor + sign * np.exp(where):.4g}: the penalty jumps, has a pole, or changes "
            f"within less than 1% of w there, and u would be off by {missed:.1%}; smooth it, or "
            f"{_LEAVE_OUT}."
        )
    # d log u/dt = (dv/dt)/(D v)
    log_u = (np.log(dimension) + log_v) / dimension
    whole = Growth(t, log_u, elasticity / dimension, ray, dimension, missed)
    return whole if stop == len(t) - 1 else whole.cut(stop + 1)._replace(short=True)


def _between(ray: Ray, t: np.ndarray, rate: np.ndarray, change: np.ndarray) -> np.ndarray:
    """The log density between the nodes, itself and by interpolation: `(2, places, n - 1)`."""
    step = t[1] - t[0]
    rise, da, db = np.diff(rate), step * change[:-1], step * change[1:]
    found = []
    for x in _PLACES:
        exact = np.asarray(_rates(ray, jnp.asarray(t + x * step))[0])[:-1]
        exact = np.where(np.isnan(exact), rate[:-1], np.maximum(exact, _NOTHING))
        cubic = x * (da + x * (3 * rise - 2 * da - db + x * (da + db - 2 * rise)))
        found.append((exact, rate[:-1] + cubic))
    return np.swapaxes(np.asarray(found), 0, 1)


def _seen(between: np.ndarray, least: float = 1e-3) -> np.ndarray:
    """Where the log density differs from its interpolation by more: shape `(n - 1,)`."""
    with np.errstate(invalid="ignore"):
        return np.any(np.abs(between[0] - between[1]) > least, axis=0)


def _lost(t: np.ndarray, between: np.ndarray, needed: float) -> int:
    """The node beyond `needed` from which most of what follows is not resolved, or the last."""
    seen = np.nonzero(_seen(between) & (t[:-1] > np.log(needed)))[0]
    if not len(seen) or len(seen) < 0.5 * (len(t) - 1 - seen[0]):
        return len(t) - 1
    # The table of w(u), whose bins are wider, has its digits where this is finer.
    return int(np.nonzero(_seen(between, 1e-5) & (t[:-1] > np.log(needed)))[0][0])


def _missed(t, between, log_v, dimension) -> tuple[float, float]:
    """How far `u` is off, relative, for what lies between two nodes, and where (`t`)."""
    step = t[1] - t[0]
    gap = np.zeros(len(t) - 1)
    for x, exact, cubic in zip(_PLACES, *between, strict=True):
        base = dimension * (t[:-1] + x * step) - log_v[1:]
        with np.errstate(over="ignore", invalid="ignore"):
            more = np.exp(base + exact) - np.exp(base + cubic)
        gap += step / _BETWEEN * np.nan_to_num(more, posinf=np.inf)
    gap = np.where(_seen(between), np.abs(gap), 0.0)
    worst = int(np.argmax(gap))
    return float(gap[worst]) / dimension, float(t[worst])


def until(log_density: Callable, anchor: float, sign: int, first: float, last: float, scale: float):
    """`last`, or the distance beyond `scale` up to which the density grows by less than exp(80)."""
    t = np.linspace(np.log(first), np.log(last), _NODES)
    ray = Ray(log_density, jnp.asarray(float(anchor)), jnp.asarray(float(sign)))
    rate = np.asarray(_rates(ray, jnp.asarray(t))[0])
    middle = min(int(np.searchsorted(t, np.log(scale))), len(t) - 1)
    steep = np.nonzero(rate[middle:] - rate[middle] > _MOST)[0]
    return last if not len(steep) else float(np.exp(t[middle + steep[0] - 1]))
