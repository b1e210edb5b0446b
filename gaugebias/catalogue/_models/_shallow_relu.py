"""Shallow ReLU networks, `sum_j v_j relu(w_j . x + b_j)`."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, ArrayLike

from ...quotient import Domain
from ...symmetry import AbstractAction, Rescaling
from .._base import AbstractModel, box, check_array, check_tuple, positive_int
from .._describe import Description, Dimensions, LawStatement, fraction
from .._statements import moment_map_laws


class ShallowReLU(AbstractModel):
    """Shallow ReLU network `x -> sum_j v_j relu(w_j . x + b_j)` of any widths.

    **Arguments:** `inputs`, `units` (`h`), `outputs` (`o`, 1), `bias` (True: the biases `b_j` are
    scaled with their neuron).

    Parameters: the tuple `(w, b, v)` of shapes `(h, inputs)`, `(h,)` and `(o, h)`, or `(w, v)`
    without biases. Group `R_+^h`: `(w_j, b_j, v_j) -> (c w_j, c b_j, v_j/c)`. With
    `a_j = (w_j, b_j)` in `R^d`, `d = inputs + 1` (`inputs` without biases), the function of a
    neuron is seen through

    ```
    p_j = |v_j| a_j     q_j = |a_j| v_j     |p_j| = |q_j| = s_j
    ```

    (`(a, v)` and `(-a, -v)` are different functions, which the matrix `v a^T` would confuse).
    Predictor: the array of the rows `(p_j, q_j)`, shape `(h, d + o)`, one coordinate of each
    redundant. Slice: `|a_j| = |v_j|`, on which

    ```
    log det S  = sum_j log(2 s_j)
    log pdet K = sum_j log(4 s_j^(d + o - 1))
    ```

    `tr(P A_j) = d - o` for the generator that grows `a_j`: horizontal Ito noise stays on the slice
    only if `d = o`. The laws of the `s_j` (for a loss that depends on them alone) are
    `prod_j s_j^((d + o - 3)/2)` for horizontal noise on the slice, and one power `s_j^(-1/2)` more
    if conditioned. For one output `ReLUNeuron` has a predictor without redundancy.

    **Raises:** `ValueError` naming the argument.

    Source: derived for this project; the orbit Gram also in 2601.06597.

    !!! example

        ```python
        import jax
        import jax.numpy as jnp
        from gaugebias.catalogue import ShallowReLU

        model = ShallowReLU(inputs=3, units=5, outputs=2)
        params = model.init(jax.random.key(0))
        x = jnp.ones(3)
        model.predict(params, x) - model.network(model.invariants(params), x)   # 0
        ```
    """

    inputs: int = eqx.field(static=True)
    units: int = eqx.field(static=True)
    outputs: int = eqx.field(static=True, default=1)
    bias: bool = eqx.field(static=True, default=True)

    def __check_init__(self):
        for name in ("inputs", "units", "outputs"):
            positive_int(getattr(self, name), name)
        if not isinstance(self.bias, bool):
            raise ValueError(f"`bias` must be True or False, but is {self.bias!r}.")

    @property
    def _fan_in(self) -> int:
        return self.inputs + self.bias

    @property
    def _width(self) -> int:
        return self._fan_in + self.outputs

    @property
    def action(self) -> AbstractAction:
        if self.bias:
            return Rescaling(("0", "1"), "2", axes=((0, 0), 1))
        return Rescaling("0", "1", axes=(0, 1))

    @property
    def dimensions(self) -> Dimensions:
        h, size = self.units, self._width
        return Dimensions(
            parameters=h * size,
            algebra=h,
            orbit=h,
            stabiliser=0,
            symmetric=h,
            predictor=h * size,
            quotient=h * (size - 1),
        )

    @property
    def domain(self) -> Domain:
        return box(self.units * self._width)

    @property
    def laws(self) -> tuple[LawStatement, ...]:
        excess = self._fan_in - self.outputs
        drift = (
            f"tr(P A) = d_in - d_out = {excess} for every neuron (d_in counts the bias): the "
            "imbalance drifts and has no stationary value without decay. The rate of the "
            "imbalance, the virial identity and the Stratonovich law hold."
        )

        def density(power: float) -> str:
            return f"prod_j s_j^{fraction(power)}" if power else "1"

        return moment_map_laws(
            density((self._width - 3) / 2),
            density((self._width - 4) / 2),
            ito=drift if excess else None,
            what="Orbits are",
            normalisable=self._width > 2,
            at="s_j = 0 (it needs d_in + d_out > 2)",
        )

    @property
    def description(self) -> Description:
        inner = "w_j x + b_j" if self.bias else "w_j x"
        a = "(w_j, b_j)" if self.bias else "w_j"
        return Description(
            formula=f"sum v_j relu({inner}), {self.inputs}-{self.units}-{self.outputs}",
            group=f"R_+^{self.units}",
            generators=f"(a_j, v_j) -> (c_j a_j, -c_j v_j), a_j = {a}",
            moment_map="(|a_j|^2 - |v_j|^2)/2",
            slice="|a_j| = |v_j|",
            orbit_gram="sum log(2 s_j)",
            gram=f"sum log(4 s_j^{self._width - 1})",
        )

    def _split(self, params) -> tuple[Array, Array]:
        """`a`, shape `(units, d)`, and `v`, shape `(units, outputs)`."""
        h, shape = self.units, (self.units, self.inputs)
        if self.bias:
            w, b, v = check_tuple(params, (shape, (h,), (self.outputs, h)))
            return jnp.concatenate([w, b[:, None]], axis=1), v.T
        w, v = check_tuple(params, (shape, (self.outputs, h)))
        return w, v.T

    def _join(self, a: Array, v: Array) -> tuple[Array, ...]:
        if self.bias:
            return a[:, : self.inputs], a[:, self.inputs], v.T
        return a, v.T

    def _halves(self, w: ArrayLike, name: str = "w") -> tuple[Array, Array]:
        w = check_array(w, (self.units, self._width), name)
        return w[:, : self._fan_in], w[:, self._fan_in :]

    def _activate(self, a: Array, x: ArrayLike) -> Array:
        x = check_array(x, (self.inputs,), "x")
        x = jnp.append(x, jnp.ones(1, x.dtype)) if self.bias else x
        return jax.nn.relu(jnp.sum(a * x[None, :], axis=1))

    def invariants(self, params) -> Array:
        """The rows `(|v_j| a_j, |a_j| v_j)`, shape `(units, d + outputs)`."""
        a, v = self._split(params)
        return jnp.concatenate([_norms(v) * a, _norms(a) * v], axis=1)

    def predict(self, params, x: ArrayLike) -> Array:
        """The network at one input `x` of shape `(inputs,)`, shape `(outputs,)`."""
        a, v = self._split(params)
        return jnp.sum(self._activate(a, x)[:, None] * v, axis=0)

    def network(self, w: ArrayLike, x: ArrayLike) -> Array:
        """The same from the predictor `w`: `sum_j relu(p_j . (x, 1)) q_j / |q_j|`."""
        p, q = self._halves(w)
        return jnp.sum(self._activate(p, x)[:, None] * q / _norms(q), axis=0)

    def scales(self, w: ArrayLike) -> Array:
        """`s_j = |a_j| |v_j|`, shape `(units,)`."""
        p, q = self._halves(w)
        return jnp.sqrt(_norms(p) * _norms(q))[:, 0]

    def lift(self, w: ArrayLike) -> tuple[Array, ...]:
        """The balanced neurons `a_j = p_j/sqrt(s_j)`, `v_j = q_j/sqrt(s_j)`."""
        p, q = self._halves(w)
        root = jnp.sqrt(self.scales(w))[:, None]
        return self._join(p / _norms(p) * root, q / _norms(q) * root)

    def init(self, key: Array, balanced: bool = True) -> tuple[Array, ...]:
        """Standard normal entries; if `balanced`, neurons brought to the slice."""
        first, second = jr.split(key)
        a = jr.normal(first, (self.units, self._fan_in))
        params = self._join(a, jr.normal(second, (self.units, self.outputs)))
        return self.lift(self.invariants(params)) if balanced else params

    def apply_gram(self, w: ArrayLike, z: ArrayLike) -> Array:
        """`K z`, neuron by neuron, with the unit vectors of `p_j` and `q_j`."""
        p, q = self._halves(w)
        over_p, over_q = self._halves(z, "z")
        p, q = p / _norms(p), q / _norms(q)
        a = over_p + p * jnp.sum(q * over_q, axis=1, keepdims=True)
        v = over_q + q * jnp.sum(p * over_p, axis=1, keepdims=True)
        top = a + p * jnp.sum(q * v, axis=1, keepdims=True)
        bottom = v + q * jnp.sum(p * a, axis=1, keepdims=True)
        return self.scales(w)[:, None] * jnp.concatenate([top, bottom], axis=1)

    def log_det_gram(self, w: ArrayLike) -> Array:
        """`sum_j log(4 s_j^(d + o - 1))`, a pseudo-determinant."""
        return jnp.sum(jnp.log(4.0) + (self._width - 1) * jnp.log(self.scales(w)))

    def log_det_orbit_gram(self, w: ArrayLike) -> Array:
        """`sum_j log(2 s_j)`."""
        return jnp.sum(jnp.log(2.0 * self.scales(w)))

    def log_conditioned_volume(self, w: ArrayLike) -> Array:
        """`-1/2 log det S`."""
        return -0.5 * self.log_det_orbit_gram(w)

    def log_radial_density(self, scales: ArrayLike, exponent: ArrayLike) -> Array:
        """Log density of the `s_j`, Lebesgue `ds`, without `-l/T`, for a loss of them alone.

        `log_density` plus `(d + o - 2) sum_j log s_j`; the volume of the spheres is left out.
        """
        s = check_array(scales, (self.units,), "scales")
        zeros = [jnp.zeros((self.units, n - 1), s.dtype) for n in (self._fan_in, self.outputs)]
        w = jnp.concatenate([s[:, None], zeros[0], s[:, None], zeros[1]], axis=1)
        return self.log_density(w, exponent) + (self._width - 2) * jnp.sum(jnp.log(s))


def _norms(x: Array) -> Array:
    return jnp.sqrt(jnp.sum(jnp.square(x), axis=1, keepdims=True))
