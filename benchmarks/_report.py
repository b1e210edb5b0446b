"""Rows of measured against predicted, with a verdict by a stated test."""

import numpy as np

from gaugebias.stats import mean_test

AGREE, REJECT = 1e-3, 1e-6


class Report:
    """Rows of a table; `passed` is whether every row came out as it should."""

    def __init__(self, title):
        self.title, self.rows, self.passed = title, [], True

    def add(self, what, sample, predicted, *, right=True, level=AGREE):
        """One row: the mean of independent draws against a prediction, by Student's t.

        A right prediction agrees where `p > level`, a wrong one is rejected where `p < 1e-6`.
        """
        sample = np.asarray(sample, float)
        error = sample.std(ddof=1) / np.sqrt(sample.size)
        p = mean_test(sample, float(predicted)).p_value
        verdict = "agrees" if p > level else "rejected" if p < REJECT else "differs"
        self.passed &= verdict == ("agrees" if right else "rejected")
        self.rows.append((what, sample.mean(), error, float(predicted), p, verdict))

    def note(self, what, measured, predicted, within):
        """One row without statistics: two numbers that must agree to a relative tolerance."""
        off = abs(measured - predicted) / abs(predicted)
        verdict = f"off by {off:.1e}"
        self.passed &= off <= within
        self.rows.append((what, measured, np.nan, predicted, np.nan, verdict))

    def part(self, what, measured, noise, step):
        """Rows of a mean that noise and finite step make together, and the step alone does not.

        All of shape `(chains, draws)`, of which means over draws are independent draws.
        """
        for name, predicted, right in (
            ("noise + finite step", noise + step, True),
            ("finite step alone", step, False),
        ):
            mean = predicted.mean()
            sample = (measured - predicted).mean(axis=1) + mean
            self.add(f"{what}: {name}", sample, mean, right=right)

    def show(self, what, measured, predicted):
        """One row that nothing is concluded from."""
        off = abs(measured - predicted) / abs(predicted)
        self.rows.append((what, measured, np.nan, predicted, np.nan, f"(off by {off:.1e})"))

    def text(self):
        lines = [
            f"\n{self.title}",
            f"{'':58}{'measured':>12}{'s.e.':>10}{'predicted':>12}{'p':>10}",
        ]
        for what, measured, error, predicted, p, verdict in self.rows:
            se = "" if np.isnan(error) else f"{error:.1e}"
            pv = "" if np.isnan(p) else f"{p:.1e}"
            lines.append(f"{what:58}{measured:12.5g}{se:>10}{predicted:12.5g}{pv:>10}  {verdict}")
        return "\n".join(lines)
