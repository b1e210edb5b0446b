"""Orbit Grams that are not GL(r)'s against a materialised Jacobian, float64.

Column rescalings (a diagonal), heads on separate leaves (block diagonal) and deep linear layers
(block tridiagonal); the dense side is that of `benchmarks.orbit_gram`, here for any action.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

import gaugebias as gb
from gaugebias.symmetry import GeneralLinear, Product, Rescaling

from ._timing import interleaved, progress

AGREEMENT = 1e-9
HEADS = 4


def scenes() -> dict[str, tuple[Any, Any]]:
    """Actions and well-conditioned parameters by name."""
    rng = np.random.default_rng(0)

    def near_identity(n: int):
        return jnp.asarray(np.eye(n) + 0.5 * rng.normal(size=(n, n)) / np.sqrt(n))

    def vector(n: int):
        return jnp.asarray(rng.uniform(0.5, 2.0, size=n))

    heads = tuple(near_identity(8) for _ in range(2 * HEADS))
    pairs = [GeneralLinear(str(2 * i), str(2 * i + 1)) for i in range(HEADS)]
    layers = tuple(near_identity(12) for _ in range(4))
    between = [GeneralLinear(str(p + 1), str(p), axes=(1, 0)) for p in range(3)]
    return {
        "diagonal": (Rescaling("0", "1", axes=(0, 0)), (vector(256), vector(256))),
        "block diagonal": (Product(*pairs), heads),
        "block tridiag.": (Product(*between), layers),
    }


def sides(action, what: str) -> dict[str, Callable]:
    """By structure, and from the materialised frame: of parameters, and a vector to project."""

    def frame(params):
        shapes = action.algebra(params)
        zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
        zero, unravel = ravel_pytree(zeros)
        return jax.jacfwd(lambda c: ravel_pytree(action.tangent(params, unravel(c)))[0])(zero)

    def structured(params, v):
        if what == "log det":
            return gb.orbit_gram(action, params).log_det()
        return gb.horizontal(action, params, v)

    def dense(params, v):
        j, (flat, unravel) = frame(params), ravel_pytree(v)
        if what == "log det":
            return jnp.linalg.slogdet(j.T @ j)[1]
        return unravel(flat - j @ jax.scipy.linalg.solve(j.T @ j, j.T @ flat, assume_a="pos"))

    return {"structured": jax.jit(structured), "dense": jax.jit(dense)}


def measure(quick: bool) -> tuple[list[dict[str, Any]], list[tuple[str, bool]]]:
    """Rows, and whether both sides agree. Call it in float64."""
    rows, worst = [], 0.0
    for name, (action, params) in scenes().items():
        progress(name)
        v = jax.tree.map(jnp.cos, params)
        for what in ("log det", "projection"):
            calls = {side: partial(call, params, v) for side, call in sides(action, what).items()}
            one, other = (ravel_pytree(call())[0] for call in calls.values())
            off = float(jnp.max(jnp.abs(one - other)) / jnp.max(jnp.abs(other)))
            turns = interleaved(calls, repeats=5 if quick else 15, least=1e-2)
            row = {"problem": name, "path": what, "unit": "us"}
            row |= turns.estimate("structured", 1e6).fields("value")
            row |= turns.ratio("dense", "structured").fields("ratio")
            row |= {"of": "dense, times faster", "better": "more", "difference": off}
            rows.append(row)
            worst = max(worst, off)
    return rows, [(f"agreement {worst:.1e} (at most {AGREEMENT:.0e})", worst <= AGREEMENT)]
