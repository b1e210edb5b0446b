"""A run at `dt` and one at `dt/2` on the same noise: what of a difference is due to the step."""

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, PyTree

from ...quotient import Quotient, fix_gauge
from .._processes._sde import AbstractSampledSDE, AbstractSDE
from ._engine import initial, source
from ._ensemble import Ensemble
from ._regauge import check_keeps_slice
from ._simulate import simulate


class StepHalving(eqx.Module):
    """Two ensembles of one process, chain by chain on the same noise.

    - `coarse`: the [`gaugebias.dynamics.Ensemble`][] at step `dt`.
    - `fine`: that at `dt/2`, with twice as many steps, recorded at the same times.

    `gb.compare` takes it in place of an ensemble: it tests the fine run, and says whether what is
    left of a difference is due to the step.
    """

    coarse: Ensemble
    fine: Ensemble


def _shifted(params: PyTree, change: PyTree) -> PyTree:
    moving, still = eqx.partition(params, eqx.is_inexact_array)
    return eqx.combine(jax.tree.map(lambda x, d: x + d.astype(x.dtype), moving, change), still)


def _scaled(tree: PyTree, factor: Array) -> PyTree:
    return jax.tree.map(lambda x: factor.astype(x.dtype) * x, tree)


def _sum(a: PyTree, b: PyTree) -> PyTree:
    return jax.tree.map(jnp.add, a, b)


class _Coupled(AbstractSampledSDE):
    """Each step of the driver is two half steps of `sde`, or one whole step on their summed noise.

    The step of the inner process is Euler's, for Stratonovich equations Euler-Heun's; so the
    driver, which adds increments, sees an Ito equation.
    """

    sde: AbstractSDE
    regauge: Quotient | None
    halves: bool = eqx.field(static=True)
    calculus: str = eqx.field(static=True)

    def __init__(self, sde: AbstractSDE, regauge: Quotient | None, halves: bool):
        self.sde, self.regauge, self.halves = sde, regauge, halves
        self.calculus = "ito"

    def drift(self, params: PyTree) -> PyTree:
        return self.sde.drift(params)

    def diffusion(self, params: PyTree, noise: PyTree) -> PyTree:
        return self.sde.diffusion(params, self._whole(noise))

    def noise_like(self, params: PyTree) -> PyTree:
        once = self.sde.noise_like(params)
        return (once, once)

    def sum_over_noise(self, params: PyTree, fn: Callable) -> PyTree:
        raise NotImplementedError("the inner process is the one to ask.")

    def check_start(self, params: PyTree) -> None:
        if isinstance(self.sde, AbstractSampledSDE):
            self.sde.check_start(params)

    def increment(self, params: PyTree, noise: PyTree, dt: Array) -> PyTree:
        if self.halves:
            first, second = noise
            end = self._step(self._step(params, first, 0.5 * dt), second, 0.5 * dt)
        else:
            end = self._step(params, self._whole(noise), dt)
        before, after = (eqx.filter(p, eqx.is_inexact_array) for p in (params, end))
        return jax.tree.map(jnp.subtract, after, before)

    def _whole(self, noise: PyTree) -> PyTree:
        first, second = noise
        return _scaled(_sum(first, second), jnp.sqrt(jnp.asarray(0.5)))

    def _step(self, params: PyTree, noise: PyTree, dt: Array) -> PyTree:
        if isinstance(self.sde, AbstractSampledSDE):
            change = self.sde.increment(params, noise, dt)
        else:
            kick = _scaled(self.sde.diffusion(params, noise), jnp.sqrt(dt))
            if self.sde.calculus == "stratonovich":
                again = self.sde.diffusion(_shifted(params, kick), noise)
                kick = _scaled(_sum(kick, _scaled(again, jnp.sqrt(dt))), jnp.asarray(0.5))
            change = _sum(_scaled(self.sde.drift(params), dt), kick)
        end = _shifted(params, change)
        return end if self.regauge is None else fix_gauge(self.regauge, end)


