import jax
import numpy as np
import pytest
from matplotlib.figure import Figure

from gaugebias import plot
from gaugebias.verdicts import Verdict, compare


class Power:
    """x^p on [0, 1]."""

    reference = "lebesgue"

    def __init__(self, power):
        self.power, self.name = power, f"power {power:g}"

    def cdf(self, x):
        return np.clip(np.asarray(x, dtype=float), 0.0, 1.0) ** self.power


@pytest.fixture
def verdict(getkey):
    draws = jax.random.uniform(getkey(), (1000,))
    return compare(draws, [Power(2.0), Power(1.0), Power(1.08)], key=getkey())


def test_nearest_target_is_at_the_top(verdict):
    ax = plot.verdict(verdict, Figure().subplots())
    statistics = {row.law: row.statistic for row in verdict.rows}
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names == sorted(statistics, key=lambda name: statistics[name])
    assert ax.get_ylim()[0] > ax.get_ylim()[1]


def test_bars_are_the_dkw_interval(verdict):
    ax = plot.verdict(verdict, Figure().subplots(), level=0.05)
    row = max(verdict.rows, key=lambda row: row.statistic)
    bars = [bar for line in ax.lines if len(bar := np.asarray(line.get_xdata())) == 2]
    reach = np.sqrt(np.log(40.0) / 2000.0)
    np.testing.assert_allclose(bars[-1], [row.statistic - reach, row.statistic + reach])
    assert all(bar[0] >= 0.0 for bar in bars)


def test_verdicts_differ_by_colour_and_marker(verdict):
    ax = plot.verdict(verdict, Figure().subplots())
    points = [line for line in ax.lines if str(line.get_label()) in ("consistent", "rejected")]
    assert len({(line.get_color(), line.get_marker()) for line in points}) == 2


def test_bad_arguments(verdict):
    with pytest.raises(ValueError, match="`level`"):
        plot.verdict(verdict, level=0.0)
    with pytest.raises(ValueError, match="no rows"):
        plot.verdict(Verdict(()))
