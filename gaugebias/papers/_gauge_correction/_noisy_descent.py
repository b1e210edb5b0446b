"""The factored model trained with noise: minibatches, and Langevin noise across the orbits."""

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from ..._types import Key
from ...dynamics import ProjectedLangevin, simulate, train
from ...symmetry import Rescaling
from ._linear_descent import LinearProblems
from ._sgd import plain_sgd


def _silent(fraction: float) -> None:
    pass


def _squares(params, row):
    """The squared residuals of one row of every data set, added up."""
    features, targets = row
    return jnp.sum((jnp.sum(features * params["u"] * params["v"], axis=-1) - targets) ** 2)


class SummedLoss(eqx.Module):
    """The losses of all seeds added up, as a function of flat factors `u`, `v`."""

    problems: LinearProblems

    def __call__(self, params) -> Array:
        seeds = self.problems.targets.shape[0]
        return jnp.sum(self.problems.loss((params["u"] * params["v"]).reshape(seeds, -1)))


def _predictor(params) -> Array:
    return params["u"] * params["v"]


def minibatch_descent(
    problems: LinearProblems,
    start: tuple[Array, Array],
    rate: float,
    batch_size: int,
    steps: int,
    key: Key,
    progress: Callable[[float], None] = _silent,
) -> Array:
    """The predictors after stochastic gradient descent, shape `(seeds, n)`.

    All seeds are one chain of `gaugebias.train`: their losses are added up, so that each moves
    by its own gradient. They share the numbers of the rows drawn; the rows, and starts, are their
    own and independent.
    """
    rows = (jnp.swapaxes(problems.features, 0, 1), problems.targets.T)
    done = train(
        _squares,
        {"u": start[0], "v": start[1]},
        rows,
        optimiser=plain_sgd(rate),
        batch_size=batch_size,
        key=key,
        chains=1,
        steps=steps,
        every=steps,
        observe=_predictor,
        progress=progress,
    )
    return jnp.asarray(done.values)[0, -1].reshape(start[0].shape)


def horizontal_descent(
    problems: LinearProblems,
    start: tuple[Array, Array],
    rate: float,
    temperature: float,
    steps: int,
    key: Key,
    progress: Callable[[float], None] = _silent,
) -> Array:
    """The predictors after Langevin descent with noise across the orbits, shape `(seeds, n)`.

    Every entry of every seed is rescaled by itself, and noise is drawn for each, so that seeds
    are independent although they are one chain. Steps of size `rate`, as of descent.
    """
    action = Rescaling("u", "v", axes=(0, 0))
    sde = ProjectedLangevin(SummedLoss(problems), action, temperature)
    done = simulate(
        sde,
        {"u": start[0].ravel(), "v": start[1].ravel()},
        key=key,
        chains=1,
        steps=steps,
        dt=rate,
        every=steps,
        observe=_predictor,
        progress=progress,
    )
    return jnp.asarray(done.values)[0, -1].reshape(start[0].shape)
