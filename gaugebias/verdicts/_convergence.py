"""Whether a run has forgotten its start: what a verdict needs before it may speak."""

import dataclasses

import equinox as eqx
import numpy as np

from ..stats import effective_sample_size, split_rhat, stationarity_test
from ..stats._checks import MINIMUM_DRAWS
from ._draws import Draws

# Numbers that the chain diagnostics may hold at once; larger ensembles use every k-th chain.
_DIAGNOSTIC_NUMBERS = 1_000_000
_RHAT_LIMIT = 1.05
_DRIFT_LEVEL = 1e-3
# Correlation with the start that a run may keep.
_MEMORY_LIMIT = 0.05


class Convergence(eqx.Module):
    """Diagnostics of the last half of the record (at least 4 draws a chain), worst coordinate.

    - `rhat`, `ess`: split R-hat, effective sample size.
    - `drift`: p-value of the burn-in check, first against last draws of that half across chains.
    - `memory`: correlation of the chains with their start that is left at the end, extrapolated
      from the correlation over the half; None where step numbers are unknown.
    - `converged`: False where the chains drift (p < 1e-3), or where R-hat is above 1.05 and the
      run is not long enough for its memory to be below 0.05. None with fewer than 4 draws a
      chain: nothing is known.
    - `frozen`: number of coordinates that never change, in no chain.
    - `copies`: number of chains whose record is that of another chain, draw by draw: they are not
      independent, and every test counts them as if they were.
    - `notes`: clauses for a report.
    """

    rhat: float | None = None
    ess: float | None = None
    drift: float | None = None
    memory: float | None = None
    converged: bool | None = None
    frozen: int = 0
    copies: int = 0
    notes: tuple[str, ...] = ()


def _memory(late: np.ndarray, steps: np.ndarray) -> float:
    """The upper 99% limit of the rank correlation of the first and last draws over chains, worst
    coordinate, raised to the number of times that their distance fits into the run."""
    from scipy.stats import norm, rankdata

    n = len(late)
    worst = 0.0
    for i in range(late.shape[2]):
        first, last = (rankdata(late[:, k, i]) for k in (0, -1))
        if np.ptp(first) == 0.0 or np.ptp(last) == 0.0:
            return 1.0  # all chains at one value: no correlation says that they have left it
        rho = np.clip(np.corrcoef(first, last)[0, 1], 0.0, 1.0 - 1e-12)
        if n > 3:
            rho = np.tanh(np.arctanh(rho) + norm.ppf(0.99) / np.sqrt(n - 3))
        worst = max(worst, float(rho))
    apart = float(steps[-1] - steps[0])
    return worst ** (float(steps[-1]) / apart) if apart > 0 else 1.0


def _copies(chains: np.ndarray) -> int:
    """Number of moving chains that repeat another one's record. Values that chains share for
    another reason (a discrete observable, rounding) are not taken for that: then some chains share
    their last draw but not their record."""
    flat = np.ascontiguousarray(chains.reshape(*chains.shape[:2], -1))
    flat = flat[np.any(flat != flat[:, :1], axis=(1, 2))]
    if len(flat) < 2:
        return 0

    def distinct(rows: np.ndarray) -> int:
        rows = np.ascontiguousarray(rows.reshape(len(rows), -1)) + 0.0  # no negative zeros
        return np.unique(rows.view(np.dtype((np.void, rows.itemsize * rows.shape[1])))).size

    last = distinct(flat[:, -1])
    return len(flat) - last if last < len(flat) and distinct(flat) == last else 0


def diagnose(draws: Draws) -> Convergence:
    """The diagnostics of an ensemble's draws; of an array, whose draws are independent by
    declaration, none, and of fewer than 4 draws a chain only a note. Chains that were left out
    are named."""
    state = _diagnose(draws)
    if not draws.dropped:
        return state
    whole = draws.dropped + len(draws.last)
    note = f"{draws.dropped:,} of {whole:,} chains failed and were left out"
    return dataclasses.replace(state, notes=(note, *state.notes))


def _diagnose(draws: Draws) -> Convergence:
    chains = draws.chains
    if chains is None:
        return Convergence()
    copies = _copies(chains)
    copied = (f"{copies:,} chains are copies of others: give each its own key",) if copies else ()
    if chains.shape[1] < 4:
        had = "1 draw" if chains.shape[1] == 1 else f"{chains.shape[1]} draws"
        note = f"convergence not checked ({had} a chain; 4 needed)"
        return Convergence(copies=copies, notes=(note, *copied))
    late = chains[:, -max(4, chains.shape[1] // 2) :]
    every = max(1, -(-late.size // _DIAGNOSTIC_NUMBERS))
    kept = late[::every] if late.shape[0] // every >= MINIMUM_DRAWS else late[:MINIMUM_DRAWS]
    kept = kept.reshape(*kept.shape[:2], -1)
    moving = np.ptp(kept, axis=(0, 1)) > 0.0
    if not np.any(moving):
        note = "the draws never change"
        return Convergence(converged=False, frozen=moving.size, copies=copies, notes=(note,))
    kept = kept[..., moving]
    rhat = float(np.max(split_rhat(kept)))
    ess = float(np.min(effective_sample_size(kept))) * chains.shape[0] / kept.shape[0]
    frozen = int(np.count_nonzero(~moving))
    notes = [f"R-hat {rhat:.3f}, ESS {ess:,.0f}", *copied]
    if frozen:
        notes.append(f"{frozen} of {moving.size} coordinates never change")
    drift = stationarity_test(kept).p_value if len(kept) >= MINIMUM_DRAWS else None
    memory = None
    if draws.steps is not None and len(draws.steps) == chains.shape[1]:
        memory = _memory(kept, draws.steps[-kept.shape[1] :])
    remembers = memory is None or memory > _MEMORY_LIMIT
    converged = True
    if rhat > _RHAT_LIMIT and remembers:
        converged = False
        notes.append("chains not mixed: run longer before believing the verdict")
    if drift is not None and drift < _DRIFT_LEVEL:
        converged = False
        notes.append(
            f"chains still drift (p = {max(drift, 1e-300):.0e}): run longer, or raise `burn_in`"
        )
    return Convergence(rhat, ess, drift, memory, converged, frozen, copies, tuple(notes))
