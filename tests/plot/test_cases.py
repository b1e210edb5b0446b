import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure

from gaugebias import plot


@pytest.fixture
def ax():
    return Figure().subplots()


def data(**kwargs):
    x = np.linspace(0.0, 1.0, 11)
    densities = {"wrong": (x, 2.0 * x), "flat": (x, np.ones(11))}
    values = {"samples": np.linspace(0.0, 1.0, 101), "densities": densities, "expected": ("flat",)}
    return plot.FigureData("Title", "w", **{**values, **kwargs})


def test_histogram_is_normalised_by_all_samples(ax):
    samples = np.concatenate([np.linspace(0.0, 1.0, 900), np.full(100, 50.0)])
    plot.case_figure(data(samples=samples, limits=(0.0, 1.0), bins=10), ax)
    (bars,) = [patch for patch in ax.patches if hasattr(patch, "get_data")]
    heights, edges, _ = bars.get_data()
    assert np.sum(heights * np.diff(edges)) == pytest.approx(0.9)


def test_expected_laws_are_solid_and_first(ax):
    plot.case_figure(data(), ax)
    assert [line.get_label() for line in ax.lines] == ["flat", "wrong"]
    assert [line.get_linestyle() for line in ax.lines] == ["-", "--"]
    assert [line.get_color() for line in ax.lines] == list(plot.PALETTE[:2])


def test_a_singular_density_does_not_flatten_the_rest(ax):
    x = np.linspace(0.0, 1.0, 101)
    with np.errstate(divide="ignore"):
        plot.case_figure(data(densities={"flat": (x, 1e3 * x**-0.5)}), ax)
    assert ax.get_ylim()[1] < 4.0


def test_positive_samples_have_no_bar_across_zero(ax):
    plot.case_figure(data(samples=np.random.default_rng(0).gamma(0.5, size=1000)), ax)
    assert ax.get_xlim()[0] == 0.0


def test_constant_samples_can_be_drawn(ax):
    plot.case_figure(data(samples=np.ones(10), densities={}, expected=()), ax)
    assert ax.get_xlim() == (0.5, 1.5)


def test_a_new_figure_is_made_without_axes():
    ax = plot.case_figure(data())
    assert plt.gcf().axes == [ax]
    assert plt.gcf().get_size_inches()[0] == pytest.approx(3.4)
    plt.close("all")


def test_a_page_has_a_panel_a_figure_and_no_window(tmp_path):
    path = plot.save_case_page([data()] * 4, tmp_path / "case.png", dpi=40)
    assert path.read_bytes()[:4] == b"\x89PNG" and [path] == list(tmp_path.iterdir())
    page = plot.case_page([data()] * 4)
    assert sum(ax.axison for ax in page.axes) == 4 and not plt.get_fignums()


def test_a_page_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    path = plot.save_case_page([data()], tmp_path / "case.png", dpi=40)
    before = path.read_bytes()

    def full(self, part, **kwargs):
        part.write_bytes(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(Figure, "savefig", full)
    with pytest.raises(OSError, match="no space"):
        plot.save_case_page([data()], path)
    assert path.read_bytes() == before and [path] == list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"samples": []}, "`samples` is empty"),
        ({"samples": [0.0, np.nan]}, "1 values that are not finite"),
        ({"densities": {"flat": ([0.0, 1.0], [1.0])}}, r"`densities`\['flat'\] has shapes"),
        ({"expected": ("law",)}, "`expected` names 'law'"),
        ({"limits": (1.0, 0.0)}, "`limits`"),
        ({"bins": 0}, "`bins`"),
    ],
)
def test_bad_data(kwargs, message):
    with pytest.raises(ValueError, match=message):
        data(**kwargs)


def test_an_empty_page():
    with pytest.raises(ValueError, match="`figures` is empty"):
        plot.case_page([])
