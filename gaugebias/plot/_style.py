"""Colours, line styles and axes shared by the figures."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PALETTE: tuple[str, ...] = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#000000",
    "#F0E442",
)
"""Okabe and Ito's colours, told apart with any kind of colour vision; yellow comes last."""

HISTOGRAM = "#C8CDD2"
DASHES: tuple[Any, ...] = ("--", (0, (4, 1.2, 1, 1.2)), (0, (1.2, 1.2)), (0, (7, 2)))
PANEL = (3.4, 2.6)
_BELOW = 0.38  # inches from the axes to a legend under their tick labels and label


def axes(ax: Any = None, size: tuple[float, float] = PANEL) -> "Axes":
    """`ax` itself, or the axes of a new figure of column width."""
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=size, layout="constrained")[1]


def tidy(ax: "Axes") -> None:
    """No box, small ticks: the data carry the ink."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=8)
    ax.xaxis.label.set_fontsize(9)
    ax.yaxis.label.set_fontsize(9)
    ax.title.set_fontsize(9)


def legend_below(ax: "Axes", ncols: int, **options: Any) -> None:
    """A legend under the axes and their label, where no curve can run through it."""
    from matplotlib.transforms import ScaledTranslation

    figure: Any = ax.get_figure(root=True)
    # In inches: the label is as far below high axes as below low ones.
    offset = ScaledTranslation(0.0, -_BELOW, figure.dpi_scale_trans)
    ax.legend(
        fontsize=7,
        frameon=False,
        ncols=ncols,
        loc="upper center",
        bbox_to_anchor=(0.5, 0.0),
        bbox_transform=ax.transAxes + offset,
        **options,
    )
