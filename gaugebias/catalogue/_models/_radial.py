"""Rotations of a vector, `w = |x|`."""

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, ArrayLike

from ...quotient import Domain
from ...symmetry import AbstractAction, Orthogonal
from .._base import AbstractModel, box, check_array, positive_int
from .._describe import Description, Dimensions, LawStatement
from .._statements import isometric_laws
from ._pairs import pair_count


def _whole(params):
    return params


class Radial(AbstractModel):
    """The radius `w = |x|` of a vector of `R^d` under `SO(d)`.

    **Arguments:** `dimension` (`d >= 2`).

    Parameters: one array `x` of shape `(d,)`; predictor: a scalar `w >= 0`. Generators
    `A_ij = c, A_ji = -c` for `i < j`. Orbits are spheres with stabiliser `SO(d-1)`, so the
    `d(d-1)/2` generators have rank `d - 1` and

    ```
    log pdet S = 2 (d - 1) log w     log V = (d - 1) log w     K = 1
    ```

    The action is isometric: the laws are `w^((d-1) s) e^(-l/T) dw` for every exponent `s`.

    **Raises:** `ValueError` naming `dimension` when it is no integer of at least 2.

    Source: 2602.12257, Example 1.

    !!! example

        ```python
        import jax.numpy as jnp
        from gaugebias.catalogue import Radial

        Radial(3).log_density(jnp.array(2.0), exponent=1.0)    # 2 log 2
        ```
    """

    dimension: int = eqx.field(static=True)

    def __check_init__(self):
        positive_int(self.dimension, "dimension", least=2)

    @property
    def action(self) -> AbstractAction:
        return Orthogonal(_whole, axis=0)

    @property
    def dimensions(self) -> Dimensions:
        d = self.dimension
        return Dimensions(
            parameters=d,
            algebra=pair_count(d),
            orbit=d - 1,
            stabiliser=pair_count(d - 1),
            symmetric=0,
            predictor=1,
            quotient=1,
        )

    @property
    def domain(self) -> Domain:
        return box(1, lower=0.0)

    @property
    def laws(self) -> tuple[LawStatement, ...]:
        power = self.dimension - 1
        return isometric_laws("1", f"w^{power}", f"w^({power} beta^2/alpha^2)")

    @property
    def description(self) -> Description:
        d = self.dimension
        return Description(
            formula=f"w = |x|, x in R^{d}",
            group=f"SO({d})",
            generators="x -> A x, A^T = -A",
            moment_map="0 (no symmetric generator)",
            slice="everywhere",
            orbit_gram=f"{2 * (d - 1)} log w",
            gram="0",
        )

    def invariants(self, params) -> Array:
        """`|x|`, a scalar."""
        x = check_array(params, (self.dimension,), "params")
        return jnp.sqrt(jnp.sum(jnp.square(x)))

    def lift(self, w: ArrayLike) -> Array:
        """`w` times the first unit vector."""
        w = check_array(w, (), "w")
        return jnp.concatenate([w[None], jnp.zeros(self.dimension - 1, w.dtype)])

    def init(self, key: Array, balanced: bool = True) -> Array:
        """A standard normal vector; every point is on the slice of a compact group."""
        return jr.normal(key, (self.dimension,))

    def apply_gram(self, w: ArrayLike, z: ArrayLike) -> Array:
        """`z`: the predictor Gram is 1."""
        check_array(w, (), "w")
        return check_array(z, (), "z")

    def log_det_gram(self, w: ArrayLike) -> Array:
        """0."""
        return jnp.zeros_like(check_array(w, (), "w"))

    def log_det_orbit_gram(self, w: ArrayLike) -> Array:
        """The log pseudo-determinant `2 (d - 1) log w`."""
        return 2.0 * (self.dimension - 1) * jnp.log(check_array(w, (), "w"))

    def log_conditioned_volume(self, w: ArrayLike) -> Array:
        """`log V`: there is no symmetric generator to condition on."""
        return self.log_orbit_volume(w)
