"""What a simulation returns: data, with the settings that made it."""

from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import PyTree

OK, DIVERGED, LEFT_DOMAIN, SINGULAR = 0, 1, 2, 3
MEANINGS = {
    OK: "successful",
    DIVERGED: "diverged: a parameter is not finite",
    LEFT_DOMAIN: "left the domain",
    SINGULAR: "singular: the orbit through the parameters has lost a dimension",
}


class Ensemble(eqx.Module):
    """Observables of many chains of one process.

    **Fields:**

    - `values`: the observable, a pytree of NumPy arrays of shape `(chains, draws, *shape)`.
    - `steps`: number of steps done at each draw, shape `(draws,)`.
    - `results`: a code for each chain, shape `(chains,)`: 0 successful, 1 diverged, 2 left the
        domain, 3 its orbit Gram became singular; `gaugebias.dynamics.MEANINGS` has them in words.
    - `failed_by`: for each chain the number of steps by which it had failed, or -1.
    - `final`: the parameters at the end, a pytree with a leading chain axis on moving leaves: a
        batch from which `simulate(..., batched=True, start=...)` goes on.
    - `key_data`: the random key's data; `settings`: what was asked for, JSON-able.
    - `carry`: what a process carries beside its parameters, as an optimiser's state of each chain
        (`train(..., carry=...)` goes on from it); `None` for most. It is not saved.
    - `reductions`: for each reduction by name its result over all draws of the chains that were
        successful; empty where none was asked for, or no chain is left.
    """

    values: PyTree
    steps: np.ndarray
    results: np.ndarray
    failed_by: np.ndarray
    final: PyTree
    key_data: np.ndarray
    settings: dict[str, Any]
    carry: PyTree = None
    reductions: dict[str, PyTree] = eqx.field(default_factory=dict)

    @property
    def chains(self) -> int:
        """Number of chains."""
        return int(self.results.shape[0])

    @property
    def draws(self) -> int:
        """Number of draws of each chain."""
        return int(self.steps.shape[0])

    @property
    def successful(self) -> np.ndarray:
        """Mask of the chains that ended well, shape `(chains,)`."""
        return self.results == OK

    def last(self) -> PyTree:
        """The last draw of each successful chain: independent draws, `(chains, *shape)`."""
        return jax.tree.map(lambda x: np.asarray(x)[self.successful, -1], self.values)

    def to_xarray(self):
        """The ensemble as an `xarray.Dataset` with dimensions `chain` and `draw`.

        A single array observable is called `values`; the leaves of a pytree are named by path.
        """
        from ._store import to_dataset

        return to_dataset(self)

    def save(self, path: str | Path) -> None:
        """Write the ensemble as a Zarr store at `path` (a folder), never as a pickle.

        Numbers of bfloat16, of which Zarr has none, are written in float32, which holds them.

        **Raises:** `ValueError` if something that is not a store of an ensemble stands there, or
        the folder cannot be written.
        """
        from ._store import save

        save(self, path)

    def __check_init__(self):
        for leaf in jax.tree.leaves(self.values):
            if leaf.shape[:2] != (self.results.shape[0], self.steps.shape[0]):
                raise ValueError(
                    f"`values` needs leaves of shape (chains, draws, ...) = "
                    f"({self.results.shape[0]}, {self.steps.shape[0]}, ...), but has {leaf.shape}."
                )


class SimulationError(RuntimeError):
    """Some chains failed. `.ensemble` holds everything that was computed."""

    ensemble: Ensemble

    def __init__(self, message: str, ensemble: Ensemble):
        super().__init__(message)
        self.ensemble = ensemble
