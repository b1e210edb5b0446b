"""Does a group really leave the predictor alone?"""

from collections.abc import Callable
from typing import Any, NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from .._compile import compiled_once
from .._types import Array, Key, Params, PyTree
from ._action import (
    AbstractAction,
    algebra_dimension,
    as_tangent,
    generator_name,
    ravel,
    unravel_coefficients,
)
from ._leaves import (
    build_params,
    is_moving,
    moving_dtype,
    moving_part,
    precision,
    with_moving,
)

_PERTURBED = 2  # points beside the given one
_ELEMENTS = 2  # random group elements at each point
_AT_ONCE = 64  # generators in flight together, to bound memory


@final
class InvarianceReport(eqx.Module):
    """What `check_invariance` measured. Residuals are relative: rounding is near the machine
    epsilon, a broken symmetry near 1.

    - `infinitesimal`: the largest derivative of the predictor along a generator.
    - `finite`: the largest change of the predictor under a group element.
    - `generator`: the name of the generator with the largest derivative, "" where there is none.
    - `dimension`: the number of generators.
    - `points`: the number of parameter points.
    """

    infinitesimal: float
    finite: float
    generator: str
    dimension: int
    points: int


class _Measured(NamedTuple):
    size: Array  # of the predictor, ()
    change: Array  # along each generator, (k,)
    scale: Array  # what it is measured against, (k,)
    moved: Array  # change under each group element, (e,)
    moved_scale: Array  # (e,)


def check_invariance(
    predict: Callable[..., Any],
    action: AbstractAction,
    params: Params,
    inputs: Any = None,
    key: Key | None = None,
    *,
    atol: float | None = None,
    rtol: float | None = None,
) -> InvarianceReport:
    r"""Check that `predict` is invariant under `action`; raise, naming the generator, if not.

    At `params` and at two random perturbations of it (of ten per cent), the derivative of the
    predictor along every generator must vanish, and random group elements must leave it
    unchanged. The derivative \(D\phi[X_a]\) is measured against \(|\phi|\) plus the derivative
    along \(X_a\) with random signs: the size it would have if nothing cancelled.

    **Arguments:**

    - `predict`: `predict(params)`, or `predict(params, inputs)` where `inputs` are given. Returns
      any pytree of floating arrays: what the loss sees of the parameters.
    - `action`: the group.
    - `params`: where to check. Concrete arrays: this function runs on the host, not under `jit`.
    - `inputs`: passed on to `predict`.
    - `key`: random key of perturbations and group elements; a fixed one by default.
    - `atol`, `rtol`: a change above `atol + rtol * scale` is a violation. By default 0 and 10
      times the square root of the machine epsilon: 1.5e-7 in float64, 3.5e-3 in float32.

    **Returns:** an `InvarianceReport`.

    **Raises:** `ValueError` where the predictor is not invariant, naming the generator (as
    `generator_name` does) and the size of the violation, and where `predict` is not finite or
    not floating.

    !!! Example

        ```python
        act = Rescaling(lambda p: p[0], lambda p: p[1])
        params = (jnp.array([1.0, 2.0]), jnp.array([3.0, 4.0]))
        check_invariance(lambda p: p[0] * p[1], act, params)  # passes
        check_invariance(lambda p: p[0] + p[1], act, params)  # raises, naming coeffs[...]
        ```
    """
    if not callable(predict):
        raise ValueError(f"`predict` must be a function of the parameters, not {predict!r}.")
    if any(isinstance(x, Tracer) for x in jax.tree.leaves((params, inputs))):
        raise ValueError("`params` is traced: call `check_invariance` outside of jit.")
    key = jax.random.key(0) if key is None else key
    dtype = moving_dtype(params)
    relative = 10 * precision(params) ** 0.5 if rtol is None else rtol
    absolute = 0.0 if atol is None else atol
    k = algebra_dimension(action, params)

    def predictor(point: Params) -> Array:
        value = predict(point) if inputs is None else predict(point, inputs)
        leaves = jax.tree.leaves(value)
        if not leaves or not all(
            eqx.is_array(x) and jnp.issubdtype(x.dtype, jnp.floating) for x in leaves
        ):
            raise ValueError("`predict` must return floating arrays, and at least one.")
        return ravel(value, jnp.result_type(*leaves))

    measure = compiled_once(_measurement(predictor, action, params, k, dtype))
    seen = []
    for number in range(1 + _PERTURBED):
        moved, elements = _draw(params, jax.random.fold_in(key, number), k, dtype)
        point = with_moving(params, moved) if number else params
        got = jax.tree.map(np.asarray, measure(point, elements))
        where = "at a random perturbation of `params`" if number else "at `params`"
        if not np.isfinite(got.size):
            raise ValueError(f"`predict` is not finite {where}: check it at valid parameters.")
        seen.append((point, elements, got, where))
    # All derivatives before any flow: one that vanishes at `params` alone is not the flow's fault.
    worst = InvarianceReport(0.0, 0.0, "", k, len(seen))
    for _, _, got, where in seen:
        worst = _judge(worst, got, action, params, absolute, relative, where)
    for point, elements, got, where in seen:
        bad = _violations(got.moved, got.moved_scale, absolute, relative)
        if bad.any():
            _refuse_flow(measure, action, point, elements[int(np.argmax(bad))], got, where)
    return worst


