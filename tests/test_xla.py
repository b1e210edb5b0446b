"""The compiler's fault does not reach those who import the package, and they hear of it if late."""

import os
import subprocess
import sys

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
