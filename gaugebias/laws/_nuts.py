"""NUTS in unconstrained coordinates, for laws of more than three dimensions."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..quotient import Domain
from ._conditions import interior_point
from ._coordinates import Coordinates, coordinates_of
from ._law import AbstractLaw, anonymous

# Chains that adapt, chains that draw (each adapted one is continued by several), warm-up steps.
_ADAPTED = 4
_CHAINS = 32
_WARM_UP = 600
_ACCEPTANCE = 0.9
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
def _warm_up(target: _Target, keys: Array, starts: Array):
    """Adapted states and parameters of several chains."""
    import blackjax

    adaptation = blackjax.window_adaptation(
        blackjax.nuts,
        target.log_density,
        is_mass_matrix_diagonal=target.law.dimension > _DENSE,
        target_acceptance_rate=_ACCEPTANCE,
    )
    run: Any = adaptation.run

    def one(key, z):
        (state, parameters), _ = run(key, z, num_steps=_WARM_UP)
        return state, parameters

    return jax.vmap(one)(keys, starts)


@eqx.filter_jit
def _advance(target: _Target, states, parameters, keys: Array, every: Array):
    """`_BLOCK` draws of each chain, `every` transitions apart: what is seen, and divergences."""
    import blackjax

    kernel = blackjax.nuts.build_kernel()

    def step(i, carry):
        state, divergent, key = carry
        new, info = kernel(jax.random.fold_in(key, i), state, target.log_density, **parameters)
        return new, divergent + info.is_divergent, key

    def draw(state, key):
        state, divergent, _ = jax.lax.fori_loop(0, every, step, (state, 0, key))
        return state, (target.seen(state.position), divergent)

    def one(state, key):
        return jax.lax.scan(draw, state, jax.random.split(key, _BLOCK))

    return jax.vmap(one)(states, keys)


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
    ratios or gaps of ordered coordinates): window adaptation of step size and metric in 4 chains,
    pooled; a pilot run of 32 chains until R-hat is at most 1.05, for the autocorrelation time (the
    largest over coordinates, from the effective sample size across chains); then as many
    transitions as `n` draws need.

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
    from blackjax.diagnostics import effective_sample_size

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

    def run(states, key, blocks, every):
        positions, divergent = [], 0
        for b in range(blocks):
            keys = jax.random.split(jax.random.fold_in(key, b), _CHAINS)
            states, (block, bad) = _advance(target, states, parameters, keys, jnp.asarray(every))
            positions.append(block)
            divergent += int(jnp.sum(bad))
        return states, jnp.concatenate(positions, axis=1), divergent

    k_start, k_warm, k_pilot, k_run = jax.random.split(key, 4)
    spread = 0.3 * jax.random.normal(k_start, (_ADAPTED, centre.size), centre.dtype)
    states, adapted = _warm_up(
        target, jax.random.split(k_warm, _ADAPTED), centre[None, :] + spread
    )
    parameters = {
        "step_size": jnp.median(adapted["step_size"]),
        "inverse_mass_matrix": jnp.mean(adapted["inverse_mass_matrix"], axis=0),
    }
    states = jax.tree.map(lambda x: jnp.repeat(x, _CHAINS // _ADAPTED, axis=0), states)
    states, pilot, _ = run(states, jax.random.fold_in(k_pilot, 0), _PILOT[0], 1)
    while pilot.shape[1] < _PILOT[1] * _BLOCK and _rhat(pilot) > _MIXED:
        # Forget the first half: chains continued from one state are not over-dispersed at first.
        more = jax.random.fold_in(k_pilot, pilot.shape[1])
        states, longer, _ = run(states, more, pilot.shape[1] // _BLOCK, 1)
        pilot = jnp.concatenate([pilot[:, pilot.shape[1] // 2 :], longer], axis=1)
    if not bool(jnp.all(jnp.isfinite(pilot))):
        raise RuntimeError(f"NUTS on the {law.name} law left the domain: give a `start` inside.")
    rhat = _rhat(pilot)
    if rhat > _MIXED:
        raise RuntimeError(
            f"NUTS chains on the {law.name} law stay apart (R-hat {rhat:.3f}): the density has "
            "several modes, or is not normalisable; restrict `domain`."
        )
    effective = float(jnp.min(jax.jit(effective_sample_size)(pilot)))
    every = max(1, math.ceil(2.0 * pilot.shape[0] * pilot.shape[1] / max(effective, 1.0)))
    blocks = math.ceil(n / (_CHAINS * _BLOCK))
    _, draws, divergent = run(states, k_run, blocks, every)
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
    from blackjax.diagnostics import potential_scale_reduction

    return float(jnp.max(jax.jit(potential_scale_reduction)(draws)))
