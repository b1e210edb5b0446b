"""Stopping when enough independent draws have been made."""

import jax
import numpy as np

from ...stats import AutocorrelationSummary
from ._ensemble import OK
from ._progress import Position
from ._reductions import AbstractReduction, finish_reductions

NAME = "until_ess"
# Draws grow by this factor between two looks: few looks, and little is gained by luck at one.
_GROWTH = 1.25


def as_target(until_ess) -> float:
    """The number of effective draws asked for; `ValueError` unless positive and finite."""
    number = not isinstance(until_ess, bool) and isinstance(until_ess, (int, float, np.number))
    if not (number and 0 < until_ess < np.inf):
        raise ValueError(f"`until_ess` must be a positive number, but is {until_ess!r}.")
    return float(until_ess)


def looks(plan: list[tuple[int, int, bool]]) -> set[int]:
    """After how many chunks of a plan the effective sample size is looked at."""
    out, drawn, next_ = set(), 0, 4.0
    for number, (_, records, keep) in enumerate(plan):
        drawn += records if keep else 0
        if drawn >= next_:
            out.add(number + 1)
            next_ = _GROWTH * drawn
    return out


def effective(
    reductions: dict[str, AbstractReduction], position: Position, chains: int
) -> tuple[float, bool]:
    """The smallest effective sample size of any entry so far, and whether all are resolved."""
    kept = position.results[:chains] == OK
    mine = {NAME: reductions[NAME]}
    found = finish_reductions(mine, {NAME: position.states[NAME]}, kept, position.drawn)
    summaries = jax.tree.leaves(found, is_leaf=lambda x: isinstance(x, AutocorrelationSummary))
    if not summaries or position.drawn < 4:
        return 0.0, False
    return min(float(s.ess.min()) for s in summaries), all(s.resolved.all() for s in summaries)


def fell_short(target: float, reached: float, resolved: bool, steps: int) -> str:
    """What is said where the step limit came first."""
    why = (
        "an entry of the observable never changes"
        if reached == 0
        else "draws are correlated over most of the run, so that even this is a guess"
        if not resolved
        else f"about {steps * target / reached:.3g} steps would reach it"
    )
    return (
        f"`until_ess` ({target:g}) was not reached in {steps} steps: the smallest effective sample "
        f"size is {reached:.4g}; {why}. Raise `steps`, or take more chains."
    )
