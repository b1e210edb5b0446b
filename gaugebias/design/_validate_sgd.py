"""Designs under real minibatch descent, whose noise is not that of Langevin dynamics."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, PyTree

from .._arguments import as_key
from ..dynamics import train
from ..laws import DensityLaw
from ..verdicts import compare
from ._coordinates import outside
from ._design import Design, batch_of, temperature_of
from ._penalties import number
from ._validate import DESIGNED, Validation

MINIBATCH = "minibatch"
_NODES = 4001


def validate_sgd(
    design: Design,
    per_sample: Callable,
    data: PyTree,
    *,
    learning_rate: ArrayLike,
    batch_size: int,
    steps: int,
    limits: tuple[float, float],
    start: ArrayLike | None = None,
    key: Array | None = None,
    chains: int = 2048,
) -> Validation:
    """Which law does minibatch descent of a designed parametrisation have?

    Gradient noise of a batch is `h'(w)` times the noise of `dl/dw`: on one coordinate its law is
    not `exp(-(l + R)/T)` but, to first order in the learning rate, with `tau = eta/B`, `K = h'^2`
    and `sigma^2(w)` the variance of `dl/dw` over samples,

    `p(w) ~ K^(-3/2) sigma^-2 exp(-(2/tau) int l'/(sigma^2 K) dw)`

    (re-derived). Both are compared with the process, at the temperature `T = tau sigma^2/2` of the
    design's own noise where `l` is least. Read `.statement`.

    **Arguments:**

    - `design`: of one coordinate without symmetry.
    - `per_sample`: `(w, sample) -> loss`; `data`: a pytree of arrays with a leading sample axis.
    - `learning_rate`, `batch_size`, `steps`: of `gaugebias.train` (with replacement).
    - `limits`: interval of `w` that holds all but 1e-9 of both laws: they are cut there. Where a
        draw of the process lies outside, nothing is decided, and the statement says how many and
        how far.
    - `start`: a predictor; default the middle of `limits`.

    **Returns:** a [`gaugebias.design.Validation`][] whose expected row is the minibatch law.

    **Raises:** `ValueError` for designs of several coordinates or with a symmetry, and for `limits`
    beyond the domain of `w` or what `u` resolves of it.
    """
    import optax

    if design.shape != () or design.action is not None:
        raise ValueError(
            "`design` must be of one coordinate without symmetry: the minibatch law is known on "
            'one-dimensional quotients; use `form="coordinate"` and `shape=()`.'
        )
    rate = float(number(learning_rate, "learning_rate", positive=True))
    if isinstance(batch_size, bool) or int(batch_size) != batch_size or batch_size < 1:
        raise ValueError(f"`batch_size` must be a positive integer, but is {batch_size!r}.")
    low, high = (float(x) for x in limits)
    if not low < high:
        raise ValueError(f"`limits` must be an increasing pair, but is {limits!r}.")
    _within(design, low, high)
    keys = jax.random.split(jax.random.key(0) if key is None else as_key(key), 2)
    tau = rate / batch_size
    w = jnp.linspace(low, high, _NODES)
    mean, variance = _gradient_moments(per_sample, data, w)
    log_k = 2.0 * np.asarray(batch_of(_LogSlope(design), w), np.float64)
    if not np.all(variance > 0.0):
        raise ValueError(
            "`per_sample` has the same gradient for every sample at some w: minibatch noise "
            "vanishes there, and so does the law's support; give noisy labels."
        )
    rise = mean / (variance * np.exp(log_k))
    steps_w = np.diff(np.asarray(w, np.float64))
    climb = np.concatenate([[0.0], np.cumsum(0.5 * (rise[1:] + rise[:-1]) * steps_w)])
    weight = -1.5 * log_k - np.log(variance) - 2.0 / tau * climb
    domain = design.domain.line(low, high)
    loss = np.concatenate([[0.0], np.cumsum(0.5 * (mean[1:] + mean[:-1]) * steps_w)])
    temperature = temperature_of(0.5 * tau * variance[int(np.argmin(loss))])
    penalty = np.asarray(batch_of(design.penalty, w), np.float64) / float(design.temperature)
    tables = {
        MINIBATCH: weight,
        DESIGNED: -loss / float(temperature) - penalty,
        "no penalty": -loss / float(temperature),
    }
    laws: dict[str, Any] = {
        name: DensityLaw(_Table(w, jnp.asarray(v - v.max())), domain, name=name, resolution=1e-9)
        for name, v in tables.items()
    }
    first = jnp.asarray(0.5 * (low + high) if start is None else start, w.dtype)
    ens = train(
        _PerSample(per_sample, design.parametrisation),
        design.lift(first),
        data,
        optimiser=optax.sgd(rate),
        batch_size=batch_size,
        key=keys[0],
        steps=steps,
        chains=chains,
        observe=design.phi,
    )
    verdict = compare(ens, list(laws.values()), names=list(laws), key=keys[1])
    follows = [name for name in laws if verdict[name].verdict == "consistent"]
    statement = (
        f"Minibatch descent (eta = {rate:g}, B = {batch_size}) follows: "
        f"{', '.join(follows) or 'none of the laws'}. Its noise is multiplied by dw/du, so that "
        "the bias is not the penalty designed for noise of one size in u."
    )
    left = outside(ens.values, domain)
    if left > 0.0:
        values = np.asarray(ens.values, np.float64)
        statement = (
            f"Not decided: {left:.2%} of the draws lie outside of `limits` ({low:g}, {high:g}), "
            f"where the laws are cut; the draws reach from {np.min(values):.4g} to "
            f"{np.max(values):.4g}. Give wider `limits`, or a smaller `learning_rate`."
        )
    return Validation(
        verdict=verdict,
        expected=(MINIBATCH,),
        rivals=(DESIGNED, "no penalty"),
        process=f"minibatch descent, eta = {rate:g}, B = {batch_size}",
        ensemble=ens,
        laws=laws,
        settings={"chains": chains, "steps": steps, "learning_rate": rate},
        determinant=0.0,
        statement=statement,
        outside=left,
    )


def _within(design: Design, low: float, high: float) -> None:
    ends = float(design.domain.lower[0]), float(design.domain.upper[0])
    reach = ends if design.reach is None else design.reach
    ends = max(ends[0], reach[0]), min(ends[1], reach[1])
    if low < ends[0] or high > ends[1]:
        raise ValueError(
            f"`limits` ({low:g}, {high:g}) reach beyond the interval of w that the design "
            f"resolves, ({ends[0]:.6g}, {ends[1]:.6g}): give limits within it."
        )


class _PerSample(eqx.Module):
    per_sample: Callable
    phi: Callable

    def __call__(self, params: PyTree, sample: PyTree) -> Array:
        return self.per_sample(self.phi(params), sample)


class _LogSlope(eqx.Module):
    design: Design

    def __call__(self, w: Array) -> Array:
        return jnp.log(jax.grad(self.design.parametrisation)(self.design.lift(w)))


class _Table(eqx.Module):
    w: Array
    log_weight: Array

    def __call__(self, x: Array, temperature: ArrayLike) -> Array:
        return jnp.interp(x, self.w, self.log_weight) / temperature


@eqx.filter_jit
def _moments(per_sample: Callable, data: PyTree, w: Array) -> tuple[Array, Array]:
    slope = jax.grad(per_sample)

    def one(x):
        values = jax.vmap(lambda sample: slope(x, sample))(data)
        return jnp.mean(values), jnp.var(values)

    return jax.lax.map(one, w, batch_size=256)


def _gradient_moments(per_sample, data, w) -> tuple[np.ndarray, np.ndarray]:
    mean, variance = _moments(per_sample, data, w)
    return np.asarray(mean, np.float64), np.asarray(variance, np.float64)
