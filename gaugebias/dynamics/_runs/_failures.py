"""What is said where chains failed, and when an orbit has lost a dimension."""

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, PyTree

from ..._compile import compiled_once
from ...quotient import orbit_rank
from ...stats import HistogramSummary, MomentSummary, QuantileSummary
from ...symmetry import AbstractAction
from ._ensemble import DIVERGED, LEFT_DOMAIN, SINGULAR, Ensemble


@compiled_once
def orbit_ranks(action: AbstractAction, y: PyTree, still: PyTree, axis: int) -> Array:
    """The dimension of every chain's orbit, shape `(chains,)`."""
    return jax.vmap(lambda p: orbit_rank(action, eqx.combine(p, still)), in_axes=axis)(y)


def undefined_message(reductions: dict[str, PyTree]) -> str | None:
    """What is said where chains that did not fail gave draws that are not finite, if any did."""
    kinds = (MomentSummary, HistogramSummary, QuantileSummary)
    for name, result in reductions.items():
        for leaf in jax.tree.leaves(result, is_leaf=lambda x: isinstance(x, kinds)):
            bad = False
            if isinstance(leaf, MomentSummary):
                bad = not np.all(np.isfinite(leaf.chain_means))
            elif isinstance(leaf, (HistogramSummary, QuantileSummary)):
                bad = bool(np.any(leaf.undefined))
            if bad:
                return (
                    f"`observe` gave numbers that are not finite on the way, of chains that did "
                    f"not fail: the reduction {name!r} says nothing there. Observe something that "
                    "is defined everywhere the process goes."
                )
    return None


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
