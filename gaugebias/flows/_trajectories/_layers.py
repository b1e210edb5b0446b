"""Alignment, norm and rotation of the layers of any network along a trajectory."""

from collections.abc import Callable
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, PyTree

from .._latent._mechanism import Mechanism, classify_mechanism
from .._parametrisations._parametrisation import check_entries
from .._potentials._potential import as_float


@final
class LayerDiagnostics(eqx.Module):
    r"""What `L` weight matrices do at `T` times.

    - `norm`: \(|W_l|_F\), shape `(T, L)`.
    - `movement`: \(|W_l - W_l(0)|_F/|W_l(0)|_F\), shape `(T, L)`; infinite where a layer starts
        at 0 and has moved.
    - `rotation`: 1 less the cosine of \(W_l\) and \(W_l(0)\), shape `(T, L)`: 0 where the layer was
        rescaled only; 1 where either is 0.
    - `alignment`: \(|W_{l+1} W_l|_F/(|W_{l+1}|_F |W_l|_F)\) of neighbours, shape `(T, L - 1)`; in
        `[0, 1]`, 1 where both have rank 1 and meet, about \(1/\sqrt h\) for independent random
        layers that meet in `h` units; 0 where a layer is.
    """

    norm: Array
    movement: Array
    rotation: Array
    alignment: Array

    def mechanism(
        self, layer: int, *, tolerance: float = 0.01, norm_tolerance: float = 0.01
    ) -> Mechanism:
        """The mechanism of the layers `layer` and `layer + 1`, from 0.

        By [`classify_mechanism`][gaugebias.flows.classify_mechanism].
        """
        pairs = self.alignment.shape[1]
        if not 0 <= layer < pairs:
            raise ValueError(f"`layer` must lie in 0..{pairs - 1}, but is {layer}.")
        return classify_mechanism(
            self.alignment[:, layer],
            self.norm[:, layer : layer + 2],
            tolerance=tolerance,
            norm_tolerance=norm_tolerance,
        )


def layer_diagnostics(trajectory: PyTree, layers: Callable | None = None) -> LayerDiagnostics:
    r"""Alignment, norms and rotations of the layers of a network along its training.

    On two layers with one input and one output this is \(|\zeta|\) of
    [`gaugebias.flows.LatentVariableFlow`][]; with more inputs all components of the first layer
    count. What a layer does on data is
    [`feature_alignment`][gaugebias.flows.feature_alignment].

    **Arguments:**

    - `trajectory`: the parameters, every array with the times as its first axis.
    - `layers`: a function from it to the weights in the order in which the input meets them, each
        of shape `(T, out, in)`. Default: all arrays of this rank, in the order of the pytree, as
        is right for `eqx.nn.MLP`.

    **Raises:** `ValueError` where no two layers are found, neighbours do not fit, or a value is not
    finite.

    Source: 2401.07085 for one input and output; the extension to matrices is ours.

    !!! example

        ```python
        arrays = [eqx.filter(model, eqx.is_array) for model in models]
        steps = jax.tree.map(lambda *w: jnp.stack(w), *arrays)
        found = gb.flows.layer_diagnostics(steps)
        found.alignment[-1], found.mechanism(0).net
        ```
    """
    if layers is None:
        arrays = [leaf for leaf in jax.tree.leaves(trajectory) if eqx.is_array(leaf)]
        if any(leaf.ndim > 3 for leaf in arrays):
            raise ValueError(
                "`trajectory` holds arrays of more than two axes beside the times, as of "
                "convolutions: name the weight matrices by `layers`."
            )
        weights = [as_float(leaf) for leaf in arrays if leaf.ndim == 3]
    else:
        chosen = layers(trajectory)
        if not isinstance(chosen, (tuple, list)):
            raise ValueError("`layers` must return a tuple of weights, the first layer first.")
        weights = [as_float(leaf) for leaf in chosen]
    if len(weights) < 2:
        raise ValueError(
            f"`trajectory` has {len(weights)} weights of shape (T, out, in), but at least two are "
            "needed: give every array the times as its first axis, or name them by `layers`."
        )
    for k, w in enumerate(weights):
        if w.ndim != 3 or 0 in w.shape:
            raise ValueError(
                f"`layers`: weight {k} must have shape (T, out, in), but has {w.shape}."
            )
        if w.shape[0] != weights[0].shape[0]:
            raise ValueError(
                f"`trajectory`: weight 0 has {weights[0].shape[0]} times, weight {k} {w.shape[0]}."
            )
        if k and w.shape[2] != weights[k - 1].shape[1]:
            raise ValueError(
                f"`layers`: weight {k} takes {w.shape[2]} units, but weight {k - 1} gives "
                f"{weights[k - 1].shape[1]}: name the layers in order by `layers`."
            )
        good = jnp.all(jnp.isfinite(w), axis=(1, 2))
        check_entries(good, "trajectory", f"must be finite, but weight {k} is not: it diverged")
    return _measure(tuple(weights))


def feature_alignment(weight: ArrayLike, features: ArrayLike) -> Array:
    r"""How a layer is aligned with what it is given: \(|F W^T|_F/(|F|_F |W|_F)\), in `[0, 1]`.

    About \(1/\sqrt h\) for a random layer, 1 where both have rank 1 and meet, 0 where either is 0.
    For the last layer of [`gaugebias.flows.LatentVariableFlow`][] it is \(|\zeta|\).

    **Arguments:** `weight`, shape `(out, h)`; `features`, the activations of `n` samples, shape
    `(n, h)`.
    """
    weight, features = as_float(weight), as_float(features)
    if weight.ndim != 2 or features.ndim != 2 or weight.shape[1] != features.shape[1]:
        raise ValueError(
            "`weight` and `features` must have shapes (out, h) and (n, h), but have "
            f"{weight.shape} and {features.shape}."
        )
    check_entries(jnp.isfinite(weight), "weight", "must be finite")
    check_entries(jnp.isfinite(features), "features", "must be finite")
    return _cosine(weight, features.T)


def _cosine(second: Array, first: Array) -> Array:
    """`|second first| / (|second| |first|)` over the last two axes."""
    second, first = _unit(second), _unit(first)
    return jnp.minimum(_norm(second @ first), 1.0)


def _norm(w: Array) -> Array:
    return jnp.sqrt(jnp.sum(w**2, axis=(-2, -1)))


def _unit(w: Array) -> Array:
    norm = _norm(w)[..., None, None]
    return w / jnp.where(norm > 0, norm, 1.0)


@eqx.filter_jit
def _measure(weights: tuple[Array, ...]) -> LayerDiagnostics:
    def one(w: Array) -> tuple[Array, Array, Array]:
        start, norm = w[:1], _norm(w)
        gap, first = _norm(w - start), norm[:1]
        movement = jnp.where(gap > 0, gap / first, 0.0)
        # From the difference of unit matrices, so that small angles keep their digits.
        turned = 0.5 * _norm(_unit(w) - _unit(start)) ** 2
        rotation = jnp.where((norm > 0) & (first > 0), turned, 1.0)
        return norm, movement, rotation

    norm, movement, rotation = (
        jnp.stack(parts, 1) for parts in zip(*map(one, weights), strict=True)
    )
    pairs = [_cosine(b, a) for a, b in zip(weights[:-1], weights[1:], strict=True)]
    return LayerDiagnostics(norm, movement, rotation, jnp.stack(pairs, 1))
