"""Large learning rates on a two-layer linear network and one datum: the catapult."""

from typing import Literal, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike

from .._parametrisations._parametrisation import check_entries
from .._potentials._potential import as_float


@final
class CatapultPath(eqx.Module):
    """Output and curvature at the steps `0, ..., steps`.

    - `output`: `f`; `curvature`: the tangent kernel `(|u|^2 + |v|^2)/n`; both of shape `(T,)`.
    - `width`: `n`; `learning_rate`.
    """

    output: Array
    curvature: Array
    width: int = eqx.field(static=True)
    learning_rate: Array

    @property
    def loss(self) -> Array:
        """`f^2 / 2`."""
        return 0.5 * self.output**2

    @property
    def imbalance_factor(self) -> Array:
        """What `u_i^2 - v_i^2` has been multiplied by: the product of `1 - eta^2 f^2/n`.

        Gradient flow conserves it, finite steps do not.
        """
        factor = 1.0 - self.learning_rate**2 * self.output[:-1] ** 2 / self.width
        return jnp.concatenate([jnp.ones(1, factor.dtype), jnp.cumprod(factor)])


def catapult_regime(
    learning_rate: float, curvature: float
) -> Literal["lazy", "catapult", "divergent"]:
    r"""What happens at the learning rate \(\eta\) from the curvature \(\lambda_0\).

    `"lazy"` below \(2/\lambda_0\), `"catapult"` up to \(4/\lambda_0\) (the loss grows to order of
    the width, then the curvature has fallen below \(2/\eta\) and it converges), `"divergent"`
    above. The thresholds hold as the width grows; close to them a finite one may differ.

    Source: 2003.02218; re-derived.
    """
    if not (learning_rate > 0 and curvature > 0):
        raise ValueError("`learning_rate` and `curvature` must be positive.")
    product = learning_rate * curvature
    return "lazy" if product < 2 else "catapult" if product < 4 else "divergent"


def catapult(
    output: ArrayLike, curvature: ArrayLike, learning_rate: ArrayLike, *, width: int, steps: int
) -> CatapultPath:
    r"""Gradient descent on \(f^2/2\), \(f = v \cdot u/\sqrt n\), as a recursion in two numbers.

    Exact for every width:

    \[ f' = (1 - \eta\lambda + \eta^2 f^2/n) f, \qquad
       \lambda' = \lambda + (\eta f^2/n)(\eta\lambda - 4). \]

    A divergent run overflows to infinity or NaN, as the weights do.

    **Arguments:** `output`, `f`, and `curvature`, \(\lambda\), at the start; `learning_rate`;
    `width`, `n`; `steps`.

    Source: 2003.02218; re-derived.

    !!! example

        ```python
        path = gb.flows.catapult(0.1, 2.0, 1.5, width=1000, steps=100)
        path.loss.max(), path.curvature[-1]     # 170 and 0.157
        ```
    """
    if width < 1 or steps < 1:
        raise ValueError(f"`width` and `steps` must be at least 1, not {width} and {steps}.")
    f, lam = as_float(output), as_float(curvature)
    eta = as_float(learning_rate)
    check_entries(eta > 0, "learning_rate", "must be positive")
    check_entries(lam > 0, "curvature", "must be positive")
    # 2 |f| <= sqrt(n) lambda, as 2 u.v <= |u|^2 + |v|^2.
    check_entries(
        2.0 * jnp.abs(f) <= width**0.5 * lam * (1.0 + 1e-9),
        "output",
        "is above sqrt(width) * curvature / 2, which no weights have",
    )

    def step(state, _):
        f, lam = state
        size = eta * f**2 / width
        new = ((1.0 - eta * lam + eta * size) * f, lam + size * (eta * lam - 4.0))
        return new, new

    f, lam, eta = jnp.broadcast_arrays(f, lam, eta)
    _, (fs, lams) = jax.lax.scan(step, (f, lam), None, length=steps)
    fs, lams = jnp.concatenate([f[None], fs]), jnp.concatenate([lam[None], lams])
    return CatapultPath(fs, lams, width, eta)


def catapult_start(u: ArrayLike, v: ArrayLike) -> tuple[Array, Array]:
    """`(output, curvature)` of the weights `u`, `v` of shape `(n,)`."""
    u, v = as_float(u), as_float(v)
    if u.ndim != 1 or u.shape != v.shape:
        raise ValueError(f"`u` and `v` must be vectors of one length: {u.shape}, {v.shape}.")
    return jnp.sum(u * v) / u.size**0.5, (jnp.sum(u**2) + jnp.sum(v**2)) / u.size
