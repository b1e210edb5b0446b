"""Which side of zero every ReLU-like gate of a predictor takes, read off its jaxpr.

A piecewise linear predictor is analytic on each side of its gates only: a unit that is never seen
off acts as a linear one, and spurious symmetries appear.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from ..._types import Array

_CALLS = (
    "jit",
    "pjit",
    "closed_call",
    "core_call",
    "checkpoint",
    "remat2",
    "custom_jvp_call",
    "custom_vjp_call",
)
_COMPARE = {"gt", "ge", "lt", "le", "max", "min"}
_AT_ZERO = {"abs", "sign"}


def _inner(equation: Any) -> Any:
    for name in ("jaxpr", "call_jaxpr", "fun_jaxpr"):
        inner = equation.params.get(name)
        if inner is not None:
            return inner if hasattr(inner, "consts") else core.ClosedJaxpr(inner, ())
    return None


class _Walk:
    """Evaluates a jaxpr, noting gates that depend on the parameters.

    A value is a triple: the array, whether it depends on the parameters, whether it is known to be
    zero.
    """

    def __init__(self) -> None:
        self.gates: list[Array] = []

    def run(self, closed: Any, args: list[tuple[Any, bool, bool]]) -> list[tuple[Any, bool, bool]]:
        known: dict[Any, tuple[Any, bool, bool]] = {}

        def read(atom: Any) -> tuple[Any, bool, bool]:
            if isinstance(atom, core.Literal):
                return atom.val, False, bool(np.all(np.asarray(atom.val) == 0))
            return known[atom]

        jaxpr = closed.jaxpr
        for var, value in zip(jaxpr.constvars, closed.consts, strict=True):
            known[var] = (value, False, False)
        for var, value in zip(jaxpr.invars, args, strict=True):
            known[var] = value
        for equation in jaxpr.eqns:
            given = [read(atom) for atom in equation.invars]
            for var, value in zip(equation.outvars, self._apply(equation, given), strict=True):
                known[var] = value
        return [read(atom) for atom in jaxpr.outvars]

    def _apply(self, equation: Any, given: list[Any]) -> list[tuple[Any, bool, bool]]:
        name = equation.primitive.name
        moves = any(one[1] for one in given)
        inner = _inner(equation) if name in _CALLS else None
        if inner is not None and len(inner.jaxpr.invars) == len(given):
            return self.run(inner, given)
        values = [one[0] for one in given]
        if moves and name in _COMPARE and given[1][2]:
            self.gates.append(values[0] > 0)
        elif moves and name in _COMPARE and given[0][2]:
            self.gates.append(values[1] > 0)
        elif moves and name in _AT_ZERO:
            self.gates.append(values[0] > 0)
        params = equation.primitive.get_bind_params(equation.params)
        out = equation.primitive.bind(*values, **params)
        out = list(out) if equation.primitive.multiple_results else [out]
        constant = name in ("broadcast_in_dim", "convert_element_type") and given[0][2]
        return [(value, moves, constant) for value in out]


def gates_of(function: Callable[..., Any]) -> Callable[[Any, Any], Array]:
    """A function of `(moving, rest)` that gives every gate of `function` as one boolean vector.

    Gates are comparisons with zero, `max` and `min` with zero, `abs` and `sign`, of anything that
    depends on `moving`; loops and branches are not looked into.
    """

    def gates(moving: Any, rest: Any) -> Array:
        closed = jax.make_jaxpr(function)(moving, rest)
        flat = [(x, True, False) for x in jax.tree.leaves(moving)]
        flat += [(x, False, False) for x in jax.tree.leaves(rest)]
        walk = _Walk()
        walk.run(closed, flat)
        if not walk.gates:
            return jnp.zeros((0,), bool)
        return jnp.concatenate([jnp.ravel(gate) for gate in walk.gates])

    return gates
