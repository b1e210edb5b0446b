"""What is said where chains failed, and when an orbit has lost a dimension."""

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, PyTree

from .._compile import compiled_once
from ..quotient import orbit_rank
from ..symmetry import AbstractAction
from ._ensemble import DIVERGED, LEFT_DOMAIN, SINGULAR, Ensemble


@compiled_once
def orbit_ranks(action: AbstractAction, y: PyTree, still: PyTree, axis: int) -> Array:
    """The dimension of every chain's orbit, shape `(chains,)`."""
    return jax.vmap(lambda p: orbit_rank(action, eqx.combine(p, still)), in_axes=axis)(y)


def failure_message(ensemble: Ensemble, dt: float) -> str:
    """One sentence for each way of failing."""
    cures = {
        DIVERGED: f"diverged ({{when}}): lower `dt` (now {dt:g}), for instance to {dt / 4:g}, or "
        "the temperature",
        LEFT_DOMAIN: f"left `domain` ({{when}}): lower `dt` (now {dt:g}), start further inside, or "
        "choose a domain that the process keeps; what stays is conditioned on staying",
        SINGULAR: "met a singular orbit Gram ({when}), where the orbit has fewer dimensions and "
        "the noise is not defined: start away from there, or lower `dt`",
    }
    parts = []
    for code, cure in cures.items():
        bad = ensemble.failed_by[ensemble.results == code]
        if bad.size:
            when = f"the first by step {bad.min()}, half of them by step {int(np.median(bad))}"
            parts.append(f"{bad.size} of {ensemble.chains} chains " + cure.format(when=when))
    return "; ".join(parts) + "; pass `throw=False` to keep the chains that did not."
