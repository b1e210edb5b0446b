"""Chains of matrix factors on the balanced slice: what all products of matrices share.

A chain `W = W_N ... W_1` of widths `d_0, ..., d_N` (`W_p` of shape `(d_p, d_(p-1))`) is acted on by
`GL(d_1) x ... x GL(d_(N-1))`. On the slice `W_(p+1)^T W_(p+1) = W_p W_p^T` all factors are diagonal
in common frames, with the singular values `s_i^(1/N)`, `i <= r = min d_p`, and zeros beyond. Then
`S` and `K` fall apart into one small block for each pair of indices, with determinants

    k_ij = sum_(p=1..N) s_i^(2(N-p)/N) s_j^(2(p-1)/N)     i, j <= r

and, where one index of the pair is beyond `r`, a power of the other one's singular value.
"""

import dataclasses
import itertools
import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike

from .._base import weight_by_exponent
from .._describe import Dimensions, LawStatement, fraction
from .._roots import polar, psd_root
from .._statements import moment_map_laws, refused_laws
from ._pairs import log_pair_gaps, log_pair_sums, log_power_pairs, pair_count


@dataclasses.dataclass(frozen=True)
class Chain:
    """Closed forms of a chain of matrices with these widths, inputs first.

    Spectra `s` have shape `(rank,)`.
    """

    widths: tuple[int, ...]

    @property
    def depth(self) -> int:
        """Number `N` of factors."""
        return len(self.widths) - 1

    @property
    def rank(self) -> int:
        """Largest rank of the product."""
        return min(self.widths)

    @property
    def outer(self) -> int:
        """Zero directions of the product's two ends, `d_0 + d_N - 2r`."""
        return self.widths[0] + self.widths[-1] - 2 * self.rank

    @property
    def hidden(self) -> int:
        """Zero directions of the hidden spaces, `sum_p (d_p - r)`."""
        return sum(self.widths[1:-1]) - (self.depth - 1) * self.rank

    @property
    def closed(self) -> bool:
        """Whether generic orbits are closed: every factor has rank `r` at most."""
        return all(min(pair) == self.rank for pair in itertools.pairwise(self.widths))

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """Shapes of the factors `W_1, ..., W_N`."""
        return tuple((b, a) for a, b in itertools.pairwise(self.widths))

    @property
    def dimensions(self) -> Dimensions:
        inner, r = self.widths[1:-1], self.rank
        algebra = sum(d * d for d in inner)
        stabiliser = sum((d - r) ** 2 for d in inner)
        return Dimensions(
            parameters=sum(math.prod(shape) for shape in self.shapes),
            algebra=algebra,
            orbit=algebra - stabiliser,
            stabiliser=stabiliser,
            symmetric=sum(pair_count(d) + d for d in inner),
            predictor=self.widths[0] * self.widths[-1],
            quotient=r * (self.widths[0] + self.widths[-1] - r),
        )

    def product(self, factors: tuple[Array, ...]) -> Array:
        """`W_N ... W_1`."""
        w = factors[0]
        for factor in factors[1:]:
            w = factor @ w
        return w

    def balanced(self, w: Array) -> tuple[Array, ...]:
        """Balanced factors of `w`, differentiable at equal singular values if `w` has rank
        `min(d_0, d_N)`."""
        n, m = w.shape
        r, depth = self.rank, self.depth
        if r == min(n, m):
            frame, h = polar(w if n >= m else w.T)
            root = psd_root(h, depth)
            first, last = (root, frame @ root) if n >= m else (root @ frame.T, root)
        else:
            left, s, right = jnp.linalg.svd(w, full_matrices=False)
            sizes = s[:r] ** (1.0 / depth)
            root = jnp.diag(sizes)
            first, last = sizes[:, None] * right[:r], left[:, :r] * sizes[None, :]
        cores = (first, *[root] * (depth - 2), last)
        return tuple(
            jnp.pad(core, [(0, big - small) for big, small in zip(shape, core.shape, strict=True)])
            for core, shape in zip(cores, self.shapes, strict=True)
        )

    def apply_gram(self, factors: tuple[Array, ...], z: Array) -> Array:
        """`K z = sum_p L_p L_p^T z R_p^T R_p`, `L_p = W_N ... W_(p+1)`, `R_p = W_(p-1) ... W_1`."""
        total = jnp.zeros_like(z)
        for p in range(self.depth):
            below, above = factors[:p], factors[p + 1 :]
            term = z
            for factor in below:
                term = term @ factor.T
            for factor in reversed(above):
                term = factor.T @ term
            for factor in above:
                term = factor @ term
            for factor in reversed(below):
                term = term @ factor
            total = total + term
        return total

    def _diagonal(self, s: Array) -> Array:
        n = self.depth
        return jnp.sum(jnp.log(float(n)) + (2.0 - 2.0 / n) * jnp.log(s))

    def _pair(self, s: Array) -> Array:
        return log_power_pairs(s ** (2.0 / self.depth), self.depth)

    def _zero(self, s: Array) -> Array:
        """`(2/N) sum_i log s_i` for each zero direction of the hidden spaces."""
        return self.hidden * (2.0 / self.depth) * jnp.sum(jnp.log(s))

    def log_gram(self, s: Array) -> Array:
        """`log pdet K = sum_ij log k_ij + (d_0 + d_N - 2r) (2 - 2/N) sum_i log s_i`."""
        ends = self.outer * (2.0 - 2.0 / self.depth) * jnp.sum(jnp.log(s))
        return self._diagonal(s) + 2.0 * self._pair(s) + ends

    def log_orbit(self, s: Array) -> Array:
        """`log pdet S = sum_ij log k_ij + sum_p (d_p - r) (4/N) sum_i log s_i`."""
        return self._diagonal(s) + 2.0 * (self._pair(s) + self._zero(s))

    def log_symmetric(self, s: Array) -> Array:
        """Symmetric generators, orthonormal basis: the diagonal, pairs and zeros once."""
        return self._diagonal(s) + self._pair(s) + self._zero(s)

    def log_residual(self, s: Array) -> Array:
        """Rotations of the hidden spaces, basis `A_ij = c, A_ji = -c` (hence the factors 2)."""
        inner = (self.depth - 1) * pair_count(self.rank) + self.hidden * self.rank
        return inner * jnp.log(2.0) + self._pair(s) + self._zero(s)

    def log_conditioned(self, s: Array) -> Array:
        """`1/2 log pdet S_residual - 1/2 log pdet S_symmetric`."""
        return 0.5 * (self.log_residual(s) - self.log_symmetric(s))

    def log_spectral(self, s: Array, exponent: ArrayLike) -> Array:
        """Log density of ordered singular values in `ds`, without `-l/T`.

        The density in `W` plus the Weyl Jacobian
        `(d_0 + d_N - 2r) sum_i log s_i + sum_{i<j} log|s_i^2 - s_j^2|`.
        """
        weight = weight_by_exponent(
            exponent, 0.5 * self.log_orbit(s), self.log_conditioned(s), True
        )
        weyl = self.outer * jnp.sum(jnp.log(s)) + log_pair_gaps(s) + log_pair_sums(s)
        return weight - 0.5 * self.log_gram(s) + weyl

    def slice_drift(self, s: Array) -> Array:
        """`tr(P A_(p,i))` on the slice, shape `(depth - 1, rank)`; see `DeepLinear`."""
        n, r = self.depth, self.rank
        ratio = (s[None, :] / s[:, None]) ** (2.0 / n)
        total = sum((ratio**q for q in range(1, n + 1)), jnp.zeros_like(ratio))
        rows = [jnp.sum((ratio ** (n - p) - ratio**p) / total, axis=1) for p in range(1, n)]
        ends = np.zeros(n - 1)
        ends[-1] += self.widths[-1] - r
        ends[0] -= self.widths[0] - r
        return jnp.stack(rows) + jnp.asarray(ends, s.dtype)[:, None]

    @property
    def invariant(self) -> bool:
        """Whether `slice_drift` vanishes: horizontal Ito noise stays on the slice."""
        if self.depth == 2:
            return self.widths[0] == self.widths[-1]
        return self.rank == 1 and self.outer == 0

    def laws(self, what: str) -> tuple[LawStatement, ...]:
        """The table of laws in the singular values; `what` is not compact."""
        n, r = self.depth, self.rank
        if not self.closed:
            return refused_laws(
                "Generic orbits are not closed and never meet the slice; around balanced points "
                "the predictor does not separate orbits. The virial identity and the imbalance "
                "rates hold.",
                what,
                "Generic orbits never meet the slice: there is nothing to condition on.",
            )
        zero = -(1 - 1 / n) + self.outer / n
        return moment_map_laws(
            self._density(zero),
            self._density(zero - 1 + 1 / n),
            ito=None if self.invariant else self._leaves(),
            what=what,
            normalisable=self.outer > n - 2,
            at=f"s_{r} = 0",
        )

    def _density(self, power: float) -> str:
        factors = []
        if abs(power) > 1e-12:
            base = "s" if self.rank == 1 else "prod_i s_i"
            factors.append(base if power == 1 else f"{base}^{fraction(power)}")
        if self.rank > 1:
            x = "s" if self.depth == 2 else "x"
            factors.append(f"prod_(i<j) |{x}_i - {x}_j|")
            if self.depth > 2:
                factors.append(f"with x = s^(2/{self.depth})")
        return " ".join(factors) or "1"

    def _leaves(self) -> str:
        first, last = self.widths[0] - self.rank, self.widths[-1] - self.rank
        if self.depth == 2:
            why = (
                f"tr(P A) = d_2 - d_0 = {last - first} for the diagonal generators all over the "
                "slice: the balance drifts."
            )
        elif first or last:
            why = (
                "tr(P A) is not 0 on the slice: an end layer with zero directions grows against "
                "its neighbour."
            )
        else:
            why = (
                "tr(P A) is not 0 on the slice (it vanishes at equal singular values alone): "
                "outer layers grow, middle ones shrink."
            )
        return why + " The Stratonovich law, the virial identity and the imbalance rates hold."

    def formulas(self) -> tuple[str, str]:
        """`log det S` and `log det K` on the slice, with the widths put in."""
        n = self.depth
        pairs = "sum log(s_i+s_j)" if n == 2 else "sum log k_ij"
        if self.rank == 1:
            pairs = f"log({n} s)" if n == 2 else f"log({n} s^{fraction(2 - 2 / n)})"
        total = "log s" if self.rank == 1 else "sum log s_i"
        orbit, gram = 4 * self.hidden / n, self.outer * (2 - 2 / n)
        return _plus(pairs, orbit, total), _plus(pairs, gram, total)


def _plus(text: str, times: float, what: str) -> str:
    if times == 0:
        return text
    return f"{text} + {what}" if times == 1 else f"{text} + {fraction(times)} {what}"
