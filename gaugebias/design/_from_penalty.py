"""Inverse design against noise: a penalty in, a parametrisation out."""

import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
from jaxtyping import Array, ArrayLike

from ..quotient import Domain
from ..symmetry import Product, Rescaling
from ._design import Design, temperature_of
from ._monotone import MonotoneMap, monotone
from ._parametrisations import Coordinates, Factors, Frame, Products, Radial
from ._penalties import AbstractPenalty, Penalty, number, probe_points
from ._structures import Linear, Norm
from ._words import in_words

FORMS = ("coordinate", "product")
_FAR = 1e6
WHOLE = (
    "Of a penalty of a whole vector, a sum after a linear transform is `Linear` (or "
    "`TotalVariation`), a function of a norm `Group`, `Nuclear`, `Schatten` or `Norm`; any other "
    "has no coordinates to be designed in: `fit_family` finds the nearest member of a family of "
    "yours."
)


class _Rate(eqx.Module):
    """`log du/dw = -R(w)/T`."""

    penalty: AbstractPenalty
    temperature: Array

    def __call__(self, w: Array) -> Array:
        return -self.penalty(w) / self.temperature.astype(w.dtype)


class _Sum(eqx.Module):
    """The sum of a penalty over all entries."""

    penalty: AbstractPenalty

    def __call__(self, w: Array) -> Array:
        return jnp.sum(jax.vmap(self.penalty)(jnp.asarray(w).reshape(-1)))


def from_penalty(
    penalty: Any,
    temperature: ArrayLike,
    *,
    shape: tuple[int, ...] | None = None,
    form: str = "coordinate",
    scale: float = 1.0,
) -> Design:
    """A parametrisation whose law under noise across the orbits is `exp(-(l + R)/T) dw`.

    For one coordinate `w = h(u)` with `dw/du = exp(R(w)/T)`: Langevin dynamics of `u` has the
    density `exp(-l(h(u))/T) du`, and `du = exp(-R(w)/T) dw`. In general `det K = exp(2 R/T)` on
    the slice. Constants of `R` are a change of units of `u`. Re-derived (theory of the push-forward
    as in 2602.12257).

    **Arguments:**

    - `penalty`: `R`, in units of the loss. Of one coordinate: `Log`, `Lp`, `L1`,
        `Barrier`, or a function of your own (with an interval: `Penalty`), summed over the
        entries of `w`. Of several: `Linear`, `TotalVariation`, `Group`,
        `Nuclear`, `Schatten`, `Norm`.
    - `temperature`: `T > 0`, the one at which `R` is the bias.
    - `shape`: of `w`; default one coordinate, or what `penalty` implies.
    - `form`: `"coordinate"`: one parameter a coordinate, no symmetry. `"product"`: parameters
        `(u, v)` with the rescalings `u c, v/c`, and `w = h` of the arc length along the balanced
        slice, so that horizontal noise has the law; a logarithmic penalty with `weight/T = 1 - 1/N`
        is then a plain product of `N` factors. Exactly balanced starts of an even number of
        factors keep the sign of `w` (of `D w`).
    - `scale`: a typical size of `w`, for the range of the tables (1e-9 to 1e8 times it).

    **Returns:** a [`gaugebias.design.Design`][]. `design.closed_form` is set where it is known.

    **Raises:** `ValueError` for temperatures that are not positive, penalties that are NaN or not
    real scalars, or whose law cannot be integrated at a point, shapes that do not fit.

    !!! example

        ```python
        import jax.numpy as jnp
        import gaugebias as gb

        design = gb.design.from_penalty(gb.design.L1(0.2), temperature=0.1)
        w = design(jnp.asarray(0.3))                        # -0.5 log(1 - 2 * 0.3)
        law = design.law(lambda w: 0.5 * (w - 1.0) ** 2)    # exp(-(l + 0.2 |w|)/0.1) dw
        ```
    """
    if form not in FORMS:
        raise ValueError(f'`form` must be "coordinate" or "product", but is {form!r}.')
    temperature = temperature_of(temperature)
    size_scale = float(number(scale, "scale", positive=True))
    if not isinstance(penalty, AbstractPenalty | Linear | Norm):
        penalty = Penalty(penalty)
    if isinstance(penalty, Norm):
        return _radial(penalty, temperature, shape, form, size_scale)
    one = penalty.penalty if isinstance(penalty, Linear) else penalty
    frame, shape = _frame(penalty, shape)
    check_penalty(one, temperature, 1, size_scale)
    if isinstance(penalty, Penalty):
        check_separable(penalty, shape, size_scale)
    dtype = jnp.result_type(float)
    total = penalty if isinstance(penalty, Linear) else _Sum(one)
    depth = one.depth(float(temperature)) if form == "product" else None
    notes: tuple[str, ...] = ()
    reach = None
    if depth is not None and frame.count is None:
        parametrisation: Any = Factors(depth, frame)
        action = _factor_action(shape, depth)
        notes = (f"R is exact up to the constant {0.5 * float(temperature) * math.log(depth):.4g}",)
    else:
        map = solve(one, temperature, 1, size_scale)
        names = ("w" if frame.back is None else "d_i", "u" if form == "coordinate" else "x")
        notes, reach = describe(map, *names), map.reach
        if form == "coordinate":
            parametrisation, action = Coordinates(map, frame), None
        else:
            parametrisation, action = Products(map, frame), _pair_action(shape)
    closed, text = in_words(parametrisation, one, penalty, bool(shape), float(temperature))
    domain = _domain(one, frame, shape)
    return Design(
        parametrisation,
        total,
        jnp.asarray(temperature, dtype),
        lift=parametrisation.lift,
        shape=shape,
        action=action,
        domain=domain,
        closed_form=closed,
        formula=penalty.formula
        if not shape or isinstance(penalty, Linear)
        else f"sum over entries of {penalty.formula}",
        text=text,
        notes=notes,
        reach=reach if frame.back is None else None,
    )


