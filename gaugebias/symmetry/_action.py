"""The interface of a group action, and what follows from it alone."""

import abc
import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._types import Array, Params, PyTree
from ._leaves import is_moving, moving_dtype, moving_part


class AbstractAction(eqx.Module):
    r"""A connected Lie group acting on the parameters, given by its generators.

    For a coefficient pytree \(c\), the generator is the vector field
    \(X_c(\theta) = \frac{d}{dt} \exp(tc).\theta\) at \(t = 0\), linear in \(c\). All methods are
    for one parameter point (`jax.vmap` them for many), and can be jitted, vmapped and
    differentiated. Integer, static and missing leaves are never touched. A *tangent* has the
    structure of `equinox.filter(params, equinox.is_inexact_array)`: `None` where a leaf does not
    move.

    A subclass gives `algebra`, `tangent` and `flow`. `cotangent` follows, and is not overridden;
    it needs a `tangent` that JAX can transpose, so one written with linear operations on `coeffs`.
    """

    @abc.abstractmethod
    def algebra(self, params: Params) -> PyTree:
        """Shapes and dtypes of the coefficients, a pytree of `jax.ShapeDtypeStruct`.

        A function of `params` because hidden widths are read off the leaves.
        """

    @abc.abstractmethod
    def tangent(self, params: Params, coeffs: PyTree) -> PyTree:
        """The generator with coefficients `coeffs` at `params`: a tangent, linear in `coeffs`."""

    @abc.abstractmethod
    def flow(self, params: Params, coeffs: PyTree) -> Params:
        """The group element `exp(coeffs)` applied to `params`."""

    def cotangent(self, params: Params, v: PyTree) -> PyTree:
        r"""The exact transpose \(J^\top v\) of `tangent`, by linear transposition.

        **Arguments:** `params`, and `v`, a tangent (a pytree shaped as `params` will do: what does
        not move is dropped).

        **Returns:** coefficients \(c_a = \langle X_a(\theta), v \rangle\), shaped as `algebra`.

        **Raises:** `ValueError` where `v` does not have the structure of a tangent.
        """
        v = as_tangent(params, v, "v")

        def field(coeffs: PyTree) -> PyTree:
            return self.tangent(params, coeffs)

        (out,) = jax.linear_transpose(field, self.algebra(params))(v)
        return out


def as_tangent(params: Params, v: PyTree, name: str) -> PyTree:
    """`v` as a tangent at `params`: shapes checked, dtypes cast, a missing leaf made zero."""

    def is_none(x: Any) -> bool:
        return x is None

    leaves, treedef = jax.tree.flatten(moving_part(params), is_leaf=is_none)
    given, given_def = jax.tree.flatten(v, is_leaf=is_none)
    if len(given) != len(leaves) or not _same_structure(treedef, given_def):
        raise ValueError(
            f"`{name}` must have the structure of the floating part of the parameters, "
            f"{_brief(treedef)}, not {_brief(given_def)}."
        )
    out: list[Any] = []
    for leaf, value in zip(leaves, given, strict=True):
        if leaf is None:
            out.append(None)
        elif value is None:
            out.append(jnp.zeros_like(leaf))
        elif np.shape(value) != np.shape(leaf):
            raise ValueError(
                f"`{name}` has a leaf of shape {np.shape(value)} where the parameters have shape "
                f"{np.shape(leaf)}."
            )
        else:
            out.append(jnp.asarray(value).astype(leaf.dtype))
    return jax.tree.unflatten(treedef, out)


def _brief(treedef: Any) -> str:
    text = str(treedef)
    return text if len(text) <= 300 else text[:300] + " ..."


def _same_structure(one: Any, other: Any) -> bool:
    try:
        return bool(one == other)
    except ValueError:  # static fields that are arrays do not compare
        return str(one) == str(other)


def as_coefficients(coeffs: PyTree, algebra: PyTree) -> PyTree:
    """`coeffs` as arrays of the shapes and dtypes in `algebra`.

    **Raises:** `ValueError` naming `coeffs` where structure or shape differ: nothing broadcasts.
    """
    expected, treedef = jax.tree.flatten(algebra)
    given, given_def = jax.tree.flatten(coeffs)
    if given_def != treedef:
        raise ValueError(
            f"`coeffs` must have the structure {_brief(treedef)}, not {_brief(given_def)}: "
            "see `algebra`."
        )
    out = []
    for leaf, value in zip(expected, given, strict=True):
        if np.shape(value) != leaf.shape:
            raise ValueError(
                f"`coeffs` must have shape {leaf.shape}, not {np.shape(value)}: see `algebra`."
            )
        out.append(jnp.asarray(value).astype(leaf.dtype))
    return jax.tree.unflatten(treedef, out)


def algebra_dimension(action: AbstractAction, params: Params) -> int:
    """The number k of generators of `action` at `params`.

    !!! Example

        ```python
        act = GeneralLinear(lambda p: p[0], lambda p: p[1])
        algebra_dimension(act, (jnp.ones((5, 3)), jnp.ones((4, 3))))  # 9
        ```
    """
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(action.algebra(params)))


def unravel_coefficients(algebra: PyTree, vector: Array) -> PyTree:
    """The coefficients whose entries, leaf after leaf, are those of `vector`, shape (k,)."""
    leaves, treedef = jax.tree.flatten(algebra)
    out, start = [], 0
    for leaf in leaves:
        size = math.prod(leaf.shape)
        out.append(jnp.reshape(vector[start : start + size], leaf.shape).astype(leaf.dtype))
        start += size
    return jax.tree.unflatten(treedef, out)


def ravel(tree: PyTree, dtype: Any) -> Array:
    """The floating leaves of `tree`, one after the other, as one vector."""
    leaves = [
        jnp.ravel(jnp.asarray(x)).astype(dtype) for x in jax.tree.leaves(tree) if is_moving(x)
    ]
    return jnp.concatenate(leaves) if leaves else jnp.zeros((0,), dtype)


def orbit_jacobian(action: AbstractAction, params: Params) -> Array:
    r"""The dense matrix \(J = [X_1 \dots X_k]\) of generators at `params`, shape (D, k).

    Rows follow the floating leaves of `params` in `jax.tree.leaves` order, each raveled; columns
    follow the raveled coefficients (see `generator_name`). \(J^\top J\) is the orbit Gram matrix.
    Dense: for checks and for small groups.
    """
    algebra = action.algebra(params)
    dtype = moving_dtype(params)
    k = algebra_dimension(action, params)

    def column(vector: Array) -> Array:
        return ravel(action.tangent(params, unravel_coefficients(algebra, vector)), dtype)

    return jax.vmap(column, out_axes=-1)(jnp.eye(k, dtype=dtype))


def generator_name(action: AbstractAction, params: Params, index: int) -> str:
    """What generator number `index` is called in messages, for example ``"coeffs[1][0, 2]"``.

    The path is that of the coefficient in the pytree `action.algebra(params)`.

    **Raises:** `ValueError` where `index` is not in `range(algebra_dimension(action, params))`.
    """
    rest = index
    for path, leaf in jax.tree_util.tree_flatten_with_path(action.algebra(params))[0]:
        size = math.prod(leaf.shape)
        if 0 <= rest < size:
            entry = ", ".join(str(int(i)) for i in np.unravel_index(rest, leaf.shape))
            return "coeffs" + jax.tree_util.keystr(path) + (f"[{entry}]" if leaf.shape else "")
        rest -= size
    raise ValueError(
        f"`index` must be from 0 to {algebra_dimension(action, params) - 1}, not {index}."
    )
