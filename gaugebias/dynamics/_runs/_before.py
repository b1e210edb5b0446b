"""What is known of a run before its first step: shapes, memory, the reductions' first states."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from ...quotient import Quotient
from .._processes._langevin import ProjectedLangevin
from .._processes._sde import AbstractSDE
from ._devices import Layout
from ._engine import observer
from ._failures import orbit_ranks
from ._inside import check_inside
from ._memory import check_memory, size_of
from ._program import Plan, Watch, first_look
from ._reductions import check_reductions


def check_starts_fit(init: Any, key, batched: bool, layout: Layout) -> None:
    """`ValueError` where the starts of all chains do not fit into memory, before they are made."""
    if batched:
        return  # they are there
    point = init
    if callable(init) and not isinstance(init, eqx.Module):
        draw: Callable = init
        point = eqx.filter_eval_shape(draw, key)
    moves = [
        x
        for x in jax.tree.leaves(point)
        if hasattr(x, "dtype") and jnp.issubdtype(x.dtype, jnp.inexact)
    ]
    check_memory(layout, state=size_of(moves))


def shapes_seen(watch: Watch, y: PyTree, still: PyTree, axis: int) -> PyTree:
    """Shapes of the observable of all chains; `ValueError` where it is not what it should be."""
    try:
        seen = jax.eval_shape(lambda y: observer(watch.observe, still, axis)(y), y)
    except (KeyError, AttributeError, IndexError) as error:
        raise ValueError(
            f"`init` lacks what the process or `observe` reads ({type(error).__name__}: "
            f"{error}): give parameters of the structure that they were written for."
        ) from error
    if not jax.tree.leaves(seen):
        raise ValueError("`observe` returns no array: let it return what is to be recorded.")
    check_reductions(watch.reductions, seen)
    if watch.inside is not None:
        check_inside(watch.inside, seen)
    return seen


def check_run_fits(
    sde: AbstractSDE, point: PyTree, watch: Watch, seen: PyTree, plan: Plan, draws: int
) -> None:
    """`ValueError` where the run cannot fit into memory."""
    here = plan.layout.here
    states = {name: jax.eval_shape(r.start, seen) for name, r in watch.reductions.items()}
    check_memory(
        plan.layout,
        state=size_of(eqx.filter(point, eqx.is_inexact_array)),
        noise=size_of(sde.noise_like(point)),
        states=size_of(states) // here,
        draw=size_of(seen) // here,
        most=plan.most,
        draws=draws,
    )


def first_states(
    watch: Watch, y: PyTree, still: PyTree, plan: Plan
) -> tuple[dict[str, PyTree], str | None]:
    """The reductions' first states; what is wrong where chains start outside of the domain."""
    if watch.inside is None and not watch.reductions:
        return {}, None
    outside, states = first_look(y, still, watch, plan.axis, plan.layout)
    out = 0 if outside is None else int(np.asarray(outside)[: plan.layout.real].sum())
    if out:
        many = plan.layout.real
        return states, f"`init`: {out} of {many} chains start outside `domain`: start inside."
    return states, None


def ranks_of(
    sde: AbstractSDE, regauge: Quotient | None, still: PyTree, axis: int
) -> Callable | None:
    """The dimension of the chains' orbits where noise or gauge needs it, from their state.

    Processes that wrap another, as the other calculus of it and step halving, are looked into.
    """
    while isinstance(inner := getattr(sde, "sde", None), AbstractSDE):
        regauge = getattr(sde, "regauge", None) if regauge is None else regauge
        sde = inner
    if regauge is not None:
        action = regauge.action
    elif isinstance(sde, ProjectedLangevin):
        action = sde.action
    else:
        return None
    return lambda y: np.asarray(orbit_ranks(action, y, still, axis))
