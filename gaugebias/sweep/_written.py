"""Values of settings: as plain Python values, and as JSON can hold them."""

import dataclasses
import enum
import functools
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def plain(value: Any) -> Any:
    """A numpy or jax scalar as the Python number it is; lists as tuples."""
    if isinstance(value, list | tuple):
        return tuple(plain(v) for v in value)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray | jax.Array) and value.ndim == 0 and not _is_key(value):
        return value.item()
    return value


def _is_key(value: Any) -> bool:
    return jnp.issubdtype(value.dtype, jax.dtypes.prng_key)


def written(value: Any) -> Any:
    """A setting as JSON can hold it: the value, or what tells it from another."""
    if isinstance(value, enum.Enum):
        return value.name or str(value)
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return float(value) if np.isfinite(value) else repr(float(value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: written(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
    if isinstance(value, list | tuple):
        return [written(v) for v in value]
    if isinstance(value, set | frozenset):  # whose order changes from process to process
        return sorted((written(v) for v in value), key=text_of)
    if isinstance(value, Mapping):
        return {str(k): written(v) for k, v in value.items()}
    if isinstance(value, np.generic):
        return written(value.item())
    if isinstance(value, jax.Array) and _is_key(value):
        value = jr.key_data(value)
    if isinstance(value, np.ndarray) or hasattr(value, "__array__"):
        array = np.asarray(value)
        digest = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]
        return f"array {array.dtype}{list(array.shape)} sha256 {digest}"
    if isinstance(value, functools.partial):
        rest = {"arguments": written(value.args), "keywords": written(value.keywords)}
        return {"partial": written(value.func)} | rest
    if callable(value):
        from ..dynamics._runs._engine import source

        return source(value)
    return _ADDRESS.sub("", repr(value))


def text_of(value: Any) -> str:
    """What is written of a value, as one text: the same for the same."""
    return json.dumps(written(value), sort_keys=True)
