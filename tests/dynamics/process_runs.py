"""Runs of one of several processes, or of one alone: run by `test_together.py`.

Arguments: a JSON object of what to do. Writes what came out, as JSON, to its `out`.
"""

import hashlib
import json
import os
import sys
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import gaugebias as gb

MATRIX = np.random.default_rng(0).normal(size=(12, 9)) / 3


def small(p):
    return 0.5 * jnp.sum((p["u"] * p["v"] - 1.0) ** 2)


def large(p):  # a matrix problem, whose products sum over more than one block
    return 0.5 * jnp.sum((p["u"] @ p["v"].T - MATRIX) ** 2)


def start(key):
    return {"u": 1.0 + 0.1 * jax.random.normal(key, (2,)), "v": jnp.ones(2)}


LARGE = {"u": np.ones((12, 4)), "v": np.ones((9, 4))}
PARTS = ("final", "values", "results", "failed_by", "steps", "reductions", "carry")
X = np.random.default_rng(1).normal(size=(12, 6))


def digest(tree):
    out = hashlib.sha256()
    for x in jax.tree.leaves(tree):
        x = np.asarray(x)
        out.update(f"{x.dtype}{x.shape}".encode() + np.ascontiguousarray(x).tobytes())
    return out.hexdigest()


def digests(ens):
    return {name: digest(getattr(ens, name)) for name in PARTS}


def noise(devices, loss=lambda x: 0.0 * jnp.sum(x)):
    """Chains that nothing but noise moves, for one step from nought: the noise itself."""
    sde = gb.dynamics.Langevin(loss, 0.5)
    one: dict[str, Any] = dict(key=jax.random.key(7), chains=24, steps=1, dt=1.0, devices=devices)
    return digest(gb.simulate(sde, jnp.zeros(3), **one).final)


def nothing(x):
    return 0.0 * jnp.sum(x)


def nothing_else(x):
    return 0.0 * jnp.max(x)


def run(loss, init, chains, devices, **options):
    settings: dict[str, Any] = dict(key=jax.random.key(1), dt=0.01, steps=32, every=2)
    reduce = {"moments": gb.dynamics.Moments(), "lags": gb.dynamics.Autocorrelation()}
    settings |= dict(reduce=reduce, chains=chains, devices=devices)
    return gb.simulate(gb.dynamics.Langevin(loss, 0.05), init, **(settings | options))


def of_sample(p, sample):
    x, y = sample
    return 0.5 * (jnp.sum(p["u"] * p["v"]) * x[0] - y) ** 2


def of_network(p, sample):  # more parameters than fit the layout of small states
    x, y = sample
    return 0.5 * (jnp.sum(p["v"] @ jnp.tanh(p["u"].T @ jnp.concatenate([x, x]))) - y) ** 2


def train(loss, init, chains, devices, **options):
    settings: dict[str, Any] = dict(key=jax.random.key(2), steps=24, every=2, batch_size=4)
    settings |= dict(optimiser=optax.adam(0.01), reduce=gb.dynamics.Moments())
    return gb.train(
        loss, init, (X, X[:, 1]), chains=chains, devices=devices, **(settings | options)
    )


def training(devices):
    """The runs of `train` that must not depend on the number of processes."""
    rates = dict(optimiser=optax.adam, learning_rates=[0.01, 0.03], replacement=False)
    return {
        "recorded": digests(train(of_sample, start, 512, devices, reduce=None)),
        "rates": digests(train(of_network, LARGE, 256, devices, **rates)),
        "noise": digests(train(of_sample, start, 512, devices, noise="gaussian")),
    }


def halving(devices):
    sde = gb.dynamics.Langevin(small, 0.05)
    options: dict[str, Any] = dict(key=jax.random.key(3), chains=512, steps=16, dt=0.02)
    run = gb.dynamics.step_halving(sde, start, devices=devices, **options)
    return [digests(run.coarse), digests(run.fine)]


