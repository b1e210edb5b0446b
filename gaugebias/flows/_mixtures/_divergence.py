"""Divergences between mixtures: where trajectories of all charts compare."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array

from ..._arguments import as_key
from ._mixture import GaussianMixture, check_data, line_rule


@final
class PopulationDivergence(eqx.Module):
    r"""\(\mathrm{KL}(p_* \| p)\) as a function of a mixture `p`, by quadrature on the line.

    The loss of a learner that has infinitely many data from `p_*`, up to their entropy. To rounding
    for components of `p` that are not much narrower than those of `p_*`.

    **Arguments:** `truth`, the mixture \(p_*\).

    **Raises:** `ValueError` for a truth with a component too narrow for its range.
    """

    truth: GaussianMixture
    nodes: Array
    masses: Array
    log_truth: Array

    def __init__(self, truth: GaussianMixture):
        self.truth = truth
        self.nodes, weights = line_rule(truth)
        self.log_truth = truth.log_density(self.nodes)
        self.masses = weights * jnp.exp(self.log_truth)

    def __call__(self, mixture: GaussianMixture) -> Array:
        return jnp.sum(self.masses * (self.log_truth - mixture.log_density(self.nodes)))


@final
class NegativeLogLikelihood(eqx.Module):
    r"""\(-\tfrac1N\sum_n \log p(x_n)\) as a function of a mixture, in any dimension.

    **Arguments:** `data`, finite, shape `(N,)` or `(N, d)`.
    """

    data: Array = eqx.field(converter=check_data)

    def __call__(self, mixture: GaussianMixture) -> Array:
        return -jnp.mean(mixture.log_density(self.data))


@final
class MixtureDivergence(eqx.Module):
    r"""How far two mixtures are apart, from [`gaugebias.flows.mixture_divergence`][].

    - `kl`: \(\mathrm{KL}(p_*\|p)\).
    - `hellinger`: \(H = [\tfrac12\int(\sqrt{p_*} - \sqrt p)^2]^{1/2}\), in [0, 1].
    - `kl_error`, `hellinger_error`: standard errors; 0 for quadrature.
    - `draws`: 0 for quadrature.
    """

    kl: Array
    hellinger: Array
    kl_error: Array
    hellinger_error: Array
    draws: int = eqx.field(static=True)

    @property
    def fisher_distance(self) -> Array:
        r"""\(2\arccos(1 - H^2)\): between the two square-root densities, along the sphere.

        The distance of the Fisher metric in the space of all densities; within a model it is at
        least that, and for close mixtures \(ds^2 = 8 H^2 = 2\,\mathrm{KL}\).
        """
        # 2 arccos(1 - h^2) = 4 arcsin(h/sqrt(2)) keeps its digits at small h.
        return 4.0 * jnp.arcsin(jnp.clip(self.hellinger / jnp.sqrt(2.0), 0.0, 1.0))


def mixture_divergence(
    truth: GaussianMixture,
    mixture: GaussianMixture,
    *,
    key: Array | None = None,
    draws: int = 20_000,
) -> MixtureDivergence:
    r"""\(\mathrm{KL}(p_*\|p)\) and the Hellinger distance of two mixtures of one dimension.

    By quadrature on the line, to rounding where scales differ by at most ten, and to 1e-6 where it
    is not refused; by Monte Carlo above, or wherever a `key` is given:
    half of the `draws` from each of the two, so that with \(r = p/p_*\) the integrands

    \[ \frac{2 (r - 1 - \log r)}{1 + r} \quad\text{and}\quad \frac{(1 - \sqrt r)^2}{1 + r} \]

    are not negative and vanish to second order where the two agree. The second is at most 1; the
    first grows only as \(\log(1/r)\), so that its variance is finite for all mixtures.

    **Arguments:** `truth`, \(p_*\); `mixture`, \(p\); `key`, needed for `d > 1`; `draws`, even.

    **Returns:** a [`gaugebias.flows.MixtureDivergence`][].

    **Raises:** `ValueError` for mixtures of different dimension, without a key for `d > 1`, and for
    components too narrow for the range of both (a key helps).

    Source: re-derived.
    """
    if truth.means.shape[1:] != mixture.means.shape[1:]:
        raise ValueError(
            f"`mixture` has dimension {mixture.dimension}, but `truth` has {truth.dimension}: "
            "compare mixtures of one space."
        )
    if isinstance(draws, bool) or not isinstance(draws, int) or draws < 4 or draws % 2:
        raise ValueError(f"`draws` must be an even number of at least 4, but is {draws!r}.")
    if key is not None:
        return _by_draws(truth, mixture, as_key(key), draws)
    if truth.means.ndim > 1:
        raise ValueError("`key` is needed above one dimension: give `jax.random.key(0)`.")
    return _by_quadrature(truth, mixture)


def _by_quadrature(truth: GaussianMixture, mixture: GaussianMixture) -> MixtureDivergence:
    both = GaussianMixture(
        jnp.concatenate([0.5 * truth.weights, 0.5 * mixture.weights]),
        jnp.concatenate([truth.means, mixture.means]),
        jnp.concatenate([truth.covariances, mixture.covariances]),
    )
    nodes, weights = line_rule(both)
    # On nodes of both: those of one do not see how narrow the other is.
    logs = [m.log_density(nodes) for m in (truth, mixture)]
    kl = jnp.sum(weights * jnp.exp(logs[0]) * (logs[0] - logs[1]))
    roots = [jnp.exp(0.5 * each) for each in logs]
    hellinger = jnp.sqrt(0.5 * jnp.sum(weights * (roots[0] - roots[1]) ** 2))
    zero = jnp.zeros((), kl.dtype)
    return MixtureDivergence(kl, hellinger, zero, zero, 0)


@eqx.filter_jit
def _by_draws(truth, mixture, key, draws):
    halves = []
    for each, part in zip((truth, mixture), jr.split(key), strict=True):
        x = each.sample(part, draws // 2)
        log_r = mixture.log_density(x) - truth.log_density(x)
        # (r - 1 - log r)/(1 + r) and (1 - sqrt r)^2/(1 + r), for any r.
        fade = jax.nn.sigmoid(-log_r)
        near = (jnp.expm1(jnp.minimum(log_r, 1.0)) - log_r) * fade
        kl = jnp.where(log_r > 1.0, 1.0 - (2.0 + log_r) * fade, near)
        apart = jnp.tanh(0.25 * log_r) ** 2 * (1.0 + 1.0 / jnp.cosh(0.5 * log_r))
        halves.append(jnp.stack([2.0 * kl, apart]))
    both = jnp.stack(halves)
    means = jnp.mean(both, axis=(0, 2))
    spread = jnp.sum(jnp.var(both, axis=2, ddof=1), axis=0)
    errors = 0.5 * jnp.sqrt(spread / (draws // 2))
    hellinger = jnp.sqrt(means[1])
    safe = jnp.where(hellinger > 0, hellinger, 1.0)
    return MixtureDivergence(means[0], hellinger, errors[0], 0.5 * errors[1] / safe, draws)
