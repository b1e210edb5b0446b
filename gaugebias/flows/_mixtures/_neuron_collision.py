"""Two nearly equal neurons: the reduced dynamics of their difference."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, ArrayLike

from .._parametrisations._parametrisation import check_entries, pair
from .._potentials._potential import as_float
from ._collision import Collision
from ._network import activation_of, check_inputs, check_masses

_SLOW = 0.1  # of the rate of what follows: above it nothing is slaved


def neuron_collision(
    inputs: ArrayLike,
    outputs: tuple[ArrayLike, ArrayLike],
    neuron: ArrayLike,
    *,
    start: ArrayLike,
    target: ArrayLike,
    direction: ArrayLike | None = None,
    masses: ArrayLike | None = None,
    activation: str = "tanh",
    tangents: ArrayLike | None = None,
    tolerance: float = 1e-3,
) -> Collision:
    r"""Two neurons of a network near the place where they are one, as a mixture's components.

    With \(A = a_1 + a_2\), \(v = a_2/A\) and the mean neuron \(m = (1-v) w_1 + v w_2\),

    \[ a_1\varphi(w_1\cdot x) + a_2\varphi(w_2\cdot x) = A\,[\varphi(m\cdot x)
       + \tfrac12 v(1-v)(\delta\cdot x)^2 \varphi''(m\cdot x) + O(\delta^3)], \]

    \(\delta = w_2 - w_1\). For a teacher of the same form with \(\delta_*\) the squared loss
    \(\tfrac12 E(f - f_*)^2\) is, after the mean neuron has adjusted (it is fast: its rate does not
    vanish with \(\delta\)),

    \[ \tfrac{c}{4} (\delta^2 - \delta_*^2)^2, \quad c = \tfrac12 A^2 v^2(1-v)^2 \kappa, \quad
       \kappa = E\big[\big(P\,(u\cdot x)^2\varphi''(m\cdot x)\big)^2\big], \]

    with `u` the direction of the difference, and `P` the projection in \(L^2\) of the inputs off
    the tangents of all that is fast: \(x_j \varphi'(m\cdot x)\), and `tangents`. So the flow is
    that of [`gaugebias.flows.Collision`][] with \(c\) in place of \(w^2(1-w)^2\): the same plateau,
    the same \(t^{-1/2}\), the same natural gradient (of the Gauss-Newton metric) without plateau.
    In a mixture the projection does nothing, as Hermite polynomials are orthogonal; here it takes
    a part of \(\kappa\). Nor is the next order orthogonal: times are right to a relative
    \(O(\delta_*)\), and to \(O(\delta_*^2)\) in the centred chart where \(a_1 = a_2\).

    **Arguments:**

    - `inputs`, `masses`: where the loss is taken: data, or nodes of a quadrature rule.
    - `outputs`: \((a_1, a_2)\), of one sign, fixed. `neuron`: \(m\), shape () or `(d,)`.
    - `start`, `target`: the lengths \(\delta_0\) and \(\delta_*\) along `direction`, `u`, which is
        needed for `d > 1` and of any length.
    - `activation`: as of [`gaugebias.flows.ShallowNetwork`][].
    - `tangents`: derivatives of the outputs in further parameters that are trained and fast, as
        \(\varphi(m\cdot x)\) where `A` is free, or those of other neurons: shape `(N, Q)`.
    - `tolerance`: how far the reduced flow may turn from `u`, relative.

    **Raises:** `ValueError` where the difference would turn away from `u` (its direction is kept
    by symmetry, as for Gaussian inputs and `u` along or across `m`), where \(\kappa\) is 0, and
    where the difference is not slow beside the rest, so that nothing can be eliminated.

    Source: re-derived; protocol ours, about 2206.08598.
    """
    m = as_float(neuron)
    if m.ndim > 1:
        raise ValueError(f"`neuron` must have shape () or (d,), but has {m.shape}.")
    x = check_inputs(inputs, m.shape)
    mass = check_masses(masses, x)
    a1, a2 = pair(outputs, "outputs")
    check_entries(
        (a1 * a2 > 0) & jnp.isfinite(a1 * a2),
        "outputs",
        "must be two finite weights of one sign, neither 0",
    )
    rows, u = x.reshape(x.shape[0], -1), _direction(direction, m)
    phi = activation_of(activation)
    slope, bend = jax.grad(phi), jax.grad(jax.grad(phi))
    fields = rows @ m.reshape(-1)
    first, second = jax.vmap(slope)(fields), jax.vmap(bend)(fields)
    fast = rows * first[:, None]
    if tangents is not None:
        more = as_float(tangents)
        if more.ndim != 2 or more.shape[0] != x.shape[0]:
            raise ValueError(f"`tangents` must have shape ({x.shape[0]}, Q), but has {more.shape}.")
        fast = jnp.concatenate([fast, more], axis=1)
    along = rows @ u
    left = _off(fast, along**2 * second, mass)
    # kappa = u . q, and q is where the reduced flow points.
    q = rows.T @ (mass * along * second * left)
    kappa, total = u @ q, a1 + a2
    found = Collision(a2 / total, start, target, 0.5 * total**2 * kappa)
    if isinstance(kappa, Tracer):
        return found
    _check(found, q, u, total, rows * first[:, None], mass, tolerance)
    return found


def _direction(direction: ArrayLike | None, m: Array) -> Array:
    if m.ndim == 0:
        return jnp.ones(1, m.dtype)
    if direction is None:
        raise ValueError(f"`direction` is needed in {m.size} dimensions: a vector of shape (d,).")
    u = as_float(direction)
    if u.shape != m.shape:
        raise ValueError(f"`direction` must have shape {m.shape}, as `neuron`, but has {u.shape}.")
    size = jnp.linalg.norm(u)
    check_entries((size > 0) & jnp.isfinite(size), "direction", "must be finite and not 0")
    return u / size


def _off(fast: Array, values: Array, mass: Array) -> Array:
    """What is left of `values` after the columns of `fast`, by least squares with masses."""
    root = jnp.sqrt(mass)
    basis = jnp.linalg.qr(root[:, None] * fast)[0]
    weighted = root * values
    weighted = weighted - basis @ (basis.T @ weighted)
    return jnp.where(root > 0, weighted / jnp.where(root > 0, root, 1.0), 0.0)


def _check(found, q, u, total, moved, mass, tolerance) -> None:
    kappa = float(u @ q)
    scale = float(jnp.sum(mass * jnp.sum(moved**2, axis=1)))
    if not kappa > 1e-12 * max(scale, 1e-300):
        raise ValueError(
            "`inputs` do not see the difference of the two neurons to second order: its effect is "
            "that of moving the rest (kappa is 0). Take more inputs, or fewer `tangents`."
        )
    turn = float(jnp.linalg.norm(q - kappa * u) / jnp.linalg.norm(q))
    if turn > tolerance:
        raise ValueError(
            f"`direction` is not kept: the reduced flow turns from it by {turn:.2g}, relative, "
            f"more than `tolerance` = {tolerance:g}. Choose it along or across `neuron`, with "
            "inputs that are symmetric about both; or integrate the network itself."
        )
    quick = float(total) ** 2 * float(np.linalg.eigvalsh(moved.T @ (mass[:, None] * moved))[0])
    slow = 2.0 * float(found.rate * jnp.maximum(found.start**2, found.target**2))
    if slow > _SLOW * quick:
        raise ValueError(
            f"`start` and `target` are too large: the difference moves at the rate {slow:.2g}, the "
            f"mean neuron at {quick:.2g}, and does not follow. Take a target below "
            f"{np.sqrt(_SLOW * quick / (2.0 * float(found.rate))):.2g}."
        )
