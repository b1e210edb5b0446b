"""The potentials between the kernel and the rich regime."""

import jax.numpy as jnp
from jaxtyping import ArrayLike

from .._parametrisations._parametrisation import check_entries
from ._difference import PowerEntropy
from ._entropy import HyperbolicEntropy
from ._potential import AbstractPotential, as_float
from ._separable import Scaled


def kernel_rich(depth: float, alpha: ArrayLike) -> AbstractPotential:
    r"""\(Q^D_\alpha\): which solution `u^D - v^D` finds from `u = v = alpha`.

    \(Q = \sum \alpha^2 q(x/\alpha^2)\), \(q(z) = 2 - \sqrt{4+z^2} + z\,\mathrm{arcsinh}(z/2)\) at
    depth 2; \(Q = \sum \alpha^D q_D(x/\alpha^D)\), \(q_D = \int h_D^{-1}\),
    \(h_D(z) = (1-z)^{-D/(D-2)} - (1+z)^{-D/(D-2)}\) above. `alpha -> 0` is the l1 norm (rich, in
    the sense of features), `alpha -> infinity` the squared l2 norm (kernel).

    The potential of the flow itself is this over `4` at depth 2 and over
    `D (D-2) alpha^(D-2)` above.

    **Arguments:**

    - `depth`: any real `D >= 2`.
    - `alpha`: the weights' start, a positive scalar; at depth 2 also of shape `(d,)`.

    Source: 2002.09277, Theorems 1 and 3; re-derived.

    !!! example

        ```python
        gb.flows.kernel_rich(3, 0.1).value(jnp.array([1.0, -2.0]))
        ```
    """
    if not 2 <= depth < float("inf"):
        raise ValueError(
            f"`depth` must be at least 2 and finite, but is {depth}: see `PowerEntropy` below."
        )
    alpha = as_float(alpha)
    good = (alpha > 0) & jnp.isfinite(alpha)
    check_entries(good, "alpha", "must be positive and finite: the limit 0 is the l1 norm")
    if depth == 2:
        return HyperbolicEntropy(2.0 * alpha**2, jnp.zeros(()), jnp.ones(()))
    if alpha.ndim:
        raise ValueError("`alpha` must be a scalar above depth 2: see `PowerEntropy` for others.")
    factor = depth * (depth - 2.0) * alpha ** (depth - 2.0)
    size = factor * alpha**2
    check_entries(
        (size > 0) & jnp.isfinite(size),
        "alpha",
        f"to the power {depth:g} leaves the range of numbers: take one nearer to 1",
    )
    return Scaled(PowerEntropy(depth, alpha, alpha), factor)
