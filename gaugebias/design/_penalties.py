"""Penalties of one coordinate, in units of the loss."""

import abc
import ast
import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, ArrayLike

from .._arguments import real_scalar

# Where R/T is below rounding at every |w| up to _FAR, the map is the identity to rounding.
_FAR, _SAME = 1e8, "w = u"


def number(value: object, name: str, *, positive: bool = False) -> Array:
    """A concrete finite number; `ValueError` naming the argument otherwise."""
    array = real_scalar(value, name)
    if isinstance(array, Tracer):
        raise ValueError(
            f"`{name}` is traced, and a design is solved on the host: make it outside of `jit` and "
            "close over it."
        )
    if not math.isfinite(float(array)) or (positive and float(array) <= 0.0):
        kind = "positive and finite" if positive else "finite"
        raise ValueError(f"`{name}` must be {kind}, but is {float(array):g}.")
    return jnp.asarray(array, array.dtype)


class AbstractPenalty(eqx.Module):
    """A penalty `R(w)` of one real coordinate, traceable, in units of the loss.

    - `lower`, `upper`: the interval it lives on.
    """

    lower: eqx.AbstractVar[float]
    upper: eqx.AbstractVar[float]

    @abc.abstractmethod
    def __call__(self, w: Array) -> Array:
        """`R(w)` of one entry, a scalar."""

    @abc.abstractmethod
    def text(self, of: str = "w") -> str:
        """`R` in a line, of a variable by the name `of`."""

    @property
    def formula(self) -> str:
        """`R(w)` in a line."""
        return self.text()

    def closed_form(self, temperature: float) -> str | None:
        """`w = h(u)` with `dw/du = exp(R(w)/T)`, in a line, where it is known."""
        return None

    def depth(self, temperature: float) -> int | None:
        """The number of factors whose product has this penalty, where there is one."""
        return None


class NoPenalty(AbstractPenalty):
    """`R = 0`: the identity."""

    lower: float = eqx.field(static=True, default=-math.inf)
    upper: float = eqx.field(static=True, default=math.inf)

    def __call__(self, w: Array) -> Array:
        return jnp.zeros_like(w)

    def text(self, of: str = "w") -> str:
        return "0"

    def closed_form(self, temperature: float) -> str | None:
        return "w = u"


class Log(AbstractPenalty):
    """`R(w) = weight log |w|`, or `weight/2 log(w^2 + scale^2)` for a positive `scale`.

    The density `|w|^-a`, `a = weight/T`, is that of a product of `N` factors where `a = 1 - 1/N`
    (2601.06597 for `N = 2`, re-derived for all): below `a = 1` it can be integrated at 0, from 1
    on only with a scale. A negative weight repels `w` from 0.

    **Arguments:** `weight` in units of the loss; `scale` in units of `w`.
    """

    weight: Array
    scale: float = eqx.field(static=True)
    lower: float = eqx.field(static=True)
    upper: float = eqx.field(static=True)

    def __init__(self, weight: ArrayLike = 1.0, scale: float = 0.0):
        self.weight = number(weight, "weight")
        self.scale = _scale(scale)
        self.lower, self.upper = -math.inf, math.inf

    def __call__(self, w: Array) -> Array:
        if self.scale == 0.0:
            return self.weight.astype(w.dtype) * jnp.log(jnp.abs(w))
        return 0.5 * self.weight.astype(w.dtype) * jnp.log(w**2 + self.scale**2)

    def text(self, of: str = "w") -> str:
        c = float(self.weight)
        if self.scale == 0.0:
            return f"{c:g} log|{of}|"
        return f"{c / 2:g} log({of}^2 + {self.scale:g}^2)"

    def closed_form(self, temperature: float) -> str | None:
        a = float(self.weight) / temperature
        if abs(a) < 1e-18:
            return _SAME
        if self.scale != 0.0 or a >= 1.0:
            return None
        return f"w = sign(u) ({_times(1 - a)}|u|)^{1 / (1 - a):.6g}"

    def depth(self, temperature: float) -> int | None:
        a = float(self.weight) / temperature
        if self.scale != 0.0 or not 0.0 < a < 1.0:
            return None
        depth = 1.0 / (1.0 - a)
        whole = round(depth)
        return whole if whole >= 2 and abs(depth - whole) < 1e-9 * depth else None


