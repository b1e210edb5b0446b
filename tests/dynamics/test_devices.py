"""The chain axis over several devices, simulated on the CPU in a process of their own."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gaugebias as gb
from gaugebias.dynamics import Langevin, Moments
from gaugebias.dynamics._runs import _memory as memory
from gaugebias.dynamics._runs._devices import Layout

SCRIPT = Path(__file__).with_name("sharded_runs.py")


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    path = tmp_path_factory.mktemp("sharded") / "out.json"
    flags = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
    env = os.environ | {"PYTHONPATH": str(Path(gb.__file__).parents[1]), "XLA_FLAGS": flags}
    subprocess.run([sys.executable, str(SCRIPT), str(path)], env=env, check=True, timeout=600)
    out = json.loads(path.read_text())
    assert out["devices"] == 8
    return out


@pytest.mark.slow
def test_noise_is_the_same_bits_on_any_number_of_devices(found):
    assert len(set(found["noise"])) == 1 and len(found["noise"]) == 5
    assert found["mesh"] == found["noise"][0]
    assert len(set(found["batches"])) == 1 and len(found["batches"]) == 5


@pytest.mark.slow
def test_states_and_statistics_are_the_same_bits_with_64_chains_a_device(found):
    assert len(set(found["small"])) == 1
    assert len(set(found["large"])) == 1
    assert len(found["small"]) == 5 and len(found["large"]) == 2


@pytest.mark.slow
def test_what_leaves_its_domain_does_so_on_the_same_step(found):
    assert len(set(found["leaving"])) == 1 and len(found["leaving"]) == 3
    assert 0 < found["left"] < 4096


@pytest.mark.slow
def test_states_agree_to_rounding_with_fewer_chains_a_device(found):
    assert found["few"] < 1e-5


@pytest.mark.slow
def test_trained_parameters_agree_to_rounding(found):
    # Not to the bit: cut over devices, the program of a network's gradients rounds otherwise (in
    # float32, by some 1e-7 of parameters near one).
    assert found["trained"] < 1e-5


@pytest.mark.slow
def test_nothing_passes_between_devices(found):
    assert found["partitioned"] and found["collectives"] == []
    assert not found["trained together"]
    assert found["summed"] == []


@pytest.mark.slow
def test_chains_that_do_not_divide_are_padded_and_it_is_said(found):
    assert found["odd"] == [13, 13] and found["odd difference"] < 1e-5
    assert found["said"] == [
        "`chains` (13) is not a multiple of the 8 devices: 3 more are simulated and thrown away. "
        "16 would cost the same."
    ]


@pytest.mark.slow
def test_devices_that_there_are_not_are_refused(found):
    many, grid, text, twice = found["refused"]
    assert re.search(r"`devices` is 9, but there are 8 \(cpu\)", many)
    assert re.search(r"`devices` is a mesh of 2 axes \('a', 'b'\), but", grid)
    assert re.search(r"`devices` must be a number, a list", text)
    assert re.search(r"`devices` names a device twice", twice)


SDE = Langevin(lambda x: 0.5 * jnp.sum(x**2), 0.1)


def test_a_number_of_devices_may_be_numpys():
    assert Layout(np.int64(1), 3).devices == 1
    with pytest.raises(ValueError, match="`devices` must be a number, a list"):
        Layout(np.bool_(True), 3)
    with pytest.raises(ValueError, match="`devices` must be at least 1, but is 0"):
        Layout(np.int32(0), 3)


def test_what_does_not_fit_into_memory_is_refused_before_anything_is_compiled(monkeypatch):
    def run(chains, **options):
        settings: dict[str, Any] = dict(key=jax.random.key(0), steps=1000, dt=0.1, chains=chains)
        return gb.simulate(SDE, jnp.zeros(4), **(settings | options))

    monkeypatch.setattr(memory, "host_memory", lambda: 2**20)
    # Recorded: 1000 draws of 32 bytes twice on the host and 62 of them in a chunk; the state.
    with pytest.raises(ValueError, match="`chains`: 32 chains need about 0.00197 GiB") as caught:
        run(32, every=1)
    fit = re.search(r"(\d+) chains at a time would fit", str(caught.value))
    assert fit is not None and "raise `every`" in str(caught.value)
    assert run(int(fit[1]), every=1).chains == int(fit[1])
    assert run(32, reduce=Moments()).chains == 32
    with pytest.raises(ValueError, match="GiB are free on this host"):
        run(10**6)
    # Said before the starts are made, which by themselves would be more than any host has.
    for init in (jnp.zeros(4), lambda key: jax.random.normal(key, (4,))):
        with pytest.raises(ValueError, match=r"`chains`: 10+ chains need about 1.\d+e\+05 GiB"):
            gb.simulate(SDE, init, key=jax.random.key(0), steps=8, dt=0.1, chains=10**12)
    monkeypatch.setattr(memory, "host_memory", lambda: 100)
    with pytest.raises(ValueError, match="not even one chain fits"):
        run(1)


def test_the_memory_of_a_device_and_of_the_host_are_looked_at_apart(monkeypatch):
    """Draws go to the host, where they are put together: a large device does not help them."""
    free = {"device": 2**20, "host": 2**40}
    monkeypatch.setattr(memory, "available", lambda devices: (free["device"], "1 accelerator"))
    monkeypatch.setattr(memory, "host_memory", lambda: free["host"])

    def check():
        memory.check_memory(Layout(None, 64), state=100, noise=100, draw=8, most=4, draws=10_000)

    check()
    free["host"] = 2**20
    with pytest.raises(ValueError, match="0.00954 GiB, and 0.000977 GiB are free on this host"):
        check()
    free["device"] = 2**10
    with pytest.raises(ValueError, match="are free on 1 accelerator"):
        check()


def test_free_memory_is_known_here():
    free = memory.host_memory()
    assert free is None or 2**20 < free < 2**50
