"""Which leaves an action moves, read off the computation that its tangent is."""

from collections.abc import Iterable
from typing import Any

import jax
from jax.extend.core import Literal

from .._types import Params
from ._action import AbstractAction
from ._leaves import is_moving


def moved_leaves(action: AbstractAction, params: Params) -> tuple[int, ...]:
    """Indices, among the floating leaves of `params`, of those that the action can move.

    A leaf is left out where its tangent does not depend on the coefficients at all, as the traced
    computation shows. So this is never too few, and may be too many for a field that multiplies
    coefficients by zero.
    """
    closed = jax.make_jaxpr(lambda c: action.tangent(params, c))(action.algebra(params))
    depends = _outputs(closed.jaxpr, [True] * len(closed.jaxpr.invars))
    present = sum(is_moving(x) for x in jax.tree.leaves(params))
    assert len(depends) == present, "a tangent has one leaf for each floating leaf"
    return tuple(i for i, moved in enumerate(depends) if moved)


def _outputs(jaxpr: Any, inputs: Iterable[bool]) -> list[bool]:
    """Whether each output of `jaxpr` depends on an input that is marked."""
    marked = {v for v, yes in zip(jaxpr.invars, inputs, strict=True) if yes}

    def depends(v: Any) -> bool:
        return not isinstance(v, Literal) and v in marked

    for eqn in jaxpr.eqns:
        before = [depends(v) for v in eqn.invars]
        inner = eqn.params.get("jaxpr", eqn.params.get("call_jaxpr"))
        inner = getattr(inner, "jaxpr", inner)
        if inner is not None and eqn.primitive.name in _CALLS:
            after = _outputs(inner, before)
        else:
            after = [any(before)] * len(eqn.outvars)
        marked |= {v for v, yes in zip(eqn.outvars, after, strict=True) if yes}
    return [depends(v) for v in jaxpr.outvars]


# Calls whose inputs are those of the computation inside, one for one.
_CALLS = frozenset({"jit", "pjit", "closed_call", "core_call", "custom_jvp_call", "remat2"})
