"""Products of entrywise factors, `w = u_1 * ... * u_N`."""

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, ArrayLike

from ...quotient import Domain
from ...symmetry import AbstractAction, Product, Rescaling
from .._base import AbstractModel, as_float, box, check_array, check_tuple, positive_int
from .._describe import Description, Dimensions, LawStatement, fraction
from .._statements import moment_map_laws


class HadamardProduct(AbstractModel):
    """Depth-`N` Hadamard product `w = u_1 * ... * u_N`, entry by entry.

    **Arguments:**

    - `shape`: shape of each factor, `()` or `(n,)`.
    - `depth`: the number `N >= 2` of factors.

    Parameters: the tuple `(u_1, ..., u_N)` of arrays of that shape. Group `R_+^(n (N-1))`, in the
    basis of adjacent pairs `u_p -> c u_p, u_(p+1) -> u_(p+1)/c`. Slice: `|u_1| = ... = |u_N|`, on
    which, entry by entry,

    ```
    det S = K = N |w|^(2 - 2/N)
    ```

    All generators are symmetric. Horizontal noise has the law `|w|^-(1 - 1/N) e^(-l/T)`; on a
    leaf `chi = (u^2 - v^2)/2` of `w = uv` the factor is `(w^2 + chi^2)^(-1/4)`
    (`log_density_on_leaf`).

    **Raises:** `ValueError` naming `shape` or `depth` when they are not of this form.

    Source: derived for this project, the depth-two Gram also in 2601.06597.

    !!! example

        ```python
        import jax.numpy as jnp
        from gaugebias.catalogue import HadamardProduct

        model = HadamardProduct((), 2)
        u, v = model.lift(jnp.array(-4.0))                     # 2, -2
        model.log_det_gram(jnp.array(-4.0))                    # log 8
        loss = model.loss(lambda w: 0.5 * (w - 1.0) ** 2)
        loss((u, v))                                           # 12.5
        ```
    """

    shape: tuple[int, ...] = eqx.field(static=True)
    depth: int = eqx.field(static=True, default=2)

    def __check_init__(self):
        if not isinstance(self.shape, tuple) or len(self.shape) > 1:
            raise ValueError(f"`shape` must be () or (n,), but is {self.shape!r}.")
        for n in self.shape:
            positive_int(n, "shape")
        positive_int(self.depth, "depth", least=2)

    @property
    def _size(self) -> int:
        return self.shape[0] if self.shape else 1

    @property
    def action(self) -> AbstractAction:
        axes = (0, 0) if self.shape else (None, None)
        pairs = [Rescaling(str(p), str(p + 1), axes=axes) for p in range(self.depth - 1)]
        return pairs[0] if len(pairs) == 1 else Product(*pairs)

    @property
    def dimensions(self) -> Dimensions:
        n, k = self._size, self._size * (self.depth - 1)
        return Dimensions(
            parameters=n * self.depth,
            algebra=k,
            orbit=k,
            stabiliser=0,
            symmetric=k,
            predictor=n,
            quotient=n,
        )

    @property
    def domain(self) -> Domain:
        return box(self._size, cut=True)

    @property
    def laws(self) -> tuple[LawStatement, ...]:
        n = self.depth
        sides = (
            "An exactly balanced start keeps the sign of w: compare per sign."
            if n % 2 == 0
            else "An exactly balanced start crosses w = 0: compare on the whole line."
        )
        return moment_map_laws(
            f"prod_i |w_i|^-(1 - 1/{n})",
            f"prod_i |w_i|^-(2 - 2/{n})",
            ito=None,
            what="Orbits are",
            normalisable=False,
            at="w_i = 0",
            start=sides,
            closed=" With a ridge gamma: prod_i K_0(gamma |w_i| / T)." if n == 2 else "",
        )

    @property
    def description(self) -> Description:
        n = self.depth
        power = "" if n == 2 else f"^{fraction(2 - 2 / n)}"
        gram = f"sum log({n} |w_i|{power})"
        return Description(
            formula="w = " + " * ".join(f"u_{p + 1}" for p in range(n)),
            group=f"R_+^{self._size * (n - 1)}",
            generators="(u_p, u_(p+1)) -> (c * u_p, -c * u_(p+1))",
            moment_map="(u_p^2 - u_(p+1)^2)/2",
            slice=" = ".join(f"|u_{p + 1}|" for p in range(n)),
            orbit_gram=gram,
            gram=gram,
        )

    def invariants(self, params) -> Array:
        """`u_1 * ... * u_N`, of shape `shape`."""
        factors = check_tuple(params, (self.shape,) * self.depth)
        w = factors[0]
        for u in factors[1:]:
            w = w * u
        return w

    def lift(self, w: ArrayLike) -> tuple[Array, ...]:
        """Factors of equal size `|w|^(1/N)`.

        For odd `N` each is the real root of `w`; for even `N` the last one carries the sign.
        """
        w = check_array(w, self.shape, "w")
        size = jnp.abs(w) ** (1.0 / self.depth)
        signed = jnp.sign(w) * size
        if self.depth % 2:
            return (signed,) * self.depth
        return (size,) * (self.depth - 1) + (signed,)

    def init(self, key: Array, balanced: bool = True) -> tuple[Array, ...]:
        """Normal factors; if `balanced`, the lift of a standard normal `w`."""
        if balanced:
            return self.lift(jr.normal(key, self.shape))
        return tuple(jr.normal(k, self.shape) for k in jr.split(key, self.depth))

    def apply_gram(self, w: ArrayLike, z: ArrayLike) -> Array:
        """`N |w|^(2 - 2/N) z`, entry by entry."""
        w, z = check_array(w, self.shape, "w"), check_array(z, self.shape, "z")
        return self.depth * jnp.abs(w) ** (2.0 - 2.0 / self.depth) * z

    def log_det_gram(self, w: ArrayLike) -> Array:
        """`sum_i log(N |w_i|^(2 - 2/N))`."""
        w = check_array(w, self.shape, "w")
        n = self.depth
        return jnp.sum(jnp.log(float(n)) + (2.0 - 2.0 / n) * jnp.log(jnp.abs(w)))

    def log_det_orbit_gram(self, w: ArrayLike) -> Array:
        """`sum_i log(N |w_i|^(2 - 2/N))`: the same as `log_det_gram`, in adjacent pairs."""
        return self.log_det_gram(w)

    def log_det_symmetric(self, w: ArrayLike) -> Array:
        """All of `log det S`: every generator is symmetric."""
        return self.log_det_orbit_gram(w)

    def log_conditioned_volume(self, w: ArrayLike) -> Array:
        """`-1/2 log det S`."""
        return -0.5 * self.log_det_orbit_gram(w)

    def log_det_gram_on_leaf(self, w: ArrayLike, chi: ArrayLike) -> Array:
        """`log det K` off the slice, on the leaf `chi = (u^2 - v^2)/2` of a depth-two product.

        `sum_i log(2 sqrt(w_i^2 + chi_i^2))`; `chi` has the shape of `w`. Horizontal noise of the
        Stratonovich kind stays on its leaf, with the law `(w^2 + chi^2)^(-1/4) e^(-l/T)`.

        **Raises:** `ValueError` for other depths.
        """
        if self.depth != 2:
            raise ValueError("`depth` must be 2 for a leaf chi = (u^2 - v^2)/2.")
        w, chi = check_array(w, self.shape, "w"), check_array(chi, self.shape, "chi")
        return jnp.sum(jnp.log(2.0 * jnp.hypot(w, chi)))

    def log_density_on_leaf(self, w: ArrayLike, chi: ArrayLike) -> Array:
        """`-1/2 log det K` on the leaf: the `s = 0` log density without `-l(w)/T`."""
        return -0.5 * self.log_det_gram_on_leaf(as_float(w), as_float(chi))
