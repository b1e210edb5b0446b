"""Is a factorisation the only one of its fitted table? What is proved, and by what."""

from typing import final

import equinox as eqx
import numpy as np

from ._factorisation import Factorisation
from ._fit import Fit
from ._movement import Movement, movement
from ._region import component_region, possible_component
from ._rigid import rigidity
from ._scattered import Check, contained, pure, sufficiently_scattered

_GRID = 150
_BEYOND = "nothing outside the ranges"


@final
class Uniqueness(eqx.Module):
    """Whether a factorisation is unique up to the order of its components.

    By the correspondence of the models this is one question for all five (for NMF up to order and
    scaling).

    - `verdict`: "unique", "not unique" or "undecided".
    - `reason`: one sentence.
    - `checks`: the conditions that were tested, each saying what it is good for. "Nothing outside
        the ranges" (K = 3) is about components outside of those of `movement`, by more than `atol`
        and 1/20 of the longest: it can hold although the components move within them.
    - `movement`: how far the components can move.
    - `atol`: shares that differ by no more are not told apart.
    """

    verdict: str
    reason: str
    checks: tuple[Check, ...]
    movement: Movement
    atol: float


def uniqueness(
    factorisation: Factorisation,
    fit: Fit | None = None,
    *,
    atol: float = 1e-3,
    effort: int = 20,
    seed: int = 0,
) -> Uniqueness:
    r"""Test whether \((A, G)\) is the only factorisation of its fitted table.

    - *Not unique* is proved by an explicit admissible T that moves some share by more than `atol`,
      for K = 3 also by a component of another solution that
      [`gaugebias.factor.component_region`][] finds where none of these moves to.
    - *Unique* is proved for K = 2 by the exact ranges, and for K >= 3 where A and G^T are both
      sufficiently scattered in one scaling of the components (Huang, Sidiropoulos, Swami 2014),
      which includes that both are separable; three scalings d^-1, d are tried: d = 1, the
      proportions, and their square root.
    - *Undecided* otherwise. Then the checks say what is known: rigidity excludes solutions
      nearby; a support inside another excludes uniqueness, but by less than `atol`.

    Shares up to `atol` count as 0 in the checks (estimates reach 0 only slowly), so that "unique"
    is about the factorisation with those set to 0, as far as `atol` sees.

    **Arguments:** `fit`: adds the spread of det(G G^T) over its starts of equal objective. Starts
    that differ suggest non-uniqueness, or starts that have not converged; starts that agree prove
    nothing. `effort`, `seed`: of [`gaugebias.factor.movement`][].

    **Raises:** `ValueError` where the factors have rank below K, or `atol` is not in (0, 0.1].

    !!! example

        ```python
        table = [[448, 369], [1789, 1753], [636, 859], [177, 237], [39, 64]]
        fit = expectation_maximisation(table, 2, key=jax.random.key(0))
        inner = identify(fit.factorisation, "inner").factorisation
        answer = uniqueness(inner, fit)
        answer.verdict                    # "not unique"
        answer.movement.basis_high[:, 0]  # 1 and 39/103
        ```
    """
    if not 0 < atol <= 0.1:
        raise ValueError(f"`atol` is {atol}: give a number from 0 to 0.1.")
    found = movement(factorisation, effort=effort, seed=seed)
    k = factorisation.components
    checks = _checks(factorisation, atol)
    if k == 3:
        checks.append(_beyond(factorisation, found, atol))
    if fit is not None:
        checks.append(_spread(fit))
    scattered = next(check for check in checks if check.name == "sufficiently scattered")
    rigid = next(check for check in checks if check.name == "rigid")
    if k == 1:
        verdict, reason = "unique", "one component is the table's margin."
    elif found.size > atol:
        reach = "up to" if found.exact else "at least"
        verdict = "not unique"
        reason = f"a share moves by {reach} {found.size:.3g} with the fitted table unchanged."
    elif any(check.name == _BEYOND and check.holds is False for check in checks):
        verdict = "not unique"
        reason = "another solution has a component at a place that none of these moves to."
    elif found.exact:
        verdict = "unique"
        reason = f"the exact ranges of all shares are at most {found.size:.1g} wide."
    elif scattered.holds:
        verdict = "unique"
        reason = (
            f"both factors are sufficiently scattered, with shares up to {atol:g} counted as 0."
        )
    else:
        verdict = "undecided"
        near = "no solution is near" if rigid.holds else "nearby solutions are not excluded"
        reason = (
            f"no share was seen to move by more than {found.size:.1g}, but no sufficient "
            f"condition holds; {near}."
        )
    return Uniqueness(verdict, reason, tuple(checks), found, atol)


