"""NUTS in unconstrained coordinates, for laws of more than three dimensions."""

import math
from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .._arguments import as_key
from ..quotient import Domain
from ..stats._chains import diagnostic
from ._conditions import interior_point
from ._law import AbstractLaw, anonymous
from ._quadrature._coordinates import Coordinates, coordinates_of

# Chains, the acceptance rate aimed at, and the windows of the warm-up: transitions between
# changes of the step size, with a new metric after each window but the last.
_CHAINS = 32
_ACCEPTANCE = 0.9
_WINDOWS = ((2,) * 8 + (8,) * 4, (8,) * 6 + (16,) * 2, (16,) * 6, (16,) * 6)
# Draws of a chain in one compiled block, and the least and most blocks of the pilot run.
_BLOCK = 64
_PILOT = (4, 32)
_MIXED = 1.05
# Up to this many coordinates the adapted metric is dense.
_DENSE = 32


class Unconstrained(NamedTuple):
    """All of R^m mapped onto a domain: logistic in intervals, exponential on half-lines."""

    coordinates: Coordinates

    def _kinds(self):
        low = np.asarray(self.coordinates.lower)
        high = np.asarray(self.coordinates.upper)
        return low, high, np.isfinite(low), np.isfinite(high)

    def point(self, z: Array) -> tuple[Array, Array]:
        """A point of the domain, shape `(m,)`, and the log of the Jacobian."""
        low, high, below, above = self._kinds()
        both, one = below & above, below ^ above
        anchor = jnp.asarray(np.where(below, low, np.where(above, high, 0.0)), z.dtype)
        sign = jnp.asarray(np.where(below, 1.0, -1.0), z.dtype)
        width = jnp.asarray(np.where(both, high - low, 1.0), z.dtype)
        inside = anchor + width * jax.nn.sigmoid(z)
        half = anchor + sign * jnp.exp(jnp.where(one, z, 0.0))
        y = jnp.where(both, inside, jnp.where(one, half, z))
        slope = jnp.log(width) + jax.nn.log_sigmoid(z) + jax.nn.log_sigmoid(-z)
        log_slope = jnp.where(both, slope, jnp.where(one, z, 0.0))
        return self.coordinates.x(y), jnp.sum(log_slope) + self.coordinates.log_jacobian(y)

    def inverse(self, x: np.ndarray) -> np.ndarray:
        """Unconstrained coordinates of an interior point of the domain, on the host."""
        low, high, below, above = self._kinds()
        y = self.coordinates.y(np.asarray(x, dtype=float))
        out = np.array(y)
        for i in range(len(y)):
            if below[i] and above[i]:
                share = (y[i] - low[i]) / (high[i] - low[i])
                out[i] = math.log(share / (1.0 - share))
            elif below[i]:
                out[i] = math.log(y[i] - low[i])
            elif above[i]:
                out[i] = math.log(high[i] - y[i])
        return out


def unconstrained(domain: Domain, name: str) -> Unconstrained:
    """The map for a domain.

    **Raises:** `ValueError` for a domain with breaks inside: a Hamiltonian trajectory does not
    pass through a singular stratum.
    """
    if any(domain.breaks):
        i = next(i for i, b in enumerate(domain.breaks) if b)
        raise ValueError(
            f"`domain` of the {name} law has the break {domain.breaks[i][0]:g} inside coordinate "
            f"{i}, and NUTS does not cross singular strata: restrict `domain` to one side of each "
            "break (`Domain.box(lower, upper)`, the signs of the start), or sample each side."
        )
    return Unconstrained(coordinates_of(domain))


class _Target(eqx.Module):
    """A law in unconstrained coordinates: laws that differ in numbers share compiled programs."""

    law: AbstractLaw
    mapping: Unconstrained = eqx.field(static=True)
    observe: Callable | None

    def log_density(self, z: Array) -> Array:
        x, log_jacobian = self.mapping.point(z)
        return self.law.log_weight(x.reshape(self.law.shape)) + log_jacobian

    def seen(self, z: Array) -> Array:
        x = self.mapping.point(z)[0].reshape(self.law.shape)
        return x if self.observe is None else self.observe(x)


