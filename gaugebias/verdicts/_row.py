import math
from typing import Any

import equinox as eqx

from ..stats import DistanceInterval, HalvingResult, TestResult
from ._false_alarm import family_false_alarm

# Design: an expected law is tested at the first level, a rival is rejected below the second.
CONSISTENT = 1e-3
REJECTED = 1e-6


def verdict_word(p_value: float) -> str:
    """The word for a p-value: "consistent" from 1e-3, "rejected" below 1e-6, else "undecided".

    **Raises:** `ValueError` when `p_value` is not in [0, 1].
    """
    if not 0.0 <= p_value <= 1.0:
        raise ValueError(f"`p_value` must lie in [0, 1], not {p_value}.")
    if p_value >= CONSISTENT:
        return "consistent"
    return "rejected" if p_value < REJECTED else "undecided"


def _number(x: float | None) -> float | None:
    return None if x is None or not math.isfinite(x) else float(x)


class Row(eqx.Module):
    """One comparison of the draws with a law or with other draws.

    - `law`, `reference`: name of the target and the reference measure its density is stated in
      ("samples" for draws).
    - `draws`: number of independent draws used (of the tested side).
    - `statistic`: the Kolmogorov-Smirnov distance, in several coordinates that of the coordinate
      with the smallest p-value.
    - `p_value`: Bonferroni over all `tests` of the row, min(1, k min p); where a step-halving run
      is at hand and that is below 1e-3, the larger of it and of the step-halving test's (both must
      be small for a rejection). `verdict`: its word, or "undecided" for a `reason`.
    - `reason`: why the verdict is "undecided" whatever the p-value: "not converged" (the run has
      not forgotten its start), "discretisation" (the step has an effect that explains the
      deviation, or that could hide one), "step not resolved" (too few chains to tell the two
      apart), "not independent" (chains that are copies of others), "too few draws" (none could have
      given a p-value below 1e-3), "outside of the domain" (draws where the law has no density);
      else "".
    - `detail`: which test decided, where, and the diagnostics.
    - `detectable`: the smallest deviation that would have been rejected (p < 1e-6 after
      Bonferroni) with probability 0.9: "distance" (of distribution functions, a rigorous bound
      against a law), "temperature" (relative change), "exponent" (change of the power of the orbit
      volume). With a step-halving run also beyond what the step may have caused.
    - `tests`: every `TestResult` by name. `wasserstein`: the distance with its interval, in the
      units of the (worst) coordinate. `rhat`, `ess`, `drift`: split R-hat, effective sample size
      and burn-in p-value over the last half of the record, worst coordinate; `converged`: what
      they say. None with fewer than 4 draws a chain: nothing is known of the convergence.
    - `halving`: the `HalvingResult` of a step-halving run, else None.
    """

    law: str
    reference: str
    draws: int
    statistic: float
    p_value: float
    verdict: str
    detail: str
    detectable: dict[str, float]
    tests: dict[str, TestResult]
    wasserstein: DistanceInterval | None = None
    rhat: float | None = None
    ess: float | None = None
    drift: float | None = None
    converged: bool | None = None
    reason: str = ""
    halving: HalvingResult | None = None

    def to_dict(self) -> dict[str, Any]:
        """The row as plain numbers and strings, ready for `json.dumps` (non-finite as None)."""
        w = self.wasserstein
        return {
            "law": self.law,
            "reference": self.reference,
            "draws": self.draws,
            "statistic": _number(self.statistic),
            "p_value": _number(self.p_value),
            "verdict": self.verdict,
            "reason": self.reason,
            "detail": self.detail,
            "detectable": {name: _number(x) for name, x in self.detectable.items()},
            "tests": {
                name: {
                    "statistic": _number(test.statistic),
                    "p_value": _number(test.p_value),
                    "n": test.n,
                    "detail": test.detail,
                }
                for name, test in self.tests.items()
            },
            "wasserstein": None
            if w is None
            else {"value": w.value, "lower": w.lower, "upper": w.upper, "level": w.level},
            "rhat": _number(self.rhat),
            "ess": _number(self.ess),
            "drift": _number(self.drift),
            "converged": self.converged,
            "halving": None
            if self.halving is None
            else {
                "p_value": _number(self.halving.test.p_value),
                "deviation": _number(self.halving.deviation),
                "effect": _number(self.halving.effect),
                "effect_p_value": _number(self.halving.effect_p_value),
            },
        }


def _visible(detectable: dict[str, float]) -> str:
    parts = []
    if "distance" in detectable:
        parts.append(f"distance {detectable['distance']:.3f}")
    if "temperature" in detectable:
        parts.append(f"T {100 * detectable['temperature']:.2g}%")
    if "exponent" in detectable:
        parts.append(f"exponent {detectable['exponent']:.2g}")
    return ", ".join(parts)


def _p_text(p: float) -> str:
    if p >= 1e-3:
        return f"{p:.3f}"
    return f"{p:.0e}" if p >= 1e-300 else "<1e-300"


class Verdict(eqx.Module):
    """What `compare` found: `rows`, one a target, in the order given.

    Index by position or by the target's name: `verdict["horizontal"].p_value`.
    """

    rows: tuple[Row, ...]

    def __getitem__(self, which: int | str) -> Row:
        if isinstance(which, str):
            found = [row for row in self.rows if row.law == which]
            if len(found) == 1:
                return found[0]
            raise KeyError(
                f"{len(found)} rows are called {which!r}: index by position, or give `names`"
                if found
                else f"no row {which!r}; there are {[row.law for row in self.rows]}"
            )
        return self.rows[which]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def false_alarm(self) -> float:
        """Bound on the chance that any row is below 1e-3 although every target is right."""
        return family_false_alarm(max(1, len(self.rows)), CONSISTENT)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain numbers and strings, ready for `json.dumps`."""
        return {
            "consistent_level": CONSISTENT,
            "rejected_level": REJECTED,
            "false_alarm": self.false_alarm,
            "rows": [row.to_dict() for row in self.rows],
        }

    def table(self) -> str:
        """The verdict as plain text, one line a target, with what could have been seen."""
        head = (
            "law",
            "reference",
            "draws",
            "statistic",
            "p-value",
            "verdict",
            "smallest visible",
            "detail",
        )
        body = [
            (
                row.law,
                row.reference,
                f"{row.draws:,}",
                f"{row.statistic:.4f}",
                _p_text(row.p_value),
                f"{row.verdict}: {row.reason}" if row.reason else row.verdict,
                _visible(row.detectable),
                row.detail,
            )
            for row in self.rows
        ]
        right = {2, 3, 4}
        widths = [max(len(line[i]) for line in [head, *body]) for i in range(len(head))]

        def show(line: tuple[str, ...]) -> str:
            cells = [
                cell.rjust(width) if i in right else cell.ljust(width)
                for i, (cell, width) in enumerate(zip(line, widths, strict=True))
            ]
            return "  ".join(cells).rstrip()

        tests = sum(len(row.tests) for row in self.rows)

        def counted(n: int, what: str) -> str:
            return f"{n} {what}" if n == 1 else f"{n} {what}s"

        title = (
            f"{counted(len(self.rows), 'comparison')}, {counted(tests, 'test')}; "
            f"consistent p >= {CONSISTENT:.0e}, rejected p < {REJECTED:.0e}; "
            f"false alarm at most {self.false_alarm:.1e}"
        )
        rule = "  ".join("-" * width for width in widths)
        return "\n".join([title, show(head), rule, *(show(line) for line in body)])
