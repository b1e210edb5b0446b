"""Do the start, the process and the observable belong together?"""

from collections.abc import Callable

import equinox as eqx
import jax
from jaxtyping import PyTree

from ._sde import AbstractSDE


def check_fits(sde: AbstractSDE, observe: Callable, params: PyTree) -> None:
    """`ValueError` where the process or the observable cannot read `params`, or sees nothing."""
    point, still = eqx.partition(params, eqx.is_inexact_array)

    def shapes(fn: Callable, what: str) -> PyTree:
        try:
            return jax.eval_shape(
                lambda p: eqx.filter(fn(eqx.combine(p, still)), eqx.is_array), point
            )
        except (KeyError, AttributeError, IndexError) as error:
            raise ValueError(
                f"`init` lacks what {what} reads ({type(error).__name__}: {error}): give "
                "parameters of the structure that it was written for."
            ) from error

    shapes(sde.drift, "the process")
    if not jax.tree.leaves(shapes(observe, "`observe`")):
        raise ValueError("`observe` returns no array: let it return what is to be recorded.")