def _checks(factorisation: Factorisation, atol: float) -> list[Check]:
    a, g = factorisation.mixing, factorisation.basis
    checks = []
    for name, factor in (("supports of mixing", a), ("supports of basis", g.T)):
        inside = contained(factor, atol=atol)
        detail = "no component's support lies inside another's"
        if inside is not None:
            detail = f"the support of component {inside[0] + 1} lies inside that of {inside[1] + 1}"
        checks.append(Check(name, "necessary", inside is None, detail))
    local = rigidity(factorisation, atol=atol)
    detail = f"{local.zeros} shares at 0 have rank {local.rank} on {local.directions} directions"
    checks.append(Check("rigid", "local", local.rigid, detail))
    rows, columns = pure(a, atol=atol), pure(_posterior(factorisation), atol=atol)
    detail = f"{rows.sum()} of {len(rows)} have a pure row, {columns.sum()} a column of their own"
    checks.append(Check("separable", "sufficient", bool(rows.all() and columns.all()), detail))
    checks.append(_scattered(factorisation, atol))
    return checks


def _beyond(factorisation: Factorisation, found: Movement, atol: float) -> Check:
    """K = 3: may a component be at a place that none of these three moves to?

    On a grid, which misses solutions that are isolated, and at the corners of both polygons, where
    those often are.
    """
    region = component_region(factorisation, resolution=_GRID)
    corners = np.concatenate([region.outer, region.inner])
    reached = possible_component(corners, region.inner, factorisation.basis)
    places = np.concatenate([region.points[region.possible], corners[reached]])
    shares = np.maximum(places @ factorisation.basis, 0.0)[:, None]
    low, high = found.basis_low[None] - atol, found.basis_high[None] + atol
    beyond = np.maximum(low - shares, shares - high).max(axis=2).min(axis=1, initial=np.inf)
    # What the search may have missed of the ranges lies next to them.
    far = beyond[beyond > max(0.05 * found.size, atol)]
    detail = (
        "no solution has a component outside of the ranges found (all corners and a grid of "
        f"{_GRID} x {_GRID} places were tried)"
    )
    if len(far):
        detail = (
            "a solution has a component outside of the ranges found, with a share that is "
            f"{far.max():.3g} beyond them"
        )
    return Check(_BEYOND, "necessary", not len(far), detail)


def _posterior(factorisation: Factorisation) -> np.ndarray:
    """P(k | j) up to scale, (J, K), columns without weight left out."""
    joint = (factorisation.proportions[:, None] * factorisation.basis).T
    return joint[joint.sum(axis=1) > 0]


def _scattered(factorisation: Factorisation, atol: float) -> Check:
    a, g = factorisation.mixing, factorisation.basis.T
    weights = factorisation.proportions
    answers = []
    for power in (0.0, 1.0, 0.5):
        scale = weights**power if (weights > 0).all() else np.ones_like(weights)
        left = sufficiently_scattered(a / scale, atol=atol)
        right = sufficiently_scattered(g * scale, atol=atol)
        if left.holds and right.holds:
            return Check(
                "sufficiently scattered", "sufficient", True, "the mixing and the basis both are"
            )
        answers.append((left, right))
    left, right = answers[0]
    undecided = any(each.holds is None for pair in answers for each in pair)
    said = {True: "is", False: "is not", None: "may be"}
    detail = f"the mixing {said[left.holds]}, the basis {said[right.holds]}"
    return Check("sufficiently scattered", "sufficient", None if undecided else False, detail)


def _spread(fit: Fit) -> Check:
    values = fit.determinants[fit.agreeing]
    if len(values) < 2:
        detail = "one start alone reached the best objective, so that there is none to compare with"
        return Check("determinants", "evidence", None, detail)
    low, high = float(values.min()), float(values.max())
    detail = f"det(G G^T) from {low:.3g} to {high:.3g} over {len(values)} starts of equal objective"
    return Check("determinants", "evidence", bool(high <= 1.01 * low), detail)
