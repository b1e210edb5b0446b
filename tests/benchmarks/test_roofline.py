"""What the limits count."""

import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

if not (Path(__file__).resolve().parents[2] / "benchmarks").is_dir():
    pytest.skip("the benchmarks are not part of this distribution", allow_module_level=True)

from benchmarks import roofline
from benchmarks.roofline import CACHE, Rates, Step, normals, problem, product, triad


@pytest.mark.parametrize("name", roofline.NAMES)
def test_products_and_numbers_of_a_step_are_those_of_its_program(name):
    """The products are those that the traced gradient holds."""
    loss, _, start = problem(name)
    step = Step.of(start)
    assert step.numbers == ravel_pytree(start)[0].size
    found = 0
    for equation in jax.make_jaxpr(jax.grad(loss))(start).eqns:
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            length = np.prod([equation.invars[0].aval.shape[i] for i in contracted])
            found += 2 * length * equation.outvars[0].aval.size
    assert step.operations == found
    assert bool(found) == (name == "factorisation")


def test_a_step_takes_its_arithmetic_or_its_memory():
    rates = Rates(np.array([2.0]), np.array([8.0]), np.array([4.0]))
    assert rates.arithmetic(Step(numbers=6, operations=8)) == 5.0
    # Read and written once, four bytes a number; nothing where a cache holds all chains.
    chains = CACHE // 24 + 1
    assert rates.memory(Step(6, 8), chains, 4) == 6.0
    assert rates.memory(Step(6, 8), chains - 1, 4) == 0.0


def test_loops_do_what_they_are_counted_for(monkeypatch):
    monkeypatch.setenv("GAUGEBIAS_GENERATOR", "auto")
    sums = [normals(which, jnp.float32, 2**10, 64)() for which in roofline.GENERATORS]
    assert os.environ["GAUGEBIAS_GENERATOR"] == "auto"
    assert sums[0].shape == (8, 128)
    np.testing.assert_allclose(sums[0], sums[1], rtol=1e-4, atol=1e-4)
    # 1,024 sums of 64 standard normal numbers: five standard errors; false alarm 1e-6.
    assert abs(float(jnp.var(sums[0])) / 64 - 1) < 5 * (2 / 1024) ** 0.5
    a = triad(jnp.float64, 10, 8)()
    np.testing.assert_allclose(a, 2 - 0.75**8)
    assert product(jnp.float32, 8)().shape == (8, 8)
