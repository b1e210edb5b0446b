"""The distance between two parameter sets modulo a group."""

from collections.abc import Callable, Sequence
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optimistix as optx
from jax.core import Tracer
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, PyTree

from ...symmetry import AbstractAction


@final
class ModuloDistance(eqx.Module):
    """What `gaugebias.distance_modulo` found.

    - `distance`: the least distance from the orbit of `a` to `b`, shape ().
    - `aligned`: the point of the orbit of `a` (or of an element of `elements` applied to it)
      that is nearest to `b`.
    - `coefficients`: group elements that lead there, coefficients with a leading axis: applied by
      `action.flow`, the first first.
    - `element`: the number of the discrete element applied before, 0 for none.
    - `plain`: the distance without alignment, |a - b|.
    - `rate`: the largest slope of half the squared distance along a generator that is left, over
      the squared norm of `aligned`: small at a local minimum, larger where the search was cut off.
    """

    distance: Array
    aligned: PyTree
    coefficients: PyTree
    element: int = eqx.field(static=True)
    plain: Array
    rate: Array


def distance_modulo(
    action: AbstractAction,
    a: PyTree,
    b: PyTree,
    *,
    key: Array | None = None,
    starts: int = 4,
    spread: float = 1.0,
    elements: Sequence[Callable[[PyTree], PyTree]] = (),
    max_steps: int = 256,
) -> ModuloDistance:
    r"""The distance \(\min_g |g.a - b|\) over the group, by least squares along the orbit.

    Levenberg-Marquardt on the coefficients of \(g = \exp(c)\), then again from where it arrived,
    since one exponential does not reach all of a group. It finds a **local** minimum. The first
    start is the identity; on a rotation group, where other minima are the rule, give several:
    the others are group elements with normal coefficients of standard deviation `spread` each.
    The group of an action is connected: reflections and permutations of units are no flow, and
    are tried where they are given as `elements`.

    Distances are Euclidean, in the parameters. Orbits of non-compact groups have no invariant
    distance: |g.a - g.b| differs from |a - b|. For a distance between orbits, fix the gauge of
    both first (`gaugebias.fix_gauge`) and align by what is left of the group; for an isometric
    action (rotations) `distance_modulo` is one already.

    **Arguments:**

    - `action`: the group.
    - `a`, `b`: parameters of the same structure; `a` is moved.
    - `key`: random key of the starts; a fixed one by default.
    - `starts`: their number for each element.
    - `spread`: standard deviation of their coefficients.
    - `elements`: functions `params -> params`, discrete elements to apply to `a` first.
    - `max_steps`: of each of the two least-squares runs.

    **Returns:** a [`gaugebias.quotient.ModuloDistance`][].

    **Raises:** `ValueError` where `a` and `b` differ in structure or shapes, where `starts` is not
    positive, and where values are traced.

    !!! Example

        ```python
        act = gb.symmetry.Rescaling("u", "v")
        a = {"u": jnp.array([1.0]), "v": jnp.array([2.0])}
        gb.distance_modulo(act, a, act.flow(a, jnp.array([0.7]))).distance  # 0
        ```
    """
    if any(isinstance(x, Tracer) for x in jax.tree.leaves((a, b))):
        raise ValueError("`a` or `b` is traced: call `distance_modulo` outside of jit.")
    moving_a, moving_b = (eqx.filter(x, eqx.is_inexact_array) for x in (a, b))
    shapes = [[np.shape(x) for x in jax.tree.leaves(m)] for m in (moving_a, moving_b)]
    if jax.tree.structure(moving_a) != jax.tree.structure(moving_b) or shapes[0] != shapes[1]:
        raise ValueError(
            "`a` and `b` must have the same structure and shapes: their floating leaves are "
            f"{shapes[0]} and {shapes[1]}."
        )
    if starts < 1:
        raise ValueError(f"`starts` is {starts}: give at least 1.")
    algebra = action.algebra(a)
    zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), algebra)
    flat, unravel = ravel_pytree(zeros)
    target, _ = ravel_pytree(moving_b)
    key = jax.random.key(0) if key is None else key
    tolerance = float(jnp.finfo(target.dtype).eps) ** 0.75

    def gap(params: PyTree) -> Array:
        return ravel_pytree(eqx.filter(params, eqx.is_inexact_array))[0] - target

    def solve(params: PyTree, start: Array) -> Array:
        def residual(c: Array, _: None) -> Array:
            return gap(action.flow(params, unravel(c)))

        solver = optx.LevenbergMarquardt(rtol=tolerance, atol=tolerance)
        got = optx.least_squares(residual, solver, start, max_steps=max_steps, throw=False)
        return got.value

    @eqx.filter_jit
    def align(params: PyTree, start: Array) -> tuple[Array, PyTree, Array, Array]:
        first = solve(params, start)
        middle = action.flow(params, unravel(first))
        second = solve(middle, jnp.zeros_like(start))
        end = action.flow(middle, unravel(second))
        left = gap(end)

        def slope(c: Array) -> Array:
            return gap(action.flow(end, unravel(c)))

        pull = jax.vjp(slope, jnp.zeros_like(start))[1](left)[0]
        size = jnp.sum((left + target) ** 2)
        rate = jnp.max(jnp.abs(pull), initial=0.0) / jnp.where(size > 0, size, 1.0)
        return jnp.linalg.norm(left), end, jnp.stack([first, second]), rate

    best = None
    for number, element in enumerate((lambda p: p, *elements)):
        begin = element(a)
        for i in range(starts if flat.size else 1):
            normal = jax.random.normal(jax.random.fold_in(key, i), flat.shape, flat.dtype)
            got = align(begin, spread * normal if i else jnp.zeros_like(flat))
            if bool(jnp.isfinite(got[0])) and (best is None or got[0] < best[1][0]):
                best = (number, got)
            if best is not None and best[1][0] <= tolerance * jnp.linalg.norm(target):
                break  # nothing is nearer than on the orbit
    if best is None:
        raise ValueError(
            "`a` could not be moved: the distance is not finite at any start. Check that `a` and "
            "`b` are finite, or take a smaller `spread`."
        )
    number, (distance, aligned, coefficients, rate) = best
    return ModuloDistance(
        distance=distance,
        aligned=aligned,
        coefficients=jax.vmap(unravel)(coefficients),
        element=number,
        plain=jnp.linalg.norm(gap(a)),
        rate=rate,
    )
