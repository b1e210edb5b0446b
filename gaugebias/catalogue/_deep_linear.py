"""Deep linear networks with square layers, `W = W_N ... W_1`."""

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, ArrayLike

from ..quotient import Domain
from ..symmetry import AbstractAction, GeneralLinear, Product
from ._base import (
    AbstractModel,
    Dimensions,
    LawStatement,
    box,
    check_array,
    check_tuple,
    positive_int,
    weight_by_exponent,
)
from ._noncompact import noncompact_laws
from ._pairs import log_pair_gaps, log_pair_sums, log_power_pairs, pair_count
from ._roots import polar, psd_root, singular_values


class DeepLinear(AbstractModel):
    """Deep linear network `W = W_N ... W_1` of square layers.

    **Arguments:** `width` (`d`), `depth` (`N >= 2`).

    Parameters: the tuple `(W_1, ..., W_N)` of `(d, d)` arrays; predictor: the matrix `W`. Group
    `GL(d)^(N-1)`: `(W_p, W_(p+1)) -> (A^-1 W_p, W_(p+1) A)`, in the standard basis. Slice:
    `W_(p+1)^T W_(p+1) = W_p W_p^T`, where every layer has the singular values
    `x_i = s_i^(1/N)`, `s_i` those of `W`. With
    `k_ij = sum_(p=1..N) s_i^(2(N-p)/N) s_j^(2(p-1)/N)`, which is
    `(s_i^2 - s_j^2)/(s_i^(2/N) - s_j^(2/N))` for distinct values and `N s_i^(2-2/N)` at `i = j`,

    ```
    log det S = log det K = sum_i log k_ii + 2 sum_{i<j} log k_ij
    symmetric part          sum_i log k_ii + sum_{i<j} log k_ij
    O(d)^(N-1) part         sum_{i<j} (log k_ij + (N - 1) log 2)
    ```

    The symmetric part is in the orthonormal basis `E_ii, (E_ij + E_ji)/sqrt 2` of each layer
    pair; the orthogonal part in `A_ij = c, A_ji = -c`, hence its factors 2.

    For `N >= 3` and `d >= 2` horizontal Ito noise leaves the slice ([`slice_drift`][]) and has no
    `s = 0` law; with Stratonovich noise it has
    `prod s_i^-(1 - 1/N) prod_{i<j} |s_i^(2/N) - s_j^(2/N)| e^(-l/T) ds`.

    **Raises:** `ValueError` naming `width` or `depth`.

    Source: 2509.09088, Theorem 4 (orbit volume); the rest derived for this project.

    !!! example

        ```python
        import jax
        from gaugebias.catalogue import DeepLinear

        model = DeepLinear(width=2, depth=3)
        layers = model.init(jax.random.key(0))
        model.dimensions.quotient                              # 4
        [law.name for law in model.laws if not law.applies]
        ```
    """

    width: int = eqx.field(static=True)
    depth: int = eqx.field(static=True)

    def __check_init__(self):
        positive_int(self.width, "width")
        positive_int(self.depth, "depth", least=2)

    @property
    def action(self) -> AbstractAction:
        # W_(p+1) A and A^-1 W_p: the hidden axis is the input of one layer, the output of the
        # other.
        pairs = [GeneralLinear(str(p + 1), str(p), axes=(1, 0)) for p in range(self.depth - 1)]
        return pairs[0] if len(pairs) == 1 else Product(*pairs)

    @property
    def dimensions(self) -> Dimensions:
        d, n = self.width, self.depth
        k = (n - 1) * d * d
        return Dimensions(
            parameters=n * d * d,
            algebra=k,
            orbit=k,
            stabiliser=0,
            symmetric=(n - 1) * (d + pair_count(d)),
            predictor=d * d,
            quotient=d * d,
        )

    @property
    def domain(self) -> Domain:
        return box(self.width**2, cut=self.width == 1)

    @property
    def spectral_domain(self) -> Domain:
        """`s_1 > ... > s_d > 0`."""
        return box(self.width, lower=0.0, ordered=True)

    @property
    def laws(self) -> tuple[LawStatement, ...]:
        n = self.depth
        gaps = f"prod_(i<j) |s_i^(2/{n}) - s_j^(2/{n})|"
        horizontal = f"prod_i s_i^-(1 - 1/{n}) {gaps}"
        holds = n == 2 or self.width == 1
        if holds:
            ito = "tr(P A) = 0 all over the slice."
        else:
            ito = (
                "tr(P A) is not 0 on the slice (it vanishes at equal singular values alone): outer "
                "layers grow, middle ones shrink. The Stratonovich law, the virial identity "
                "(E|theta|^2 = T dim(quotient)/lambda with a ridge alone) and the imbalance rates "
                "hold."
            )
        return (
            LawStatement("horizontal", "ito", 0.0, holds, True, "lebesgue", horizontal, ito),
            LawStatement(
                "horizontal",
                "stratonovich",
                0.0,
                True,
                True,
                "lebesgue",
                horizontal,
                "chi is conserved, so a start on the slice stays there.",
            ),
            *noncompact_laws("GL(d) is"),
            LawStatement(
                "conditioned",
                "any",
                -1.0,
                True,
                False,
                "lebesgue",
                f"prod_i s_i^-(2 - 2/{n}) {gaps}",
                "Conditioned on the moment map; only symmetric generators count. Not normalisable "
                "at s_d = 0: restrict the domain.",
            ),
        )

    def invariants(self, params) -> Array:
        """The product `W_N ... W_1`, shape `(width, width)`."""
        layers = check_tuple(params, ((self.width, self.width),) * self.depth)
        w = layers[0]
        for layer in layers[1:]:
            w = layer @ w
        return w

    def lift(self, w: ArrayLike) -> tuple[Array, ...]:
        """Balanced layers `W_1 = ... = W_(N-1) = H^(1/N)`, `W_N = O H^(1/N)` with `W = O H`.

        Differentiable at equal singular values.
        """
        o, h = polar(check_array(w, (self.width, self.width), "w"))
        root = psd_root(h, self.depth)
        return (root,) * (self.depth - 1) + (o @ root,)

    def init(self, key: Array, balanced: bool = True) -> tuple[Array, ...]:
        """Independent normal layers of variance `1/width`; if `balanced`, brought to the slice
        over the same `W`."""
        keys = jr.split(key, self.depth)
        shape = (self.width, self.width)
        layers = tuple(jr.normal(k, shape) / self.width**0.5 for k in keys)
        return self.lift(self.invariants(layers)) if balanced else layers

    def spectrum(self, w: ArrayLike) -> Array:
        """The singular values of `w`, decreasing."""
        return singular_values(check_array(w, (self.width, self.width), "w"), self.width)

    def from_spectrum(self, spectrum: ArrayLike) -> Array:
        """`diag(spectrum)`."""
        return jnp.diag(check_array(spectrum, (self.width,), "spectrum"))

    def _diagonal(self, s: Array) -> Array:
        n = self.depth
        return jnp.sum(jnp.log(float(n)) + (2.0 - 2.0 / n) * jnp.log(s))

    def _pair(self, s: Array) -> Array:
        return log_power_pairs(s ** (2.0 / self.depth), self.depth)

    def _gram(self, s: Array) -> Array:
        return self._diagonal(s) + 2.0 * self._pair(s)

    def _symmetric(self, s: Array) -> Array:
        return self._diagonal(s) + self._pair(s)

    def _residual(self, s: Array) -> Array:
        return (self.depth - 1) * pair_count(self.width) * jnp.log(2.0) + self._pair(s)

    def apply_gram(self, w: ArrayLike, z: ArrayLike) -> Array:
        """`sum_p (w w^T)^((N-p)/N) z (w^T w)^((p-1)/N)`."""
        shape, n = (self.width, self.width), self.depth
        o, h = polar(check_array(w, shape, "w"))
        step = jnp.linalg.matrix_power(psd_root(h, n), 2)
        powers = [jnp.eye(self.width, dtype=step.dtype)]
        for _ in range(n - 1):
            powers.append(powers[-1] @ step)
        turned = o.T @ check_array(z, shape, "z")
        total = jnp.zeros_like(turned)
        for p in range(1, n + 1):
            total = total + powers[n - p] @ turned @ powers[p - 1]
        return o @ total

    def log_det_gram(self, w: ArrayLike) -> Array:
        """`sum_i log k_ii + 2 sum_{i<j} log k_ij`."""
        return self._gram(self.spectrum(w))

    def log_det_orbit_gram(self, w: ArrayLike) -> Array:
        """The same as `log_det_gram`, in the standard basis of every layer pair."""
        return self._gram(self.spectrum(w))

    def log_det_symmetric(self, w: ArrayLike) -> Array:
        """Symmetric generators, orthonormal basis: `sum_i log k_ii + sum_{i<j} log k_ij`."""
        return self._symmetric(self.spectrum(w))

    def log_det_residual(self, w: ArrayLike) -> Array:
        """`O(d)^(N-1)`, basis `A_ij = c`: `sum_{i<j} (log k_ij + (N - 1) log 2)`."""
        return self._residual(self.spectrum(w))

    def log_conditioned_volume(self, w: ArrayLike) -> Array:
        """`1/2 log det S_residual - 1/2 log det S_symmetric`."""
        s = self.spectrum(w)
        return 0.5 * (self._residual(s) - self._symmetric(s))

    def log_spectral_density(self, spectrum: ArrayLike, exponent: ArrayLike) -> Array:
        """Log density of the ordered singular values, Lebesgue `ds`, without `-l/T`.

        `log_density` at `diag(s)` plus the Weyl Jacobian `sum_{i<j} log|s_i^2 - s_j^2|`, whose
        constant (the volume of the orthogonal groups) is left out.
        """
        s = check_array(spectrum, (self.width,), "spectrum")
        conditioned = 0.5 * (self._residual(s) - self._symmetric(s))
        weight = weight_by_exponent(exponent, 0.5 * self._gram(s), conditioned, True)
        return weight - 0.5 * self._gram(s) + log_pair_gaps(s) + log_pair_sums(s)

    def slice_drift(self, spectrum: ArrayLike) -> Array:
        """`tr(P A_(p,i))` on the slice, shape `(depth - 1, width)`.

        `A_(p,i)` scales the `i`-th singular direction between the layers `p` and `p + 1`
        (`W_(p+1)` up, `W_p` down); times the temperature it is the Ito drift of that component of
        the moment map. `sum_j (x_j^(N-p) - x_j^p) / sum_(q=1..N) x_j^q`,
        `x_j = (s_j/s_i)^(2/N)`. It vanishes for `N = 2` and for equal singular values.
        """
        s = check_array(spectrum, (self.width,), "spectrum")
        n = self.depth
        ratio = (s[None, :] / s[:, None]) ** (2.0 / n)
        total = jnp.zeros_like(ratio)
        for q in range(1, n + 1):
            total = total + ratio**q
        rows = [jnp.sum((ratio ** (n - p) - ratio**p) / total, axis=1) for p in range(1, n)]
        return jnp.stack(rows)
