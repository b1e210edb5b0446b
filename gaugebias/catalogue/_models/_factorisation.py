"""Two-factor matrix products, `W = U V^T`."""

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, ArrayLike

from ...quotient import Domain
from ...symmetry import AbstractAction, GeneralLinear
from .._base import AbstractModel, box, check_array, check_tuple, positive_int
from .._describe import Description, Dimensions, LawStatement
from .._roots import singular_values
from ._chain import Chain


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
                f"is {self.rank}: orbits of wider factors need not be closed (see "
                "`DeepLinear((columns, rank, rows))`)."
            )

    @property
    def _chain(self) -> Chain:
        return Chain((self.columns, self.rank, self.rows))

    @property
    def action(self) -> AbstractAction:
        return GeneralLinear("0", "1", axes=(1, 1))

    @property
    def dimensions(self) -> Dimensions:
        return self._chain.dimensions

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
        return self._chain.laws("GL(r) is")

    @property
    def description(self) -> Description:
        orbit, gram = self._chain.formulas()
        return Description(
            formula=f"W = U V^T, {self.rows} x {self.columns}, rank {self.rank}",
            group=f"GL({self.rank})",
            generators="(U, V) -> (U C, -V C^T)",
            moment_map="(U^T U - V^T V)/2",
            slice="U^T U = V^T V",
            orbit_gram=orbit,
            gram=gram,
        )

    def invariants(self, params) -> Array:
        """`U V^T`, shape `(rows, columns)`."""
        shapes = ((self.rows, self.rank), (self.columns, self.rank))
        u, v = check_tuple(params, shapes)
        return u @ v.T

    def lift(self, w: ArrayLike) -> tuple[Array, Array]:
        """Balanced factors `U = P s^(1/2)`, `V = Q s^(1/2)` of `W = P s Q^T`, up to a rotation.

        Differentiable at equal singular values if `rank = min(rows, columns)`.
        """
        second, first = self._chain.balanced(check_array(w, (self.rows, self.columns), "w"))
        return first, second.T

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

    def apply_gram(self, w: ArrayLike, z: ArrayLike) -> Array:
        """`U U^T z + z V V^T`, which is `(w w^T)^(1/2) z + z (w^T w)^(1/2)`."""
        u, v = self.lift(w)
        return self._chain.apply_gram((v.T, u), check_array(z, (self.rows, self.columns), "z"))

    def log_det_gram(self, w: ArrayLike) -> Array:
        """`sum_ij log(s_i + s_j) + (n + m - 2r) sum_i log s_i`, a pseudo-determinant if
        `r < min(n, m)`."""
        return self._chain.log_gram(self.spectrum(w))

    def log_det_orbit_gram(self, w: ArrayLike) -> Array:
        """`sum_ij log(s_i + s_j)` over all `i, j`, in the standard basis."""
        return self._chain.log_orbit(self.spectrum(w))

    def log_det_symmetric(self, w: ArrayLike) -> Array:
        """Symmetric generators, orthonormal basis: `sum_i log 2 s_i + sum_{i<j} log(s_i + s_j)`."""
        return self._chain.log_symmetric(self.spectrum(w))

    def log_det_residual(self, w: ArrayLike) -> Array:
        """The residual group `O(r)`, basis `A_ij = c`: `sum_{i<j} log(2 (s_i + s_j))`."""
        return self._chain.log_residual(self.spectrum(w))

    def log_conditioned_volume(self, w: ArrayLike) -> Array:
        """`1/2 log det S_residual - 1/2 log det S_symmetric`."""
        return self._chain.log_conditioned(self.spectrum(w))

    def log_spectral_density(self, spectrum: ArrayLike, exponent: ArrayLike) -> Array:
        """Log density of the ordered singular values, Lebesgue `ds`, without `-l/T`.

        `log_density` at `diag(s)` plus the Weyl Jacobian
        `(n + m - 2r) sum_i log s_i + sum_{i<j} log|s_i^2 - s_j^2|`, whose constant (the volume of
        the orthogonal groups) is left out. Up to constants `prod s_i^((n+m)/2 - r - 1/2)
        prod_{i<j} |s_i - s_j|` for the exponent 0 and one power `s_i^(-1/2)` more for -1.
        """
        return self._chain.log_spectral(check_array(spectrum, (self.rank,), "spectrum"), exponent)
