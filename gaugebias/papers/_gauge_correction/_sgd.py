"""The optimiser of all experiments."""

import functools

import optax


@functools.cache
def plain_sgd(learning_rate: float) -> optax.GradientTransformation:
    """Stochastic gradient descent, one object a rate: runs with it share what is compiled."""
    return optax.sgd(learning_rate)
