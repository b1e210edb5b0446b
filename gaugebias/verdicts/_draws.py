from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import numpy as np

from ..stats._checks import as_points


class Draws(eqx.Module):
    """Draws of one observable on the host: `last` (n, *shape), independent; `chains`
    (chains, draws, *shape) where the source is an ensemble, `steps` (draws,) their step numbers
    where it says; `coarse` (n, *shape) the last draws of the same
    chains at twice the step, where it is a step-halving run; `dropped` the number of chains that
    failed and were left out."""

    last: np.ndarray
    chains: np.ndarray | None
    steps: np.ndarray | None = None
    coarse: np.ndarray | None = None
    dropped: int = 0

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one draw; a single coordinate has shape ()."""
        shape = self.last.shape[1:]
        return () if np.prod(shape, dtype=int) == 1 else shape

    @property
    def dimension(self) -> int:
        """Number of coordinates of one draw."""
        return int(np.prod(self.shape, dtype=int))

    @property
    def points(self) -> np.ndarray:
        """`last` as (n, *shape), without the axes of a single coordinate."""
        return self.last.reshape(self.last.shape[:1] + self.shape)

    @property
    def coarse_points(self) -> np.ndarray | None:
        """`coarse` as (n, *shape), without the axes of a single coordinate."""
        return None if self.coarse is None else self.coarse.reshape(self.points.shape)


def is_halving(source: Any) -> bool:
    """Whether `source` is a run at two step sizes."""
    return hasattr(source, "coarse") and hasattr(source, "fine")


def is_ensemble(source: Any) -> bool:
    """Whether `source` has the fields of an ensemble that are read here."""
    return is_halving(source) or (hasattr(source, "values") and hasattr(source, "results"))


def _single_leaf(values: Any, name: str) -> Any:
    found = jax.tree_util.tree_leaves_with_path(values)
    if len(found) != 1:
        paths = ", ".join(jax.tree_util.keystr(path) or "." for path, _ in found[:4]) or "none"
        paths += ", ..." if len(found) > 4 else ""
        if isinstance(values, list | tuple) and all(np.ndim(x) == 0 for x in values):
            raise ValueError(f"`{name}` is a {type(values).__name__} of numbers: make it an array.")
        raise ValueError(
            f"`{name}` must be one array of draws but has {len(found)} leaves ({paths}): choose "
            "with `observable`, for example `observable=lambda values: values['w']`."
        )
    return found[0][1]


def _values(
    source: Any, name: str, observable: Callable[[Any], Any] | None
) -> tuple[np.ndarray, np.ndarray]:
    """The observable of an ensemble, (chains, draws, *shape), and the result codes."""
    picked = source.values if observable is None else observable(source.values)
    values = np.asarray(_single_leaf(picked, name))
    results = np.asarray(source.results)
    if values.ndim < 2 or results.shape != values.shape[:1]:
        raise ValueError(
            f"`{name}` must hold values of shape (chains, draws, ...) and one result code a "
            f"chain; they have shapes {values.shape} and {results.shape}."
        )
    if values.shape[1] == 0:
        raise ValueError(f"`{name}` holds no draws: lower `burn_in` or `every` of the run.")
    return values, results


def take_draws(
    source: Any, name: str, observable: Callable[[Any], Any] | None, drop_failed: bool
) -> Draws:
    """Read draws from an ensemble (last draw of every chain; of a step-halving run, its fine
    ensemble) or an array of independent draws.

    Raises `ValueError` for failed chains unless `drop_failed`, for non-finite or fewer than 8
    draws, and for an observable that is not one array.
    """
    if not is_ensemble(source):
        values = np.asarray(_single_leaf(source, name))
        as_points(values, name)
        return Draws(np.asarray(values, dtype=np.float64), None)
    main = source.fine if is_halving(source) else source
    values, results = _values(main, name, observable)
    coarse = None
    if is_halving(source):
        coarse, others = _values(source.coarse, name, observable)
        if coarse.shape != values.shape:
            raise ValueError(
                f"`{name}`: the coarse and the fine run must hold the same chains and draws; they "
                f"have shapes {coarse.shape} and {values.shape}."
            )
        results = np.where(results == 0, others, results)
    failed = results != 0
    if np.any(failed):
        codes, counts = np.unique(results[failed], return_counts=True)
        if not drop_failed:
            listed = ", ".join(f"{n} with code {c}" for c, n in zip(codes, counts, strict=True))
            raise ValueError(
                f"`{name}`: {int(failed.sum())} of {failed.size} chains did not finish "
                f"({listed}). Lower the step size, or pass `drop_failed=True` to compare the rest "
                "(a law conditioned on survival)."
            )
        values = values[~failed]
        coarse = None if coarse is None else coarse[~failed]
    as_points(values[:, -1], name)
    values = np.asarray(values, dtype=np.float64)
    if coarse is not None:
        as_points(coarse[:, -1], name)
        coarse = np.asarray(coarse[:, -1], dtype=np.float64)
    as_points(values, name)
    steps = getattr(main, "steps", None)
    steps = None if steps is None else np.asarray(steps)
    return Draws(values[:, -1], values, steps, coarse, int(failed.sum()))
