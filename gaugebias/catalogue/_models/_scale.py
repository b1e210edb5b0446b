"""Scales that a normalisation removes: weights in front of it, and weight normalisation."""

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, ArrayLike

from ...quotient import Domain, FunctionGauge
from ...symmetry import AbstractAction, Scale
from .._base import AbstractModel, box, check_array, check_tuple, positive_int
from .._describe import Description, Dimensions, Failure, LawStatement
from .._statements import sphere_laws


def _whole(params):
    return params


def _sphere(params) -> Array:
    return 0.5 * (jnp.sum(jnp.square(params)) - 1.0)


def _direction_sphere(params) -> Array:
    return _sphere(params[0])


def _unit(x: Array) -> Array:
    return x / jnp.sqrt(jnp.sum(jnp.square(x)))


_NO_ZERO = Failure(
    "moment-map zero",
    "the moment map of a pure scaling, half of the squared norm, has no zero but the origin: the "
    "gauge is the unit sphere, and no law of the slice is built.",
)


class ScaleInvariant(AbstractModel):
    """Weights in front of a normalisation layer: `f(c w) = f(w)`, seen through `w/|w|`.

    **Arguments:** `dimension` (`D >= 2`, the number of weights normalised together).

    Parameters: one array `w` of shape `(D,)`; predictor: the unit vector `w/|w|`, shape `(D,)`, one
    coordinate of which is redundant. Group `R_+`, gauge: the unit sphere (the moment map
    `|w|^2/2` has no zero). There

    ```
    S = |w|^2 = 1     log pdet K = -2 (D - 1) log|w| = 0
    ```

    Under horizontal Ito noise the norm moves without noise, `d(|w|^2/2) = T (D - 1) dt`, and the
    direction diffuses at the temperature `T` in the time `int dt/|w|^2`: it tends to
    `e^(-l/T)` with respect to the surface of the sphere whatever the norm does, in logarithmic time
    without weight decay; with decay `lam` the norm settles at `|w|^2 = T (D - 1)/lam`
    (`norm_with_decay`). Stratonovich noise conserves the norm, and has the same law of the
    direction. Isotropic noise gives the same law of the direction and
    `E|w|^2 = T D/lam`. On the sphere there is no correction.

    **Raises:** `ValueError` naming `dimension`.

    Source: derived for this project.

    !!! example

        ```python
        import jax.numpy as jnp
        from gaugebias.catalogue import ScaleInvariant

        ScaleInvariant(2).invariants(jnp.array([3.0, 4.0]))    # 0.6, 0.8
        ```
    """

    dimension: int = eqx.field(static=True)

    def __check_init__(self):
        positive_int(self.dimension, "dimension", least=2)

    @property
    def action(self) -> AbstractAction:
        return Scale(_whole)

    @property
    def dimensions(self) -> Dimensions:
        d = self.dimension
        return Dimensions(
            parameters=d,
            algebra=1,
            orbit=1,
            stabiliser=0,
            symmetric=1,
            predictor=d,
            quotient=d - 1,
        )

    @property
    def domain(self) -> Domain:
        return box(self.dimension)

    @property
    def laws(self) -> tuple[LawStatement, ...]:
        d = self.dimension
        return sphere_laws(
            "1 (uniform on the sphere)",
            f"tr(P A) = D - 1 = {d - 1}: d(|w|^2/2) = T (D - 1) dt without noise, and there is no "
            "moment-map slice. What holds: w/|w| tends to e^(-l/T) on the unit sphere; with decay "
            "lam, |w|^2 -> T (D - 1)/lam.",
            "The norm |w| is conserved, and there is no moment-map slice. What holds: w/|w| tends "
            "to e^(-l/T) on the unit sphere.",
            "Every orbit is a ray, so that V is infinite, and a ridge confines the norm alone. "
            "What holds with a ridge lam: w/|w| has e^(-l/T) on the sphere, E|w|^2 = T D/lam.",
        )

    @property
    def description(self) -> Description:
        return Description(
            formula=f"w/|w|, w in R^{self.dimension}",
            group="R_+",
            generators="w -> c w",
            moment_map="|w|^2/2 (no zero)",
            slice="|w| = 1",
            orbit_gram="0",
            gram="0",
            caveats=(_NO_ZERO,),
            gauge=FunctionGauge(_sphere),
        )

    def invariants(self, params) -> Array:
        """`w/|w|`, shape `(dimension,)`."""
        return _unit(check_array(params, (self.dimension,), "params"))

    def lift(self, w: ArrayLike) -> Array:
        """The unit vector itself, normalised."""
        return _unit(check_array(w, (self.dimension,), "w"))

    def init(self, key: Array, balanced: bool = True) -> Array:
        """A standard normal vector; if `balanced`, normalised."""
        x = jr.normal(key, (self.dimension,))
        return _unit(x) if balanced else x

    def apply_gram(self, w: ArrayLike, z: ArrayLike) -> Array:
        """`z` less its component along `w`."""
        w, z = self.lift(w), check_array(z, (self.dimension,), "z")
        return z - w * jnp.sum(w * z)

    def log_det_gram(self, w: ArrayLike) -> Array:
        """0 on the unit sphere."""
        return jnp.zeros((), check_array(w, (self.dimension,), "w").dtype)

    def log_det_orbit_gram(self, w: ArrayLike) -> Array:
        """0 on the unit sphere."""
        return jnp.zeros((), check_array(w, (self.dimension,), "w").dtype)

    def log_conditioned_volume(self, w: ArrayLike) -> Array:
        """0: `-1/2 log S`."""
        return -0.5 * self.log_det_orbit_gram(w)

    def norm_with_decay(self, temperature: ArrayLike, decay: ArrayLike) -> Array:
        """`sqrt(T (D - 1)/lam)`, where the norm settles under horizontal noise and weight decay."""
        return jnp.sqrt(jnp.asarray(temperature) * (self.dimension - 1) / jnp.asarray(decay))


