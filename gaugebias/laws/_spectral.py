"""The law of the spectrum of a matrix whose law does not change under rotations."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike

from .._compile import evaluated_now
from ..quotient import Domain
from ..symmetry import symmetric_from_vector, vector_from_symmetric
from ._cache import TableCache
from ._errors import Condition, require
from ._law import AbstractLaw, is_traced
from ._quadrature._integrable import check_integrable


class SpectralLaw(AbstractLaw):
    """The law of the decreasing spectrum `x` of a matrix, with respect to Lebesgue measure `dx`.

    The matrix law's density at `diag(x)` times the volume of the matrices with that spectrum
    (Weyl): `prod s_i^|n-m| prod_{i<j} |s_i^2 - s_j^2|` for singular values of `n x m` matrices,
    `prod_{i<j} |l_i - l_j|` for eigenvalues of symmetric ones. Made by
    [`gaugebias.laws.spectral`][].
    """

    matrix_law: AbstractLaw
    kind: str = eqx.field(static=True)
    temperature: Array
    exponent: Array
    domain: Domain
    conditions: tuple[Condition, ...]
    shape: tuple[int, ...] = eqx.field(static=True)
    name: str = eqx.field(static=True)
    resolution: float = eqx.field(static=True)
    reference: str = eqx.field(static=True, default="lebesgue")
    cache: TableCache = eqx.field(static=True, repr=False, default_factory=TableCache)

    def log_weight_at(self, x: Array, temperature: ArrayLike, exponent: ArrayLike) -> Array:
        spectrum = x.reshape(-1)
        matrix = _diagonal(spectrum, self.matrix_law.shape, self.kind)
        weight = self.matrix_law.log_weight_at(matrix, temperature, exponent)
        return weight + log_weyl(spectrum, self.matrix_law.shape, self.kind)

    def log_volume(self, x: Array) -> Array:
        matrix = _diagonal(x.reshape(-1), self.matrix_law.shape, self.kind)
        return self.matrix_law.log_volume(matrix)


def log_weyl(x: Array, shape: tuple[int, ...], kind: str) -> Array:
    """Log volume of the matrices with spectrum `x`, up to a constant."""
    i, j = np.triu_indices(x.shape[0], 1)
    if kind == "singular":
        power = abs(shape[0] - shape[1])
        gaps = jnp.sum(jnp.log(jnp.abs(x[i] - x[j])) + jnp.log(x[i] + x[j]))
        return gaps + (power * jnp.sum(jnp.log(x)) if power else 0.0)
    return jnp.sum(jnp.log(jnp.abs(x[i] - x[j])))


def _diagonal(x: Array, shape: tuple[int, ...], kind: str) -> Array:
    if kind == "singular":
        out = jnp.zeros(shape, x.dtype)
        index = jnp.arange(x.shape[0])
        return out.at[index, index].set(x)
    matrix = jnp.diag(x)
    return matrix if len(shape) == 2 else vector_from_symmetric(matrix)


def _side(shape: tuple[int, ...], kind: str) -> int:
    if kind == "singular":
        if len(shape) != 2:
            raise ValueError(f"`law` must be a law of matrices for singular values, not {shape}.")
        return min(shape)
    if len(shape) == 1:
        side = (math.isqrt(8 * shape[0] + 1) - 1) // 2
        if side * (side + 1) // 2 == shape[0]:
            return side
    elif len(shape) == 2 and shape[0] == shape[1]:
        return shape[0]
    raise ValueError(
        "`law` must be a law of square matrices, or of the d(d+1)/2 orthonormal coordinates of "
        f"symmetric ones, for eigenvalues; its points have shape {shape}."
    )


def spectral(
    law: AbstractLaw,
    kind: str = "singular",
    *,
    domain: Domain | None = None,
    key: Array | None = None,
) -> SpectralLaw:
    """The law of the ordered spectrum of a matrix law that does not change under rotations.

    **Arguments:**

    - `law`: a law of matrices `(n, m)`, or of the orthonormal coordinates of symmetric matrices
        ([`gaugebias.symmetry.vector_from_symmetric`][]).
    - `kind`: `"singular"` (decreasing singular values; `p(O W R) = p(W)`), `"eigen"` (decreasing
        eigenvalues of symmetric matrices; `p(O W O^T) = p(W)`), or `"positive"` (those of positive
        matrices).
    - `domain`: of the spectrum, ordered; default all of it.
    - `key`: for the random rotations at which the invariance is checked.

    **Returns:** a [`gaugebias.laws.SpectralLaw`][], points of shape `(r,)`.

    **Raises:** [`gaugebias.laws.LawRefused`][] where the law is not invariant under rotations (by
    how much, and at what size of matrix), [`gaugebias.laws.NotNormalisable`][], and `ValueError`.

    !!! note

        For `W = U V^T` with `r = n = m` and horizontal noise the density is
        `prod s_i^(-1/2) prod |s_i - s_j| exp(-l/T)`; for `U U^T`, `prod w_i^((n-r-1)/2)
        prod |w_i - w_j| (w_i + w_j)^((s-1)/2) exp(-l/T)` (s = 1: Wishart).
    """
    if kind not in ("singular", "eigen", "positive"):
        raise ValueError(f'`kind` must be "singular", "eigen" or "positive", not {kind!r}.')
    side = _side(law.shape, kind)
    if domain is None:
        low = -math.inf if kind == "eigen" else 0.0
        domain = Domain(np.full(side, low), np.full(side, math.inf), ordered=side > 1)
    if domain.dimension != side or (side > 1 and not domain.ordered):
        raise ValueError(f"`domain` must be ordered, with {side} coordinates.")
    traced = is_traced(law)
    conditions = law.conditions
    if not traced:
        with evaluated_now():
            conditions = (*conditions, _invariant(law, kind, side, key))
        require(
            law.name,
            conditions,
            ("take marginals of draws of the matrix law, which need no invariance.",),
        )
    out = SpectralLaw(
        matrix_law=law,
        kind=kind,
        temperature=law.temperature,
        exponent=law.exponent,
        domain=domain,
        conditions=conditions,
        shape=(side,),
        name=f"{law.name} spectrum",
        # No finer than the conditioning of a matrix allows.
        resolution=max(law.resolution, 1e-12),
    )
    if not traced:
        check_integrable(out)
    return out


def _invariant(law: AbstractLaw, kind: str, side: int, key: Array | None) -> Condition:
    keys = jax.random.split(jax.random.key(0) if key is None else key, 3)
    sizes = jnp.sort(0.4 + jax.random.uniform(keys[0], (side,)))[::-1]
    if kind == "eigen":
        sizes = sizes - 0.7
    plain = _diagonal(sizes, law.shape, kind)
    if kind == "singular":
        left = jax.random.orthogonal(keys[1], law.shape[0])
        turned = left @ plain @ jax.random.orthogonal(keys[2], law.shape[1])
    else:
        left = jax.random.orthogonal(keys[1], side)
        matrix = plain if len(law.shape) == 2 else symmetric_from_vector(plain)
        turned = left @ matrix @ left.T
        turned = turned if len(law.shape) == 2 else vector_from_symmetric(turned)
    both = law.effective_loss(jnp.stack([plain, turned])) / law.temperature
    weights = [float(x) for x in both]
    change = abs(weights[0] - weights[1]) / max(1.0, abs(weights[0]))
    eps = float(jnp.finfo(plain.dtype).eps)
    holds = change < eps**0.5
    return Condition(
        "density invariant under rotations",
        holds,
        change,
        f"a random rotation changes the log density by {change:.2e} (relative)"
        + (
            "."
            if holds
            else ", so that its value at diagonal matrices does not give the law of "
            "the spectrum: use a potential of the spectrum."
        ),
    )
