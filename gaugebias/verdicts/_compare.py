from collections.abc import Callable, Sequence
from typing import Any

import jax
from jaxtyping import Array, PRNGKeyArray

from ._against_law import Comparison, compare_draws, compare_law, detectable
from ._convergence import Convergence, diagnose
from ._draws import Draws, is_ensemble, take_draws
from ._protocols import is_law
from ._row import CONSISTENT, REJECTED, Row, Verdict, verdict_word
from ._wanted import as_wanted


def _names(targets: Sequence[Any], names: Sequence[str] | None) -> list[str]:
    if names is not None:
        names = (names,) if isinstance(names, str) else names
        if len(names) != len(targets):
            raise ValueError(
                f"`names` has {len(names)} entries for {len(targets)} targets: give one each."
            )
        return [str(name) for name in names]
    return [
        str(getattr(target, "name", None) or f"{'law' if is_law(target) else 'draws'} {i}")
        for i, target in enumerate(targets)
    ]


def _word(
    found: Comparison, p_value: float, converged: bool | None, copies: int, stepped: bool
) -> tuple[float, str, str]:
    """The row's p-value, verdict and reason."""
    reason = ""
    if found.halving is not None and p_value >= CONSISTENT:
        reason = "discretisation" if found.halving.matters else ""
    elif found.halving is not None:
        p_value = max(p_value, found.halving.test.p_value)
        if p_value >= CONSISTENT:
            moved = found.halving.effect_p_value < CONSISTENT
            shrinks = moved and found.halving.explained
            reason = "discretisation" if shrinks else "step not resolved"
    elif stepped and p_value < CONSISTENT:
        reason = "step not resolved"  # nothing of this law says what the step may do to it
    if found.outside and p_value >= REJECTED:
        reason = reason or "outside of the domain"
    if converged is False:
        reason = "not converged"
    if copies:
        reason = "not independent"
    least = len(found.tests) * min(test.least for test in found.tests.values())
    if not reason and least >= CONSISTENT:
        reason = "too few draws"
    return p_value, "undecided" if reason else verdict_word(p_value), reason


def _row(
    name: str,
    reference: str,
    draws: Draws,
    found: Comparison,
    state: Convergence,
    other: Convergence | None,
) -> Row:
    marginals = [test for key, test in found.tests.items() if key.startswith("ks")]
    decisive = min(found.tests, key=lambda key: found.tests[key].p_value)
    test = found.tests[decisive]
    converged, notes, copies = state.converged, state.notes, state.copies
    if other is None and state.frozen:
        converged = False  # a law with a density moves every coordinate
    if other is not None:
        copies += other.copies
        notes = (*notes, *(f"target: {note}" for note in other.notes))
        if other.converged is False:
            converged = False
    plain = min(1.0, len(found.tests) * test.p_value)
    stepped = draws.coarse is not None
    p_value, verdict, reason = _word(found, plain, converged, copies, stepped)
    detail = [f"{decisive}: {test.detail}"]
    if found.halving is not None:
        detail.append(f"step halving: {found.halving.test.detail}")
    if found.wasserstein is not None:
        w = found.wasserstein
        detail.append(f"W1 {w.value:.3g} in [{w.lower:.3g}, {w.upper:.3g}]")
    shown = min(marginals, key=lambda result: result.p_value) if marginals else test
    return Row(
        law=name,
        reference=reference,
        draws=draws.points.shape[0],
        statistic=shown.statistic,
        p_value=p_value,
        verdict=verdict,
        detail="; ".join([*detail, *notes, *found.notes]),
        detectable=detectable(found),
        tests=found.tests,
        wasserstein=found.wasserstein,
        rhat=state.rhat,
        ess=state.ess,
        drift=state.drift,
        converged=converged,
        reason=reason,
        halving=found.halving,
    )