def _described(ensemble: Ensemble, sde: AbstractSDE, regauge: Any, each: int) -> Ensemble:
    """The ensemble with the steps and settings of the inner process, `each` steps a driver's."""
    was = ensemble.settings
    functions = {name: source(value) for name, value in vars(sde).items() if callable(value)}
    settings = {
        **was,
        "process": type(sde).__qualname__,
        "calculus": sde.calculus,
        "functions": {**functions, "observe": was["functions"]["observe"]},
        "steps": each * was["steps"],
        "burn_in": each * was["burn_in"],
        "every": None if was["every"] is None else each * was["every"],
        "dt": was["dt"] / each,
        "regauged": regauge is not None,
        "solver": "Euler" if sde.calculus == "ito" else "EulerHeun",
        "coupled": "two half steps and one whole step on the same noise",
    }
    failed = ensemble.failed_by
    return dataclasses.replace(
        ensemble,
        steps=each * ensemble.steps,
        failed_by=np.where(failed < 0, failed, each * failed),
        settings=settings,
    )


def step_halving(
    sde: AbstractSDE,
    init: PyTree | Callable,
    *,
    key,
    steps: int,
    dt: ArrayLike,
    chains: int | None = None,
    observe: Callable | None = None,
    burn_in: int = 0,
    every: int | None = None,
    devices: Any = None,
    batched: bool = False,
    regauge: Quotient | None = None,
    progress: Callable[[float], None] | None = None,
    throw: bool = True,
) -> StepHalving:
    """The process at step `dt` and at `dt/2`, chain by chain on the same noise.

    The coarse run's noise of a step is the sum of the fine run's over its two half steps, over
    sqrt(2): both follow one Brownian path, so that their difference is that of the steps and hardly
    any noise. `gb.compare(step_halving(...), laws)` then tells a law that is wrong from a step that
    is coarse ([`gaugebias.stats.step_halving_test`][] states the rule). Costs three plain runs at
    `dt`. Averages of both runs are of weak order one (measured: 1.0), and `2 fine - coarse` of the
    same averages is of order two (measured on the variance of a linear equation at equilibrium:
    2.0), the Talay-Tubaro extrapolation.

    **Arguments:** as `gaugebias.simulate`, `devices` of several processes too; `steps`, `burn_in`
    and `every` count steps of size `dt`. The solver is that of the calculus (Euler, Euler-Heun).
    With `regauge`, both runs return to the slice after each of their own steps. Neither run has the
    noise of a plain `simulate` with the same key.

    **Returns:** a [`gaugebias.dynamics.StepHalving`][].

    **Raises:** as `simulate`.

    !!! example

        ```python
        import jax, jax.numpy as jnp
        import gaugebias as gb

        sde = gb.dynamics.Langevin(lambda x: 0.5 * x**2, temperature=0.1)
        key = jax.random.key(0)
        run = gb.dynamics.step_halving(sde, jnp.array(0.0), key=key, chains=256, steps=50, dt=0.1)
        run.fine.settings["dt"]       # 0.05
        ```
    """
    if not isinstance(sde, AbstractSDE):
        raise ValueError(
            "`sde` must be a process of `gaugebias.dynamics`, such as `Langevin(loss, T)` or "
            "`SDE(drift, diffusion, calculus=...)`."
        )
    if not isinstance(regauge, Quotient | None):
        raise ValueError("`regauge` must be a `gaugebias.Quotient`, or `None`.")
    y, still, _ = initial(init, key, chains, batched)
    if regauge is not None:
        check_keeps_slice(sde, regauge, eqx.combine(jax.tree.map(lambda x: x[0], y), still))
    runs = []
    for each, before, share in ((1, 0.0, 1 / 3), (2, 1 / 3, 2 / 3)):

        def told(fraction: float, before: float = before, share: float = share) -> None:
            if progress is not None:
                progress(before + share * fraction)

        run = simulate(
            _Coupled(sde, regauge, each == 2),
            eqx.combine(y, still),
            key=key,
            steps=steps,
            dt=dt,
            observe=observe,
            burn_in=burn_in,
            every=every,
            devices=devices,
            batched=True,
            progress=told,
            throw=throw,
        )
        runs.append(_described(run, sde, regauge, each))
    return StepHalving(*runs)
