"""Evaluation of traced functions on the host, in float64 and in batches of few sizes."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..._compile import compiled_once, evaluated_now

_SMALL, _LARGE = 2048, 16384  # no more: see `gaugebias._xla`, which may come too late


@compiled_once
def _batched(fn: Callable, points: Array) -> Array:
    return jax.vmap(fn)(points)


class HostFunction:
    """`fn` of one point of the given shape, vectorised, as float64 numpy in and out.

    Batches are padded to one of two sizes, so that `fn` is compiled at most twice; functions that
    are pytrees (bound methods of modules) are compiled once for all values of their arrays.
    Inside a `jit` trace it is evaluated at once (its constants must not be traced).
    """

    def __init__(self, fn: Callable, shape: tuple[int, ...]):
        self.shape = shape
        self.size = math.prod(shape)
        self.fn = fn

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """`points` of shape `(N, size)`; returns `(N, ...)`."""
        points = np.asarray(points, dtype=np.float64).reshape(-1, self.size)
        total = points.shape[0]
        out, begin = [], 0
        with evaluated_now(), jax.enable_x64(True):
            while begin < total:
                chunk = _SMALL if total <= 16 * _SMALL else _LARGE
                block = points[begin : begin + chunk]
                if block.shape[0] < chunk:
                    padding = np.repeat(block[:1], chunk - block.shape[0], axis=0)
                    filled = np.concatenate([block, padding])
                else:
                    filled = block
                values = _batched(self.fn, jnp.asarray(filled.reshape(-1, *self.shape)))
                out.append(np.asarray(values, dtype=np.float64)[: block.shape[0]])
                begin += chunk
        return np.concatenate(out) if out else np.zeros((0,))
