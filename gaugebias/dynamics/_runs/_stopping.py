"""Stopping when enough independent draws have been made."""

import jax
import numpy as np

from ...stats import AutocorrelationSummary
from ._devices import Layout
from ._ensemble import OK
from ._progress import Position
from ._reductions import AbstractReduction, finish_reductions
from ._together import whole

NAME = "until_ess"
# Draws grow by this factor between two looks: few looks, and little is gained by luck at one.
_GROWTH = 1.25
_FEWEST = 4  # draws of a chain of which an autocorrelation is taken


def as_target(until_ess) -> float:
    """The number of effective draws asked for; `ValueError` unless positive and finite."""
    number = not isinstance(until_ess, bool) and isinstance(
        until_ess, (int, float, np.integer, np.floating)
    )
    if not (number and 0 < until_ess < np.inf):
        raise ValueError(f"`until_ess` must be a positive number, but is {until_ess!r}.")
    return float(until_ess)


def looks(plan: list[tuple[int, int, bool]]) -> set[int]:
    """After how many chunks of a plan the effective sample size is looked at."""
    out, drawn, next_ = set(), 0, float(_FEWEST)
    for number, (_, records, keep) in enumerate(plan):
        drawn += records if keep else 0
        if drawn >= next_:
            out.add(number + 1)
            next_ = _GROWTH * drawn
    return out


class Stop:
    """When a run is long enough, and what is said where it never was.

    Of several processes all look together: at the chunks of `looks`, in this order.
    """

    def __init__(
        self,
        target: float | None,
        plan: list[tuple[int, int, bool]],
        reductions: dict[str, AbstractReduction],
        layout: Layout,
    ):
        self._target, self._layout = target, layout
        self._looks = set() if target is None else looks(plan)
        self._mine = {name: r for name, r in reductions.items() if name == NAME}
        self._known: dict[int, tuple[float, bool, str]] = {}
        self.past = 0  # nothing was enough before this many chunks

    def enough(self, position: Position) -> bool:
        """Whether the run may end here. It depends on the position alone."""
        if self._target is None or position.chunks not in self._looks:
            return False
        if position.chunks < self.past:
            return False
        reached, resolved, _ = self._effective(position)
        return resolved and reached >= self._target

    def _effective(self, position: Position) -> tuple[float, bool, str]:
        """The smallest effective sample size of any entry so far, and whether all are resolved.

        Also why it is small, where more steps may not help.
        """
        if position.chunks not in self._known:
            self._known[position.chunks] = self._look(position)
        return self._known[position.chunks]

    def _look(self, position: Position) -> tuple[float, bool, str]:
        kept = whole(self._layout, position.results) == OK
        state = whole(self._layout, position.states[NAME], self._mine[NAME].chain_axis)
        if not kept.any():
            return 0.0, False, "no chain is left"
        if position.drawn < _FEWEST:
            return 0.0, False, f"{position.drawn} draws of a chain are too few: lower `every`"
        found = finish_reductions(self._mine, {NAME: state}, kept, position.drawn)
        summaries = jax.tree.leaves(found, is_leaf=lambda x: isinstance(x, AutocorrelationSummary))
        reached = min(float(s.ess.min()) for s in summaries)
        finite = all(np.all(np.isfinite(x[..., kept])) for x in jax.tree.leaves(state))
        why = ""
        if reached == 0:
            why = (
                "an entry of the observable never changes"
                if finite
                else "`observe` gave numbers that are not finite"
            )
        elif reached < kept.sum():
            why = (
                "chains have hardly mixed, none counts as one draw, and steps tell little about it"
            )
        return reached, all(s.resolved.all() for s in summaries), why

    def fell_short(self, end: Position) -> str | None:
        """What is said where the step limit came first."""
        if self._target is None:
            return None
        reached, resolved, why = self._effective(end)
        if resolved and reached >= self._target:
            return None
        if reached > 0 and not resolved:
            why = "draws are correlated over most of the run, so that even this is a guess"
        elif not why:
            why = f"about {end.steps * self._target / reached:.3g} steps would reach it"
        return (
            f"`until_ess` ({self._target:g}) was not reached in {end.steps} steps: the smallest "
            f"effective sample size is {reached:.4g}; {why}. Raise `steps`, or take more chains."
        )
