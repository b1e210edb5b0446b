"""Two-factor matrix products, `W = U V^T`."""

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, ArrayLike

from ..quotient import Domain
from ..symmetry import AbstractAction, GeneralLinear
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
from ._pairs import log_pair_gaps, log_pair_sums, pair_count
from ._roots import polar, psd_root, singular_values


class Factorisation(AbstractModel):
    """Matrix factorisation `W = U V^T` with `U` of shape `(n, r)` and `V` of shape `(m, r)`.

    **Arguments:** `rows` (`n`), `columns` (`m`), `rank` (`r <= min(n, m)`).

    Parameters: the tuple `(U, V)`; predictor: the `(n, m)` matrix `W`. Group `GL(r)`,
    `(U, V) -> (U A, V A^-T)`, in the standard basis of `r x r` matrices. Slice: `U^T U = V^T V`,
    on which both have the eigenvalues `s_i`, the `r` singular values of `W`. There

    ```
    S = U^T U (+) V^T V     log det S    = sum_ij log(s_i + s_j)
    symmetric part          log det      = sum_i log(2 s_i) + sum_{i<j} log(s_i + s_j)
    O(r) part               log det      = sum_{i<j} log(2 (s_i + s_j))
    K = U U^T (+) V V^T     log pdet K   = sum_ij log(s_i + s_j) + (n + m - 2r) sum_i log s_i
    ```

    The symmetric part is in the basis `E_ii, (E_ij + E_ji)/sqrt 2`, orthonormal; the `O(r)` part
    in that of [`gaugebias.symmetry.RightOrthogonal`][], `A_ij = c, A_ji = -c`, hence its factor 2.
    `K` has rank `r (n + m - r)`: it is nonsingular in the entries of `W` only if
    `r = min(n, m)`. Otherwise `log det K` is a log pseudo-determinant, densities refer to the
    Hausdorff measure of the rank-`r` matrices, and only spectral laws have a Lebesgue density.

    **Raises:** `ValueError` naming the argument when a size is no positive integer or `rank`
    exceeds `min(rows, columns)`.

    Source: derived for this project.

    !!! example

        ```python
        import jax.numpy as jnp
        from gaugebias.catalogue import Factorisation

        model = Factorisation(2, 2, 2)
        U, V = model.lift(jnp.diag(jnp.array([4.0, 1.0])))     # both diag(2, 1)
        model.spectrum(U @ V.T)                                # 4, 1
        ```
    """

    rows: int = eqx.field(static=True)
    columns: int = eqx.field(static=True)
    rank: int = eqx.field(static=True)

    def __check_init__(self):
        for name in ("rows", "columns", "rank"):
            positive_int(getattr(self, name), name)
        if self.rank > min(self.rows, self.columns):
            raise ValueError(
                f"`rank` must be at most min(rows, columns) = {min(self.rows, self.columns)}, but "
                f"is {self.rank}: wider factors have non-closed orbits."
            )

    @property
    def action(self) -> AbstractAction:
        return GeneralLinear("0", "1", axes=(1, 1))

    @property
    def dimensions(self) -> Dimensions:
        n, m, r = self.rows, self.columns, self.rank
        return Dimensions(
            parameters=(n + m) * r,
            algebra=r * r,
            orbit=r * r,
            stabiliser=0,
            symmetric=r + pair_count(r),
            predictor=n * m,
            quotient=r * (n + m - r),
        )

    @property
    def domain(self) -> Domain:
        size = self.rows * self.columns
        return box(size, cut=size == 1)

    @property
    def spectral_domain(self) -> Domain:
        """`s_1 > ... > s_r > 0`."""
        return box(self.rank, lower=0.0, ordered=True)

    @property
    def laws(self) -> tuple[LawStatement, ...]:
        n, m, r = self.rows, self.columns, self.rank
        power = f"({n} + {m})/2 - {r}"
        horizontal = f"prod_i s_i^({power} - 1/2) prod_(i<j) |s_i - s_j|"
        square = n == m
        if square:
            ito = "tr(P A) = 0 all over the slice."
        else:
            ito = (
                f"tr(P A) = n - m = {n - m} for the diagonal generators all over the slice: the "
                "balance drifts. The Stratonovich law, the virial identity and the imbalance "
                "rates hold."
            )
        enough = n + m > 2 * r
        conditioned = "Conditioned on the moment map; only symmetric generators count."
        if not enough:
            conditioned += " Not normalisable at s_r = 0: restrict the domain."
        return (
            LawStatement("horizontal", "ito", 0.0, square, True, "lebesgue", horizontal, ito),
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
            *noncompact_laws("GL(r) is"),
            LawStatement(
                "conditioned",
                "any",
                -1.0,
                True,
                enough,
                "lebesgue",
                f"prod_i s_i^({power} - 1) prod_(i<j) |s_i - s_j|",
                conditioned,
            ),
        )

    def invariants(self, params) -> Array:
        """`U V^T`, shape `(rows, columns)`."""
        u, v = check_tuple(params, ((self.rows, self.rank), (self.columns, self.rank)))
        return u @ v.T

    def lift(self, w: ArrayLike) -> tuple[Array, Array]:
        """Balanced factors of `w`.

        At full rank `U = O H^(1/2)`, `V = H^(1/2)` from the polar decomposition `W = O H` (of the
        transpose when `n < m`), which is differentiable at equal singular values; below it by the
        truncated SVD, `U = L s^(1/2)`, `V = R s^(1/2)`, differentiable where they are distinct.
        """
        w = check_array(w, (self.rows, self.columns), "w")
        if self.rank == self.columns:
            o, h = polar(w)
            root = psd_root(h, 2)
            return o @ root, root
        if self.rank == self.rows:
            o, h = polar(w.T)
            root = psd_root(h, 2)
            return root, o @ root
        left, s, right_t = jnp.linalg.svd(w, full_matrices=False)
        root = jnp.sqrt(s[: self.rank])[None, :]
        return left[:, : self.rank] * root, right_t[: self.rank].T * root

    def init(self, key: Array, balanced: bool = True) -> tuple[Array, Array]:
        """Standard normal factors; if `balanced`, brought to the slice over the same `W`."""
        first, second = jr.split(key)
        u = jr.normal(first, (self.rows, self.rank))
        v = jr.normal(second, (self.columns, self.rank))
        return self.lift(u @ v.T) if balanced else (u, v)

    def spectrum(self, w: ArrayLike) -> Array:
        """The `rank` largest singular values of `w`, decreasing."""
        return singular_values(check_array(w, (self.rows, self.columns), "w"), self.rank)

    def from_spectrum(self, spectrum: ArrayLike) -> Array:
        """A matrix with these singular values: `diag(spectrum)`, padded with zeros."""
        s = check_array(spectrum, (self.rank,), "spectrum")
        pads = ((0, self.rows - self.rank), (0, self.columns - self.rank))
        return jnp.pad(jnp.diag(s), pads)

    def _gram(self, s: Array) -> Array:
        excess = self.rows + self.columns - 2 * self.rank
        return self._orbit(s) + excess * jnp.sum(jnp.log(s))

    def _orbit(self, s: Array) -> Array:
        return jnp.sum(jnp.log(2.0 * s)) + 2.0 * log_pair_sums(s)

    def _symmetric(self, s: Array) -> Array:
        return jnp.sum(jnp.log(2.0 * s)) + log_pair_sums(s)

    def _residual(self, s: Array) -> Array:
        return pair_count(self.rank) * jnp.log(2.0) + log_pair_sums(s)

    def apply_gram(self, w: ArrayLike, z: ArrayLike) -> Array:
        """`U U^T z + z V V^T`, which is `(w w^T)^(1/2) z + z (w^T w)^(1/2)`."""
        u, v = self.lift(w)
        z = check_array(z, (self.rows, self.columns), "z")
        return u @ (u.T @ z) + (z @ v) @ v.T

    def log_det_gram(self, w: ArrayLike) -> Array:
        """`sum_ij log(s_i + s_j) + (n + m - 2r) sum_i log s_i`, a pseudo-determinant if
        `r < min(n, m)`."""
        return self._gram(self.spectrum(w))

    def log_det_orbit_gram(self, w: ArrayLike) -> Array:
        """`sum_ij log(s_i + s_j)` over all `i, j`, in the standard basis."""
        return self._orbit(self.spectrum(w))

    def log_det_symmetric(self, w: ArrayLike) -> Array:
        """Symmetric generators, orthonormal basis: `sum_i log 2 s_i + sum_{i<j} log(s_i + s_j)`."""
        return self._symmetric(self.spectrum(w))

    def log_det_residual(self, w: ArrayLike) -> Array:
        """The residual group `O(r)`, basis `A_ij = c`: `sum_{i<j} log(2 (s_i + s_j))`."""
        return self._residual(self.spectrum(w))

    def log_conditioned_volume(self, w: ArrayLike) -> Array:
        """`1/2 log det S_residual - 1/2 log det S_symmetric`."""
        s = self.spectrum(w)
        return 0.5 * (self._residual(s) - self._symmetric(s))

    def log_spectral_density(self, spectrum: ArrayLike, exponent: ArrayLike) -> Array:
        """Log density of the ordered singular values, Lebesgue `ds`, without `-l/T`.

        `log_density` at `diag(s)` plus the Weyl Jacobian
        `(n + m - 2r) sum_i log s_i + sum_{i<j} log|s_i^2 - s_j^2|`, whose constant (the volume of
        the orthogonal groups) is left out. Up to constants `prod s_i^((n+m)/2 - r - 1/2)
        prod_{i<j} |s_i - s_j|` for the exponent 0 and one power `s_i^(-1/2)` more for -1.
        """
        s = check_array(spectrum, (self.rank,), "spectrum")
        conditioned = 0.5 * (self._residual(s) - self._symmetric(s))
        weight = weight_by_exponent(exponent, 0.5 * self._orbit(s), conditioned, True)
        excess = self.rows + self.columns - 2 * self.rank
        weyl = excess * jnp.sum(jnp.log(s)) + log_pair_gaps(s) + log_pair_sums(s)
        return weight - 0.5 * self._gram(s) + weyl
