"""Large orbit Grams without structure: exact methods at the dense cost, and an estimate."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, PyTree

from ...symmetry import AbstractAction
from ...symmetry._matrices import rank_tolerance
from ._gram_base import AbstractOrbitGram, DenseGram

LANCZOS_ABOVE = 1000
"""Number of generators above which a Gram without structure offers an estimate."""


class LogDetEstimate(NamedTuple):
    """`log det S` estimated from random probes, with the standard error of their mean."""

    value: Array
    standard_error: Array


class StochasticLanczosGram(AbstractOrbitGram):
    """More than 1,000 generators without structure: `DenseGram` with `log_det_estimate`.

    The estimate is made only where it is asked for by name; all other methods are those of `dense`,
    exact, and cost `O(D k^2)`.
    """

    action: AbstractAction
    params: PyTree
    dense: DenseGram

    @property
    def structure(self) -> str:
        return f"{self.dense.structure}; `log_det_estimate` by stochastic Lanczos"

    def log_det(self) -> Array:
        return self.dense.log_det()

    def solve(self, coeffs: PyTree) -> PyTree:
        return self.dense.solve(coeffs)

    def sqrt(self, coeffs: PyTree) -> PyTree:
        return self.dense.sqrt(coeffs)

    def rank(self) -> Array:
        return self.dense.rank()

    def vertical(self, v: PyTree) -> PyTree:
        return self.dense.vertical(v)

    def log_det_estimate(self, key, *, probes: int = 32, order: int = 50) -> LogDetEstimate:
        """`log pdet S` by stochastic Lanczos quadrature, with its standard error.

        Golub-Kahan bidiagonalisation of the frame (so that its Gram is not formed), fully
        reorthogonalised, from random signs. Memory is `order` vectors of the parameters' size for
        each probe, and the cost `probes * order` tangents and cotangents.

        **Arguments:**

        - `key`: a `jax.random` key.
        - `probes`: number of random vectors, at least 2. The standard error falls as its root.
        - `order`: number of Lanczos steps; at most `k` are made. The standard error does not
          know what a small order leaves out: at a condition number of the frame above about
          `order / 2` the value is too large by more than it says. Raise it until nothing changes.

        **Returns:** a `LogDetEstimate`, `value` and `standard_error`.

        **Raises:** `ImportError` where matfree is not installed; `ValueError` for fewer than 2
        probes or less than 1 step.
        """
        if probes < 2 or order < 1:
            raise ValueError(
                f"`probes` must be at least 2, for a standard error, and `order` at least 1, not "
                f"{probes} and {order}."
            )
        try:
            from matfree import decomp, funm  # pyright: ignore[reportMissingImports]
        except ImportError as error:
            raise ImportError(
                "`log_det_estimate` needs matfree, which is not installed: "
                "pip install 'gaugebias[matfree]'."
            ) from error

        zeros = jax.tree.map(
            lambda s: jnp.zeros(s.shape, s.dtype), self.action.algebra(self.params)
        )
        flat, unravel = ravel_pytree(zeros)
        wide = jnp.zeros(()).dtype

        def frame(c: Array) -> Array:
            tangent = self.action.tangent(self.params, unravel(c.astype(flat.dtype)))
            return ravel_pytree(tangent)[0].astype(wide)

        rows = jax.eval_shape(frame, jax.ShapeDtypeStruct(flat.shape, wide)).shape[0]
        floor = rank_tolerance((rows, flat.size), flat.dtype)

        def log_of_gram(bidiagonal: Array) -> Array:
            _, s, vt = jnp.linalg.svd(bidiagonal)
            keep = s > floor * s[0]
            logs = jnp.where(keep, 2.0 * jnp.log(jnp.where(keep, s, 1.0)), 0.0)
            return (vt.T * logs[None, :]) @ vt

        quadrature = funm.monte_carlo_funm_product(
            log_of_gram, decomp.bidiag(min(order, flat.size, rows))
        )
        signs = jax.random.rademacher(key, (probes, flat.size), wide)
        values = jax.lax.map(lambda z: quadrature(frame, z), signs)
        return LogDetEstimate(jnp.mean(values), jnp.std(values, ddof=1) / jnp.sqrt(probes))
