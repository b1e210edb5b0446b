"""Mean and variance of a stream of draws from many chains."""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ._streaming import add_to_pair, empty_pair, mean_over_chains, sum_over_chains, value


class MomentSummary(eqx.Module):
    """Mean and variance of all draws of all chains, float64, each of the observable's shape.

    **Fields:**

    - `mean`, `variance`: of the `chains * draws` numbers together (`variance` with divisor one
        less).
    - `standard_error`: of `mean`, from the spread of the chains' own means: chains are
        independent, so it needs no autocorrelation. Infinite for a single chain.
    - `within`: the mean over chains of the variance within a chain (divisor `draws`).
    - `chain_means`: the mean of each chain, shape `(chains, *shape)`.
    - `chains`, `draws`: how many chains, and draws of each.
    """

    mean: np.ndarray = eqx.field(converter=np.asarray)
    variance: np.ndarray = eqx.field(converter=np.asarray)
    standard_error: np.ndarray = eqx.field(converter=np.asarray)
    within: np.ndarray = eqx.field(converter=np.asarray)
    chain_means: np.ndarray = eqx.field(converter=np.asarray)
    chains: int
    draws: int


class MomentState(NamedTuple):
    """One chain's sums of deviations from its first draw, and of their squares."""

    shift: Array
    first: Array  # complex: the sum, and what rounding lost of it
    second: Array


def start_moments(like) -> MomentState:
    """The state before any draw; `like` has the shape and dtype of one."""
    empty = empty_pair(like)
    return MomentState(empty.real, empty, empty)


def update_moments(state: MomentState, x: Array, index: Array) -> MomentState:
    """The state after draw number `index` (from 0), `x`."""
    x = x.astype(state.shift.dtype)
    shift = jnp.where(index == 0, x, state.shift)
    d = x - shift
    return MomentState(shift, add_to_pair(state.first, d), add_to_pair(state.second, d * d))


def finish_moments(state: MomentState, draws: int) -> MomentSummary:
    """The summary, from the states of chains (leading axis) after `draws` draws each."""
    first, second = value(state.first), value(state.second)
    means = np.asarray(state.shift, np.float64) + first / draws
    squares = np.maximum(second - first**2 / draws, 0.0)
    chains = means.shape[0]
    mean = mean_over_chains(means)
    between = sum_over_chains((means - mean) ** 2)
    total = sum_over_chains(squares) + draws * between
    error = np.sqrt(between / (chains * max(chains - 1, 1)))
    return MomentSummary(
        mean,
        total / max(chains * draws - 1, 1),
        error if chains > 1 else np.full_like(error, np.inf),
        mean_over_chains(squares / draws),
        means,
        chains,
        draws,
    )
