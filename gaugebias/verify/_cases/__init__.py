"""The cases that come with the package."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .._case import Case
    from .._table import Table


def cases() -> "tuple[Case, ...]":
    """The built-in cases, in the order in which they are run."""
    from ._depth import case as depth
    from ._factorisation import case as factorisation
    from ._refusals import deep_linear, relu
    from ._regression import diabetes
    from ._rotations import conjugation, radial, symmetric
    from ._scalar import case as scalar

    return (
        scalar,
        depth,
        radial,
        conjugation,
        symmetric,
        factorisation,
        diabetes,
        relu,
        deep_linear,
    )


def csv_case(table: "Table", depth: int, temperature: float) -> "Case":
    """The case of a user's regression table under a depth-`depth` Hadamard parametrisation."""
    from ._regression import csv_case

    return csv_case(table, depth, temperature)
