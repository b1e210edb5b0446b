"""The orbit Gram `S = J^T J` in the form its action allows, and what is read off it."""

from functools import singledispatch

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from ...symmetry import (
    AbstractAction,
    GeneralLinear,
    Product,
    Rescaling,
    Scale,
    Translation,
    algebra_dimension,
)
from ._gram_base import AbstractOrbitGram, DenseGram
from ._gram_blocks import BlockDiagonalGram
from ._gram_chain import BlockTridiagonalGram
from ._gram_diagonal import DiagonalGram, EntrywiseGram, entrywise_shape
from ._gram_kronecker import KroneckerSumGram
from ._gram_lanczos import LANCZOS_ABOVE, StochasticLanczosGram
from ._sharing import chain, components, sharing


@singledispatch
def orbit_gram(action: AbstractAction, params: PyTree) -> AbstractOrbitGram:
    """The orbit Gram `S = J^T J` at `params`, as an operator on coefficients.

    **Arguments:**

    - `action`: who acts.
    - `params`: one point (a pytree of arrays); `vmap` for batches.

    **Returns:** an `AbstractOrbitGram` with `log_det`, `solve`, `sqrt`, `rank`, `vertical`,
    `mv`, `as_matrix` and `as_operator`. Its `structure` names the form:

    | action | form |
    |---|---|
    | `Rescaling`, `Scale`, `Translation` | diagonal |
    | `GeneralLinear` | Kronecker sum, `O(n r^2 + r^3)` |
    | `Product`, factors on leaves of their own | block diagonal |
    | `Product`, each factor sharing leaves with the next (deep linear) | block tridiagonal |
    | anything else | dense; above 1,000 generators with an estimate of `log_det` too |

    !!! note

        `det S` depends on the basis of the algebra. Where `S` is singular the pseudo-determinant
        is constant on orbits only if the basis is orthonormal, up to one factor, for an
        Ad-invariant inner product; the rotation groups of `gaugebias.symmetry` are.
    """
    if not isinstance(action, AbstractAction):
        raise ValueError(
            "`action` must be an action of `gaugebias.symmetry`, not of type "
            f"{type(action).__name__}: the action comes first, then the parameters."
        )
    return _unstructured(action, params, f"no structure is known for {type(action).__name__}")


def _unstructured(action: AbstractAction, params: PyTree, reason: str) -> AbstractOrbitGram:
    dense = DenseGram(action, params, reason)
    if algebra_dimension(action, params) > LANCZOS_ABOVE:
        return StochasticLanczosGram(action, params, dense)
    return dense


@orbit_gram.register(GeneralLinear)
def _kronecker_gram(action: GeneralLinear, params: PyTree) -> AbstractOrbitGram:
    return KroneckerSumGram(action, params)


@orbit_gram.register(Product)
def _product_gram(action: Product, params: PyTree) -> AbstractOrbitGram:
    if entrywise_shape(action, params) is not None:
        return EntrywiseGram(action, params)
    moved = sharing(action, params)
    parts = components(moved)
    blocks = [_part(action, params, moved, part) for part in parts]
    if len(blocks) == 1 and len(action.actions) > 1:
        return blocks[0]
    return BlockDiagonalGram(action, params, tuple(blocks), parts)


def _part(
    action: Product, params: PyTree, moved: tuple[frozenset[int], ...], part: tuple[int, ...]
) -> AbstractOrbitGram:
    """The Gram of the factors `part`, which share leaves with one another only."""
    if len(part) == 1:
        return orbit_gram(action.actions[part[0]], params)
    factors = Product(*(action.actions[i] for i in part))
    if entrywise_shape(factors, params) is not None:
        return EntrywiseGram(factors, params)
    order = chain([moved[i] for i in part])
    if order is None:
        names = f"{', '.join(map(str, part[:-1]))} and {part[-1]}"
        return _unstructured(factors, params, f"factors {names} share leaves")
    return BlockTridiagonalGram(factors, params, order)


@orbit_gram.register(Rescaling)
@orbit_gram.register(Scale)
@orbit_gram.register(Translation)
def _diagonal_gram(action: AbstractAction, params: PyTree) -> AbstractOrbitGram:
    return DiagonalGram(action, params)


def log_orbit_volume(action: AbstractAction, params: PyTree) -> Array:
    """`log V_loc = 1/2 log pdet S`, the local volume of the orbit through `params`.

    A scalar, differentiable to any order at constant rank. For an isometric action it is constant
    on orbits and, up to a constant, the log of the orbit's volume; the mean curvature of the orbit
    is minus its gradient (2602.12257, Prop. 2). [`orbit_rank`][gaugebias.quotient.orbit_rank]
    says how many directions the pseudo-determinant counts.
    """
    return 0.5 * orbit_gram(action, params).log_det()


def orbit_rank(action: AbstractAction, params: PyTree) -> Array:
    """Dimension of the orbit through `params`: `k` minus the dimension of the stabiliser."""
    return orbit_gram(action, params).rank()


def vertical(action: AbstractAction, params: PyTree, v: PyTree) -> PyTree:
    """The part `Q v = J S^+ J^T v` of a tangent `v` along the orbit.

    `v` has the structure of the moving leaves of `params` (as a gradient has).
    """
    return orbit_gram(action, params).vertical(v)


def horizontal(action: AbstractAction, params: PyTree, v: PyTree) -> PyTree:
    """The part `P v = v - Q v` of a tangent `v` orthogonal to the orbit.

    `v` has the structure of the moving leaves of `params` (as a gradient has). Gradients of
    invariant functions are horizontal.

    !!! example

        ```python
        import jax.numpy as jnp
        import gaugebias as gb
        act = gb.symmetry.Rescaling(lambda p: p[0], lambda p: p[1], axes=(None, None))
        params = (jnp.array(2.0), jnp.array(2.0))
        gb.horizontal(act, params, (jnp.array(1.0), jnp.array(0.0)))   # (0.5, 0.5)
        ```
    """
    along = vertical(action, params, v)
    return jax.tree.map(jnp.subtract, v, along)
