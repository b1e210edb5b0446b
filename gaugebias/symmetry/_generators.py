"""Actions given by a field of generators that the user writes."""

import hashlib
import math
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from .._compile import evaluated_now
from .._types import Array, Params, PyTree
from ._action import AbstractAction, as_coefficients, as_tangent, ravel
from ._leaves import is_moving, moving_dtype, moving_part, with_moving

# Fields already found linear, by function, structure and shapes. Bounded, oldest out first.
_CHECKED: OrderedDict[Any, None] = OrderedDict()
_MOST_CHECKED = 128


@final
class _Static(eqx.Module):
    """A plain function as a pytree without leaves, so that actions pass through `jax.jit`."""

    fn: Callable[..., Any] = eqx.field(static=True)

    def __call__(self, params: Params, coeffs: PyTree) -> PyTree:
        return self.fn(params, coeffs)


def _as_field(fn: Any) -> Any:
    if not callable(fn):
        raise ValueError(f"`fn` must be a function of parameters and coefficients, not {fn!r}.")
    # Modules and `jax.tree_util.Partial` may hold arrays: they stay pytrees.
    is_leaf = len(jax.tree.leaves(fn)) == 1 and jax.tree.leaves(fn)[0] is fn
    return _Static(fn) if is_leaf else fn


def _shape(item: Any) -> tuple[int, ...]:
    if isinstance(item, tuple):
        return tuple(int(n) for n in item)
    if isinstance(item, int) and not isinstance(item, bool):
        return (item,)
    if isinstance(item, float):
        return ()
    shape = getattr(item, "shape", None)
    if shape is not None:
        return tuple(shape)
    raise ValueError(
        f"`algebra` must be a pytree of shapes, arrays or jax.ShapeDtypeStruct: it holds {item!r}."
    )


@final
class _Shapes(eqx.Module):
    """The shapes of the coefficients, hashable."""

    treedef: Any = eqx.field(static=True)
    shapes: tuple[tuple[int, ...], ...] = eqx.field(static=True)


def _as_shapes(algebra: Any) -> _Shapes:
    def is_shape(x: Any) -> bool:
        return isinstance(x, tuple) and all(isinstance(n, int | np.integer) for n in x)

    leaves, treedef = jax.tree.flatten(algebra, is_leaf=is_shape)
    if not leaves:
        raise ValueError("`algebra` is empty: give the shape of the coefficients, () for one.")
    return _Shapes(treedef, tuple(_shape(leaf) for leaf in leaves))


