"""Where an observable must stay: a domain or a predicate, as a function of one chain's."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from ...quotient import Domain


class _InDomain(eqx.Module):
    domain: Domain

    def __call__(self, seen: PyTree) -> Array:
        x = jnp.ravel(jax.tree.leaves(seen)[0])
        lower = jnp.asarray(np.asarray(self.domain.lower), x.dtype)
        upper = jnp.asarray(np.asarray(self.domain.upper), x.dtype)
        inside = jnp.all((x >= lower) & (x <= upper))
        if self.domain.ordered:
            inside = inside & jnp.all(x[:-1] >= x[1:])
        return inside


def as_inside(domain: Any) -> Callable | None:
    """`domain` as a function of an observable; `ValueError` if it is neither kind."""
    if domain is None or isinstance(domain, Domain):
        return None if domain is None else _InDomain(domain)
    if callable(domain):
        return domain
    raise ValueError(
        "`domain` must be a `gaugebias.quotient.Domain` or a function, observable -> bool, but is "
        f"{domain!r}."
    )


def check_inside(inside: Callable, seen: PyTree) -> None:
    """`ValueError` unless the function fits an observable; `seen`: shapes, chains first."""
    one = jax.tree.map(lambda s: jax.ShapeDtypeStruct(s.shape[1:], s.dtype), seen)
    if isinstance(inside, _InDomain):
        sizes = [s.size for s in jax.tree.leaves(one)]
        if sizes != [inside.domain.dimension]:
            raise ValueError(
                f"`domain` has {inside.domain.dimension} coordinates, but `observe` returns arrays "
                f"of sizes {sizes}: observe what lives there, or give a function of the observable."
            )
    out = jax.eval_shape(inside, one)
    if not (getattr(out, "shape", None) == () and out.dtype == bool):
        raise ValueError(
            f"`domain` must return one boolean for the observable of one chain, not {out}: combine "
            "conditions with `jnp.all`."
        )
