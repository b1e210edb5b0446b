"""One ReLU neuron, `v relu(w . x)`."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, ArrayLike

from ...quotient import Domain
from ...symmetry import AbstractAction, Rescaling
from .._base import AbstractModel, box, check_array, check_tuple, positive_int
from .._describe import Description, Dimensions, LawStatement
from .._statements import moment_map_laws


class ReLUNeuron(AbstractModel):
    """A ReLU neuron `x -> v relu(w . x)` with `w` in `R^d` and a scalar `v`.

    **Arguments:** `inputs` (`d >= 1`).

    Parameters: the tuple `(w, v)` of shapes `(d,)` and `()`. Group `R_+`:
    `(w, v) -> (c w, v/c)`. The function is seen through `(|v| w, sign v)`; no motion that stays
    balanced and continuous passes `v = 0` except at the origin, so the sign is a label and the
    predictor of this model is the vector `z = |v| w` of shape `(d,)`. `lift` gives the **branch
    `v > 0`**; on the other one every closed form is the same. Slice: `|w| = |v|`, on which

    ```
    S = 2 |z|     K = v^2 I + w w^T     det K = 2 |z|^d
    ```

    Horizontal Ito noise has the `s = 0` law only for `d = 1`: otherwise `tr(P A) = d - 1` on the
    slice and the imbalance `chi = (|w|^2 - v^2)/2` drifts,
    `d chi = T (d - 1 - (|w|^2 - v^2)/(|w|^2 + v^2)) dt`. With Stratonovich noise on the slice the
    law is `|z|^(-d/2) e^(-l/T) dz`.

    **Raises:** `ValueError` naming `inputs` when it is no positive integer.

    Source: derived for this project; the Gram also in 2601.06597.

    !!! example

        ```python
        import jax.numpy as jnp
        from gaugebias.catalogue import ReLUNeuron

        model = ReLUNeuron(3)
        w, v = model.lift(jnp.array([0.0, 4.0, 0.0]))          # (0, 2, 0) and 2
        model.predict((w, v), jnp.ones(3))                     # 4
        ```
    """

    inputs: int = eqx.field(static=True)

    def __check_init__(self):
        positive_int(self.inputs, "inputs")

    @property
    def action(self) -> AbstractAction:
        return Rescaling("0", "1", axes=(None, None))

    @property
    def dimensions(self) -> Dimensions:
        d = self.inputs
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
        return box(self.inputs, cut=self.inputs == 1)

    @property
    def radial_domain(self) -> Domain:
        """`|z| > 0`."""
        return box(1, lower=0.0)

    @property
    def laws(self) -> tuple[LawStatement, ...]:
        d = self.inputs
        drift = (
            f"tr(P A) = d_in - d_out = {d - 1} on the slice: the imbalance drifts and has no "
            f"stationary value without decay. What holds: the rate of the imbalance, the "
            f"virial identity, the Stratonovich law, and |z| tends to the law e^(-l/T) d|z|."
        )
        return moment_map_laws(
            f"|z|^(-{d}/2)",
            f"|z|^(-({d} + 1)/2)",
            ito=None if d == 1 else drift,
            what="Orbits are",
            normalisable=d > 1,
            at="z = 0 (it needs d_in + d_out > 2)",
        )

    @property
    def description(self) -> Description:
        return Description(
            formula=f"z = |v| w, w in R^{self.inputs}",
            group="R_+",
            generators="(w, v) -> (c w, -c v)",
            moment_map="(|w|^2 - v^2)/2",
            slice="|w| = |v|",
            orbit_gram="log(2 |z|)",
            gram=f"log 2 + {self.inputs} log |z|",
        )

    def invariants(self, params) -> Array:
        """`z = |v| w`, shape `(d,)`."""
        w, v = check_tuple(params, ((self.inputs,), ()))
        return jnp.abs(v) * w

    def predict(self, params, x: ArrayLike) -> Array:
        """`v relu(w . x)` for one input `x` of shape `(d,)`; a scalar."""
        w, v = check_tuple(params, ((self.inputs,), ()))
        x = check_array(x, (self.inputs,), "x")
        return v * jax.nn.relu(jnp.sum(w * x))

    def lift(self, w: ArrayLike) -> tuple[Array, Array]:
        """The balanced pair over `z` with `v > 0`: `(z/sqrt|z|, sqrt|z|)`."""
        z = check_array(w, (self.inputs,), "w")
        v = jnp.sqrt(self._norm(z))
        return z / v, v

    def init(self, key: Array, balanced: bool = True) -> tuple[Array, Array]:
        """Standard normal `w` and `|v|` (the branch `v > 0`); if `balanced`, brought to the slice
        over the same `z`."""
        first, second = jr.split(key)
        w, v = jr.normal(first, (self.inputs,)), jnp.abs(jr.normal(second, ()))
        return self.lift(v * w) if balanced else (w, v)

    def _norm(self, z: Array) -> Array:
        return jnp.sqrt(jnp.sum(jnp.square(z)))

    def _log_norm(self, w: ArrayLike) -> Array:
        return jnp.log(self._norm(check_array(w, (self.inputs,), "w")))

    def apply_gram(self, w: ArrayLike, z: ArrayLike) -> Array:
        """`v^2 z + w (w . z)` at the lift `(w, v)`."""
        first, second = self.lift(w)
        z = check_array(z, (self.inputs,), "z")
        return second**2 * z + first * jnp.sum(first * z)

    def log_det_gram(self, w: ArrayLike) -> Array:
        """`log(2 |z|^d)`."""
        return jnp.log(2.0) + self.inputs * self._log_norm(w)

    def log_det_orbit_gram(self, w: ArrayLike) -> Array:
        """`log(2 |z|)`."""
        return jnp.log(2.0) + self._log_norm(w)

    def log_det_symmetric(self, w: ArrayLike) -> Array:
        """All of `log det S`: the generator is symmetric."""
        return self.log_det_orbit_gram(w)

    def log_conditioned_volume(self, w: ArrayLike) -> Array:
        """`-1/2 log det S`."""
        return -0.5 * self.log_det_orbit_gram(w)

    def log_radial_density(self, radius: ArrayLike, exponent: ArrayLike) -> Array:
        """Log density of `|z|` with respect to `d|z|`, without `-l/T`, for rotation-invariant `l`.

        `log_density` plus `(d - 1) log|z|`; the volume of the sphere is left out.
        """
        r = check_array(radius, (), "radius")
        z = jnp.concatenate([r[None], jnp.zeros(self.inputs - 1, r.dtype)])
        return self.log_density(z, exponent) + (self.inputs - 1) * jnp.log(r)
