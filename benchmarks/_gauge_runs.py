"""The five experiments of 2601.06597 in jax: this library's runs, and a hand-written scan."""

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr

from ._gauge_problems import Experiment, coefficient_error

# Module, function and settings in `gaugebias.papers._gauge_correction`.
_LIBRARY = {
    "relu": ("_relu", "train_relu", "ReLUSettings"),
    "attention": ("_attention", "train_attention", "AttentionSettings"),
    "completion": ("_completion", "train_completion", "CompletionSettings"),
    "spectrum": ("_spectrum", "train_spectrum", "SpectrumSettings"),
    "variation": ("_signal", "train_signal", "SignalSettings"),
}


def library(name: str, seeds: int, steps: int) -> Callable[[], Any] | None:
    """`steps` steps of an experiment as `gaugebias reproduce gauge-correction` runs it.

    `None` where this version does not hold the experiment.
    """
    module, function, settings = _LIBRARY[name]
    package = "gaugebias.papers._gauge_correction"
    try:
        found = import_module(f"{package}.{module}")
    except ModuleNotFoundError as error:
        if error.name not in (package, f"{package}.{module}"):
            raise
        return None
    train = getattr(found, function)
    default, key = getattr(found, settings)(), jr.key(0)

    def run():
        out = train(default, key, seeds, steps)
        return getattr(out, "final", out)

    return run


def scan(experiment: Experiment, seeds: int | None, steps: int) -> Callable[[], Any]:
    """A jitted `lax.scan` over steps, `vmap` over seeds: jax's own generator, gradient by `grad`.

    Without seeds (`None`) nothing is batched. Models are trained side by side.
    """
    truth, models = experiment.truth, experiment.models
    rates = tuple(jnp.float32(model.learning_rate) for model in models)

    def total(params, batch):
        losses = [m.loss(p, batch) for m, p in zip(models, params, strict=True)]
        return sum(losses[1:], losses[0]), losses

    def predictor(p):
        return p[0] if len(p) == 1 else p[0] * p[1]

    def one(params, data, key):
        def step(params, i):
            batch = data if experiment.draw is None else experiment.draw(jr.fold_in(key, i))
            slopes, losses = jax.grad(total, has_aux=True)(params, batch)
            params = tuple(
                jax.tree.map(lambda p, g, rate=rate: p - rate * g, ps, gs)
                for ps, gs, rate in zip(params, slopes, rates, strict=True)
            )
            if not experiment.watched:
                return params, None
            errors = [coefficient_error(truth[0], predictor(p)) for p in params]
            return params, jnp.stack(losses + errors)

        return jax.lax.scan(step, params, jnp.arange(steps))

    data = ()
    if seeds is None:
        start = tuple(jax.tree.map(jnp.asarray, m.start(0)) for m in models)
        if experiment.data is not None:
            data = jax.tree.map(jnp.asarray, experiment.data(0))
        return partial(jax.jit(one), start, data, jr.key(0))
    start = tuple(jax.tree.map(jnp.asarray, m.starts(seeds)) for m in models)
    if experiment.data is not None:
        data = jax.tree.map(jnp.asarray, experiment.all_data(seeds))
    return partial(jax.jit(jax.vmap(one)), start, data, jr.split(jr.key(0), seeds))
