"""How layers came to change: by alignment, disalignment or rescaling."""

from typing import Literal

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike

from ._potential import as_float

Mechanism = Literal["alignment", "disalignment", "rescaling", "none"]


def mechanism(
    alignment: tuple[float, float], kernel: tuple[float, float], *, tolerance: float = 0.05
) -> Mechanism:
    r"""What changed between the start and the end of a run, exact or measured.

    `"alignment"` or `"disalignment"` where \(|\zeta|\) rose or fell by more than `tolerance`;
    else `"rescaling"` where the kernel (or any measure of the weights' size) changed by more than
    that part of its start; else `"none"`, the kernel regime.

    **Arguments:** `alignment`, \(\zeta\) at the start and the end; `kernel`, the same of the
    tangent kernel, positive.

    Source: the names are those of 2401.07085; the definition with a tolerance is ours.
    """
    for name, pair in (("alignment", alignment), ("kernel", kernel)):
        if len(pair) != 2 or not all(bool(jnp.isfinite(value)) for value in pair):
            raise ValueError(f"`{name}` must hold the finite values at the start and the end.")
    if any(abs(float(value)) > 1 + 1e-6 for value in alignment):
        raise ValueError("`alignment` must lie between -1 and 1.")
    if not (kernel[0] > 0 and kernel[1] > 0):
        raise ValueError("`kernel` must be positive.")
    if not 0 < tolerance < 1:
        raise ValueError(f"`tolerance` is {tolerance}: give a number between 0 and 1.")
    change = abs(float(alignment[1])) - abs(float(alignment[0]))
    if abs(change) > tolerance:
        return "alignment" if change > 0 else "disalignment"
    return "rescaling" if abs(kernel[1] / kernel[0] - 1.0) > tolerance else "none"


def layer_alignment(weight: ArrayLike, inputs: ArrayLike) -> Array:
    r"""How much of a layer's norm acts on its inputs, between 0 and 1: a scalar.

    The root mean square over samples of \(|W h|/(|W|_F |h|)\). For the second layer of
    [`gaugebias.flows.LatentVariable`][] it is \(|\zeta|\). A random `W` of `m` rows and `n`
    columns has about \(1/\sqrt n\).

    **Arguments:** `weight`, shape `(m, n)`; `inputs`, the layer's inputs `h`, shape
    `(samples, n)`. Samples with `h = 0` do not count.

    Source: derived here as the extension of \(\zeta\) to any layer.
    """
    weight, inputs = as_float(weight), as_float(inputs)
    if weight.ndim != 2 or inputs.ndim != 2 or weight.shape[1] != inputs.shape[1]:
        raise ValueError(
            "`weight` and `inputs` must have shapes (m, n) and (samples, n), but have "
            f"{weight.shape} and {inputs.shape}."
        )
    sizes = jnp.sum(inputs**2, axis=1)
    seen = jnp.sum((inputs @ weight.T) ** 2, axis=1)
    total = jnp.sum(weight**2)
    counted = (sizes > 0) & (total > 0)
    safe = jnp.where(counted, sizes * total, 1.0)
    squares = jnp.where(counted, seen / safe, 0.0)
    return jnp.sqrt(jnp.sum(squares) / jnp.maximum(jnp.sum(counted), 1))