class Lp(AbstractPenalty):
    """`R(w) = weight ((w^2 + scale^2)^(p/2) - scale^p)`: `weight |w|^p`, smoothed at 0.

    **Arguments:** `p` in (0, 2]; `weight` in units of the loss over those of `w^p`; `scale` in
    units of `w`, 0 for none (the parametrisation then has a kink in its second derivative at 0).

    With `p = 1`: `L1`.
    """

    p: float = eqx.field(static=True)
    weight: Array
    scale: float = eqx.field(static=True)
    lower: float = eqx.field(static=True)
    upper: float = eqx.field(static=True)

    def __init__(self, p: float, weight: ArrayLike = 1.0, scale: float = 1e-2):
        self.p = float(number(p, "p"))
        if not 0.0 < self.p <= 2.0:
            raise ValueError(
                f"`p` must lie in (0, 2], but is {self.p:g}: as p falls to 0, weight/p (|w|^p - 1) "
                "becomes `Log(weight)`."
            )
        self.weight = number(weight, "weight")
        self.scale = _scale(scale)
        self.lower, self.upper = -math.inf, math.inf

    def __call__(self, w: Array) -> Array:
        weight = self.weight.astype(w.dtype)
        if self.scale == 0.0:
            return weight * jnp.abs(w) ** self.p
        return weight * ((w**2 + self.scale**2) ** (0.5 * self.p) - self.scale**self.p)

    def text(self, of: str = "w") -> str:
        c, power = float(self.weight), "" if self.p == 1.0 else f"^{self.p:g}"
        if self.scale == 0.0 or self.p == 2.0:
            return f"{c:g} |{of}|{power}"
        square = f"{of}^2 + {self.scale:g}^2"
        root = f"sqrt({square})" if self.p == 1.0 else f"({square})^{self.p / 2:g}"
        return f"{c:g} ({root} - {self.scale:g}{power})"

    def closed_form(self, temperature: float) -> str | None:
        rate = float(self.weight) / temperature
        if abs(rate) * _FAR**self.p < 1e-16:
            return _SAME
        if self.p == 2.0 and rate > 0.0:
            root = math.sqrt(rate)
            return f"w = {_times(1 / root)}erfinv({_times(2 * root / math.sqrt(math.pi))}u)"
        if self.scale != 0.0 or self.p != 1.0:
            return None
        if rate < 0.0:
            return f"w = {_times(-1 / rate)}sign(u) log(1 + {_times(-rate)}|u|)"
        bound = f"|u| < {1 / rate:.6g}"
        return f"w = {_times(-1 / rate)}sign(u) log(1 - {_times(rate)}|u|), {bound}"


def L1(weight: ArrayLike = 1.0, scale: float = 0.0) -> Lp:
    """`R(w) = weight |w|`, or `weight (sqrt(w^2 + scale^2) - scale)`: see `Lp`."""
    return Lp(1.0, weight, scale)


class Barrier(AbstractPenalty):
    """`R(w) = -weight log[(w - lower)(upper - w)]` on the box `lower < w < upper`.

    A positive weight keeps `w` away from the walls, a negative one pushes it to them (`-T/2` gives
    `w` as a sine of `u`). Either end may be infinite, and is then left out. `w` reaches a wall at
    finite `u`; the parametrisation is continued by reflection.
    """

    lower: float = eqx.field(static=True)
    upper: float = eqx.field(static=True)
    weight: Array

    def __init__(self, lower: float, upper: float, weight: ArrayLike = 1.0):
        self.lower, self.upper = float(lower), float(upper)
        self.weight = number(weight, "weight")
        if not self.lower < self.upper or not (
            math.isfinite(self.lower) or math.isfinite(self.upper)
        ):
            raise ValueError(
                f"`lower` must be below `upper`, and one of them finite; they are {self.lower:g} "
                f"and {self.upper:g}."
            )

    def __call__(self, w: Array) -> Array:
        inside = jnp.ones_like(w)
        if math.isfinite(self.lower):
            inside = inside * (w - self.lower)
        if math.isfinite(self.upper):
            inside = inside * (self.upper - w)
        return -self.weight.astype(w.dtype) * jnp.log(inside)

    def text(self, of: str = "w") -> str:
        parts = []
        if math.isfinite(self.lower):
            sign = "-" if self.lower > 0.0 else "+"
            parts.append(f"({of} {sign} {abs(self.lower):g})" if self.lower else of)
        if math.isfinite(self.upper):
            parts.append(f"({self.upper:g} - {of})")
        inside = parts[0].strip("()") if len(parts) == 1 else " ".join(parts)
        return f"{-float(self.weight):g} log({inside})"

    def closed_form(self, temperature: float) -> str | None:
        a = float(self.weight) / temperature
        if abs(a + 0.5) < 1e-12 and math.isfinite(self.lower) and math.isfinite(self.upper):
            middle, half = 0.5 * (self.lower + self.upper), 0.5 * (self.upper - self.lower)
            wave = f"{_times(half)}sin(u)"
            return f"w = {wave}" if middle == 0.0 else f"w = {middle:.6g} + {wave}"
        return None


