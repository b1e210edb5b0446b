"""Cumulative sums of entrywise products: a parametrisation whose increments are rescaled."""

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, ArrayLike

from ...quotient import Domain
from ...symmetry import AbstractAction
from .._base import AbstractModel, box, check_array, positive_int
from .._describe import Description, Dimensions, LawStatement
from ._hadamard import HadamardProduct


def _in_increments(reason: str) -> str:
    """What a law of the product says of `w`, said of its increments."""
    reason = reason.replace("w_i", "d_t").replace("_i", "_t").replace("sign of w", "sign of d_t")
    return reason.replace("w =", "d_t =")


class CumulativeHadamard(AbstractModel):
    """Cumulative sum of a Hadamard product, `w_t = sum_(t' <= t) (u_1 * ... * u_N)_t'`.

    **Arguments:** `size` (`n`, the length of the signal), `depth` (`N >= 2`).

    Parameters: the tuple `(u_1, ..., u_N)` of arrays of shape `(n,)`; predictor: the signal `w` of
    shape `(n,)`. Group, slice and `S` are those of `HadamardProduct` in the **increments**
    `d_t = w_t - w_(t-1)`, `d_1 = w_1`, the natural coordinates of the bias; the cumulative sum `C`
    has determinant 1, so that

    ```
    K = C diag(N |d_t|^(2 - 2/N)) C^T     log det S = log det K = sum_t log(N |d_t|^(2 - 2/N))
    ```

    and every law is that of the product in the increments: horizontal noise has
    `prod_t |d_t|^-(1 - 1/N) e^(-l/T) dw`, a preference for few jumps as of a total-variation
    penalty, but for the first entry too. For a free level leave the first entry to a parameter of
    its own.

    **Raises:** `ValueError` naming `size` or `depth`.

    Source: derived for this project; the parametrisation is that of 2601.06597.

    !!! example

        ```python
        import jax.numpy as jnp
        from gaugebias.catalogue import CumulativeHadamard

        model = CumulativeHadamard(3)
        w = model.invariants(model.lift(jnp.array([1.0, 3.0, 2.0])))
        model.increments(w)                                    # 1, 2, -1
        ```
    """

    size: int = eqx.field(static=True)
    depth: int = eqx.field(static=True, default=2)

    def __check_init__(self):
        positive_int(self.size, "size")
        positive_int(self.depth, "depth", least=2)

    @property
    def _product(self) -> HadamardProduct:
        return HadamardProduct((self.size,), self.depth)

    @property
    def action(self) -> AbstractAction:
        return self._product.action

    @property
    def dimensions(self) -> Dimensions:
        return self._product.dimensions

    @property
    def domain(self) -> Domain:
        """The whole space: the strata `d_t = 0` are not aligned with the axes of `w`."""
        return box(self.size, cut=self.size == 1)

    @property
    def laws(self) -> tuple[LawStatement, ...]:
        return tuple(
            law._replace(
                density=law.density.replace("w_i", "d_t").replace("_i", "_t"),
                reason=_in_increments(law.reason),
            )
            for law in self._product.laws
        )

    @property
    def description(self) -> Description:
        inner = self._product.description
        factors = inner.formula.removeprefix("w = ")
        gram = inner.gram.replace("w_i", "d_t").replace("_i", "_t")
        return inner._replace(formula=f"w = cumsum({factors})", orbit_gram=gram, gram=gram)

    def increments(self, w: ArrayLike) -> Array:
        """`d_t = w_t - w_(t-1)` with `w_0 = 0`, shape `(size,)`."""
        w = check_array(w, (self.size,), "w")
        return jnp.diff(w, prepend=jnp.zeros(1, w.dtype))

    def invariants(self, params) -> Array:
        """The signal, shape `(size,)`."""
        return jnp.cumsum(self._product.invariants(params))

    def lift(self, w: ArrayLike) -> tuple[Array, ...]:
        """Factors of equal size over the increments of `w`, as in `HadamardProduct`."""
        return self._product.lift(self.increments(w))

    def init(self, key: Array, balanced: bool = True) -> tuple[Array, ...]:
        """Normal factors; if `balanced`, the lift of a random walk with normal increments."""
        if balanced:
            return self.lift(jnp.cumsum(jr.normal(key, (self.size,))))
        return self._product.init(key, balanced=False)

    def apply_gram(self, w: ArrayLike, z: ArrayLike) -> Array:
        """`C diag(N |d|^(2 - 2/N)) C^T z`."""
        z = check_array(z, (self.size,), "z")
        back = jnp.cumsum(z[::-1])[::-1]
        return jnp.cumsum(self._product.apply_gram(self.increments(w), back))

    def log_det_gram(self, w: ArrayLike) -> Array:
        """`sum_t log(N |d_t|^(2 - 2/N))`."""
        return self._product.log_det_gram(self.increments(w))

    def log_det_orbit_gram(self, w: ArrayLike) -> Array:
        """The same, in adjacent pairs."""
        return self._product.log_det_orbit_gram(self.increments(w))

    def log_conditioned_volume(self, w: ArrayLike) -> Array:
        """`-1/2 log det S`."""
        return self._product.log_conditioned_volume(self.increments(w))
