"""Deep linear networks of any widths, `W = W_N ... W_1`."""

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, ArrayLike

from ...quotient import Domain
from ...symmetry import AbstractAction, GeneralLinear, Product
from .._base import AbstractModel, box, check_array, check_tuple, positive_int
from .._describe import Description, Dimensions, Failure, LawStatement
from .._roots import singular_values
from ._chain import Chain


class DeepLinear(AbstractModel):
    """Deep linear network `W = W_N ... W_1`, with bottlenecks and wide layers.

    **Arguments:**

    - `widths`: `(d_0, ..., d_N)`, inputs first, `N >= 2`; or one integer `d` for square layers.
    - `depth`: the number `N` of layers, with an integer `widths`.

    Parameters: the tuple `(W_1, ..., W_N)`, `W_p` of shape `(d_p, d_(p-1))`; predictor: the matrix
    `W` of shape `(d_N, d_0)`. Group `GL(d_1) x ... x GL(d_(N-1))`:
    `(W_p, W_(p+1)) -> (A^-1 W_p, W_(p+1) A)`, in the standard basis. Slice:
    `W_(p+1)^T W_(p+1) = W_p W_p^T`, where every layer has the singular values `s_i^(1/N)`,
    `s_i` those of `W`, and zeros beyond `r = min d_p`. With
    `k_ij = sum_(p=1..N) s_i^(2(N-p)/N) s_j^(2(p-1)/N)`, which is
    `(s_i^2 - s_j^2)/(s_i^(2/N) - s_j^(2/N))` for distinct values and `N s_i^(2-2/N)` at `i = j`,
    `e = d_0 + d_N - 2r` and `h = sum_(p=1..N-1) (d_p - r)`,

    ```
    log pdet S     = sum_ij log k_ij + (4 h/N) sum_i log s_i
    log pdet K     = sum_ij log k_ij + e (2 - 2/N) sum_i log s_i
    symmetric part   sum_i log k_ii + sum_{i<j} log k_ij + (2 h/N) sum_i log s_i
    rotations        sum_{i<j} (log k_ij + (N - 1) log 2) + h sum_i log(2 s_i^(2/N))
    ```

    The symmetric part is in the orthonormal basis `E_ii, (E_ij + E_ji)/sqrt 2` of each hidden
    layer, rotations in `A_ij = c, A_ji = -c`, hence their factors 2. A hidden layer wider than `r`
    has a stabiliser `GL(d_p - r)`. Where two neighbouring widths exceed `r`, generic orbits are
    **not closed** and never meet the slice: the closed forms are those of the balanced points, and
    no law holds.

    Horizontal Ito noise leaves the slice (`slice_drift`) and has no `s = 0` law, except for
    `N = 2` with `d_0 = d_2` and for scalar `W` with `r = 1`; with Stratonovich noise it has
    `prod s_i^(e/N - 1 + 1/N) prod_{i<j} |s_i^(2/N) - s_j^(2/N)| e^(-l/T) ds`.

    **Raises:** `ValueError` naming `widths` or `depth`.

    Source: 2509.09088, Theorem 4 (orbit volume of square layers); the rest derived for this
    project.

    !!! example

        ```python
        import jax
        from gaugebias.catalogue import DeepLinear

        model = DeepLinear(2, depth=3)                         # three 2 x 2 layers
        layers = model.init(jax.random.key(0))
        model.dimensions.quotient                              # 4
        [law.name for law in model.laws if not law.applies]

        DeepLinear((3, 2, 4)).dimensions.quotient              # a bottleneck: 2 (3 + 4 - 2) = 10
        ```
    """

    widths: tuple[int, ...] = eqx.field(static=True)

    def __init__(self, widths: int | tuple[int, ...], depth: int | None = None):
        if isinstance(widths, int):
            positive_int(widths, "widths")
            positive_int(depth, "depth", least=2)
            assert depth is not None
            self.widths = (widths,) * (depth + 1)
        else:
            if depth is not None:
                raise ValueError("`depth` follows from `widths`: leave it out.")
            self.widths = tuple(widths)

    def __check_init__(self):
        if len(self.widths) < 3:
            raise ValueError(
                f"`widths` must name inputs, at least one hidden layer and outputs, but is "
                f"{self.widths}."
            )
        for width in self.widths:
            positive_int(width, "widths")

    @property
    def _chain(self) -> Chain:
        return Chain(self.widths)

    @property
    def depth(self) -> int:
        """The number `N` of layers."""
        return self._chain.depth

    @property
    def rank(self) -> int:
        """The least width, the rank of a generic `W`."""
        return self._chain.rank

    @property
    def _shape(self) -> tuple[int, int]:
        return (self.widths[-1], self.widths[0])

    @property
    def action(self) -> AbstractAction:
        # W_(p+1) A and A^-1 W_p: the hidden axis is the input of one layer, the output of the
        # other.
        pairs = [GeneralLinear(str(p + 1), str(p), axes=(1, 0)) for p in range(self.depth - 1)]
        return pairs[0] if len(pairs) == 1 else Product(*pairs)

    @property
    def dimensions(self) -> Dimensions:
        return self._chain.dimensions

    @property
    def domain(self) -> Domain:
        size = self._shape[0] * self._shape[1]
        return box(size, cut=size == 1)

    @property
    def spectral_domain(self) -> Domain:
        """`s_1 > ... > s_r > 0`."""
        return box(self.rank, lower=0.0, ordered=True)

    @property
    def laws(self) -> tuple[LawStatement, ...]:
        return self._chain.laws("GL(d) is")

    @property
    def description(self) -> Description:
        orbit, gram = self._chain.formulas()
        caveats = ()
        if not self._chain.closed:
            detail = (
                f"two neighbouring widths of {self.widths} exceed the rank {self.rank}: generic "
                "orbits are not closed and never meet the slice (the closed orbits have layers of "
                f"rank {self.rank}), and the balanced points are singular."
            )
            caveats = (Failure("closed orbits", detail),)
        return Description(
            formula=f"W = W_{self.depth}...W_1, widths " + "-".join(map(str, self.widths)),
            group=" x ".join(f"GL({d})" for d in self.widths[1:-1]),
            generators="(W_p, W_(p+1)) -> (-C_p W_p, W_(p+1) C_p)",
            moment_map="(W_(p+1)^T W_(p+1) - W_p W_p^T)/2",
            slice="W_(p+1)^T W_(p+1) = W_p W_p^T",
            orbit_gram=orbit,
            gram=gram,
            caveats=caveats,
        )

    def invariants(self, params) -> Array:
        """The product `W_N ... W_1`, shape `(d_N, d_0)`."""
        return self._chain.product(check_tuple(params, self._chain.shapes))

    def lift(self, w: ArrayLike) -> tuple[Array, ...]:
        """Balanced layers: for square ones `W_1 = ... = W_(N-1) = H^(1/N)`, `W_N = O H^(1/N)` with
        `W = O H`, else padded with zeros.

        Differentiable at equal singular values if no hidden layer is a bottleneck.
        """
        return self._chain.balanced(check_array(w, self._shape, "w"))

    def init(self, key: Array, balanced: bool = True) -> tuple[Array, ...]:
        """Independent normal layers of variance `1/d_(p-1)`; if `balanced`, the balanced layers
        over the same `W`."""
        shapes = self._chain.shapes
        keys = jr.split(key, self.depth)
        layers = tuple(
            jr.normal(k, shape) / shape[1] ** 0.5 for k, shape in zip(keys, shapes, strict=True)
        )
        return self.lift(self.invariants(layers)) if balanced else layers

    def spectrum(self, w: ArrayLike) -> Array:
        """The `rank` largest singular values of `w`, decreasing."""
        return singular_values(check_array(w, self._shape, "w"), self.rank)

    def from_spectrum(self, spectrum: ArrayLike) -> Array:
        """`diag(spectrum)`, padded with zeros."""
        s = check_array(spectrum, (self.rank,), "spectrum")
        pads = [(0, size - self.rank) for size in self._shape]
        return jnp.pad(jnp.diag(s), pads)

    def apply_gram(self, w: ArrayLike, z: ArrayLike) -> Array:
        """`sum_p (w w^T)^((N-p)/N) z (w^T w)^((p-1)/N)`."""
        return self._chain.apply_gram(self.lift(w), check_array(z, self._shape, "z"))

    def log_det_gram(self, w: ArrayLike) -> Array:
        """`sum_ij log k_ij + e (2 - 2/N) sum_i log s_i`."""
        return self._chain.log_gram(self.spectrum(w))

    def log_det_orbit_gram(self, w: ArrayLike) -> Array:
        """`sum_ij log k_ij + (4 h/N) sum_i log s_i`, in the standard basis of every layer pair."""
        return self._chain.log_orbit(self.spectrum(w))

    def log_det_symmetric(self, w: ArrayLike) -> Array:
        """Symmetric generators, in the orthonormal basis of the class."""
        return self._chain.log_symmetric(self.spectrum(w))

    def log_det_residual(self, w: ArrayLike) -> Array:
        """Rotations of the hidden layers, in the basis of the class."""
        return self._chain.log_residual(self.spectrum(w))

    def log_conditioned_volume(self, w: ArrayLike) -> Array:
        """`1/2 log det S_residual - 1/2 log det S_symmetric`."""
        return self._chain.log_conditioned(self.spectrum(w))

    def log_spectral_density(self, spectrum: ArrayLike, exponent: ArrayLike) -> Array:
        """Log density of the ordered singular values, Lebesgue `ds`, without `-l/T`.

        `log_density` at `diag(s)` plus the Weyl Jacobian
        `e sum_i log s_i + sum_{i<j} log|s_i^2 - s_j^2|`, whose constant (the volume of the
        orthogonal groups) is left out.
        """
        return self._chain.log_spectral(check_array(spectrum, (self.rank,), "spectrum"), exponent)

    def slice_drift(self, spectrum: ArrayLike) -> Array:
        """`tr(P A_(p,i))` on the slice, shape `(depth - 1, rank)`, where generic orbits are closed.

        `A_(p,i)` scales the `i`-th singular direction between the layers `p` and `p + 1`
        (`W_(p+1)` up, `W_p` down); times the temperature it is the Ito drift of that component of
        the moment map. `sum_j (x_j^(N-p) - x_j^p) / sum_(q=1..N) x_j^q`,
        `x_j = (s_j/s_i)^(2/N)`, plus `d_N - r` for `p = N - 1`, minus `d_0 - r` for `p = 1`. For
        square layers it vanishes for `N = 2` and for equal singular values.
        """
        return self._chain.slice_drift(check_array(spectrum, (self.rank,), "spectrum"))