def _radial(penalty: Norm, temperature: Array, shape, form: str, scale: float) -> Design:
    if form == "product":
        raise ValueError(
            '`form="product"` is made coordinate by coordinate, and a norm has none: use '
            '`form="coordinate"`, the radial map of the norm.'
        )
    if shape is None or len(shape) < penalty.core:
        raise ValueError(
            f"`shape` must have at least {penalty.core} axes for {penalty.formula}, but is {shape}."
        )
    core = tuple(int(n) for n in shape[len(shape) - penalty.core :])
    dimension = math.prod(core)
    check_norm(penalty.norm, core)
    check_penalty(penalty.penalty, temperature, dimension, scale)
    if dimension == 1:
        raise ValueError(f"`shape` {shape} has groups of one entry: use the penalty of one entry.")
    map = solve(penalty.penalty, temperature, dimension, scale)
    parametrisation = Radial(map, penalty.norm, penalty.core)
    powers = [f"{x}^{dimension - 1} " if dimension > 2 else f"{x} " for x in "gr"]
    groups = len(shape) > penalty.core
    return Design(
        parametrisation,
        penalty,
        jnp.asarray(temperature, jnp.result_type(float)),
        lift=parametrisation.lift,
        shape=tuple(shape),
        closed_form=None,
        formula=f"sum over groups of {penalty.formula}" if groups else penalty.formula,
        text=f"w = g(r) x/r{' of each group' if groups else ''}, r = N of the parameters x, "
        f"{powers[0]}exp(-R/T) dg = {powers[1]}dr, tabulated",
        notes=describe(map, "N", "r"),
    )


def solve(
    penalty: AbstractPenalty, temperature: Array, dimension: int, scale: float
) -> MonotoneMap:
    """The increasing map of a penalty of one coordinate, or of a norm in `dimension` of them."""
    lower = 0.0 if dimension > 1 else penalty.lower
    even = dimension == 1 and lower == -math.inf and penalty.upper == math.inf
    if even:
        points = jnp.asarray(probe_points(penalty, scale))
        values = np.asarray(_values(penalty, points))
        even = bool(np.array_equal(values, values[::-1]))
    return monotone(
        _Rate(penalty, jnp.asarray(temperature, jnp.result_type(float))),
        lower=lower,
        upper=penalty.upper,
        dimension=dimension,
        scale=scale,
        symmetric=even,
    )


