"""Several actions at once."""

from collections.abc import Callable
from typing import final

import jax
import jax.numpy as jnp

from .._types import Array, Key, Params, PyTree
from ._action import AbstractAction, as_tangent
from ._leaves import moving_part, with_moving


@final
class Product(AbstractAction):
    r"""Several actions at once: coefficients are a tuple, tangents add up.

    **Arguments:** the actions, as positional arguments. They may share leaves, as neighbouring
    layers of a deep linear network do.

    **Coefficients:** a tuple, one entry for each action.

    `flow` applies the factors in turn, the first first. This is the exponential of the sum where
    the factors commute, which is what a product of groups means; `commutator_residual` measures
    it. Factors that do not commute (two generators of SO(3), say) belong in one action.

    **Raises:** `ValueError` where an argument is not an action.

    !!! Example

        ```python
        # W3 W2 W1 with GL(d) at each of the two inner places
        act = Product(
            GeneralLinear("2", "1", axes=(1, 0)),
            GeneralLinear("1", "0", axes=(1, 0)),
        )
        ```
    """

    actions: tuple[AbstractAction, ...]

    def __init__(self, *actions: AbstractAction):
        if not actions:
            raise ValueError("`actions` is empty: give at least one action.")
        for action in actions:
            if not isinstance(action, AbstractAction):
                raise ValueError(
                    f"`actions` must be actions, as positional arguments, not {action!r}."
                )
        self.actions = actions

    def algebra(self, params: Params) -> PyTree:
        """The tuple of the factors' algebras."""
        return tuple(action.algebra(params) for action in self.actions)

    def _each(self, coeffs: PyTree) -> tuple[PyTree, ...]:
        if not isinstance(coeffs, tuple | list) or len(coeffs) != len(self.actions):
            raise ValueError(
                f"`coeffs` must be a tuple with one entry for each of the {len(self.actions)} "
                f"actions, not {coeffs!r}."
            )
        return tuple(coeffs)

    def tangent(self, params: Params, coeffs: PyTree) -> PyTree:
        """The sum of the factors' tangents."""
        parts = [
            action.tangent(params, c)
            for action, c in zip(self.actions, self._each(coeffs), strict=True)
        ]
        return jax.tree.map(lambda *leaves: sum(leaves[1:], leaves[0]), *parts)

    def flow(self, params: Params, coeffs: PyTree) -> Params:
        """The factors' flows in turn, the first first."""
        for action, c in zip(self.actions, self._each(coeffs), strict=True):
            params = action.flow(params, c)
        return params


def commutator_residual(a: AbstractAction, b: AbstractAction, params: Params, key: Key) -> Array:
    r"""How far two actions are from commuting at `params`: zero to rounding where they do.

    For random coefficients, the norm of the bracket \(DX_b[X_a] - DX_a[X_b]\) of the two vector
    fields over the sum of the norms of its two terms: a number from 0 to 1, shape ().

    **Arguments:** two actions, a parameter point and a jax random key.
    """
    key_a, key_b = jax.random.split(key)
    field_a = _random_field(a, params, key_a)
    field_b = _random_field(b, params, key_b)
    base = moving_part(params)
    along_a, along_b = field_a(base), field_b(base)
    one = jax.jvp(field_b, (base,), (along_a,))[1]
    two = jax.jvp(field_a, (base,), (along_b,))[1]
    scale = _norm(one) + _norm(two)
    tiny = jnp.finfo(scale.dtype).tiny
    return _norm(jax.tree.map(jnp.subtract, one, two)) / jnp.maximum(scale, tiny)


def _random_field(action: AbstractAction, params: Params, key: Key) -> Callable[[PyTree], PyTree]:
    leaves, treedef = jax.tree.flatten(action.algebra(params))
    keys = jax.random.split(key, max(len(leaves), 1))
    coeffs = jax.tree.unflatten(
        treedef,
        [jax.random.normal(k, x.shape, x.dtype) for k, x in zip(keys, leaves, strict=False)],
    )

    def field(moving: PyTree) -> PyTree:
        tangent = action.tangent(with_moving(params, moving), coeffs)
        return as_tangent(params, tangent, "tangent")

    return field


def _norm(tree: PyTree) -> Array:
    squares = [jnp.sum(jnp.square(x)) for x in jax.tree.leaves(tree)]
    return jnp.sqrt(sum(squares[1:], squares[0])) if squares else jnp.zeros(())
