"""What the engines compile for accelerators, as far as that can be seen without one."""

import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gaugebias as gb
from gaugebias.dynamics._runs import _simulate
from gaugebias.dynamics._training import _train

KEY = jax.random.key(0)
POINT = {"u": jnp.eye(4, 3), "v": jnp.eye(4, 3)}
ACTION = gb.symmetry.GeneralLinear("u", "v")
X = jnp.asarray(np.random.default_rng(0).normal(size=(16, 4)))


def loss(p):
    return 0.5 * jnp.sum((p["u"] @ p["v"].T - 1.0) ** 2)


def of_sample(p, x):
    return 0.5 * (jnp.sum(p["v"].T @ x) * jnp.sum(p["u"]) - 1.0) ** 2


def simulated(sde, **options):
    return lambda: gb.simulate(sde, POINT, key=KEY, chains=64, steps=32, dt=1e-3, **options)


STATISTICS = {
    "moments": gb.dynamics.Moments(),
    "histogram": gb.dynamics.Histogram(np.linspace(-1.0, 1.0, 9)),
    "quantiles": gb.dynamics.Quantiles(),
    "lags": gb.dynamics.Autocorrelation(levels=3),
}
WATCHED = {"reduce": STATISTICS, "observe": lambda p: p["u"][0, 0], "every": 2}
WATCHED |= {"domain": lambda x: x < 5.0}
MINIBATCH = gb.dynamics.MinibatchSDE(of_sample, X, batch_size=4, learning_rate=0.1)
RUNS = {
    "watched": simulated(gb.dynamics.Langevin(loss, 0.1), **WATCHED),
    "projected": simulated(gb.dynamics.ProjectedLangevin(loss, ACTION, 0.1)),
    "minibatch": simulated(MINIBATCH),
    "training": lambda: gb.train(
        of_sample, POINT, X, optimiser=optax.adam(0.01), batch_size=4, key=KEY, chains=8, steps=8
    ),
}


class Caught(Exception):
    pass


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
@pytest.mark.parametrize("name", RUNS)
def test_programs_are_lowered_without_calls_to_the_host(name, platform, monkeypatch):
    """Such a call would stop the accelerator at each of them."""
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu" if platform == "cuda" else platform)
    module, program = (_train, "train_chunk") if name == "training" else (_simulate, "run_chunk")
    compiled = getattr(module, program)

    def catch(*args, **options):
        raise Caught(args)

    monkeypatch.setattr(module, program, catch)
    with pytest.raises(Caught) as caught:
        RUNS[name]()
    arrays, rest = eqx.partition(caught.value.args[0], eqx.is_array_like)

    def run(arrays):
        return eqx.filter(compiled._fn(*eqx.combine(arrays, rest)), eqx.is_array)

    text = jax.jit(run).trace(arrays).lower(lowering_platforms=(platform,)).as_text()
    called = set(re.findall(r"custom_call @(\w+)", text))
    assert not any("callback" in each for each in called), called
    assert "stablehlo.while" in text