@eqx.filter_jit
def _advance(target: _Target, positions, step_size, metric, keys: Array, every, count):
    """`count` (at most `_BLOCK`) draws of each chain, `every` transitions apart.

    Where chains are, what is seen on the way, the number of divergences and the sum of the
    acceptance rates. One compiled program serves warm-up, pilot and final run.
    """
    import blackjax

    kernel = blackjax.nuts.build_kernel()

    def one(position, key):
        def step(i, carry):
            state, divergent, accepted, key = carry
            key_i = jax.random.fold_in(key, i)
            new, info = kernel(key_i, state, target.log_density, step_size, metric)
            return new, divergent + info.is_divergent, accepted + info.acceptance_rate, key

        def draw(i, carry):
            state, divergent, accepted, where, seen = carry
            begin = (state, divergent, accepted, jax.random.fold_in(key, i))
            state, divergent, accepted, _ = jax.lax.fori_loop(0, every, step, begin)
            z = state.position
            where = where.at[i].set(z)
            return state, divergent, accepted, where, seen.at[i].set(target.seen(z))

        state = blackjax.nuts.init(position, target.log_density)
        where = jnp.zeros((_BLOCK, *position.shape), position.dtype)
        look = jax.eval_shape(target.seen, position)
        seen = jnp.zeros((_BLOCK, *look.shape), look.dtype)
        begin = (state, jnp.zeros((), int), jnp.zeros((), position.dtype), where, seen)
        state, divergent, accepted, where, seen = jax.lax.fori_loop(0, count, draw, begin)
        return state.position, divergent, accepted, where, seen

    return jax.vmap(one)(positions, keys)


