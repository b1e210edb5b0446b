"""The faults of jaxlib do not reach those who import the package, and they hear of it if late."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from gaugebias import _xla

PROGRAM = """
import sys
if "late" in sys.argv:
    import jax.numpy as jnp
    jnp.zeros(1).block_until_ready()
import gaugebias
import jax
import jax.numpy as jnp
import numpy as np

jax.config.update("jax_enable_x64", True)
rng = np.random.default_rng(0)
matrix = rng.normal(size=(3, 3))
rows = rng.normal(size=(20_000, 3))
found = jax.jit(jax.vmap(lambda d: jnp.sum(jnp.asarray(matrix) @ d)))(rows)
print(np.sum(np.abs(np.asarray(found) - (rows @ matrix.T).sum(-1)) > 1e-9))
"""


def run(*words, **more):
    env = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"} | more
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words], capture_output=True, text=True, env=env
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout), done.stderr


def test_sums_over_many_small_products_are_right():
    assert run() == (0, "")


def test_whoever_computes_before_is_told():
    """The sibling: without the option jaxlib 0.10.2 is wrong in 3,616 rows."""
    import jaxlib

    wrong, said = run("late")
    assert "Import gaugebias first" in said
    if jaxlib.__version__ == "0.10.2":
        assert wrong == 3616


DECOMPOSITIONS = """
import os
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
import sys
if "late" in sys.argv:
    import jax
    jax.devices()
import gaugebias
import jax, jax.numpy as jnp

@jax.jit
def two(key):
    a, b = (jax.random.normal(k, (32, 20, 20)) for k in jax.random.split(key))
    return jnp.linalg.qr(a)[0].sum() + jnp.linalg.qr(b)[0].sum()

for i in range(150):
    two(jax.random.key(i)).block_until_ready()
print(os.environ["PJRT_NPROC"])
"""
pinned = pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="needs a process that is kept to two cores"
)
two_cores = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2,
    reason="needs two cores to choose",
)


def bare_environment():
    """As it was before this process imported the package."""
    return {k: v for k, v in os.environ.items() if "NPROC" not in k}


def decompose(*words, seconds, **more):
    env = bare_environment() | more
    command = [sys.executable, "-c", DECOMPOSITIONS, *words]
    return subprocess.run(command, capture_output=True, text=True, env=env, timeout=seconds)


@two_cores
def test_batches_of_decompositions_end_on_two_cores():
    done = decompose(seconds=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "4" and "gaugebias" not in done.stderr


@two_cores
@pytest.mark.slow
def test_with_two_threads_they_wait_for_ever():
    """The sibling: jaxlib 0.10.2 left to itself, and what is said to those who import too late."""
    import jaxlib

    if jaxlib.__version__ != "0.10.2":
        pytest.skip("seen in jaxlib 0.10.2")
    with pytest.raises(subprocess.TimeoutExpired):
        decompose(seconds=30, PJRT_NPROC="2")
    with pytest.raises(subprocess.TimeoutExpired) as late:
        decompose("late", seconds=30)
    assert b"Import gaugebias first" in (late.value.stderr or b"")


def test_flags_of_the_environment_stand():
    """What the user has set is kept, and nothing of the same option is added."""
    program = (
        "import gaugebias, os; print(os.environ['XLA_FLAGS']); print(os.environ['PJRT_NPROC'])"
    )
    mine = "--xla_backend_extra_options=xla_cpu_small_while_loop_byte_threshold=1"
    env = bare_environment() | {"XLA_FLAGS": mine, "PJRT_NPROC": "7"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=env)
    flags, threads = done.stdout.split("\n")[:2]
    assert flags.startswith(mine) and flags.count("xla_backend_extra_options") == 1
    assert threads == "7"
    env["XLA_FLAGS"] = ""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=env)
    assert "small_while_loop_byte_threshold=262144" in done.stdout


@pinned
@pytest.mark.parametrize(
    ("first", "more", "whole"),
    [
        ("", {}, False),
        ("", {"XLA_FLAGS": "--xla_force_host_platform_device_count=1"}, False),
        ("", {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}, True),
        ("", {"JAX_NUM_CPU_DEVICES": "2"}, True),
        ("import jax; jax.config.update('jax_num_cpu_devices', 2)", {}, True),
        ("import jax", {"JAX_NUM_CPU_DEVICES": "-1"}, False),
    ],
)
def test_loops_of_any_size_are_whole_with_a_device_a_core(first, more, whole):
    """The loop reads and writes 3 MB a turn: as two functions, or as one that has it whole."""
    program = f"""