@final
class Generators(AbstractAction):
    r"""Any symmetry, given by its generators as a function.

    **Arguments:**

    - `fn`: `fn(params, coeffs)`, the vector field \(X_c(\theta)\), returned as a tangent or as a
      pytree shaped as `params` (what does not move is dropped, `None` is zero). It must be linear
      in the coefficients. Functions are told apart by identity, so define one once, not in a
      loop; an `equinox.Module` may carry arrays.
    - `algebra`: the shapes of the coefficients: a pytree of shapes, arrays or
      `jax.ShapeDtypeStruct`. A tuple of integers, `()` included, is one shape. The dtype is that
      of the parameters.

    **Coefficients:** arrays with the structure and shapes of `algebra`.

    Linearity is checked once for each function and shapes, in numbers, at fixed random points
    (and at `params` where these are concrete), also while tracing. `flow` integrates the field
    over unit time with diffrax: Dopri8 at a relative tolerance of 1e-11 in float64, Tsit5 at 1e-6
    in float32. It can be differentiated in both modes. A flow that leaves every bound before the
    time is up is a `ValueError` where values are concrete, and NaN where they are traced.

    **Raises:** `ValueError` where the field is affine or nonlinear in the coefficients (which,
    and by how much), where it does not return a tangent, or where it cannot be evaluated.

    !!! Example

        ```python
        # w = u v, one generator
        def fn(params, c):
            return {"u": c * params["u"], "v": -c * params["v"]}

        act = Generators(fn, ())
        act.flow({"u": jnp.array(2.0), "v": jnp.array(3.0)}, jnp.log(2.0))  # u = 4, v = 1.5
        ```
    """

    fn: Callable[..., Any] = eqx.field(converter=_as_field)
    shapes: _Shapes

    def __init__(self, fn: Callable[..., Any], algebra: Any):
        self.fn = fn
        self.shapes = _as_shapes(algebra)

    def algebra(self, params: Params) -> PyTree:
        """The shapes given as `algebra`, with the dtype of the parameters."""
        dtype = moving_dtype(params)
        leaves = [jax.ShapeDtypeStruct(shape, dtype) for shape in self.shapes.shapes]
        return jax.tree.unflatten(self.shapes.treedef, leaves)

    def tangent(self, params: Params, coeffs: PyTree) -> PyTree:
        """The field `fn(params, coeffs)` as a tangent, once it is known to be linear."""
        algebra = self.algebra(params)
        coeffs = as_coefficients(coeffs, algebra)
        _require_linear(self.fn, params, algebra)
        zero = jax.tree.map(jnp.zeros_like, coeffs)
        # A linear field is its own derivative, and the derivative can always be transposed.
        return jax.jvp(lambda c: _evaluate(self.fn, params, c), (zero,), (coeffs,))[1]

    def flow(self, params: Params, coeffs: PyTree) -> Params:
        """The solution at time 1 of `d params / dt = fn(params, coeffs)`."""
        algebra = self.algebra(params)
        coeffs = as_coefficients(coeffs, algebra)
        _require_linear(self.fn, params, algebra)
        end, good = _integrate(self, params, coeffs)
        if not isinstance(good, Tracer) and not bool(good):
            raise ValueError(
                "`coeffs` are too large for this flow: the field could not be integrated to unit "
                "time (it may leave every bound). Take smaller coefficients, several times."
            )
        return with_moving(params, end)


def _rate(t: Any, y: Any, args: Any) -> Any:
    del t
    action, params, coeffs = args
    tangent = action.tangent(with_moving(params, y), coeffs)
    return [x.astype(start.dtype) for x, start in zip(jax.tree.leaves(tangent), y, strict=True)]


@eqx.filter_jit
def _integrate(action: Generators, params: Params, coeffs: PyTree) -> tuple[list[Array], Array]:
    """The moving leaves at time 1, and whether the integration succeeded (NaN where it did not)."""
    import diffrax

    dtype = jnp.promote_types(moving_dtype(params), jnp.float32)
    double = jnp.finfo(dtype).bits >= 64
    rtol, atol = (1e-11, 1e-13) if double else (1e-6, 1e-7)
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(_rate),
        diffrax.Dopri8() if double else diffrax.Tsit5(),
        t0=jnp.zeros((), dtype),
        t1=jnp.ones((), dtype),
        dt0=None,
        y0=[jnp.asarray(x).astype(dtype) for x in jax.tree.leaves(moving_part(params))],
        args=(action, params, coeffs),
        stepsize_controller=diffrax.PIDController(rtol=rtol, atol=atol),
        adjoint=diffrax.DirectAdjoint(),
        # Two nested loops of 16: a third would double the time to compile a derivative.
        max_steps=256,
        throw=False,
    )
    assert solution.ys is not None
    good = solution.result == diffrax.RESULTS.successful
    return [jnp.where(good, y[-1], jnp.nan) for y in solution.ys], jnp.asarray(good)


def _evaluate(fn: Callable[..., Any], params: Params, coeffs: PyTree) -> PyTree:
    """The field as a tangent: a pytree shaped as the parameters is cut down to what moves."""

    return as_tangent(params, fn(params, coeffs), "fn(params, coeffs)")


# -- linearity -----------------------------------------------------------------------------------


