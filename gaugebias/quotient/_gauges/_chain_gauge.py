"""Balancing products of actions: component by component, and chains of rescalings by Newton."""

from collections.abc import Callable
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from ...symmetry import AbstractAction, Product, Rescaling
from ...symmetry._leaves import precision

_SWEEPS = 2
_NEWTON = 64


def moved_leaves(action: AbstractAction, params: PyTree) -> frozenset[int]:
    """Numbers of the moving leaves on which the action acts, read off its field at ones."""
    with jax.ensure_compile_time_eval():
        still = eqx.filter(params, eqx.is_inexact_array, inverse=True)
        moving = eqx.filter(params, eqx.is_inexact_array)
        ones = eqx.combine(jax.tree.map(jnp.ones_like, moving), still)
        leaves, treedef = jax.tree.flatten(action.algebra(params))
        keys = jax.random.split(jax.random.key(0), max(len(leaves), 1))
        coeffs = [
            jax.random.normal(k, s.shape, s.dtype) for k, s in zip(keys, leaves, strict=False)
        ]
        tangent = action.tangent(ones, jax.tree.unflatten(treedef, coeffs))
        moves = [bool(jnp.any(x != 0)) for x in jax.tree.leaves(tangent)]
    return frozenset(i for i, moved in enumerate(moves) if moved)


def components(actions: tuple[AbstractAction, ...], params: PyTree) -> list[list[AbstractAction]]:
    """The factors sorted into sets that share no leaf with one another, in their order."""
    groups: list[tuple[frozenset[int], list[AbstractAction]]] = []
    for action in actions:
        leaves = moved_leaves(action, params)
        joined = [group for group in groups if group[0] & leaves]
        groups = [group for group in groups if not group[0] & leaves]
        members = [a for group in joined for a in group[1]] + [action]
        groups.append((leaves.union(*(group[0] for group in joined)), members))
    return [members for _, members in groups]


def by_components(
    action: Product,
    params: PyTree,
    balanced: Callable[[AbstractAction, PyTree], PyTree | None],
) -> PyTree | None:
    """Balance each component by itself, or `None` where one has no closed form."""
    for members in components(action.actions, params):
        if len(members) == 1:
            fixed = balanced(members[0], params)
        elif all(isinstance(a, Rescaling) and a.powers[0] * a.powers[1] < 0 for a in members):
            fixed = balanced_chain(Product(*members), params)
        else:
            fixed = None
        if fixed is None:
            return None
        params = fixed
    return params


def _rates(action: Product, params: PyTree) -> tuple[PyTree, PyTree]:
    """Derivative of half the squared norm along each generator, and its second derivative."""
    first, second = [], []
    for factor in action.actions:
        assert isinstance(factor, Rescaling)
        p, q = factor.powers
        f, g = factor.squared_norms(params)
        first.append(p * f + q * g)
        second.append(2.0 * (p * p * f + q * q * g))
    return tuple(first), tuple(second)


def _newton_direction(action: Product, params: PyTree, rates: PyTree, curvature: PyTree) -> PyTree:
    """Conjugate gradients on the Hessian, a graph's Laplacian with units as its nodes."""
    zeros = jax.tree.map(jnp.zeros_like, rates)

    def hessian(v: PyTree) -> PyTree:
        def along(c: PyTree) -> PyTree:
            return _rates(action, action.flow(params, c))[0]

        return jax.jvp(along, (zeros,), (v,))[1]

    def precondition(v: PyTree) -> PyTree:
        return jax.tree.map(lambda x, d: x / jnp.where(d > 0, d, 1.0), v, curvature)

    def dead(v: PyTree) -> PyTree:  # a unit of zeros has no curvature: let it stay
        return jax.tree.map(lambda h, x, d: h + jnp.where(d > 0, 0.0, x), hessian(v), v, curvature)

    eps = float(jnp.finfo(jax.tree.leaves(rates)[0].dtype).eps)
    solve = partial(jax.scipy.sparse.linalg.cg, tol=10 * eps, M=precondition, maxiter=256)
    return solve(dead, jax.tree.map(jnp.negative, rates))[0]


