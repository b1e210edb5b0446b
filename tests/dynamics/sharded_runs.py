"""Runs on 1, 2, 4 and 8 simulated devices in one process: run by `test_devices.py`.

Writes what came out, as JSON, to the file named by the argument.
"""

import hashlib
import json
import os
import re
import sys
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import gaugebias as gb
from gaugebias.dynamics._runs._devices import Layout
from gaugebias.dynamics._runs._path import CounterPath, chain_keys
from gaugebias.dynamics._runs._program import run_chunk
from gaugebias.dynamics._runs._threefry import fastest

MATRIX = np.random.default_rng(0).normal(size=(12, 9)) / 3


def small(p):
    return 0.5 * jnp.sum((p["u"] * p["v"] - 1.0) ** 2)


def large(p):  # a matrix problem, whose products sum over more than one block
    return 0.5 * jnp.sum((p["u"] @ p["v"].T - MATRIX) ** 2)


SMALL = {"u": jnp.ones(2), "v": jnp.ones(2)}
WIDE = {"u": jnp.ones(20), "v": jnp.ones(20)}
LARGE = {"u": jnp.ones((12, 4)), "v": jnp.ones((9, 4))}


def digest(tree):
    data = b"".join(np.asarray(x).tobytes() for x in jax.tree.leaves(tree))
    return hashlib.sha256(data).hexdigest()


def run(loss, start, chains, devices, **options):
    sde = gb.dynamics.Langevin(loss, 0.05)
    # Of seventeen draws sixteen are worked into the lags together, and one at the end.
    reduce = {"moments": gb.dynamics.Moments(), "lags": gb.dynamics.Autocorrelation(levels=3)}
    settings: dict[str, Any] = dict(
        key=jax.random.key(1), dt=0.01, steps=34, every=2, reduce=reduce
    )
    return gb.simulate(sde, start, chains=chains, devices=devices, **(settings | options))


def noise(devices):
    """The first numbers of 16 chains, drawn where the chains are."""
    keys = Layout(devices, 16).place(fastest(chain_keys(jax.random.key(1), 16)), 0)
    path = CounterPath(keys, 7, jax.ShapeDtypeStruct((3,), jnp.float64))
    return digest(jax.jit(lambda path: path.evaluate(2, 3))(path))


def batches(devices):
    """Parameters that are exact sums of the samples drawn: the batches themselves."""
    run = gb.train(
        lambda p, x: p * x,
        jnp.zeros(()),
        jnp.arange(64.0),
        optimiser=optax.sgd(1.0),
        batch_size=4,
        key=jax.random.key(7),
        chains=16,
        steps=8,
        devices=devices,
    )
    return digest(run.final)


def leaving(devices):
    """A run that some chains end outside of their domain."""
    reduce = {"moments": gb.dynamics.Moments(), "lags": gb.dynamics.Autocorrelation(levels=3)}
    domain = lambda p: jnp.sum(p["u"] ** 2) < 22.0  # noqa: E731
    options: dict[str, Any] = dict(steps=96, every=32, reduce=reduce, domain=domain, throw=False)
    return run(small, WIDE, 4096, devices, **options)


def hlo_of_a_chunk(go):
    """The compiled text of the first chunk of a run."""
    texts = []
    from gaugebias.dynamics._runs import _simulate

    def spy(*args, **options):
        if not texts:
            texts.append(run_chunk.lower(*args, **options).compile().compiled.as_text())
        return run_chunk(*args, **options)

    _simulate.run_chunk = spy
    try:
        go()
    finally:
        _simulate.run_chunk = run_chunk
    return texts[0]


def hlo_of_training():
    """The compiled text of the first chunk of training on 8 devices."""
    texts = []
    from gaugebias.dynamics._training import _train

    compiled = _train.train_chunk

    def spy(*args, **options):
        if not texts:
            texts.append(compiled.lower(*args, **options).compile().compiled.as_text())
        return compiled(*args, **options)

    _train.train_chunk = spy
    try:
        train(512, 8, replacement=False)
    finally:
        _train.train_chunk = compiled
    return texts[0]


def of_sample(p, sample):
    x, y = sample
    return 0.5 * (jnp.sum(p["v"] @ jnp.tanh(p["u"].T @ x)) - y) ** 2


def train(chains, devices, **options):
    settings: dict[str, Any] = dict(key=jax.random.key(2), steps=16, every=2, batch_size=4)
    settings |= dict(optimiser=optax.adam(0.01), reduce=gb.dynamics.Moments())
    data = (MATRIX.T, MATRIX[0])
    return gb.train(of_sample, LARGE, data, chains=chains, devices=devices, **settings, **options)


def fields(ens):
    return ens.final, ens.values, ens.reductions, ens.carry


def refused(devices):
    try:
        run(small, SMALL, 16, devices)
    except ValueError as error:
        return str(error)
    return ""


def main(path):
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_compilation_cache_dir", os.environ.get("GAUGEBIAS_TEST_CACHE"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    out = {"devices": len(jax.devices()), "noise": [], "small": [], "large": [], "batches": []}
    for devices in (None, 1, 2, 4, 8):
        out["noise"].append(noise(devices))
        out["batches"].append(batches(devices))
        out["small"].append(digest(fields(run(small, SMALL, 512, devices))))
    out_of = [leaving(devices) for devices in (None, 2, 8)]
    out["leaving"] = [digest((fields(each), each.results, each.failed_by)) for each in out_of]
    out["left"] = int((out_of[0].results != 0).sum())
    for devices in (None, 8):
        out["large"].append(digest(fields(run(large, LARGE, 512, devices))))
    few = [run(large, LARGE, 16, devices).final["u"] for devices in (None, 8)]
    out["few"] = float(np.abs(few[1] - few[0]).max())
    trained = [train(512, devices).final for devices in (None, 8)]
    out["trained"] = max(float(np.abs(trained[1][x] - trained[0][x]).max()) for x in "uv")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        odd = run(small, SMALL, 13, 8)
    out["said"] = [str(w.message) for w in said]
    whole = run(small, SMALL, 13, None)
    out["odd"] = [odd.chains, odd.reductions["moments"]["u"].chains]
    out["odd difference"] = float(np.abs(odd.final["u"] - whole.final["u"]).max())
    grid = jax.sharding.Mesh(np.array(jax.devices()).reshape(4, 2), ("a", "b"))
    line = jax.sharding.Mesh(np.array(jax.devices()[:4]), ("mine",))
    out["mesh"] = noise(line)
    out["refused"] = [refused(9), refused(grid), refused("gpu"), refused(jax.devices()[:1] * 2)]
    domain = lambda p: jnp.sum(p["u"] ** 2) < 1e6  # noqa: E731
    text = hlo_of_a_chunk(lambda: run(large, LARGE, 512, 8, domain=domain))
    also, training = hlo_of_a_chunk(lambda: leaving(8)), hlo_of_training()
    out["partitioned"] = all("num_partitions=8" in x for x in (text, also, training))
    names = ("all-gather", "all-to-all", "collective-permute", "collective-broadcast")
    names = (*names, "reduce-scatter")
    out["collectives"] = [n for n in names if any(n in x for x in (text, also, training))]
    out["trained together"] = "all-reduce" in training
    sums = [line for line in text.splitlines() if re.search(r"all-reduce(-start)?\(", line)]
    out["summed"] = [re.split(r" all-reduce", line.split(" = ")[1])[0] for line in sums]
    with open(path, "w", encoding="utf-8") as file:
        json.dump(out, file)


if __name__ == "__main__":
    main(sys.argv[1])
