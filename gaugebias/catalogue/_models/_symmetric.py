"""Symmetric factorisation, `W = U U^T`."""

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, ArrayLike

from ...quotient import Domain
from ...symmetry import (
    AbstractAction,
    RightOrthogonal,
    symmetric_from_vector,
    vector_from_symmetric,
)
from .._base import AbstractModel, box, check_array, positive_int
from .._describe import Description, Dimensions, LawStatement
from .._roots import psd_root
from .._statements import isometric_laws
from ._pairs import log_pair_gaps, log_pair_sums, pair_count


def _whole(params):
    return params


class SymmetricFactorisation(AbstractModel):
    """Symmetric factorisation `W = U U^T`, `U` of shape `(n, r)`, under `U -> U O`.

    **Arguments:** `rows` (`n`), `rank` (`r`), any positive integers; `p = min(n, r)`.

    Parameters: the array `U`; predictor: the vector of the `n(n+1)/2` **orthonormal coordinates**
    of `W` (diagonal first, then off-diagonal entries times `sqrt 2`), so that its inner product is
    that of matrices; `matrix` gives `W` back. Generators `A_ij = c, A_ji = -c`. With `w_i` the
    `p` non-zero eigenvalues of `W`,

    ```
    log pdet S = sum_{i<j} log(w_i + w_j) + (r - p) sum_i log w_i
    log pdet K = sum_{i<=j} log(2 (w_i + w_j)) + (n - p) sum_i log(2 w_i)
    ```

    `K` is nonsingular, and laws have a Lebesgue density in `W`, only if `r >= n`; below that the
    pseudo-determinant is given and densities refer to the Hausdorff measure of the rank-`r`
    matrices. For `r > n` there is a stabiliser `O(r - n)` and `S` has the pseudo-determinant. The
    action is isometric: the eigenvalues have the laws (`r <= n`)
    `prod w_i^((n-r-1)/2) prod_{i<j} |w_i - w_j| (w_i + w_j)^((s-1)/2) e^(-l/T) dw`, Wishart at
    `s = 1`, for every exponent `s`. For `r > n` the power of `w_i` is `((r - n) s - 1)/2`.

    **Raises:** `ValueError` naming `rows` or `rank` when it is no positive integer.

    Source: 2602.12257, Example 3 (the volume); the rest derived for this project.

    !!! example

        ```python
        import jax.numpy as jnp
        from gaugebias.catalogue import SymmetricFactorisation

        model = SymmetricFactorisation(2, 2)
        w = model.invariants(jnp.array([[2.0, 0.0], [0.0, 1.0]]))
        model.spectrum(w)                                      # 4, 1
        ```
    """

    rows: int = eqx.field(static=True)
    rank: int = eqx.field(static=True)

    def __check_init__(self):
        positive_int(self.rows, "rows")
        positive_int(self.rank, "rank")

    @property
    def _full(self) -> int:
        return min(self.rows, self.rank)

    @property
    def _coordinates(self) -> int:
        return pair_count(self.rows) + self.rows

    @property
    def action(self) -> AbstractAction:
        return RightOrthogonal(_whole, axis=-1)

    @property
    def dimensions(self) -> Dimensions:
        n, r = self.rows, self.rank
        stabiliser = pair_count(max(r - n, 0))
        orbit = pair_count(r) - stabiliser
        return Dimensions(
            parameters=n * r,
            algebra=pair_count(r),
            orbit=orbit,
            stabiliser=stabiliser,
            symmetric=0,
            predictor=self._coordinates,
            quotient=n * r - orbit,
        )

    @property
    def domain(self) -> Domain:
        """The bounding box of the positive cone: non-negative diagonal entries."""
        n = self.rows
        lower = np.concatenate([np.zeros(n), np.full(pair_count(n), -np.inf)])
        return Domain(lower, np.full(self._coordinates, np.inf))

    @property
    def spectral_domain(self) -> Domain:
        """`w_1 > ... > w_p > 0`."""
        return box(self._full, lower=0.0, ordered=True)

    @property
    def laws(self) -> tuple[LawStatement, ...]:
        n, r = self.rows, self.rank
        gaps, sums = "prod_(i<j) |w_i - w_j|", "(w_i + w_j)"
        if r <= n:
            flat = wishart = any_power = f"prod_i w_i^(({n} - {r} - 1)/2)"
        else:
            flat = "prod_i w_i^(-1/2)"
            wishart = f"prod_i w_i^(({r} - {n} - 1)/2)"
            any_power = f"prod_i w_i^((({r} - {n}) beta^2/alpha^2 - 1)/2)"
        return isometric_laws(
            f"{flat} {gaps} {sums}^(-1/2)",
            f"{wishart} {gaps}",
            f"{any_power} {gaps} {sums}^((beta^2/alpha^2 - 1)/2)",
        )

    @property
    def description(self) -> Description:
        n, r, p = self.rows, self.rank, self._full
        orbit, gram = "sum_(i<j) log(w_i + w_j)", "sum_(i<=j) log(2 (w_i + w_j))"
        return Description(
            formula=f"W = U U^T, U {n} x {r}",
            group=f"O({r})",
            generators="U -> U A, A^T = -A",
            moment_map="0 (no symmetric generator)",
            slice="everywhere",
            orbit_gram=orbit + (f" + {r - p} sum_i log w_i" if r > p else ""),
            gram=gram + (f" + {n - p} sum_i log(2 w_i)" if n > p else ""),
        )

    def matrix(self, w: ArrayLike) -> Array:
        """The symmetric matrix `W` with orthonormal coordinates `w`, shape `(rows, rows)`."""
        return symmetric_from_vector(check_array(w, (self._coordinates,), "w"))

    def invariants(self, params) -> Array:
        """The `n(n+1)/2` orthonormal coordinates of `U U^T`."""
        u = check_array(params, (self.rows, self.rank), "params")
        return vector_from_symmetric(u @ u.T)

    def lift(self, w: ArrayLike) -> Array:
        """A factor of `W`: the positive root if `r >= n` (padded with zeros), else `Q w^(1/2)`.

        The root is differentiable at equal eigenvalues. NaN where `W` is indefinite.
        """
        matrix = self.matrix(w)
        if self.rank >= self.rows:
            return jnp.pad(psd_root(matrix, 2), ((0, 0), (0, self.rank - self.rows)))
        values, q = jnp.linalg.eigh(matrix)
        return q[:, -self.rank :] * jnp.sqrt(values[-self.rank :])[None, :]

    def init(self, key: Array, balanced: bool = True) -> Array:
        """A standard normal `U`; every point is on the slice of a compact group."""
        return jr.normal(key, (self.rows, self.rank))

    def spectrum(self, w: ArrayLike) -> Array:
        """The `min(n, r)` largest eigenvalues of `W`, decreasing."""
        return jnp.linalg.eigvalsh(self.matrix(w))[::-1][: self._full]

    def spectrum_of(self, params) -> Array:
        """The same from the singular values of `U`, with no loss of precision for small ones."""
        u = check_array(params, (self.rows, self.rank), "params")
        return jnp.square(jnp.linalg.svd(u, compute_uv=False))

    def from_spectrum(self, spectrum: ArrayLike) -> Array:
        """The coordinates of `diag(spectrum)`, padded with zeros."""
        s = check_array(spectrum, (self._full,), "spectrum")
        return vector_from_symmetric(jnp.diag(jnp.pad(s, (0, self.rows - self._full))))

    def _gram(self, s: Array) -> Array:
        pairs = pair_count(self._full) * jnp.log(2.0) + log_pair_sums(s)
        rest = (self.rows - self._full) * jnp.sum(jnp.log(2.0 * s))
        return jnp.sum(jnp.log(4.0 * s)) + pairs + rest

    def _orbit(self, s: Array) -> Array:
        return log_pair_sums(s) + (self.rank - self._full) * jnp.sum(jnp.log(s))

    def apply_gram(self, w: ArrayLike, z: ArrayLike) -> Array:
        """The coordinates of `2 (Z W + W Z)`."""
        matrix = self.matrix(w)
        covector = symmetric_from_vector(check_array(z, (self._coordinates,), "z"))
        product = covector @ matrix
        return vector_from_symmetric(2.0 * (product + product.T))

    def log_det_gram(self, w: ArrayLike) -> Array:
        """`sum_{i<=j} log(2 (w_i + w_j))`, with the pseudo-determinant's terms if `r < n`."""
        return self._gram(self.spectrum(w))

    def log_det_orbit_gram(self, w: ArrayLike) -> Array:
        """`sum_{i<j} log(w_i + w_j)`, with the pseudo-determinant's terms if `r > n`."""
        return self._orbit(self.spectrum(w))

    def log_conditioned_volume(self, w: ArrayLike) -> Array:
        """`log V`: there is no symmetric generator to condition on."""
        return self.log_orbit_volume(w)

    def log_spectral_density(self, spectrum: ArrayLike, exponent: ArrayLike) -> Array:
        """Log density of the ordered eigenvalues, Lebesgue `dw`, without `-l/T`.

        `log_density` at `diag(w)` plus the Weyl Jacobian
        `(n - p) sum_i log w_i + sum_{i<j} log|w_i - w_j|`, whose constant (the volume of the
        orthogonal group) is left out.
        """
        s = check_array(spectrum, (self._full,), "spectrum")
        weight = 0.5 * jnp.asarray(exponent, s.dtype) * self._orbit(s)
        weyl = (self.rows - self._full) * jnp.sum(jnp.log(s)) + log_pair_gaps(s)
        return weight - 0.5 * self._gram(s) + weyl