class Penalty(AbstractPenalty):
    """A function of your own: `R(w)` of one entry, a traceable scalar function, in loss units.

    **Arguments:** `fn`; the interval `lower`, `upper` it is to be used on.
    """

    fn: Callable
    lower: float = eqx.field(static=True)
    upper: float = eqx.field(static=True)

    def __init__(self, fn: Any, lower: float = -math.inf, upper: float = math.inf):
        if not callable(fn):
            raise ValueError(f"`penalty` must be a function, w -> R(w), but is {fn!r}.")
        self.fn, self.lower, self.upper = fn, float(lower), float(upper)
        if not self.lower < self.upper:
            raise ValueError(f"`lower` must be below `upper`, but they are {lower:g}, {upper:g}.")

    def __call__(self, w: Array) -> Array:
        return jnp.asarray(self.fn(w))

    def text(self, of: str = "w") -> str:
        name = getattr(self.fn, "__name__", type(self.fn).__name__)
        return f"R({of})" if name == "<lambda>" else f"{name}({of})"


def _times(factor: float) -> str:
    """A factor and a space, nothing where it is 1."""
    text = f"{factor:.6g}"
    return {"1": "", "-1": "-"}.get(text, f"{text} ")


def _scale(scale: object) -> float:
    value = float(number(scale, "scale"))
    if value < 0.0:
        raise ValueError(f"`scale` must not be negative, but is {value:g}.")
    return value


def probe_points(penalty: AbstractPenalty, scale: float = 1.0) -> np.ndarray:
    """Points of the penalty's interval on every scale, for checks; float64."""
    lower, upper = penalty.lower, penalty.upper
    sizes = scale * np.logspace(-6, 2, 81)
    points = np.concatenate([-sizes[::-1], sizes])
    for end, sign in ((lower, 1.0), (upper, -1.0)):
        if math.isfinite(end):
            points = np.append(points, end + sign * sizes)
    if math.isfinite(lower) and math.isfinite(upper):
        points = np.append(points, lower + (upper - lower) * (np.arange(64) + 0.5) / 64)
    return np.unique(points[(points > lower) & (points < upper)])


def by_name(text: str) -> tuple[str, dict[str, float]]:
    """`"lp(p=0.5, weight=2)"` as a name and its numbers.

    **Raises:** `ValueError` where it is neither a name nor a call with numbers.
    """
    hint = "write a name, or a name with numbers such as `lp(p=0.5, weight=0.2)`"
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except SyntaxError:
        raise ValueError(f"`penalty` {text!r} cannot be read: {hint}.") from None
    if isinstance(tree, ast.Name):
        return tree.id, {}
    if not isinstance(tree, ast.Call) or not isinstance(tree.func, ast.Name) or tree.args:
        raise ValueError(f"`penalty` {text!r} cannot be read: {hint}.")
    numbers = {}
    for keyword in tree.keywords:
        try:
            value = float(ast.literal_eval(keyword.value))
        except (ValueError, TypeError, SyntaxError):
            raise ValueError(f"`penalty` {text!r}: `{keyword.arg}` is no number: {hint}.") from None
        numbers[str(keyword.arg)] = value
    return tree.func.id, numbers
