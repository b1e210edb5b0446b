"""How well a factorisation fits, and what is read off it."""

from typing import Any

import numpy as np

from ._counts import CountTable, as_counts
from ._factorisation import Factorisation

_ZERO = 1e-15  # a fitted share below this is a zero that was rounded


def _same_shape(table: Any, factorisation: Factorisation) -> CountTable:
    counts = as_counts(table)
    if counts.values.shape != factorisation.profiles.shape:
        raise ValueError(
            f"`table` has shape {counts.values.shape} and `factorisation` fits one of shape "
            f"{factorisation.profiles.shape}."
        )
    return counts


def deviance(table: Any, factorisation: Factorisation) -> float:
    r"""The likelihood-ratio statistic \(G^2 = 2 \sum_{ij} n_{ij} \log(p_{ij} / \hat p_{ij})\).

    Natural logarithms; \(p_{ij}\) are the profiles of the table and \(\hat p_{ij}\) those of the
    factorisation (rows multinomial, given their totals); cells with count 0 add nothing. It has a
    chi-squared law only for independent counts, a true model with a unique interior solution, and
    large counts: none of these holds for amounts such as minutes or grams.

    **Raises:** `ValueError` where a cell that was observed has probability 0 (\(G^2\) is
    infinite), naming the cell.
    """
    counts = _same_shape(table, factorisation)
    seen = counts.values > 0
    profiles = factorisation.profiles
    if (impossible := seen & (profiles < _ZERO)).any():
        i, j = np.argwhere(impossible)[0]
        raise ValueError(
            f"`factorisation` gives probability 0 to row {counts.rows[i]!r}, column "
            f"{counts.columns[j]!r}, where the table has {counts.values[i, j]:g}: G^2 is infinite, "
            "so compare by `residual_sum_of_squares` or fit by maximum likelihood."
        )
    ratio = np.log(counts.profiles[seen] / profiles[seen])
    return float(2.0 * np.sum(counts.values[seen] * ratio))


def degrees_of_freedom(rows: int, columns: int, components: int) -> int:
    """(I - K)(J - K), the codimension of the tables of rank K: what is left for G^2 to measure."""
    return (rows - components) * (columns - components)


def residual_sum_of_squares(table: Any, factorisation: Factorisation) -> float:
    """The sum of squared differences between the profiles of the table and of the model."""
    counts = _same_shape(table, factorisation)
    return float(np.sum((counts.profiles - factorisation.profiles) ** 2))


def dissimilarity(table: Any, factorisation: Factorisation) -> float:
    r"""\(\sum_{ij} r_i |p_{ij} - \hat p_{ij}| / (2n)\): the share of the table to be moved.

    The mean over rows, weighted by their totals, of the total variation distance.
    """
    counts = _same_shape(table, factorisation)
    distance = 0.5 * np.abs(counts.profiles - factorisation.profiles).sum(axis=1)
    return float(distance @ counts.row_totals / counts.total)


def rescaled_basis(factorisation: Factorisation) -> np.ndarray:
    r"""\(P(k | j) = \pi_k G_{kj} / \sum_l \pi_l G_{lj}\), (K, J): of what each column is made.

    **Raises:** `ValueError` where the model gives a column probability 0.
    """
    joint = factorisation.proportions[:, None] * factorisation.basis
    sums = joint.sum(axis=0)
    if not (sums > 0).all():
        raise ValueError(
            f"`factorisation` gives column {int(sums.argmin()) + 1} probability 0, so that it is "
            "made of no component."
        )
    return joint / sums


def ternary_coordinates(shares: Any) -> np.ndarray:
    """Points of the plane for shares of three components, shape (..., 3) -> (..., 2).

    The first component is the corner (0, 0), the second (1, 0), the third (1/2, 3^(1/2)/2). Shares
    that sum to 1 with a negative one lie outside the triangle.

    **Raises:** `ValueError` where there are not three of them or they do not sum to 1.
    """
    shares = np.asarray(shares, dtype=np.float64)
    if shares.ndim < 1 or shares.shape[-1] != 3:
        raise ValueError(f"`shares` has shape {shares.shape}: a ternary plot needs three of them.")
    if not np.allclose(shares.sum(axis=-1), 1.0, atol=1e-8):
        raise ValueError("`shares` must sum to 1.")
    corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(0.75)]])
    return shares @ corners
