"""The coordinates in which a design is held against its process, and the side of 0 it keeps."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from ..laws import DensityLaw
from ..quotient import Domain
from ._design import Design, batch_of
from ._parametrisations import Coordinates, Factors, Products, Radial


def kept_side(design: Design, start: PyTree) -> Domain | None:
    """The side of 0 (of the map's anchor) that balanced starts of an even number of factors keep.

    That of `start`; by default the upper one, where the domain has one.
    """
    if design.action is None:
        return None
    lifted = design.lift(jnp.asarray(design.generic()))
    factors = jax.tree.leaves(lifted)
    map = design.parametrisation
    map = map.inner if isinstance(map, After) else map
    if not isinstance(map, Factors | Products) or len(factors) % 2:
        return None
    size = design.domain.dimension
    anchor = np.zeros(size)
    if isinstance(map, Products):
        anchor[: size if map.frame.count is None else map.frame.count] = float(map.map.anchor)
    low, high = np.asarray(design.domain.lower), np.asarray(design.domain.upper)
    below = high <= anchor
    if start is not None:
        below = np.asarray(design.phi(start), float).reshape(-1) < anchor
    low, high = np.where(below, low, np.maximum(low, anchor)), np.where(below, anchor, high)
    return Domain(low, high, ((),) * size)


def with_domain(law: DensityLaw, domain: Domain | None) -> DensityLaw:
    if domain is None:
        return law
    return DensityLaw(
        law.weight,
        domain,
        law.temperature,
        volume=law.volume,
        exponent=law.exponent,
        name=law.name,
        conditions=law.conditions,
        shape=law.shape,
        resolution=law.resolution,
    )


def aligned(design: Design, potential: Callable) -> tuple[Design, Callable]:
    """The same design in the coordinates `d = D w` of a `Linear` penalty, where it is one.

    Laws of `d` have their singular points on coordinate planes, which quadrature can follow.
    """
    frame = getattr(design.parametrisation, "frame", None)
    if frame is None or frame.back is None:
        return design, potential
    size = design.domain.dimension
    count = size if frame.count is None else frame.count
    domain = Domain(
        np.full(size, -np.inf), np.full(size, np.inf), ((0.0,),) * count + ((),) * (size - count)
    )
    inner = Design(
        After(frame.to_d, design.parametrisation),
        After(design.penalty, frame.to_w),
        design.temperature,
        lift=After(design.lift, frame.to_w),
        shape=design.shape,
        action=design.action,
        domain=domain,
        closed_form=design.closed_form,
        formula=design.formula,
        text=design.text,
        notes=design.notes,
    )
    return inner, After(potential, frame.to_w)


class After(eqx.Module):
    """`x -> outer(inner(x))`."""

    outer: Callable
    inner: Callable

    def __call__(self, x: Any) -> Any:
        return self.outer(self.inner(x))


def check_reach(design: Design, draws: Array) -> None:
    """That draws of a law, in the coordinates of `aligned`, are where `u` resolves `w`.

    **Raises:** `ValueError` where some are not.
    """
    map = design.parametrisation
    map = map.inner if isinstance(map, After) else map
    if isinstance(map, Coordinates | Products):
        seen = np.asarray(draws).reshape(len(draws), -1)[:, : map.frame.count]
    elif isinstance(map, Radial):
        groups = draws.reshape(-1, *draws.shape[draws.ndim - map.core :])
        seen = np.asarray(batch_of(map.norm, groups))
    else:
        return
    low, high = map.map.reach
    beyond = float(np.mean((seen < low) | (seen > high)))
    if beyond > 0.0:
        raise ValueError(
            f"the law puts {beyond:.1%} of its entries beyond ({low:.4g}, {high:.4g}), as far as u "
            "resolves them: give a potential that confines w, a larger `scale`, or a box "
            "(`Penalty(fn, lower=..., upper=...)`)."
        )


def outside(values: Any, domain: Domain) -> float:
    """The share of draws, shape `(chains, draws, ...)`, that lie outside of a domain or are NaN."""
    values = np.asarray(values, np.float64)
    flat = values.reshape(*values.shape[:2], -1)
    low, high = np.asarray(domain.lower), np.asarray(domain.upper)
    # Maps meet their walls to the rounding of tables.
    sizes = [np.where(np.isfinite(end), np.abs(end), 0.0) for end in (low, high)]
    slack = 1e-7 * np.maximum(1.0, np.maximum(*sizes))
    return float(np.mean(~np.all((flat >= low - slack) & (flat <= high + slack), axis=-1)))
