"""Aliases for arrays, keys and pytrees, shared by every room."""

from collections.abc import Callable
from typing import Any, TypeAlias

from jaxtyping import Array as Array, PRNGKeyArray, PyTree as PyTree

#: A jax random key, old style (`uint32` array) or new style (`jax.random.key`).
Key: TypeAlias = PRNGKeyArray

#: Model parameters: any pytree. Its floating array leaves move, everything else is left alone.
Params: TypeAlias = PyTree

#: What names leaves of the parameters: a function as in `equinox.tree_at`, a path string such as
#: ``"layers.0.weight"``, or a tuple of these.
Where: TypeAlias = Callable[[Any], Any] | str | tuple[Any, ...]