def _worst(rates: PyTree, curvature: PyTree) -> Array:
    """The largest imbalance of a unit, relative to its size."""
    parts = jax.tree.map(
        lambda r, d: jnp.max(jnp.abs(r) / jnp.where(d > 0, d, 1.0), initial=0.0), rates, curvature
    )
    return jnp.max(jnp.stack(jax.tree.leaves(parts)))


@eqx.filter_jit
def balanced_chain(action: Product, params: PyTree) -> PyTree:
    """The balanced point of a product of rescalings that share leaves, as layers of a network do.

    The squared norm is convex in the logarithms of the factors. Two sweeps balance one layer after
    the other exactly; Newton's method, its step by conjugate gradients and cut to a factor of e a
    unit, ends it in a few steps, each O(parameters). Differentiable: the last step carries the
    derivative.
    """
    zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), action.algebra(params))
    eps = precision(params)
    still = jax.lax.stop_gradient(eqx.filter(params, eqx.is_inexact_array))
    frozen = eqx.combine(still, params)

    def sweep(coeffs: PyTree) -> PyTree:
        coeffs = list(coeffs)
        for i, factor in enumerate(action.actions):
            assert isinstance(factor, Rescaling)
            p, q = factor.powers
            f, g = factor.squared_norms(action.flow(frozen, tuple(coeffs)))
            none = (f == 0) & (g == 0)
            ratio = jnp.where(none, 1.0, abs(q) * g / jnp.where(none, 1.0, abs(p) * f))
            coeffs[i] = coeffs[i] + jnp.log(ratio) / (2.0 * (p - q))
        return tuple(coeffs)

    def step(state: tuple[PyTree, Array, Array, Array]) -> Any:
        coeffs, number, worst, best = state
        here = action.flow(frozen, coeffs)
        rates, curvature = _rates(action, here)
        direction = _newton_direction(action, here, rates, curvature)
        largest = jnp.max(jnp.stack([jnp.max(jnp.abs(d)) for d in jax.tree.leaves(direction)]))
        cut = jnp.minimum(1.0, 1.0 / jnp.where(largest > 0, largest, 1.0))
        coeffs = jax.tree.map(lambda c, d: c + cut * d, coeffs, direction)
        reached = _worst(*_rates(action, action.flow(frozen, coeffs)))
        return coeffs, number + 1, reached, jnp.minimum(worst, best)

    def more(state: tuple[PyTree, Array, Array, Array]) -> Array:
        _, number, worst, best = state
        # Below this rounding of the sums decides; stop when it no longer improves.
        rounding = worst <= 64 * eps
        return (number < _NEWTON) & (worst > 4 * eps) & ~(rounding & (worst >= best))

    start = zeros
    for _ in range(_SWEEPS):
        start = sweep(start)
    worst = _worst(*_rates(action, action.flow(frozen, start)))
    state = (start, jnp.zeros((), int), worst, jnp.full_like(worst, jnp.inf))
    coeffs, _, worst, _ = jax.lax.while_loop(more, step, state)
    coeffs = jax.lax.stop_gradient(coeffs)
    here = action.flow(params, coeffs)
    rates, _ = _rates(action, here)
    at = action.flow(frozen, coeffs)
    # The frozen point has the same value: this step is zero to rounding, its derivative is not.
    fixed_rates, curvature = _rates(action, at)
    moved = jax.tree.map(lambda r, s: r - s, rates, fixed_rates)
    last = _newton_direction(action, at, moved, curvature)
    fixed = action.flow(params, jax.tree.map(jnp.add, coeffs, last))
    found = worst <= eps**0.5
    return jax.tree.map(
        lambda x: jnp.where(found, x, jnp.nan) if eqx.is_inexact_array(x) else x, fixed
    )
