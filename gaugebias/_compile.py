"""Checks and tables on the host: how they compile, and what they do while something traces."""

import contextlib
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer

_QUICKLY = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


def compiled_once(fn: Callable) -> Callable:
    """`eqx.filter_jit(fn)` without the optimisations of the backend.

    For checks, which run once or twice for a compilation: compiling them takes most of their time,
    and about half of it is spent on making fast what runs for a millisecond. Results differ from
    those of `jit` by rounding at most. Within another trace, which is compiled as its owner
    wishes, `fn` is called as it is.
    """
    options: dict[str, Any] = {"compiler_options": _QUICKLY}
    compiled = eqx.filter_jit(fn, **options)

    def call(*args: Any) -> Any:
        if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(args)):
            return fn(*args)
        return compiled(*args)

    return call


def evaluated_now() -> contextlib.AbstractContextManager[None]:
    """A context in which concrete values are computed at once, also while something traces.

    `jax.ensure_compile_time_eval()` alone would do, but its folding of constants reaches into the
    functions traced inside, compiling each of their constant operations by itself: it is entered
    only where there is a trace to step out of.
    """
    tracing = isinstance(jnp.zeros(()), Tracer)
    return jax.ensure_compile_time_eval() if tracing else contextlib.nullcontext()