class WeightNorm(AbstractModel):
    """Weight normalisation, `w = g v/|v|`.

    **Arguments:** `dimension` (`d >= 2`).

    Parameters: the tuple `(v, g)` of shapes `(d,)` and `()`; predictor: the weights `w`, shape
    `(d,)`. Group `R_+`, `v -> c v`; gauge: `|v| = 1`. There

    ```
    S = |v|^2 = 1     K = |w|^2 (1 - n n^T) + n n^T, n = w/|w|
    log det K = 2 (d - 1) log|w|
    ```

    The representative matters, since `K` shrinks across `w` as `|v|` grows; the law does not: for
    **any** motion of `|v|`, horizontal or isotropic noise on `(v, g)` leaves
    `e^(-l/T) dg dn`, that is `|w|^-(d - 1) e^(-l/T) dw`, invariant. Weight normalisation prefers
    small weights to the same noise on `w` itself.

    **Raises:** `ValueError` naming `dimension`.

    Source: derived for this project.

    !!! example

        ```python
        import jax.numpy as jnp
        from gaugebias.catalogue import WeightNorm

        WeightNorm(3).log_density(jnp.array([2.0, 0.0, 0.0]), exponent=-1.0)   # -2 log 2
        ```
    """

    dimension: int = eqx.field(static=True)

    def __check_init__(self):
        positive_int(self.dimension, "dimension", least=2)

    @property
    def action(self) -> AbstractAction:
        return Scale("0")

    @property
    def dimensions(self) -> Dimensions:
        d = self.dimension
        return Dimensions(
            parameters=d + 1,
            algebra=1,
            orbit=1,
            stabiliser=0,
            symmetric=1,
            predictor=d,
            quotient=d,
        )

    @property
    def domain(self) -> Domain:
        return box(self.dimension)

    @property
    def laws(self) -> tuple[LawStatement, ...]:
        d = self.dimension
        holds = f"What holds: w has |w|^-{d - 1} e^(-l/T) dw, whatever |v| does"
        return sphere_laws(
            f"|w|^-{d - 1}",
            f"tr(P A) = d - 1 = {d - 1}: d(|v|^2/2) = T (d - 1) dt without noise, and there is no "
            f"moment-map slice. {holds}.",
            f"The norm |v| is conserved, and there is no moment-map slice. {holds}.",
            "Every orbit is a ray, so that V is infinite, and a ridge confines |v| alone. "
            f"{holds}, with a ridge on v.",
        )

    @property
    def description(self) -> Description:
        return Description(
            formula=f"w = g v/|v| in R^{self.dimension}",
            group="R_+",
            generators="v -> c v",
            moment_map="|v|^2/2 (no zero)",
            slice="|v| = 1",
            orbit_gram="0",
            gram=f"{2 * (self.dimension - 1)} log |w|",
            caveats=(_NO_ZERO,),
            gauge=FunctionGauge(_direction_sphere),
        )

    def invariants(self, params) -> Array:
        """`g v/|v|`, shape `(dimension,)`."""
        v, g = check_tuple(params, ((self.dimension,), ()))
        return g * _unit(v)

    def lift(self, w: ArrayLike) -> tuple[Array, Array]:
        """`v = w/|w|` and `g = |w|`."""
        w = check_array(w, (self.dimension,), "w")
        norm = jnp.sqrt(jnp.sum(jnp.square(w)))
        return w / norm, norm

    def init(self, key: Array, balanced: bool = True) -> tuple[Array, Array]:
        """A standard normal `v` and a `g > 0`; if `balanced`, `v` normalised."""
        first, second = jr.split(key)
        v, g = jr.normal(first, (self.dimension,)), jnp.abs(jr.normal(second, ()))
        return (_unit(v), g) if balanced else (v, g)

    def _log_norm(self, w: ArrayLike) -> Array:
        return jnp.log(self.lift(w)[1])

    def apply_gram(self, w: ArrayLike, z: ArrayLike) -> Array:
        """`|w|^2 (z - n (n . z)) + n (n . z)`, `n = w/|w|`."""
        n, norm = self.lift(w)
        z = check_array(z, (self.dimension,), "z")
        along = n * jnp.sum(n * z)
        return norm**2 * (z - along) + along

    def log_det_gram(self, w: ArrayLike) -> Array:
        """`2 (d - 1) log|w|`."""
        return 2.0 * (self.dimension - 1) * self._log_norm(w)

    def log_det_orbit_gram(self, w: ArrayLike) -> Array:
        """0 at `|v| = 1`."""
        return jnp.zeros((), check_array(w, (self.dimension,), "w").dtype)

    def log_conditioned_volume(self, w: ArrayLike) -> Array:
        """0: `-1/2 log S`."""
        return -0.5 * self.log_det_orbit_gram(w)
