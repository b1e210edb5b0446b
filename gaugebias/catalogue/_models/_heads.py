"""Independent copies of one chain of two factors, as the heads of an attention layer are."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike

from ...quotient import Domain
from .._base import box, check_array
from .._describe import Description, Dimensions, LawStatement
from ._chain import Chain


def check_head(head: int, bound: int) -> None:
    """Raise `ValueError` where a head is wider than what it connects."""
    if head > bound:
        raise ValueError(
            f"`head` must be at most {bound}, the least width it connects, but is {head}: orbits "
            "of wider heads need not be closed (see `DeepLinear`)."
        )


def copies(dimensions: Dimensions, count: int) -> Dimensions:
    """The dimensions of `count` independent copies."""
    return Dimensions(*(count * each for each in dimensions))


def over_copies(laws: tuple[LawStatement, ...], index: str) -> tuple[LawStatement, ...]:
    """The laws of one chain, for independent copies of it."""
    return tuple(
        law._replace(density=f"prod_{index} {law.density}") if law.density not in ("", "1") else law
        for law in laws
    )


def with_index(laws: tuple[LawStatement, ...], index: str) -> tuple[LawStatement, ...]:
    """The laws of one singular value `s`, for independent copies of it."""
    return tuple(
        law._replace(
            density=law.density.replace(" s", f" s_{index}"),
            reason=law.reason.replace("s_1 =", f"s_{index} ="),
        )
        for law in over_copies(laws, index)
    )


class Heads:
    """Independent heads, each a chain of two factors; predictors have shape `(heads, n, m)`."""

    def __init__(self, heads: int, chain: Chain):
        self.heads, self.chain = heads, chain
        self.shape = (heads, chain.widths[-1], chain.widths[0])

    @property
    def dimensions(self) -> Dimensions:
        """Those of all heads together."""
        return copies(self.chain.dimensions, self.heads)

    @property
    def domain(self) -> Domain:
        """All of the space of predictors, cut at 0 where each is a number."""
        return box(math.prod(self.shape), cut=self.shape[1:] == (1, 1))

    @property
    def laws(self) -> tuple[LawStatement, ...]:
        """The laws of one head, or of several."""
        laws = self.chain.laws("GL(r) is")
        if self.heads == 1:
            return laws
        return with_index(laws, "h") if self.chain.rank == 1 else over_copies(laws, "h")

    def spectrum(self, w: ArrayLike) -> Array:
        """The singular values of each head, shape `(heads, r)`."""
        s = jnp.linalg.svd(check_array(w, self.shape, "w"), compute_uv=False)
        return s[:, : self.chain.rank]

    def total(self, fn: Callable, w: ArrayLike) -> Array:
        """The sum over heads of a function of their singular values."""
        return jnp.sum(jax.vmap(fn)(self.spectrum(w)))

    def balanced(self, w: ArrayLike) -> tuple[Array, Array]:
        """Balanced factors `(heads, n, r)` and `(heads, r, m)`."""
        inner, outer = jax.vmap(self.chain.balanced)(check_array(w, self.shape, "w"))
        return outer, inner

    def apply_gram(self, w: ArrayLike, z: ArrayLike) -> Array:
        """`K z`, head by head."""
        outer, inner = self.balanced(w)
        z = check_array(z, self.shape, "z")
        return jax.vmap(lambda a, b, c: self.chain.apply_gram((a, b), c))(inner, outer, z)

    def log_spectral(self, spectrum: ArrayLike, exponent: ArrayLike) -> Array:
        """The sum over heads of the log densities of their ordered singular values."""
        s = check_array(spectrum, (self.heads, self.chain.rank), "spectrum")
        return jnp.sum(jax.vmap(lambda x: self.chain.log_spectral(x, exponent))(s))

    def describe(self, formula: str, generators: str, moment_map: str) -> Description:
        """The description of a model of such heads; `moment_map` is twice the function."""
        orbit, gram = self.chain.formulas()
        one = self.heads == 1

        def over_heads(text: str) -> str:
            if one:
                return text
            if self.chain.rank == 1:
                return text.replace("log(2 s)", "sum log(2 s_h)").replace("log s", "sum log s_h")
            return text.replace("s_i", "s_hi").replace("s_j", "s_hj")

        return Description(
            formula=formula if one else f"{formula}, {self.heads} heads",
            group=f"GL({self.chain.rank})" + ("" if one else f"^{self.heads}"),
            generators=generators,
            moment_map=f"({moment_map})/2",
            slice=moment_map.replace(" - ", " = "),
            orbit_gram=over_heads(orbit),
            gram=over_heads(gram),
        )