def _measurement(
    predictor: Callable[[Params], Array], action: AbstractAction, params: Params, k: int, dtype: Any
) -> Callable[[Params, Array], _Measured]:
    algebra = action.algebra(params)
    signs_key = jax.random.key(1)

    def measure(point: Params, elements: Array) -> _Measured:
        value, slope = jax.linearize(
            lambda moving: predictor(with_moving(point, moving)), moving_part(point)
        )
        size = jnp.max(jnp.abs(value), initial=0.0)

        def along(index: Array) -> tuple[Array, Array]:
            vector = jax.nn.one_hot(index, k, dtype=dtype)
            x = action.tangent(point, unravel_coefficients(algebra, vector))
            x = as_tangent(point, x, "tangent")
            y = _random_signs(x, signs_key)
            return _largest(slope(x)), _largest(slope(y))

        def after(vector: Array) -> tuple[Array, Array]:
            end = predictor(action.flow(point, unravel_coefficients(algebra, vector)))
            return _largest(end - value), _largest(end)

        if k == 0:
            none = jnp.zeros((0,), value.dtype)
            return _Measured(size, none, none, none, none)
        change, uncancelled = jax.lax.map(along, jnp.arange(k), batch_size=_AT_ONCE)
        moved, ends = jax.lax.map(after, elements)
        return _Measured(size, change, size + uncancelled, moved, size + ends)

    return measure


def _largest(x: Array) -> Array:
    return jnp.max(jnp.abs(x), initial=0.0)


def _random_signs(tree: PyTree, key: Key) -> PyTree:
    leaves, treedef = jax.tree.flatten(tree)
    keys = jax.random.split(key, max(len(leaves), 1))
    signed = [
        x * jax.random.rademacher(k, x.shape, x.dtype) for k, x in zip(keys, leaves, strict=False)
    ]
    return jax.tree.unflatten(treedef, signed)


@compiled_once
def _draw(params: Params, key: Key, k: int, dtype: Any) -> tuple[PyTree, Array]:
    """The moving part of a perturbed point, and coefficients of random group elements."""
    point_key, element_key = jax.random.split(key)
    normal = jax.random.normal(element_key, (_ELEMENTS, k), dtype)
    return moving_part(_perturbed(params, point_key)), 0.5 * normal / max(k, 1) ** 0.5


def _perturbed(params: Params, key: Key) -> Params:
    """Every floating entry changed by about ten per cent: signs and scales are kept."""
    leaves = jax.tree.leaves(params)
    updates = {}
    for i, (leaf, k) in enumerate(zip(leaves, jax.random.split(key, len(leaves)), strict=True)):
        if is_moving(leaf) and leaf.size:
            x = jnp.asarray(leaf)
            typical = jnp.sqrt(jnp.mean(jnp.abs(x) ** 2))
            typical = jnp.where(typical > 0, typical, 1.0)
            scale = jnp.where(x == 0, typical, x)
            updates[i] = x + 0.1 * scale * jax.random.normal(k, x.shape, x.dtype)
    return build_params(params, updates)


def _violations(change: Any, scale: Any, atol: float, rtol: float) -> Any:
    # "not below" rather than "above", so that NaN is a violation
    return ~(change <= atol + rtol * scale)


def _relative(change: Any, scale: Any) -> Any:
    return change / np.maximum(scale, np.finfo(change.dtype).tiny)


def _judge(
    worst: InvarianceReport,
    got: Any,
    action: AbstractAction,
    params: Params,
    atol: float,
    rtol: float,
    where: str,
) -> InvarianceReport:
    if got.change.size == 0:
        return worst
    ratio = _relative(got.change, got.scale)
    bad = _violations(got.change, got.scale, atol, rtol)
    among = bad if bad.any() else np.ones_like(bad)
    index = int(np.argmax(np.where(np.isnan(ratio), np.inf, ratio) * among))
    name = generator_name(action, params, index)
    if bad.any():
        raise ValueError(
            f"`action` does not leave `predict` invariant: along generator {name} the predictor "
            f"changes at rate {got.change[index]:.3g}, {ratio[index]:.3g} of its scale ({where}; "
            f"{int(bad.sum())} of {bad.size} generators violate). Check leaves, axes, signs and "
            "powers."
        )
    finite = float(np.max(_relative(got.moved, got.moved_scale)))
    if float(ratio[index]) >= worst.infinitesimal or not worst.generator:
        infinitesimal = float(ratio[index])
    else:
        infinitesimal, name = worst.infinitesimal, worst.generator
    return InvarianceReport(
        infinitesimal, max(finite, worst.finite), name, worst.dimension, worst.points
    )


def _refuse_flow(
    measure: Callable[[Params, Array], Any],
    action: AbstractAction,
    point: Params,
    element: Array,
    got: Any,
    where: str,
) -> None:
    """Every derivative vanishes and yet a group element acts: name the generator whose flow does.

    The coefficients of the offending element are tried one by one.
    """
    k = element.shape[0]
    alone = jax.tree.map(np.asarray, measure(point, jnp.diag(element)))
    ratio = _relative(alone.moved, alone.moved_scale)
    index = int(np.argmax(np.where(np.isnan(ratio), np.inf, ratio)))
    together = float(np.max(got.moved))
    raise ValueError(
        f"`action` does not leave `predict` invariant under its finite flow: it changes by "
        f"{together:.3g} under a random group element ({where}), by {alone.moved[index]:.3g} along "
        f"generator {generator_name(action, point, index)} alone (the largest of {k}), while all "
        "derivatives vanish: `flow` is not the exponential of `tangent`, or the flow is not "
        "accurate at these parameters."
    )