class _Sampler:
    """Chains of one target: their positions, step size and metric."""

    def __init__(self, target: _Target, positions: Array):
        size = positions.shape[1]
        self.target, self.positions = target, positions
        self.step_size = 0.5 * size**-0.25
        self.metric = jnp.eye(size) if size <= _DENSE else jnp.ones(size)

    def block(self, key: Array, count: int, every: int = 1):
        """Positions and what is seen, chains first; divergences; mean acceptance rate."""
        self.positions, divergent, accepted, where, seen = _advance(
            self.target,
            self.positions,
            jnp.asarray(self.step_size, self.positions.dtype),
            self.metric.astype(self.positions.dtype),
            jax.random.split(key, self.positions.shape[0]),
            jnp.asarray(every),
            jnp.asarray(count),
        )
        rate = float(jnp.mean(accepted)) / (count * every)
        return np.asarray(where[:, :count]), seen[:, :count], int(jnp.sum(divergent)), rate

    def run(self, key: Array, blocks: int, every: int) -> tuple[Array, int]:
        """What is seen in full blocks, chains first, and the number of divergences."""
        parts, divergent = [], 0
        for b in range(blocks):
            _, seen, bad, _ = self.block(jax.random.fold_in(key, b), _BLOCK, every)
            parts.append(seen)
            divergent += bad
        return jnp.concatenate(parts, axis=1), divergent

    def warm_up(self, key: Array) -> None:
        """Windows of growing length: step size by dual averaging, metric from all chains.

        Both are pooled over the chains, so that a few transitions say much; the step size is
        that of Nesterov's dual averaging as in Hoffman and Gelman (1111.4246), restarted with
        each new metric, and its average is kept at the end.
        """
        number = 0
        for window, counts in enumerate(_WINDOWS):
            centre, error, average, seen = math.log(10.0 * self.step_size), 0.0, 0.0, []
            for m, count in enumerate(counts, start=1):
                where, _, _, rate = self.block(jax.random.fold_in(key, number), count)
                number += 1
                seen.append(where)
                error += (_ACCEPTANCE - rate - error) / (m + 3.0)
                log_step = centre - math.sqrt(m) / 0.15 * error
                weight = m**-0.75
                average = weight * log_step + (1.0 - weight) * average
                self.step_size = math.exp(log_step)
            self.step_size = math.exp(average)
            if window < len(_WINDOWS) - 1:
                late = np.concatenate(seen, axis=1)
                late = late[:, late.shape[1] // 2 :].reshape(-1, self.positions.shape[1])
                self.metric = _metric(late)


def _metric(points: np.ndarray) -> Array:
    """Inverse mass matrix: the covariance of the points, shrunk a little; diagonal if large."""
    n, size = points.shape
    share = n / (n + 5.0 + size)
    if size > _DENSE:
        return jnp.asarray(share * points.var(axis=0) + (1.0 - share) * 1e-3)
    covariance = np.atleast_2d(np.cov(points, rowvar=False))
    shrunk = share * covariance + (1.0 - share) * 1e-3 * np.eye(size)
    return jnp.asarray(shrunk)


def sample_nuts(
    law: AbstractLaw,
    key: Array,
    n: int,
    *,
    start: Array | np.ndarray | None = None,
    observe: Callable | None = None,
) -> Array:
    """Draws of a law by NUTS, thinned to one per two autocorrelation times.

    `blackjax` NUTS in unconstrained coordinates (logarithms on half-lines, logits in intervals,
    ratios or gaps of ordered coordinates), in 32 chains: step size and metric are adapted to all of
    them together; a pilot run until R-hat is at most 1.05 gives the autocorrelation time (the
    largest over coordinates, from the effective sample size across chains); then as many
    transitions follow as `n` draws need.

    **Arguments:**

    - `law`: any law; needs densities up to a constant only.
    - `key`: a `jax.random` key.
    - `n`: number of draws.
    - `start`: a point of the domain, shape `law.shape`; default a generic interior point.
    - `observe`: a function of one point whose draws are wanted, default the point itself. R-hat
        and the autocorrelation time are those of what is observed, so that a law may be sampled in
        redundant coordinates (`w = a^2`, both signs of `a`).

    **Returns:** `(n, *law.shape)`, or as `observe` returns: nearly independent.

    **Raises:** `ValueError` for a domain with breaks inside or a start outside of it;
    `RuntimeError` where chains diverge, or stay apart however long the pilot run.
    """
    key = as_key(key)
    if n < 1:
        raise ValueError("`n` must be at least 1.")
    mapping = unconstrained(law.domain, law.name)
    if start is None:
        point = interior_point(law.domain.lower, law.domain.upper)
        point = point[::-1] if law.domain.ordered else point
    else:
        point = np.asarray(start, dtype=float).reshape(-1)
        if not bool(np.all(law.domain.contains(point[None, :]))):
            raise ValueError("`start` must be a point inside of the law's domain.")
    centre = jnp.asarray(mapping.inverse(point), jnp.result_type(float))

    target = _Target(anonymous(law), mapping, observe)

    k_start, k_warm, k_pilot, k_run = jax.random.split(key, 4)
    spread = 0.3 * jax.random.normal(k_start, (_CHAINS, centre.size), centre.dtype)
    sampler = _Sampler(target, centre[None, :] + spread)
    sampler.warm_up(k_warm)
    pilot, divergent = sampler.run(jax.random.fold_in(k_pilot, 0), _PILOT[0], 1)
    for smaller in range(1, 5):
        # A density whose curvature varies much asks for smaller steps than the mean acceptance.
        if divergent <= 0.01 * _CHAINS * _BLOCK * _PILOT[0]:
            break
        sampler.step_size *= 0.5
        k_smaller = jax.random.fold_in(k_pilot, 1000 + smaller)
        pilot, divergent = sampler.run(k_smaller, _PILOT[0], 1)
    rhat = _rhat(pilot)
    while pilot.shape[1] < _PILOT[1] * _BLOCK and rhat > _MIXED:
        # Forget the first half: what warm-up left is not the law yet.
        more = jax.random.fold_in(k_pilot, pilot.shape[1])
        longer, _ = sampler.run(more, pilot.shape[1] // _BLOCK, 1)
        pilot = jnp.concatenate([pilot[:, pilot.shape[1] // 2 :], longer], axis=1)
        rhat = _rhat(pilot)
    if not bool(jnp.all(jnp.isfinite(pilot))):
        raise RuntimeError(f"NUTS on the {law.name} law left the domain: give a `start` inside.")
    if rhat > _MIXED:
        raise RuntimeError(
            f"NUTS chains on the {law.name} law stay apart (R-hat {rhat:.3f}): the density has "
            "several modes, or is not normalisable; restrict `domain`."
        )
    effective = float(jnp.min(diagnostic("effective_sample_size")(pilot)))
    every = max(1, math.ceil(2.0 * pilot.shape[0] * pilot.shape[1] / max(effective, 1.0)))
    blocks = math.ceil(n / (_CHAINS * _BLOCK))
    draws, divergent = sampler.run(k_run, blocks, every)
    share = divergent / (_CHAINS * _BLOCK * blocks * every)
    if share > 0.05:
        raise RuntimeError(
            f"NUTS on the {law.name} law: {share:.0%} of the transitions diverged; its density is "
            "too singular at an edge of `domain`."
        )
    # Draws of all chains at one time are independent: keep times together, cut the surplus.
    return jnp.swapaxes(draws, 0, 1).reshape(-1, *draws.shape[2:])[:n]


def _rhat(draws: Array) -> float:
    """The largest R-hat over coordinates of draws `(chains, draws, ...)`."""
    return float(jnp.max(diagnostic("potential_scale_reduction")(draws)))