def describe(map: MonotoneMap, what: str, of: str) -> tuple[str, ...]:
    """What the map does at its ends, and how exact it is; `what` it is a function `of`."""
    notes = [f"table of h: relative error at most {map.accuracy:.0e}"]
    bounds = (map.lower, map.upper)
    for name, bound, end, reach in zip(
        ("-infinity", "infinity"), bounds, map.folds, map.reach, strict=True
    ):
        if map.dimension > 1 and bound == 0.0:
            continue
        if end is None:
            if abs(reach) < _FAR:
                notes.append(
                    f"{of} resolves {what} as far as {reach:.4g}, where h goes on linearly: no law "
                    "with mass there is accepted"
                )
            continue
        if math.isfinite(bound):
            notes.append(f"{what} meets the wall {bound:g} at {of} = {end:.6g}, reflected there")
        else:
            notes.append(
                f"{what} reaches {name} at {of} = {end:.6g} ({of} resolves {what} as far as "
                f"{reach:.4g}); a process does not where the loss grows, and h is continued by "
                "reflection"
            )
    return tuple(notes)


@eqx.filter_jit
def _values(penalty, points: Array) -> Array:
    return jax.vmap(penalty)(points)


def check_penalty(penalty: AbstractPenalty, temperature: Array, dimension: int, scale: float):
    """A real scalar everywhere, whose `exp(-R/T)` can be integrated at 0 and at the walls.

    **Raises:** `ValueError` with the point and the exponent.
    """
    points = probe_points(penalty, scale)
    points = points[points > 0.0] if dimension > 1 else points
    try:
        out = jax.eval_shape(penalty, jax.ShapeDtypeStruct((), jnp.result_type(float)))
    except Exception as error:
        what = (str(error).splitlines() or [""])[0]
        raise ValueError(
            f"`penalty` cannot be evaluated at one entry ({type(error).__name__}: {what}): it must "
            f"be a jax function of a scalar w. {WHOLE}"
        ) from error
    if getattr(out, "shape", None) != () or not jnp.issubdtype(out.dtype, jnp.floating):
        raise ValueError(
            f"`penalty` must give one real number for one entry w, but gives {out}. {WHOLE}"
        )
    values = np.asarray(_values(penalty, jnp.asarray(points)), np.float64)
    bad = np.isnan(values) | np.isposinf(values) | np.isneginf(values)
    if np.any(bad):
        where = points[np.argmax(bad)]
        raise ValueError(
            f"`penalty` is {values[np.argmax(bad)]} at w = {where:.4g}: it must be finite inside "
            "its interval; give the interval it is defined on, "
            "`Penalty(fn, lower=..., upper=...)`."
        )
    steep = values / float(temperature) < -600.0
    if np.any(steep):
        where = points[np.argmax(steep)]
        raise ValueError(
            f"`penalty` falls so far that exp(-R/T) is above 1e260 at w = {where:.4g}: the law is "
            "not normalisable for any loss that could be evaluated; give a bounded interval, "
            "`Penalty(fn, lower=..., upper=...)`, or a penalty that does not fall at infinity."
        )
    ends = [(0.0, 1.0, dimension)] if dimension > 1 else []
    if dimension == 1:
        ends = [(0.0, s, 1) for s in (1.0, -1.0) if penalty.lower < 0.5 * s < penalty.upper]
        ends += [
            (e, s, 1) for e, s in ((penalty.lower, 1.0), (penalty.upper, -1.0)) if math.isfinite(e)
        ]
    for origin, sign, power in ends:
        near = origin + sign * scale * np.asarray([1e-8, 1e-6])
        if not np.all((near > penalty.lower) & (near < penalty.upper)):
            continue
        distance = np.abs(near - origin)
        r = np.asarray(_values(penalty, jnp.asarray(near)), np.float64) / float(temperature)
        exponent = -float((r[1] - r[0]) / np.log(distance[1] / distance[0]))
        if exponent + power <= 1e-3:
            distance_text = f"|w - ({origin:g})|" if origin else "|w|"
            raise ValueError(
                f"`penalty` makes a law that is not normalisable at w = {origin:g}: exp(-R/T) "
                f"behaves like {distance_text}^{exponent:.4g} there at T = "
                f"{float(temperature):g}, and needs an exponent above {-power}; a weight below "
                f"{power / -exponent:.4g} times this one, a temperature above "
                f"{-exponent / power * float(temperature):.4g}, or a positive smoothing `scale` "
                "works."
            )