def equality(devices):
    """The runs that must not depend on the number of processes."""
    out: dict[str, Any] = {"noise": noise(devices)}
    out["small"] = digests(run(small, start, 512, devices))
    out["recorded"] = digests(run(small, start, 512, devices, reduce=None))
    out["large"] = digests(run(large, LARGE, 512, devices))
    out["training"], out["halving"] = training(devices), halving(devices)
    few = run(large, LARGE, 14, devices)  # fewer than 64 a device, and they do not divide by 4
    out["few"] = np.asarray(few.final["u"]).ravel().tolist()
    few = train(of_network, LARGE, 7, devices, optimiser=optax.sgd, learning_rates=[0.01, 0.03])
    out["few"] += np.asarray(few.final["u"]).ravel().tolist()
    batch = {"u": np.linspace(0.5, 1.5, 26).reshape(13, 2), "v": np.ones((13, 2))}
    odd = run(small, batch, None, devices, batched=True, domain=lambda p: jnp.sum(p["u"]) < 3.2)
    out["odd"] = [odd.chains, odd.reductions["moments"]["u"].chains, odd.results.tolist()]
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        early = run(small, start, 128, devices, until_ess=60.0, steps=640, every=8)
        late = run(small, start, 128, devices, until_ess=1e9, steps=64, every=8)
    out["early"] = [int(early.steps[-1]), digests(early)]
    out["late"] = [digests(late), [str(w.message) for w in said if "until_ess" in str(w.message)]]
    return out


def quick(devices, index):
    """The part of `equality` and `refusals` that every test run affords."""
    return {
        "noise": noise(devices),
        "small": digests(run(small, start, 512, devices, reduce=gb.dynamics.Moments())),
        "trained": digests(train(of_sample, start, 128, devices)),
        "halving": halving(devices),
        "refused": refusals(index) if devices is not None else None,
    }


def refusals(index):
    """What is said to all processes where something is wrong, of one or of all."""
    out = []
    every, own = jax.devices(), jax.local_devices()
    moments = {"reduce": gb.dynamics.Moments()}
    batch = {"u": np.zeros((512, 2)), "v": np.ones((512, 2))}
    inside = lambda p: jnp.all(p["u"] > index - 0.5)  # noqa: E731
    for attempt in (
        lambda: noise(99),
        lambda: noise(every[:1]),
        lambda: noise(jax.sharding.Mesh(np.array(every).reshape(-1, 1), ("a", "b"))),
        lambda: run(small, start, 512, every, steps=32 + 2 * index, **moments),
        lambda: run(small, batch, None, every, batched=True, domain=inside, **moments),
        lambda: train(of_sample, start, 128, [every[1 - index]]),
        lambda: train(of_sample, start, 128, every, batch_size=4 + index),
        lambda: noise(every, loss=(nothing, nothing_else)[index]),
    ):
        try:
            attempt()
            out.append("")
        except ValueError as error:
            out.append(str(error))
    out.append(noise(own))  # each by itself
    return out


def long_run(job, devices):
    """A checkpointed run of 640 steps. Says how far it is; sleeps a little to be caught in it."""
    import time

    def progress(fraction):
        print(fraction, flush=True)
        time.sleep(job.get("sleep", 0.0))

    saved = gb.dynamics.Checkpoint(job["checkpoint"], steps=10)
    options = dict(steps=640, every=8, until_ess=1e9) if job.get("ess") else dict(steps=640)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        ens = run(small, start, 128, devices, checkpoint=saved, progress=progress, **options)
    return digests(ens)


def long_training(job, devices):
    """Training that is slow enough to be caught in it, and says how far it is."""
    import time

    def progress(fraction):
        print(fraction, flush=True)
        time.sleep(job["sleep"])

    return digests(train(of_sample, start, 128, devices, steps=640, progress=progress))


def main(job):
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_compilation_cache_dir", os.environ.get("GAUGEBIAS_TEST_CACHE"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    index = job["index"]
    if job["count"] > 1:
        gb.distributed.initialize(
            job["address"],
            job["count"],
            index,
            timeout=job.get("timeout", 60.0),
            grace=job.get("grace", 30.0),
            connect_timeout=60.0,
        )
    devices = jax.devices() if job["count"] > 1 else None
    found: Any = {
        "equality": lambda: equality(devices),
        "quick": lambda: quick(devices, index),
        "long": lambda: long_run(job, devices),
        "long training": lambda: long_training(job, devices),
    }[job["what"]]()
    if "out" in job:
        with open(job["out"], "w", encoding="utf-8") as file:
            json.dump(found, file)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
