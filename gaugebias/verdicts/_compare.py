from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from ..stats import effective_sample_size, split_rhat
from ._against_law import Comparison, compare_law, detectable
from ._against_samples import compare_samples
from ._draws import Draws, is_ensemble, take_draws
from ._protocols import is_law
from ._row import Row, Verdict, verdict_word

# Numbers that the chain diagnostics may hold at once; larger ensembles use every k-th chain.
_DIAGNOSTIC_NUMBERS = 1_000_000
_RHAT_LIMIT = 1.05


def _diagnostics(chains: np.ndarray | None) -> tuple[float | None, float | None, tuple[str, ...]]:
    """Worst split R-hat and effective sample size over the coordinates."""
    if chains is None or chains.shape[1] < 4:
        return None, None, ()
    every = max(1, -(-chains.size // _DIAGNOSTIC_NUMBERS))
    kept = chains[::every] if chains.shape[0] // every >= 4 else chains[:4]
    kept = kept.reshape(*kept.shape[:2], -1)
    moving = np.ptp(kept, axis=(0, 1)) > 0.0
    if not np.any(moving):
        return None, None, ("the draws never change",)
    kept = kept[..., moving]
    rhat = float(np.max(split_rhat(kept)))
    ess = float(np.min(effective_sample_size(kept))) * chains.shape[0] / kept.shape[0]
    notes = [f"R-hat {rhat:.3f}, ESS {ess:,.0f}"]
    if rhat > _RHAT_LIMIT:
        notes.append("chains not mixed: run longer before believing the verdict")
    return rhat, ess, tuple(notes)


def _names(targets: Sequence[Any], names: Sequence[str] | None) -> list[str]:
    if names is not None:
        if len(names) != len(targets):
            raise ValueError(
                f"`names` has {len(names)} entries for {len(targets)} targets: give one each."
            )
        return [str(name) for name in names]
    return [
        str(getattr(target, "name", None) or f"{'law' if is_law(target) else 'draws'} {i}")
        for i, target in enumerate(targets)
    ]


def _row(
    name: str,
    reference: str,
    draws: Draws,
    found: Comparison,
    rhat: float | None,
    ess: float | None,
    notes: tuple[str, ...],
) -> Row:
    marginals = [test for key, test in found.tests.items() if key.startswith("ks")]
    decisive = min(found.tests, key=lambda key: found.tests[key].p_value)
    test = found.tests[decisive]
    p_value = min(1.0, len(found.tests) * test.p_value)
    detail = [f"{decisive}: {test.detail}"]
    if found.wasserstein is not None:
        w = found.wasserstein
        detail.append(f"W1 {w.value:.3g} in [{w.lower:.3g}, {w.upper:.3g}]")
    return Row(
        law=name,
        reference=reference,
        draws=draws.points.shape[0],
        statistic=min(marginals, key=lambda result: result.p_value).statistic,
        p_value=p_value,
        verdict=verdict_word(p_value),
        detail="; ".join([*detail, *notes, *found.notes]),
        detectable=detectable(found),
        tests=found.tests,
        wasserstein=found.wasserstein,
        rhat=rhat,
        ess=ess,
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
) -> Verdict:
    """Do these draws follow these laws? One row of a `Verdict` for each target.

    **The tests of a row**, all on independent draws (the *last* draw of every chain):

    - Kolmogorov-Smirnov against the law's marginal in every coordinate (two-sample against draws);
    - score tests of the temperature and of the exponent of the orbit volume where the law offers
      its sufficient statistics (`law.statistic`, `law.expectation`): the sharpest tests of those
      two numbers;
    - in several coordinates the energy distance between the draws and the law's draws (or the
      other ensemble), each coordinate in units of its pooled standard deviation: marginals alone
      do not see dependence.

    The row's p-value is Bonferroni over its k tests, min(1, k min p), right however they depend on
    each other: "consistent" from 1e-3, "rejected" below 1e-6, "undecided" between. Wasserstein-1
    with its interval, and for ensembles of at least 4 draws a chain the split R-hat and the
    effective sample size, are reported and do not decide.

    **Arguments:**

    - `ensemble`: an `Ensemble` (values (chains, draws, *shape)) or an array of independent draws
      (n, *shape). A single coordinate may have shape () or (1,).
    - `targets`: one or a sequence of laws (see `OneDimensionalLaw` for the least a law must
      offer), ensembles, or arrays of independent draws.
    - `names`: one a target; otherwise the target's own `name`.
    - `key`: JAX key of bootstrap, relabellings and draws of laws; None is a fixed key, so that a
      report can be repeated.
    - `observable`: function of an ensemble's values giving one array, where it observed several.
    - `drop_failed`: leave out chains with a non-zero result code, instead of raising.
    - `joint`: whether to run the energy distance in several coordinates.
    - `law_draws`: number of draws of a law used where its marginals are out of reach (more than
      three coordinates).

    **Raises:** `ValueError` for failed chains (how many, with which codes), non-finite or fewer
    than 8 draws, a law with another number of coordinates, names that do not match.

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
    draws = take_draws(ensemble, "ensemble", observable, drop_failed)
    rhat, ess, notes = _diagnostics(draws.chains)
    key = jax.random.key(0) if key is None else key
    rows = []
    for i, (target, label) in enumerate(zip(targets, labels, strict=True)):
        own = jax.random.fold_in(key, i)
        if is_law(target) and not is_ensemble(target):
            found = compare_law(draws, target, label, own, joint, law_draws)
            reference = str(getattr(target, "reference", "lebesgue"))
        else:
            other = take_draws(target, f"targets[{i}]", observable, drop_failed)
            bootstrap, relabelling = jax.random.split(own)
            pair = compare_samples(draws, other, relabelling, joint, bootstrap)
            found = Comparison(pair.tests, {}, pair.wasserstein, (), pair.effective)
            reference = "samples"
        rows.append(_row(label, reference, draws, found, rhat, ess, notes))
    return Verdict(tuple(rows))
