"""The cases that come with the package."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .._runner import Case
    from .._table import Table


def cases() -> "tuple[Case, ...]":
    """The built-in cases, in the order in which they are run."""
    return ()


def csv_case(table: "Table", depth: int, temperature: float) -> "Case":
    """The case of a user's regression table under a depth-`depth` Hadamard parametrisation."""
    raise ValueError("`table`: no case for regression tables is built in.")