def check_separable(penalty: Penalty, shape: tuple[int, ...], scale: float) -> None:
    """That a function which takes all of `w` is the sum of what it is of one entry.

    **Raises:** `ValueError` for one that is not, as `max` or a norm, which also takes one entry.
    """
    low, high = max(penalty.lower, -scale), min(penalty.upper, scale)
    if math.prod(shape) < 2 or not low < high:
        return
    w = low + (high - low) * jax.random.uniform(jax.random.key(0), shape)
    try:
        whole = penalty(w)
    except Exception:
        return  # of one entry only
    if whole.shape != ():
        return
    entries = jnp.sum(jax.vmap(penalty)(w.reshape(-1)))
    if not np.isclose(float(whole), float(entries), rtol=1e-3):
        raise ValueError(
            f"`penalty` of a whole w of shape {shape} gives {float(whole):.4g} where its sum over "
            f"entries is {float(entries):.4g}: it does not separate, and would be taken entry by "
            f"entry. {WHOLE}"
        )


def check_norm(norm: Callable, core: tuple[int, ...]) -> None:
    """Positive and positively homogeneous, at random points.

    **Raises:** `ValueError` saying by how much it is not.
    """
    points = jax.random.normal(jax.random.key(0), (8, *core))
    try:
        once, twice = (np.asarray(jax.vmap(norm)(c * points)) for c in (1.0, 2.5))
    except (TypeError, ValueError, IndexError) as error:
        raise ValueError(
            f"`norm` cannot be evaluated at a point of shape {core} ({str(error).splitlines()[0]})."
        ) from error
    if once.shape != (8,) or not np.all(once > 0.0):
        raise ValueError("`norm` must give one positive number for every point but 0.")
    off = float(np.max(np.abs(twice / (2.5 * once) - 1.0)))
    if off > float(jnp.finfo(points.dtype).eps) ** 0.5:
        raise ValueError(
            f"`norm` must scale with its argument, norm(c w) = c norm(w), but is off by {off:.1e}: "
            "take a power of it in `penalty` instead."
        )


def _frame(penalty: Any, shape) -> tuple[Frame, tuple[int, ...]]:
    if not isinstance(penalty, Linear):
        return Frame(None, None, None), () if shape is None else _checked(shape)
    p, n = penalty.analysis.shape
    if math.isfinite(penalty.penalty.lower) or math.isfinite(penalty.penalty.upper):
        raise ValueError(
            "`penalty` has walls, and after a linear transform the domain of w is no box, which "
            "laws need: design d = D w itself with the penalty of one entry, `shape=(p,)`, and "
            "take w = D^+ d."
        )
    if shape is not None and _checked(shape) != (n,):
        raise ValueError(f"`shape` must be {(n,)} for an `analysis` of shape {(p, n)}.")
    free = scipy.linalg.null_space(penalty.analysis).T if p < n else np.zeros((0, n))
    forth = np.concatenate([penalty.analysis, free])
    dtype = jnp.result_type(float)
    back = np.linalg.inv(forth)
    return Frame(jnp.asarray(back, dtype), jnp.asarray(forth, dtype), p if p < n else None), (n,)


def _checked(shape: Any) -> tuple[int, ...]:
    if not isinstance(shape, tuple | list) or not all(
        isinstance(n, int | np.integer) and not isinstance(n, bool) and n > 0 for n in shape
    ):
        raise ValueError(f"`shape` must be a tuple of positive integers, but is {shape!r}.")
    return tuple(int(n) for n in shape)


def _domain(penalty: AbstractPenalty, frame: Frame, shape: tuple[int, ...]) -> Domain:
    size = math.prod(shape)
    if frame.back is not None:
        return Domain(np.full(size, -np.inf), np.full(size, np.inf))
    breaks = ((0.0,) if penalty.lower < 0.0 < penalty.upper else (),) * size
    return Domain(np.full(size, penalty.lower), np.full(size, penalty.upper), breaks)


def _axes(shape: tuple[int, ...]) -> Any:
    if len(shape) > 1:
        raise ValueError(
            f'`shape` {shape} has several axes: `form="product"` takes () or (n,); ravel w.'
        )
    return 0 if shape else None


def _pair_action(shape: tuple[int, ...]) -> Rescaling:
    axis = _axes(shape)
    return Rescaling("u", "v", axes=(axis, axis))


def _factor_action(shape: tuple[int, ...], depth: int):
    axis = _axes(shape)
    pairs = [Rescaling(str(p), str(p + 1), axes=(axis, axis)) for p in range(depth - 1)]
    return pairs[0] if len(pairs) == 1 else Product(*pairs)