def compare(
    ensemble: Any,
    targets: Any,
    names: Sequence[str] | None = None,
    *,
    key: PRNGKeyArray | Array | None = None,
    observable: Callable[[Any], Any] | None = None,
    drop_failed: bool = False,
    joint: bool = True,
    law_draws: int = 4096,
    tests: Sequence[str] | str | None = None,
) -> Verdict:
    """Do these draws follow these laws? One row of a `Verdict` for each target.

    **The tests of a row**, by the names of `tests`:

    - `"ks"`: Kolmogorov-Smirnov against the law's marginal in every coordinate (two-sample against
      draws, and against draws of a law whose marginals are out of reach);
    - `"scores"`: score tests of the temperature and of the exponent of the orbit volume where the
      law offers its sufficient statistics (`law.statistic`, `law.expectation`): the sharpest tests
      of those two numbers;
    - `"energy"`: the energy distance between the draws and the law's draws (or the other ensemble),
      each coordinate in units of its pooled standard deviation: marginals alone do not see
      dependence; `"mmd"`: the maximum mean discrepancy of the same draws;
    - `"stein"`: the kernel Stein discrepancy from the law's score, which needs neither
      normalisation nor draws of the law; at walls and breaks of the law's domain its test
      functions vanish, as the Stein identity needs, and a law whose score still has no finite
      variance is left out (an error where it was asked for by name);
    - `"rank"`: ranks of every coordinate and of the log density among 19 draws of the law for
      each draw.

    By default one coordinate takes ks and scores; two and three take energy as well; more take
    energy and stein. `stats` states the null distribution of each, and
    `python -m benchmarks.calibration` measures the false alarms.

    **Autocorrelated chains:** every test uses the *last* draw of each chain, and chains are
    independent, so p-values are those of independent draws whatever the autocorrelation. (Pooling
    the draws, or putting the effective sample size in place of n in a Kolmogorov-Smirnov test, is
    not calibrated: `benchmarks.calibration` shows it.)

    The row's p-value is Bonferroni over its k tests, min(1, k min p), right however they depend on
    each other: "consistent" from 1e-3, "rejected" below 1e-6, "undecided" between. Wasserstein-1
    with its interval is reported and does not decide.

    **Convergence:** with at least 4 draws a chain, the last half of the record is checked: a
    burn-in check (`stationarity_test`) and split R-hat. A run that still drifts (p < 1e-3), or has
    R-hat above 1.05 and is not long against its own memory, gives "undecided: not converged",
    whatever its p-value; so does, against a law, a coordinate that never changes. A run that
    recorded fewer draws cannot be checked, and its row says so. No diagnostic sees a mode that no
    chain has visited: start the chains over-dispersed. Chains that are copies of others (one key
    for all of them) give "undecided: not independent".

    **Few draws:** where no draws at all could have given a p-value below 1e-3 (`TestResult.least`:
    8 draws a side in 8 coordinates, fewer than 100 for the Stein test alone), the verdict is
    "undecided: too few draws".

    **Domain:** a law gives no weight to what lies outside of its domain, so that a single draw
    there contradicts it, however little the tests see of it: such a row is never "consistent". As
    a step may jump over a wall that the process does not cross, it is "undecided: outside of the
    domain" unless the tests reject. Where chains do cross, as products of an odd number of factors
    cross zero, give the law the whole line.

    **Step size:** with a `step_halving` run, a law that the fine run disagrees with (p < 1e-3) is
    rejected only if the deviation is also more than the step can explain
    (`stats.step_halving_test`, p < 1e-6). Where that has p >= 1e-3, the verdict is "undecided:
    discretisation" if the two runs differ (p < 1e-3) by enough for the deviation to be the step's,
    and "undecided: step not resolved" if not: more chains, or a smaller step, will tell. A law
    that agrees with the fine run is "consistent" only if the step does not matter at that
    precision (`HalvingResult.matters`): else a wrong law may agree with the bias of the step, and
    the verdict is "undecided: discretisation".
    The rule looks at quantiles of the marginals, at the sufficient statistics and, in several
    coordinates, at pairs of coordinates below their medians. A law that offers none of these, nor
    draws, but a score alone, is never rejected on a `step_halving` run: "step not resolved".

    **Arguments:**

    - `ensemble`: an `Ensemble` (values (chains, draws, *shape)), a `StepHalving` of two, or an
      array of independent draws (n, *shape). A single coordinate may have shape () or (1,).
    - `targets`: one or a sequence of laws (see `OneDimensionalLaw` for the least a law must
      offer), ensembles, or arrays of independent draws.
    - `names`: one a target; otherwise the target's own `name`.
    - `key`: JAX key of bootstrap, relabellings and draws of laws; None is a fixed key, so that a
      report can be repeated.
    - `observable`: function of an ensemble's values giving one array, where it observed several.
    - `drop_failed`: leave out chains with a non-zero result code, instead of raising; the row says
        how many.
    - `joint`: whether to run energy and stein in several coordinates by default.
    - `law_draws`: number of draws of a law used where its marginals are out of reach (more than
      three coordinates).
    - `tests`: names of the tests to run in place of the default.

    **Raises:** `ValueError` for failed chains (how many, with which codes), non-finite or fewer
    than 8 draws, a law with another number of coordinates, names that do not match, an unknown
    test, or one asked for by name that the target does not offer.

    ```python
    import numpy as np
    from scipy.stats import norm
    from gaugebias.verdicts import compare
    draws = np.random.default_rng(0).normal(size=4000)
    verdict = compare(draws, [norm(), norm(scale=1.2)], names=["right", "too wide"])
    assert verdict["right"].verdict == "consistent"
    assert verdict["too wide"].verdict == "rejected"
    ```
    """
    if law_draws < 8:
        raise ValueError(f"`law_draws` must be at least 8, not {law_draws}.")
    if not isinstance(targets, list | tuple):
        targets = (targets,)
    if len(targets) == 0:
        raise ValueError("`targets` is empty: give at least one law, ensemble or array.")
    labels = _names(targets, names)
    wanted = as_wanted(tests, joint)
    draws = take_draws(ensemble, "ensemble", observable, drop_failed)
    state = diagnose(draws)
    key = jax.random.key(0) if key is None else key
    rows = []
    for i, (target, label) in enumerate(zip(targets, labels, strict=True)):
        own = jax.random.fold_in(key, i)
        if is_law(target) and not is_ensemble(target):
            found = compare_law(draws, target, label, own, wanted, law_draws)
            reference, other = str(getattr(target, "reference", "lebesgue")), None
        else:
            theirs = take_draws(target, f"targets[{i}]", observable, drop_failed)
            found = compare_draws(draws, theirs, label, own, wanted)
            reference, other = "samples", diagnose(theirs)
        rows.append(_row(label, reference, draws, found, state, other))
    return Verdict(tuple(rows))