import os
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
{first}
import gaugebias
import jax, jax.numpy as jnp

def turn(i, carry):
    x, y = carry
    return jnp.sin(y), jnp.cos(x)

x = jnp.zeros(2**18, jnp.float32)
loop = jax.jit(lambda x, n: jax.lax.fori_loop(0, n, turn, (x, x)))
print(len(jax.devices()), "xla_cpu_small_call" in loop.lower(x, 9).compile().as_text())
"""
    env = bare_environment() | {"XLA_FLAGS": ""} | more
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["2" if whole else "1", str(whole)]


COUNT = "--xla_force_host_platform_device_count"


@pytest.mark.parametrize(
    ("flags", "variable", "devices"),
    [
        ("", None, 1),
        (f"{COUNT}=2 {COUNT}=4", None, 4),
        (f"{COUNT}=4  {COUNT}=1", None, 1),
        (f'{COUNT}="3"', None, 3),
        (f"{COUNT}=2", "1", 1),  # jax's own setting comes first
        (f"{COUNT}=1", " 2", 2),
        (f"{COUNT}=2", "-1", 2),  # its way to say nothing
        ("", "\u00b2", 1),  # jax says what is wrong with it
        (f"{COUNT}=junk", "", 1),
    ],
)
def test_devices_are_counted_as_jax_counts_them(flags, variable, devices, monkeypatch):
    monkeypatch.setattr(_xla, "sys", SimpleNamespace(modules={}))  # before jax is imported
    monkeypatch.setenv("XLA_FLAGS", flags)
    monkeypatch.delenv("JAX_NUM_CPU_DEVICES", raising=False)
    if variable is not None:
        monkeypatch.setenv("JAX_NUM_CPU_DEVICES", variable)
    assert _xla._cpu_devices() == devices


def test_a_process_decides_anew_what_the_one_before_it_said_of_loops(monkeypatch):
    """A worker has its own number of devices; what a user has set is handed down."""
    monkeypatch.setattr(_xla, "_cores", lambda: 2)
    monkeypatch.setattr(_xla, "sys", SimpleNamespace(modules={}))
    monkeypatch.delenv("GAUGEBIAS_SET_XLA_LOOPS", raising=False)
    monkeypatch.delenv("JAX_NUM_CPU_DEVICES", raising=False)
    monkeypatch.setenv("XLA_FLAGS", "")

    def said(**more):
        for name, value in more.items():
            monkeypatch.setenv(name, value)
        _xla.make_small_loops_whole()
        flags = os.environ["XLA_FLAGS"]
        return f"={_xla._ANY}" in flags, flags.count("xla_backend_extra_options")

    assert said() == (False, 1)
    assert said(JAX_NUM_CPU_DEVICES="2") == (True, 1)
    assert said(JAX_NUM_CPU_DEVICES="1") == (False, 1)
    monkeypatch.delenv("GAUGEBIAS_SET_XLA_LOOPS")
    assert said(JAX_NUM_CPU_DEVICES="2") == (False, 1)


@two_cores
def test_a_process_of_one_core_does_not_inherit_threads():
    """Workers are kept to a core each: what their parent set for two is decided anew."""
    program = """
import os, subprocess, sys
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
import gaugebias
print(os.environ["PJRT_NPROC"])
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
inner = "import gaugebias, os; print(os.environ.get('PJRT_NPROC'))"
sys.stdout.flush()
subprocess.run([sys.executable, "-c", inner])
"""
    command, env = [sys.executable, "-c", program], bare_environment()
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    assert done.stdout.split() == ["4", "None"], done.stderr
