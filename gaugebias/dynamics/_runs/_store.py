"""Ensembles as xarray datasets and Zarr stores; nothing is ever pickled."""

import json
import os
import shutil
import tempfile
from pathlib import Path

import jax
import numpy as np

from ...stats import AutocorrelationSummary, HistogramSummary, MomentSummary, QuantileSummary
from .._checks import is_extension
from ._ensemble import Ensemble

FORMAT = "gaugebias-ensemble"
VERSION = 1
_SUMMARIES = {
    kind.__name__: kind
    for kind in (AutocorrelationSummary, HistogramSummary, MomentSummary, QuantileSummary)
}


def _array(leaf) -> np.ndarray:
    """A leaf as it is written: of bfloat16 in float32, since files have no name for it."""
    return np.asarray(leaf, np.float32) if is_extension(leaf) else np.asarray(leaf)


def _flatten(tree, prefix: str) -> dict[str, np.ndarray]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    if len(leaves) == 1 and leaves[0][0] == ():
        return {prefix: _array(leaves[0][1])}
    return {
        prefix + "." + jax.tree_util.keystr(path, simple=True, separator="."): _array(leaf)
        for path, leaf in leaves
    }


def _unflatten(variables: dict[str, np.ndarray], prefix: str):
    if prefix in variables:
        return variables[prefix]
    start = prefix + "."
    return {k.removeprefix(start): v for k, v in variables.items() if k.startswith(start)}


def _is_summary(x) -> bool:
    return type(x) in _SUMMARIES.values()


def _pack(reductions: dict) -> tuple[dict[str, np.ndarray], dict]:
    """The arrays of reductions' results by variable name, and what they are, JSON-able."""
    arrays, kinds = {}, {}
    for name, result in reductions.items():
        found = jax.tree_util.tree_leaves_with_path(result, is_leaf=_is_summary)
        kinds[name] = []
        for path, leaf in found:
            key = jax.tree_util.keystr(path, simple=True, separator=".")
            base = ".".join(part for part in ("reductions", name, key) if part)
            if not _is_summary(leaf):
                arrays[base] = _array(leaf)
                kinds[name].append({"leaf": key, "kind": "array", "variable": base})
                continue
            entry = {"leaf": key, "kind": type(leaf).__name__, "fields": {}, "numbers": {}}
            for field, x in vars(leaf).items():
                if isinstance(x, int):
                    entry["numbers"][field] = x
                else:
                    entry["fields"][field] = f"{base}.{field}"
                    arrays[f"{base}.{field}"] = np.asarray(x)
            kinds[name].append(entry)
    return arrays, kinds


def _unpack(variables: dict[str, np.ndarray], kinds: dict) -> dict:
    def one(entry):
        if entry["kind"] == "array":
            return variables[entry["variable"]]
        fields = {field: variables[name] for field, name in entry["fields"].items()}
        return _SUMMARIES[entry["kind"]](**fields, **entry["numbers"])

    out = {}
    for name, entries in kinds.items():
        leaves = {entry["leaf"]: one(entry) for entry in entries}
        out[name] = leaves[""] if set(leaves) == {""} else leaves
    return out


def to_dataset(ensemble: Ensemble):
    """The dataset of [`gaugebias.dynamics.Ensemble.to_xarray`][]."""
    import xarray as xr

    variables = {}
    for name, array in _flatten(ensemble.values, "values").items():
        extra = [f"{name}_dim_{i}" for i in range(array.ndim - 2)]
        variables[name] = (["chain", "draw", *extra], array)
    for name, array in _flatten(ensemble.final, "final").items():
        batched = array.ndim > 0 and array.shape[0] == ensemble.chains
        dims = [f"{name}_dim_{i}" for i in range(array.ndim)]
        if batched:
            dims[0] = "chain"
        variables[name] = (dims, array)
    variables["result"] = (["chain"], ensemble.results)
    variables["failed_by"] = (["chain"], ensemble.failed_by)
    arrays, kinds = _pack(ensemble.reductions)
    for name, array in arrays.items():
        variables[name] = ([f"{name}_dim_{i}" for i in range(array.ndim)], array)
    return xr.Dataset(
        variables,
        coords={"step": (["draw"], ensemble.steps)},
        attrs={
            "format": FORMAT,
            "version": VERSION,
            "key_data": [int(k) for k in ensemble.key_data],
            "settings": json.dumps(ensemble.settings),
            "reductions": json.dumps(kinds),
        },
    )


def save(ensemble: Ensemble, path: str | Path) -> None:
    """Write beside the target, then move into place: what stood there is kept until then."""
    target = Path(path)
    if target.exists() and not _is_ours(target):
        raise ValueError(
            f"`path` {str(target)!r} exists and is not a saved ensemble: choose another path, or "
            "remove it yourself."
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent)
    except OSError as error:
        raise ValueError(
            f"`path` {str(target)!r} cannot be written ({error.strerror}): choose another folder."
        ) from None
    try:
        to_dataset(ensemble).to_zarr(scratch, mode="w", zarr_format=2, consolidated=True)
        if target.exists():
            shutil.rmtree(target)
        os.replace(scratch, target)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise


def _is_ours(path: Path) -> bool:
    try:
        return json.loads((path / ".zattrs").read_text()).get("format") == FORMAT
    except (OSError, ValueError):
        return False


def load(path: str | Path) -> Ensemble:
    """Read an ensemble written by [`gaugebias.dynamics.Ensemble.save`][].

    Observables that were a pytree come back as a dictionary of arrays named by path; a single
    array comes back as it was. So do the results of reductions.

    **Raises:** `ValueError` when there is no such store, or it is not of an ensemble.
    """
    target = Path(path)
    if not target.exists():
        raise ValueError(f"`path` {str(target)!r} does not exist.")
    if not _is_ours(target):
        raise ValueError(f"`path` {str(target)!r} is not a saved ensemble.")
    import xarray as xr

    with xr.open_zarr(target, consolidated=True) as dataset:
        if dataset.attrs.get("version") != VERSION:
            raise ValueError(
                f"`path` {str(target)!r} was saved by another version of the format "
                f"({dataset.attrs.get('version')}; this is {VERSION})."
            )
        variables = {str(k): np.asarray(v.values) for k, v in dataset.data_vars.items()}
        return Ensemble(
            values=_unflatten(variables, "values"),
            steps=np.asarray(dataset["step"].values),
            results=variables["result"],
            failed_by=variables["failed_by"],
            final=_unflatten(variables, "final"),
            key_data=np.asarray(dataset.attrs["key_data"], np.uint32),
            settings=json.loads(dataset.attrs["settings"]),
            reductions=_unpack(variables, json.loads(dataset.attrs.get("reductions", "{}"))),
        )
