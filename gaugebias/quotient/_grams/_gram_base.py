"""What every orbit Gram offers, and the one that needs no structure."""

import abc

import equinox as eqx
import jax.numpy as jnp
import lineax as lx
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, PyTree

from ...symmetry import AbstractAction, orbit_jacobian
from ...symmetry._action import as_coefficients, as_tangent
from ._linalg import (
    frame_rank,
    log_pseudo_det_gram,
    orthonormalise,
    project_on_frame,
    pseudo_inverse,
)

UNROLLED = 16
"""Frames with at most this many columns (or rows) are orthonormalised by unrolled arithmetic."""


class AbstractOrbitGram(eqx.Module):
    """`S = J^T J` at one point, `J` the generators `[X_1 .. X_k]` there, shape `(D, k)`.

    Coefficients are pytrees of the action's algebra. Determinant, inverse and rank are the
    pseudo-determinant, pseudo-inverse and numerical rank where a stabiliser makes `S` singular.

    The methods are exact up to rounding: no form of the Gram estimates them at random. All can be
    jitted and vmapped; `log_det`, `solve` and `vertical` can be differentiated to any order at
    constant rank, also at equal singular values. `sqrt` can not at equal singular values.
    """

    action: eqx.AbstractVar[AbstractAction]
    params: eqx.AbstractVar[PyTree]

    @property
    @abc.abstractmethod
    def structure(self) -> str:
        """What is made use of, for example `"kronecker sum"`; for a dense Gram also why."""

    @abc.abstractmethod
    def log_det(self) -> Array:
        """`log pdet S`, a scalar, differentiable in the parameters at constant rank."""

    @abc.abstractmethod
    def solve(self, coeffs: PyTree) -> PyTree:
        """`S^+ c`: coefficients to coefficients."""

    @abc.abstractmethod
    def sqrt(self, coeffs: PyTree) -> PyTree:
        """`S^(1/2) c`, the symmetric root."""

    @abc.abstractmethod
    def rank(self) -> Array:
        """Dimension of the orbit here, an integer scalar."""

    @abc.abstractmethod
    def vertical(self, v: PyTree) -> PyTree:
        """Orthogonal projection `J S^+ J^T v` of a tangent onto the orbit."""

    def mv(self, coeffs: PyTree) -> PyTree:
        """`S c`."""
        return self.action.cotangent(self.params, self.action.tangent(self.params, coeffs))

    def as_matrix(self) -> Array:
        """`S` as a dense matrix, shape `(k, k)`, in the ravelled basis of the algebra."""
        frame = orbit_jacobian(self.action, self.params)
        return frame.T @ frame

    def as_operator(self) -> lx.FunctionLinearOperator:
        """`S` as a lineax operator on coefficients, tagged symmetric and positive semidefinite.

        !!! example

            ```python
            import jax.numpy as jnp
            import lineax as lx
            import gaugebias as gb
            act = gb.symmetry.GeneralLinear("0", "1")
            gram = gb.orbit_gram(act, (jnp.eye(3, 2), jnp.eye(4, 2)))
            solver = lx.CG(rtol=1e-6, atol=1e-6)
            lx.linear_solve(gram.as_operator(), jnp.eye(2), solver).value   # eye(2) / 2
            ```
        """
        structure = self.action.algebra(self.params)
        tags = frozenset({lx.symmetric_tag, lx.positive_semidefinite_tag})
        return lx.FunctionLinearOperator(self.mv, structure, tags)


class DenseGram(AbstractOrbitGram):
    """No structure: singular values of the materialised frame, `O(D k^2)`.

    `reason` says why, in `structure`.
    """

    action: AbstractAction
    params: PyTree
    reason: str = eqx.field(static=True, default="no structure is known for this action")

    @property
    def structure(self) -> str:
        return f"dense: {self.reason}"

    def log_det(self) -> Array:
        return log_pseudo_det_gram(orbit_jacobian(self.action, self.params))

    def solve(self, coeffs: PyTree) -> PyTree:
        coeffs = as_coefficients(coeffs, self.action.algebra(self.params))
        inverse = pseudo_inverse(orbit_jacobian(self.action, self.params))
        flat, unravel = ravel_pytree(coeffs)
        return unravel(inverse @ (inverse.T @ flat))

    def sqrt(self, coeffs: PyTree) -> PyTree:
        coeffs = as_coefficients(coeffs, self.action.algebra(self.params))
        frame = orbit_jacobian(self.action, self.params)
        flat, unravel = ravel_pytree(coeffs)
        _, s, vt = jnp.linalg.svd(frame, full_matrices=False)
        return unravel(vt.T @ (s * (vt @ flat)))

    def rank(self) -> Array:
        return frame_rank(orbit_jacobian(self.action, self.params))

    def vertical(self, v: PyTree) -> PyTree:
        flat, unravel = ravel_pytree(as_tangent(self.params, v, "v"))
        frame = orbit_jacobian(self.action, self.params)
        if min(frame.shape) <= UNROLLED:
            basis = orthonormalise([frame[:, a] for a in range(frame.shape[1])])
            return unravel(sum((q * jnp.sum(q * flat) for q in basis), jnp.zeros_like(flat)))
        return unravel(project_on_frame(frame, flat))
