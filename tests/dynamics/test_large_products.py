"""With a device a core loops of any size are one function each, but not around large products."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest

from gaugebias.dynamics._runs._large_products import has_large_products

PROGRAM = """
import os
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
import gaugebias as gb
import jax, jax.numpy as jnp
import optax
from gaugebias.dynamics._runs._program import Compiled

found, real = [], Compiled.__call__

def spy(self, *args, **options):
    if not found:
        text = self.lower(*args, **options).compile().compiled.as_text()
        found.append("xla_cpu_small_call" in text)
    return real(self, *args, **options)

Compiled.__call__ = spy
KEY = jax.random.key(0)

def simulated(n, chains, **options):
    sde = gb.dynamics.Langevin(lambda p: 0.5 * jnp.sum((p["u"] @ p["v"].T - 1.0) ** 2), 0.1)
    start = {"u": jnp.eye(n), "v": jnp.eye(n)}
    run = dict(key=KEY, chains=chains, steps=64, dt=1e-5, devices=2)
    gb.simulate(sde, start, **run, **options)

def trained(n):
    start = {"u": jnp.eye(n) / n, "v": jnp.eye(n) / n}
    run = dict(optimiser=optax.sgd(1e-4), batch_size=8, key=KEY, chains=64, steps=64, devices=2)
    gb.train(lambda p, x: jnp.sum((p["u"] @ jnp.tanh(p["v"] @ x)) ** 2), start, X[:, :n], **run)

X = jnp.ones((16, 64))
print(len(jax.devices()))
for run in (
    lambda: simulated(20, 256),
    lambda: simulated(64, 32),
    lambda: simulated(64, 32, every=1, domain=lambda p: True),
    lambda: trained(20),
    lambda: trained(64),
):
    found.clear()
    run()
    print(found[0])
"""


@pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="needs a process that is kept to two cores"
)
def test_steps_of_small_products_are_one_function_and_those_of_large_ones_are_not():
    flags = "--xla_force_host_platform_device_count=2 --xla_backend_optimization_level=0"
    env = {k: v for k, v in os.environ.items() if "NPROC" not in k} | {"XLA_FLAGS": flags}
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["2", "True", "False", "False", "True", "False"]


A, B = jnp.ones((40, 3)), jnp.ones((64, 3, 3))


@pytest.mark.parametrize(
    ("fn", "x", "heavy"),
    [
        (lambda x: A @ x, jnp.ones(3), True),
        (lambda x: jnp.sum(A * x[None]), jnp.ones(3), False),
        (lambda x: jnp.einsum("bij,bjk->bik", B, x), B, False),  # many small ones
        (lambda x: jax.lax.cond(x[0] > 0, lambda x: A @ x, lambda x: jnp.zeros(40), x), A[0], True),
        (lambda x: jax.lax.fori_loop(0, 3, lambda _, x: A.T @ (A @ x), x), A[0], True),
        (jax.jit(lambda x: jnp.convolve(x, x)), jnp.ones(5), True),
        (jax.grad(lambda x: jnp.sum(jnp.tanh(A @ x))), jnp.ones(3), True),
    ],
)
def test_large_products_are_found_wherever_they_are(fn, x, heavy):
    assert has_large_products(fn, x) is heavy
    assert has_large_products(fn, jax.ShapeDtypeStruct(x.shape, x.dtype)) is heavy
