"""Full-batch descent on linear models, plain and factored, over many data sets at once."""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array


class LinearProblems(NamedTuple):
    """One linear regression a seed: `features`, shape `(seeds, m, n)`, `targets` `(seeds, m)`.

    The loss of a predictor `x` is the mean of `(features x - targets)^2`, without a half.
    """

    features: Array
    targets: Array

    def residuals(self, x: Array) -> Array:
        """`features x - targets`, shape `(seeds, m)`, for `x` of shape `(seeds, n)`."""
        return jax.vmap(jnp.matmul)(self.features, x) - self.targets

    def loss(self, x: Array) -> Array:
        """Mean square of the residuals, shape `(seeds,)`."""
        return jnp.mean(self.residuals(x) ** 2, axis=-1)

    def gradient(self, x: Array) -> Array:
        """Of the loss, shape `(seeds, n)`."""
        pull = 2.0 / self.targets.shape[-1] * self.residuals(x)
        # `r @ rows`: as `rows.T @ r`, XLA on CPUs makes the transpose anew in each step.
        return jax.vmap(lambda rows, r: r @ rows)(self.features, pull)


class PlainModel(eqx.Module):
    """`x` itself, with `penalty |x|_1` in the loss (its subgradient is 0 at 0)."""

    penalty: Array

    def predictor(self, params: Array) -> Array:
        return params

    def move(self, problems: LinearProblems, params: Array) -> Array:
        """The gradient in the parameters."""
        return problems.gradient(params) + self.penalty * jnp.sign(params)


class ProductModel(eqx.Module):
    """`x = u v` entry by entry; parameters `(u, v)`, each of shape `(seeds, n)`."""

    def predictor(self, params: tuple[Array, Array]) -> Array:
        u, v = params
        return u * v

    def move(self, problems: LinearProblems, params: tuple[Array, Array]):
        """The gradient in the parameters."""
        u, v = params
        g = problems.gradient(u * v)
        return g * v, g * u


@eqx.filter_jit
def descend(
    model: PlainModel | ProductModel,
    problems: LinearProblems,
    params,
    rate: Array,
    every: Array,
    saves: int,
    watch: Callable[[LinearProblems, Array], Array],
    in_turn: bool = True,
):
    """`saves` times `every` steps of gradient descent.

    In each stretch one seed comes after the other, so that the rows of its problem stay in a
    core's cache. Where stretches are of a step or few, all seeds are better made side by side:
    `in_turn=False`.

    **Returns:** the parameters, and `watch(problems, x)` of the predictors before the first step
    and after each stretch, stacked: `(saves + 1, ...)`.
    """

    def steps(data):
        problems, params = data

        def step(_, params):
            moves = model.move(problems, params)
            return jax.tree.map(lambda p, g: p - rate * g, params, moves)

        return jax.lax.fori_loop(0, every, step, params)

    def alone(seed):
        return jax.tree.map(lambda x: x[0], steps(jax.tree.map(lambda x: x[None], seed)))

    def stretch(params, _):
        data = problems, params
        params = jax.lax.map(alone, data) if in_turn else steps(data)
        return params, watch(problems, model.predictor(params))

    first = watch(problems, model.predictor(params))
    params, seen = jax.lax.scan(stretch, params, None, length=saves)
    return params, jnp.concatenate([first[None], seen])
