"""A designed parametrisation in a line of words and formulas."""

import re
from typing import Any

from ._parametrisations import Coordinates, Factors, Products
from ._penalties import AbstractPenalty
from ._structures import Linear

_LENGTH = "x = sign(u v) sqrt(2 |u v|)"


def in_words(
    map: Coordinates | Factors | Products,
    one: AbstractPenalty,
    penalty: Any,
    several: bool,
    temperature: float,
) -> tuple[str | None, str]:
    """The closed form of a parametrisation where it is known, and what it is in any case.

    Of `map`, made from the penalty `one` of an entry; `penalty` is that of all of `w`, which has
    `several` entries.
    """
    closed = one.closed_form(temperature)
    one_of = "d_i" if isinstance(penalty, Linear) else "entry"
    rate = f"h' = exp(r(h)/T), r the term of one {one_of}" if several else "h' = exp(R(h)/T)"
    text = f"w = h(u), {rate}, tabulated" if closed is None else closed
    depth = one.depth(temperature) if map.frame.count is None else None
    if isinstance(map, Factors):
        text = f"w = {_factors(map.depth)}: a product of {map.depth} factors"
    elif isinstance(map, Products):
        text = f"{_named(text, 'u', 'x')}, {_LENGTH}"
    elif depth is not None:
        text += f' (with `form="product"`: {_factors(depth)}, a product of {depth} factors)'
    if isinstance(penalty, Linear):
        rows, columns = penalty.analysis.shape
        back = "w = D^-1 d" if rows == columns else "w = D^+ d + N z, D N = 0, z free"
        for old, new in (("w", "d_i"), ("u", "u_i"), ("v", "v_i"), ("x", "x_i")):
            text = _named(text, old, new)
        text = f"{back}; {text}"
    return (None if closed is None else text), text


def _factors(depth: int) -> str:
    return " ".join(f"u_{i + 1}" for i in range(depth))


def _named(text: str, old: str, new: str) -> str:
    """A variable of one letter by another name."""
    return re.sub(rf"(?<![A-Za-z_]){old}(?![A-Za-z_])", new, text)