def _require_linear(fn: Callable[..., Any], params: Params, algebra: PyTree) -> None:
    key = _cache_key(fn, params, algebra)
    if key is not None and key in _CHECKED:
        return
    if any(isinstance(x, Tracer) for x in jax.tree.leaves(fn)):
        return  # arrays inside `fn` are traced: there are no numbers to check
    with evaluated_now():
        _check_linear(fn, params, algebra)
    if key is not None:
        _CHECKED[key] = None
        while len(_CHECKED) > _MOST_CHECKED:
            _CHECKED.popitem(last=False)


def _cache_key(fn: Any, params: Params, algebra: PyTree) -> Any:
    def describe(x: Any, *, value: bool) -> Any:
        if not isinstance(x, jax.Array | np.ndarray | np.generic):
            return x
        kind = (x.shape, str(x.dtype))
        if isinstance(x, Tracer) or not value:
            return kind
        return kind, hashlib.blake2b(np.asarray(x).tobytes()).digest()

    fn_leaves, fn_def = jax.tree.flatten(fn)
    leaves, treedef = jax.tree.flatten(params)
    shapes = jax.tree.leaves(algebra)
    key = (
        fn_def,
        tuple(describe(x, value=True) for x in fn_leaves),
        treedef,
        tuple(describe(x, value=False) for x in leaves),
        jax.tree.structure(algebra),
        tuple((x.shape, str(x.dtype)) for x in shapes),
    )
    try:
        hash(key)
    except TypeError:
        return None
    return key


def _points(params: Params) -> list[Params]:
    """Concrete parameters to test at: the given ones where concrete, random, random positive."""
    leaves = jax.tree.leaves(params)
    rng = np.random.default_rng(20240917)

    def concrete(x: Any, positive: bool) -> Any:
        if is_moving(x):
            draw = rng.standard_normal(x.shape)
            return jnp.asarray(np.abs(draw) + 0.5 if positive else draw, x.dtype)
        if isinstance(x, Tracer):
            return jnp.zeros(x.shape, x.dtype)
        return x

    out = [] if any(isinstance(x, Tracer) for x in leaves) else [params]
    treedef = jax.tree.structure(params)
    for positive in (False, True):
        out.append(jax.tree.unflatten(treedef, [concrete(x, positive) for x in leaves]))
    return out


def _check_linear(fn: Callable[..., Any], params: Params, algebra: PyTree) -> None:
    dtype = moving_dtype(params)
    rng = np.random.default_rng(7)
    one, two = (
        jax.tree.map(lambda x: jnp.asarray(rng.standard_normal(x.shape), x.dtype), algebra)
        for _ in range(2)
    )
    zero = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), algebra)
    # A negative and a fractional multiple: homogeneity of degree one and additivity at once.
    mixed = jax.tree.map(lambda x, y: 0.7 * x - 1.9 * y, one, two)
    tolerance = 10 * math.sqrt(float(jnp.finfo(dtype).eps))
    seen = False
    for point in _points(params):
        try:
            at = [
                np.asarray(ravel(_evaluate(fn, point, c), dtype), np.float64)
                for c in (zero, one, two, mixed)
            ]
        except jax.errors.TracerArrayConversionError:
            return  # `fn` closes over traced values: there are no numbers to check
        offset, first, second, both = at
        if not all(np.isfinite(x).all() for x in at):
            continue
        seen = True
        scale = max((np.abs(x).max(initial=0.0) for x in (first, second, both)), default=0.0)
        if scale == 0.0:
            continue
        constant = np.abs(offset).max(initial=0.0) / scale
        if constant > tolerance:
            raise ValueError(
                f"`fn` is affine in the coefficients: at zero coefficients it is {constant:.3g} of "
                "its size at random ones, and must be 0. Take the constant part out."
            )
        bend = np.abs(both - 0.7 * first + 1.9 * second).max(initial=0.0) / scale
        if bend > tolerance:
            raise ValueError(
                f"`fn` is nonlinear in the coefficients: it departs from linearity by {bend:.3g} "
                "of its size. Write the field at the identity, linear in the coefficients."
            )
    if not seen:
        raise ValueError(
            "`fn` is not finite at any test point: call `tangent` once outside of jit at valid "
            "parameters, where its linearity can be checked."
        )
