"""What the loss sees, who acts, and where to stand on an orbit."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import optimistix as optx
from jax.core import Tracer
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, PyTree

from ..symmetry import AbstractAction, check_invariance
from ..symmetry._leaves import precision
from ._domain import Domain
from ._gauges._gauge import AbstractGauge, MomentMapGauge
from ._grams._gram import log_orbit_volume
from ._predictor import predictor_gram, predictor_log_det


class Quotient(eqx.Module):
    """The quotient of parameter space by a symmetry, in the predictor's coordinates.

    **Arguments:**

    - `phi`: the predictor map `params -> w` (the invariants): everything that the loss sees.
        `w` is an array, or a pytree of arrays.
    - `action`: the group acting on parameters, leaving `phi` unchanged.
    - `gauge`: which point of an orbit represents it; default
        [`gaugebias.quotient.MomentMapGauge`][].
    - `lift`: `w -> params`, a representative **on the slice**; found by Newton's method from `at`
        where it is not given.
    - `at`: a parameter point where conditions are checked and Newton starts.
    - `domain`: the [`gaugebias.quotient.Domain`][] of `w` and its singular strata; the whole space
        where it is not given.
    - `log_det_gram`, `log_volume`: closed forms `w -> log det K` and `w -> log V_loc` at the
        representative, where known; autodiff Jacobians at the representative otherwise.

    **Raises:** `ValueError` when `at` is given and the action does not leave `phi` unchanged there
    (naming the generator and the size of the violation), or when `lift(phi(at))` does not give the
    predictor back.

    !!! example

        ```python
        import jax.numpy as jnp
        import gaugebias as gb

        act = gb.symmetry.Rescaling(lambda p: p[0], lambda p: p[1], axes=(None, None))
        q = gb.Quotient(lambda p: p[0] * p[1], act, at=(jnp.array(1.0), jnp.array(0.5)))
        q.predictor_log_det(jnp.array(0.5))     # log(2 |w|) = 0
        ```
    """

    phi: Callable
    action: AbstractAction
    gauge: AbstractGauge
    lift: Callable | None
    at: PyTree
    domain: Domain | None
    log_det_gram: Callable | None
    log_volume: Callable | None

    def __init__(
        self,
        phi: Callable,
        action: AbstractAction,
        gauge: AbstractGauge | None = None,
        lift: Callable | None = None,
        at: PyTree = None,
        domain: Domain | None = None,
        log_det_gram: Callable | None = None,
        log_volume: Callable | None = None,
    ):
        self.phi = phi
        self.action = action
        self.gauge = MomentMapGauge() if gauge is None else gauge
        self.lift = lift
        self.at = at
        self.domain = domain
        self.log_det_gram = log_det_gram
        self.log_volume = log_volume

    def __check_init__(self):
        if not callable(self.phi):
            raise ValueError("`phi` must be callable: params -> predictor.")
        if not isinstance(self.action, AbstractAction):
            raise ValueError(
                "`action` must be an action of `gaugebias.symmetry`, such as "
                "`Rescaling(where_first, where_second)`; wrap a field of your own in "
                "`Generators(fn, algebra)`."
            )
        if not isinstance(self.gauge, AbstractGauge):
            raise ValueError("`gauge` must be `MomentMapGauge()` or `FunctionGauge(chi)`.")
        if self.domain is not None and not isinstance(self.domain, Domain):
            raise ValueError("`domain` must be a `gaugebias.quotient.Domain`.")
        leaves = jax.tree.leaves(self.at)
        if self.at is not None and not any(isinstance(x, Tracer) for x in leaves):
            check_invariance(self.phi, self.action, self.at)
            self._check_lift()

    def _check_lift(self) -> None:
        if self.lift is None:
            return
        w, _ = ravel_pytree(self.phi(self.at))
        back, _ = ravel_pytree(self.phi(self.lift(self.phi(self.at))))
        if w.shape != back.shape:
            raise ValueError(
                f"`lift` must invert `phi`: phi(at) has {w.size} entries, phi(lift(phi(at))) "
                f"{back.size}."
            )
        error = float(jnp.max(jnp.abs(w - back), initial=0.0))
        scale = float(jnp.max(jnp.abs(w), initial=1.0))
        if not error <= precision(self.at) ** 0.5 * scale:
            raise ValueError(
                f"`lift` must invert `phi`, but phi(lift(phi(at))) is {error:.2e} away from "
                "phi(at)."
            )

    def representative(self, w: PyTree, *, max_steps: int = 256) -> PyTree:
        """Parameters on the slice with predictor `w`.

        `lift(w)` where there is one; else Levenberg-Marquardt on `(phi - w, chi)` from `at`. NaN
        where it does not converge.

        **Raises:** `ValueError` when there is neither `lift` nor `at`.
        """
        if self.lift is not None:
            return self.lift(w)
        if self.at is None:
            raise ValueError(
                "`q` has neither `lift` nor `at`: give `lift=` (w -> params on the slice), or a "
                "parameter point `at=` from which Newton's method can start."
            )
        moving, still = eqx.partition(self.at, eqx.is_inexact_array)
        start, unravel = ravel_pytree(moving)
        target, _ = ravel_pytree(w)

        def residual(x, _):
            params = eqx.combine(unravel(x), still)
            chi, _ = ravel_pytree(self.gauge.chi(self.action, params))
            return ravel_pytree(self.phi(params))[0] - target, chi

        eps = precision(self.at)
        tolerance = eps**0.75
        solver = optx.LevenbergMarquardt(rtol=tolerance, atol=tolerance)
        solution = optx.least_squares(residual, solver, start, max_steps=max_steps, throw=False)
        left = jnp.concatenate(residual(solution.value, None))
        scale = 1.0 + jnp.max(jnp.abs(target))
        found = jnp.max(jnp.abs(left)) <= eps**0.5 * scale
        return eqx.combine(unravel(jnp.where(found, solution.value, jnp.nan)), still)

    def predictor_gram(self, w: PyTree) -> Array:
        """`K(w)` at the representative, shape `(m, m)`."""
        return predictor_gram(self.phi, self.representative(w))

    def predictor_log_det(self, w: PyTree) -> Array:
        """`log det K(w)`: the closed form if given, else autodiff at the representative."""
        if self.log_det_gram is not None:
            return self.log_det_gram(w)
        return predictor_log_det(self.phi, self.representative(w))

    def orbit_log_volume(self, w: PyTree) -> Array:
        """`log V_loc(w)`: the closed form if given, else autodiff at the representative."""
        if self.log_volume is not None:
            return self.log_volume(w)
        return log_orbit_volume(self.action, self.representative(w))
