"""Symmetric matrices under conjugation, seen through their eigenvalues."""

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, ArrayLike

from ...quotient import Domain
from ...symmetry import (
    AbstractAction,
    Conjugation,
    symmetric_from_vector,
    vector_from_symmetric,
)
from .._base import AbstractModel, box, check_array, positive_int
from .._describe import Description, Dimensions, LawStatement
from .._statements import isometric_laws
from ._pairs import log_pair_gaps, pair_count


def _whole(params):
    return params


class SymmetricConjugation(AbstractModel):
    """The eigenvalues of a symmetric matrix under `X -> O X O^T`.

    **Arguments:** `dimension` (`d >= 2`).

    Parameters: the vector of the `d(d+1)/2` orthonormal coordinates of a symmetric `d x d` matrix
    (diagonal first, then off-diagonal entries times `sqrt 2`, see
    [`gaugebias.symmetry.vector_from_symmetric`][]); predictor: its eigenvalues in decreasing
    order, shape `(d,)`. Generators `A_ij = c, A_ji = -c` for `i < j`. With distinct eigenvalues

    ```
    log det S = sum_{i<j} log(2 (l_i - l_j)^2)     K = identity
    ```

    The action is isometric: the laws are `prod_{i<j} |l_i - l_j|^s e^(-l/T) dl` on the cone of
    decreasing eigenvalues, for every exponent `s`.

    **Raises:** `ValueError` naming `dimension` when it is no integer of at least 2.

    Source: 2602.12257, Example 2.

    !!! example

        ```python
        import jax.numpy as jnp
        from gaugebias.catalogue import SymmetricConjugation

        model = SymmetricConjugation(2)
        model.invariants(model.lift(jnp.array([3.0, 1.0])))    # 3, 1
        ```
    """

    dimension: int = eqx.field(static=True)

    def __check_init__(self):
        positive_int(self.dimension, "dimension", least=2)

    @property
    def action(self) -> AbstractAction:
        return Conjugation(_whole)

    @property
    def dimensions(self) -> Dimensions:
        d = self.dimension
        return Dimensions(
            parameters=pair_count(d) + d,
            algebra=pair_count(d),
            orbit=pair_count(d),
            stabiliser=0,
            symmetric=0,
            predictor=d,
            quotient=d,
        )

    @property
    def domain(self) -> Domain:
        return box(self.dimension, ordered=True)

    @property
    def spectral_domain(self) -> Domain:
        """The cone of decreasing eigenvalues, the domain of the predictor itself."""
        return self.domain

    @property
    def laws(self) -> tuple[LawStatement, ...]:
        gaps = "prod_(i<j) |l_i - l_j|"
        return isometric_laws("1", gaps, f"{gaps}^(beta^2/alpha^2)")

    @property
    def description(self) -> Description:
        return Description(
            formula=f"eigenvalues of X in Sym({self.dimension})",
            group=f"O({self.dimension})",
            generators="X -> A X - X A, A^T = -A",
            moment_map="0 (no symmetric generator)",
            slice="everywhere",
            orbit_gram="sum_(i<j) log(2 (l_i - l_j)^2)",
            gram="0",
        )

    def invariants(self, params) -> Array:
        """The eigenvalues, decreasing, shape `(d,)`."""
        size = pair_count(self.dimension) + self.dimension
        x = check_array(params, (size,), "params")
        return jnp.linalg.eigvalsh(symmetric_from_vector(x))[::-1]

    def lift(self, w: ArrayLike) -> Array:
        """The coordinates of `diag(w)`."""
        return vector_from_symmetric(jnp.diag(check_array(w, (self.dimension,), "w")))

    def init(self, key: Array, balanced: bool = True) -> Array:
        """Standard normal coordinates (GOE); every point is on the slice of a compact group."""
        return jr.normal(key, (pair_count(self.dimension) + self.dimension,))

    def spectrum(self, w: ArrayLike) -> Array:
        """`w` itself."""
        return check_array(w, (self.dimension,), "w")

    def from_spectrum(self, spectrum: ArrayLike) -> Array:
        """The spectrum itself."""
        return check_array(spectrum, (self.dimension,), "spectrum")

    def apply_gram(self, w: ArrayLike, z: ArrayLike) -> Array:
        """`z`: the predictor Gram is the identity."""
        check_array(w, (self.dimension,), "w")
        return check_array(z, (self.dimension,), "z")

    def log_det_gram(self, w: ArrayLike) -> Array:
        """0."""
        return jnp.zeros((), check_array(w, (self.dimension,), "w").dtype)

    def log_det_orbit_gram(self, w: ArrayLike) -> Array:
        """`sum_{i<j} log(2 (l_i - l_j)^2)`."""
        w = check_array(w, (self.dimension,), "w")
        return pair_count(self.dimension) * jnp.log(2.0) + 2.0 * log_pair_gaps(w)

    def log_conditioned_volume(self, w: ArrayLike) -> Array:
        """`log V`: there is no symmetric generator to condition on."""
        return self.log_orbit_volume(w)

    def log_spectral_density(self, spectrum: ArrayLike, exponent: ArrayLike) -> Array:
        """`s log V(l)`, with respect to Lebesgue measure of the decreasing eigenvalues."""
        return self.log_density(spectrum, exponent)
