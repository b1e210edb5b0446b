"""What every ensemble of chains needs on the host: starts, schedules, records, failures."""

import hashlib
import inspect
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from ..._arguments import as_key
from .._checks import check_real, count, strong
from ._integrate import LONGEST_STRETCH, SMALL_STATE
from ._path import chain_keys

UNKNOWN = "unknown"  # the hash of a source that cannot be read
_CHUNKS = 16  # chunks a run is cut into, for progress and early detection of divergence


def identity(params: PyTree) -> PyTree:
    return params


def source(fn: Callable) -> dict[str, str]:
    """A function's qualified name and the hash of its source, for provenance."""
    name = getattr(fn, "__qualname__", type(fn).__qualname__)
    module = getattr(fn, "__module__", "?")
    try:
        text = inspect.getsource(fn if inspect.isroutine(fn) else type(fn))
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    except (OSError, TypeError):
        digest = UNKNOWN
    return {"name": f"{module}.{name}", "sha256": digest}


def how_many(init, chains: int | None, batched: bool) -> int:
    """The number of chains; `ValueError` where a batch has another one, or none."""
    if batched:
        moving = eqx.filter(init, eqx.is_inexact_array)
        sizes = {int(jnp.shape(x)[0]) if jnp.ndim(x) else -1 for x in jax.tree.leaves(moving)}
        if len(sizes) != 1 or -1 in sizes:
            raise ValueError(
                "`init` with `batched=True` needs a leading chain axis of one size on every moving "
                f"leaf, but the sizes are {sorted(sizes)} (-1: no axis)."
            )
        (size,) = sizes
        if chains is not None and chains != size:
            raise ValueError(
                f"`chains` is {chains}, but `init` holds a batch of {size}: leave `chains` out."
            )
        return size
    return count(chains if chains is not None else 1024, "chains", least=1)


def initial(
    init, key, chains: int | None, batched: bool, rows: np.ndarray | None = None
) -> tuple[PyTree, PyTree, int]:
    """Moving leaves with a leading chain axis, still leaves, number of chains.

    Of all chains, or of those numbered `rows`, whose number is then returned.
    """
    chains = how_many(init, chains, batched)
    if batched:
        moving, still = eqx.partition(init, eqx.is_inexact_array)
        moving = jax.tree.map(strong, check_real(moving, "init"))
        if rows is None:
            return moving, still, chains
        return jax.tree.map(lambda x: x[rows], moving), still, rows.size
    if callable(init) and not isinstance(init, eqx.Module):
        keys = chain_keys(jax.random.fold_in(as_key(key), 2**31 - 1), chains)
        if rows is not None:
            keys, chains = keys[rows], rows.size
        first = init(keys[0])
        if not any(eqx.is_inexact_array(x) for x in jax.tree.leaves(first)):
            raise ValueError("`init` returns no floating array: nothing would move.")
        still = eqx.filter(first, eqx.is_inexact_array, inverse=True)
        moving = jax.vmap(lambda k: eqx.filter(init(k), eqx.is_inexact_array))(keys)
        return jax.tree.map(strong, check_real(moving, "init")), still, chains
    moving, still = eqx.partition(init, eqx.is_inexact_array)
    if not jax.tree.leaves(check_real(moving, "init")):
        raise ValueError(
            "`init` has no floating leaf: nothing would move. What moves are floating arrays; a "
            "Python number stays as it is, so make it one with `jnp.asarray`."
        )
    chains = chains if rows is None else rows.size

    def repeat(x):
        x = strong(x)
        return jnp.broadcast_to(x[None], (chains, *x.shape))

    return jax.tree.map(repeat, moving), still, chains


def check_lengths(steps, burn_in, every, start) -> tuple[int, int, int | None, int]:
    """The lengths of a run as integers; `ValueError` where nothing would be recorded."""
    steps = count(steps, "steps", least=1)
    burn_in = count(burn_in, "burn_in", least=0)
    start = count(start, "start", least=0)
    if burn_in >= steps:
        raise ValueError(f"`burn_in` ({burn_in}) must be below `steps` ({steps}).")
    if every is not None:
        every = count(every, "every", least=1)
        if every > steps - burn_in:
            raise ValueError(
                f"`every` ({every}) is more than the {steps - burn_in} steps after `burn_in`: "
                "nothing would be recorded."
            )
    if start + steps >= 2**31:
        raise ValueError("`steps` and `start` must stay below 2^31 together.")
    return steps, burn_in, every, start


def _divisor(total: int, most: int) -> int:
    """The largest divisor of `total` that is at most `most`."""
    most = max(1, min(total, most))
    for d in range(most, 0, -1):
        if total % d == 0:
            return d
    return 1


def _lengths(total: int, pieces: int = _CHUNKS) -> list[int]:
    """Chunk lengths of a stretch of `total` steps: equal ones, and one remainder if need be."""
    if total == 0:
        return []
    target = min(max(1, total // pieces), LONGEST_STRETCH)
    even = _divisor(total, target)
    if even * 8 >= target:
        return [even] * (total // even)
    whole, rest = divmod(total, target)
    return [target] * whole + ([rest] if rest else [])


def loose_schedule(
    steps: int, burn_in: int, every: int | None, pieces: int = _CHUNKS
) -> list[tuple[int, int, bool]]:
    """Chunks as (steps a record, records, kept), ending after the last record.

    The number of records is not known to the compiler: the last chunk of a stretch may be shorter
    than the others, so that no number of draws makes more than about `pieces` chunks.
    """
    if every is None:
        lengths = _lengths(steps, pieces)
        return [(n, 1, i == len(lengths) - 1) for i, n in enumerate(lengths)]
    draws = (steps - burn_in) // every
    last = burn_in + draws * every
    head = [(n, 1, False) for n in _lengths(burn_in, pieces)]
    most = max(1, draws // pieces)
    if burn_in % every == 0:
        first = burn_in // every
        most = max(1, (first + draws) // pieces)
        head = [(every, n, False) for n in _cut(first, most)]
    tail = [(n, 1, False) for n in _lengths(steps - last, pieces)]
    return head + [(every, n, True) for n in _cut(draws, most)] + tail


def _cut(total: int, most: int) -> list[int]:
    """`total` in pieces of `most`, and one remainder."""
    whole, rest = divmod(total, most)
    return [most] * whole + [rest] * (rest > 0)


def laid_out(y: PyTree, chains: int) -> tuple[PyTree, int]:
    """The moving leaves of all chains as runs keep them, and where the chain axis is.

    `y` has chains first. The arrays are copies: runs write over them, and they may be memory of the
    caller.
    """
    size = sum(x.size for x in jax.tree.leaves(y)) // chains
    axis = -1 if size <= SMALL_STATE else 0
    return jax.tree.map(lambda x: jnp.array(jnp.moveaxis(x, 0, axis), copy=True), y), axis


def observer(observe: Callable, still: PyTree, axis: int) -> Callable:
    """The observable of all chains, from their moving leaves; chains first in what it returns."""

    def see(y):
        def one(p):
            return eqx.filter(observe(eqx.combine(p, still)), eqx.is_array)

        return jax.vmap(one, in_axes=axis, out_axes=0)(y)

    return see


def finite_chains(y: PyTree, axis: int) -> Array:
    """Which chains hold finite numbers only, shape `(chains,)`."""
    finite = jnp.asarray(True)
    for leaf in jax.tree.leaves(y):
        axes = tuple(i for i in range(leaf.ndim) if i != axis % leaf.ndim)
        finite = finite & jnp.all(jnp.isfinite(leaf), axis=axes)
    return finite
