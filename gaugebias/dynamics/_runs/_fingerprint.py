"""What makes two runs the same: settings, numbers, and functions by what they compute."""

import hashlib
import itertools
import re
from importlib.metadata import version
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import PyTree

from ...quotient import fix_gauge
from .._processes._sde import AbstractSDE
from ._program import Plan, Watch

_ADDRESS = re.compile(r"0x[0-9a-f]+")
_VERSIONS = ("gaugebias", "jax", "jaxlib", "diffrax")


def _digest(*parts: Any) -> str:
    out = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            out.update(part.encode())
            continue
        if isinstance(part, jax.Array) and jnp.issubdtype(part.dtype, jax.dtypes.prng_key):
            part = jr.key_data(part)
        array = np.ascontiguousarray(np.asarray(part))
        out.update(f"{array.dtype}{array.shape}".encode())
        out.update(array.tobytes())
    return out.hexdigest()[:16]


def _constants(jaxpr) -> list:
    """The arrays that a closed jaxpr holds, those of the functions inside included."""
    found = list(jaxpr.consts)
    for equation in jaxpr.jaxpr.eqns:
        found += [x.val for x in equation.invars if hasattr(x, "val")]
        for inner in jax.tree.leaves(
            list(equation.params.values()), is_leaf=lambda x: hasattr(x, "jaxpr")
        ):
            if hasattr(inner, "jaxpr") and hasattr(inner, "consts"):
                found += _constants(inner)
    return found


def _computation(fn, *args: PyTree) -> str:
    """A digest of what `fn` computes: its jaxpr and every constant in it."""
    arrays, rest = eqx.partition(args, eqx.is_array)
    jaxpr = jax.make_jaxpr(lambda arrays: eqx.filter(fn(*eqx.combine(arrays, rest)), eqx.is_array))(
        arrays
    )
    return digest_of(jaxpr)


def digest_of(jaxpr) -> str:
    """A digest of a closed jaxpr and every constant in it."""
    return _digest(_ADDRESS.sub("", str(jaxpr)), *_constants(jaxpr))


def fingerprint(
    settings: dict,
    sde: AbstractSDE,
    y: PyTree,
    still: PyTree,
    key,
    watch: Watch,
    plan: Plan,
    schedule: list[tuple[int, int, bool]],
) -> dict[str, Any]:
    """What must agree between a run and its checkpoint, in words that can be shown. JSON-able.

    `schedule` is what the run is cut into: a state is that after a number of its pieces.
    """
    point = eqx.combine(jax.tree.map(lambda x: jnp.take(x, 0, axis=plan.axis), y), still)
    noise = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), sde.noise_like(point))
    seen = eqx.filter(watch.observe(point), eqx.is_array)
    out = {k: v for k, v in settings.items() if k != "functions"}
    out |= {
        "random key": [int(k) for k in np.ravel(np.asarray(jr.key_data(key)))],
        "numbers of the process": _digest(*jax.tree.leaves(eqx.filter(sde, eqx.is_array))),
        "generator": _generator(key),
        "cuts (set by `steps` of `Checkpoint`)": _lengths(schedule),
        "initial state": _digest(*jax.tree.leaves(eqx.filter((y, still), eqx.is_array))),
        "drift": _computation(sde.drift, point),
        "diffusion": _computation(sde.diffusion, point, noise),
        "observe": _computation(watch.observe, point),
        "precision": "x64" if jax.config.jax_enable_x64 else "x32",  # pyright: ignore[reportAttributeAccessIssue]
        "backend": jax.default_backend(),
        "versions": {name: version(name) for name in _VERSIONS},
    }
    if watch.inside is not None:
        out["domain"] = _computation(watch.inside, seen)
    many = jax.tree.map(lambda x: x[None], seen)
    for name, reduction in watch.reductions.items():
        states = reduction.start(many)
        index = jnp.zeros((), jnp.int32)
        what = (
            _computation(reduction.start, many),
            _computation(reduction.update, states, many, index),
        )
        out[f"reduction {name!r}"] = _digest(*what)
    if plan.regauge is not None:
        q = plan.regauge
        out["regauge"] = _digest(
            _computation(q.phi, point), _computation(lambda p: fix_gauge(q, p), point)
        )
    return out


def _generator(key) -> str:
    """Whose bits the noise is made of."""
    if str(jr.key_impl(key)) != "threefry2x32":
        return str(jr.key_impl(key))
    new = jax.config.jax_threefry_partitionable  # pyright: ignore[reportAttributeAccessIssue]
    return "threefry2x32" if new else "threefry2x32, not partitionable"


def _lengths(schedule: list[tuple[int, int, bool]]) -> list[list[int]]:
    """A schedule in few numbers: steps a record, records, and how often in a row."""
    runs = itertools.groupby((length, records) for length, records, _ in schedule)
    return [[length, records, len(list(same))] for (length, records), same in runs]
