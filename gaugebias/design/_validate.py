"""Designs against their process: never against the determinant that they were made from."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, PyTree

from .._arguments import as_key
from ..dynamics import AbstractSDE, Ensemble, SimulationError, simulate
from ..laws import DensityLaw, spectral
from ..quotient import Domain, predictor_log_det
from ..verdicts import Verdict, compare
from ._coordinates import After, aligned, check_reach, kept_side, with_domain
from ._design import Design, batch_of, temperature_of
from ._parametrisations import AbstractMap
from ._plan import pilot, plan_run

DESIGNED, WITHOUT = "designed", "no penalty"


class Validation(eqx.Module):
    """What [`gaugebias.design.validate`][] found.

    - `verdict`: a row for the designed law (and for others that should hold, `expected`), and for
        every rival.
    - `expected`, `rivals`: names of the rows.
    - `process`: what was simulated.
    - `ensemble`: the draws.
    - `settings`: chains, steps, dt, start and attempts.
    - `determinant`: the largest change of `1/2 log det K - R/T` over draws of the law: 0 where the
        penalty is that of the predictor's Gram.
    - `jumped`: the part of the chains that ended beyond an infinity of `w` that the parameters
        reach at a finite value. The process does not get there, its discrete steps did: where
        there are any, a law that does not fit is not decided.
    - `kept`: whether chains that start as draws of the designed law still follow it at the end of
        the run; looked at where those from one start do not, else `None`. Where it is kept, the
        law is stationary as far as that time can tell and the run was too short to forget its
        start: not decided.
    - `outside`: the part of the draws that lie beyond the `limits` of `validate_sgd`, where the
        laws are cut: where there are any, nothing is decided.
    - `statement`: the outcome in words.
    """

    verdict: Verdict
    expected: tuple[str, ...] = eqx.field(static=True)
    rivals: tuple[str, ...] = eqx.field(static=True)
    process: str = eqx.field(static=True)
    ensemble: Ensemble
    laws: dict[str, Any]
    settings: dict[str, Any] = eqx.field(static=True)
    determinant: float = eqx.field(static=True)
    statement: str = eqx.field(static=True)
    jumped: float = eqx.field(static=True, default=0.0)
    kept: bool | None = eqx.field(static=True, default=None)
    outside: float = eqx.field(static=True, default=0.0)

    @property
    def holds(self) -> bool:
        """The designed law is consistent with the process, and every rival is rejected."""
        return (
            self.agrees
            and self.outside == 0.0
            and all(self.verdict[r].verdict == "rejected" for r in self.rivals)
        )

    @property
    def agrees(self) -> bool:
        """Whether every expected row is consistent."""
        return all(self.verdict[name].verdict == "consistent" for name in self.expected)

    @property
    def exit_code(self) -> int:
        """0 holds, 1 an expected law is rejected, 3 not decided.

        That is: a rival is not rejected, an expected law is neither consistent nor rejected, steps
        jumped over infinity, draws lie outside of where the laws are compared, or the chains are
        too slow to tell.
        """
        if self.holds:
            return 0
        rejected = any(self.verdict[name].verdict == "rejected" for name in self.expected)
        return 1 if rejected and not (self.jumped > 0.0 or self.outside > 0.0 or self.kept) else 3

    def table(self) -> str:
        """The verdict's table and the statement."""
        return f"{self.verdict.table()}\n{self.statement}"


def validate(
    design: Design,
    potential: Callable,
    *,
    process: str | AbstractSDE = "langevin",
    temperature: ArrayLike | None = None,
    rivals: Mapping[str, Any] | None = None,
    spectrum: bool = False,
    start: PyTree = None,
    key: Array | None = None,
    chains: int = 4096,
    steps: int | None = None,
    dt: float | None = None,
    progress: Callable[[float], None] | None = None,
) -> Validation:
    """Simulate a designed parametrisation and say whether `w` follows the designed law.

    The claim `exp(-(l + R)/T) dw` is held against the simulated process of the parameters, not
    against `log det`: a dummy parameter `z -> z + t h(w)` changes the determinant of the orbit
    Gram at will, and nothing else.

    **Arguments:**

    - `design`: a [`gaugebias.design.Design`][], designed or claimed.
    - `potential`: `l(w)`, confining enough that the law can be normalised.
    - `process`: `"langevin"`: noise across the orbits, `gaugebias.simulate` of
        `design.process(potential)`; or a process of your own on the parameters. For minibatch
        descent see [`gaugebias.design.validate_sgd`][].
    - `temperature`: of the process; default that of the design.
    - `rivals`: name -> law (of `w`), each of which must be rejected; default the law without the
        penalty, `exp(-l/T) dw`.
    - `spectrum`: compare the singular values of `w`, a matrix, with laws of
        [`gaugebias.laws.spectral`][]: `l` and `R` must not change under rotations.
    - `start`: parameters; default the lift of the law's mean. A balanced start of an even number
        of factors keeps the sign of `w`, and the laws are compared on its side.
    - `chains`, `steps`, `dt`: by default steps of 1/40 of the fastest time scale of the loss along
        the law, for 16 relaxation times of the slowest coordinate (of a Gaussian of its variance).

    The designed law is tested at 1e-3; where it fails, twice the chains with half the step and
    fresh noise decide. Where these reject it, as many chains start as draws of the law itself: if
    they keep it, the loss holds chains where they start (wells that noise of this size does not
    leave in time), and nothing is decided. A rival is rejected below 1e-6.

    **Returns:** a [`gaugebias.design.Validation`][]: `.holds`, `.table()`, `.verdict`.

    **Raises:** `ValueError` for a run that would take more than 400,000 steps, naming the step and
    the time it needs; what `simulate` and laws raise.

    !!! example

        ```python
        import gaugebias as gb
        design = gb.design.from_penalty(gb.design.L1(0.1), 0.1)
        found = gb.design.validate(design, lambda w: 0.5 * (w - 1.0) ** 2, chains=1024)
        print(found.table())
        ```
    """
    if not isinstance(design, Design):
        raise ValueError("`design` must be a `gaugebias.design.Design`.")
    if not isinstance(process, str | AbstractSDE) or (
        isinstance(process, str) and process != "langevin"
    ):
        raise ValueError(
            f'`process` must be "langevin" or a process of `gaugebias.dynamics`, not {process!r}; '
            "minibatch descent is `validate_sgd`, gradient flow `from_potential`."
        )
    own = design.temperature if temperature is None else temperature_of(temperature)
    first = jax.random.key(0) if key is None else as_key(key)
    keys = jax.random.split(first, 4)
    design, potential = aligned(design, potential)
    domain = kept_side(design, start)
    claimed = with_domain(design.law(potential, own), domain)
    laws: dict[str, Any] = {DESIGNED: claimed}
    if rivals is None:
        rivals = {WITHOUT: without_penalty(design, potential, own, domain)}
    draws = pilot(claimed, keys[0], spectrum)
    check_reach(design, draws)
    gap, gram = _determinant(design, potential, own, draws, domain)
    expected: tuple[str, ...] = (DESIGNED,)
    if gap > 1e-3:
        laws["det K"] = gram
    laws |= dict(rivals)
    if spectrum:
        laws = {name: spectral(law) for name, law in laws.items()}
    sde = design.process(potential, own) if isinstance(process, str) else process
    plan = plan_run(design, potential, float(own), draws, steps, dt)
    init = design.lift(jnp.mean(draws, axis=0)) if start is None else start
    regauge = None
    if isinstance(process, str) and design.action is not None:
        regauge = design.quotient(at=init) if domain is not None else None
    see = _Singular(design.phi) if spectrum else design.phi
    names, attempts = list(laws), 1
    while True:
        run: dict[str, Any] = dict(
            chains=chains * attempts, steps=plan[0] * attempts, dt=plan[1] / attempts
        )
        ens = simulate(
            sde, init, key=keys[attempts], observe=see, regauge=regauge, progress=progress, **run
        )
        verdict = compare(ens, [laws[n] for n in names], names=names, key=keys[3])
        if attempts == 2 or verdict[DESIGNED].verdict == "consistent":
            break
        attempts = 2
    jumped = _jumped(design, ens)
    kept = None
    if verdict[DESIGNED].verdict == "rejected" and jumped == 0.0:
        draws = pilot(claimed, jax.random.fold_in(first, 1), spectrum, run["chains"])
        again = {"key": jax.random.fold_in(first, 2), "observe": see, "regauge": regauge}
        kept = _kept(design, draws, sde, laws[DESIGNED], {**run, **again}, keys[3])
    kind = "Langevin dynamics" if design.action is None else "horizontal noise"
    kind = kind if isinstance(process, str) else f"{type(sde).__name__} (given)"
    return Validation(
        verdict=verdict,
        expected=expected,
        rivals=tuple(rivals),
        process=f"{kind} of the parameters at T = {float(own):g}",
        ensemble=ens,
        laws=laws,
        settings={**run, "attempts": attempts},
        determinant=gap,
        statement=_statement(design, verdict, gap, tuple(rivals), kind, jumped, kept),
        jumped=jumped,
        kept=kept,
    )


def _kept(design: Design, draws: Array, sde: AbstractSDE, law: Any, run: dict, key: Array):
    """Whether chains that start as draws of the law still follow it; `None` where they cannot."""
    start = batch_of(design.lift, draws)
    finite = [jnp.isfinite(x).reshape(len(draws), -1).all(axis=1) for x in jax.tree.leaves(start)]
    if not bool(jnp.all(jnp.stack(finite))):
        return None
    try:
        ens = simulate(sde, start, batched=True, **{k: v for k, v in run.items() if k != "chains"})
    except SimulationError:
        return None
    return compare(ens, [law], names=[DESIGNED], key=key)[DESIGNED].verdict == "consistent"


def _jumped(design: Design, ens: Ensemble) -> float:
    """The part of the chains that ended beyond infinity: see `Validation`."""
    map = design.parametrisation
    map = map.inner if isinstance(map, After) else map
    if not isinstance(map, AbstractMap):
        return 0.0
    return float(jnp.mean(batch_of(map.beyond, jax.tree.map(jnp.asarray, ens.final))))


def _statement(
    design: Design,
    verdict: Verdict,
    gap: float,
    rivals: Sequence[str],
    kind: str,
    jumped: float,
    kept: bool | None,
) -> str:
    word = verdict[DESIGNED].verdict
    left = [name for name in rivals if verdict[name].verdict != "rejected"]
    if word == "consistent":
        text = f"The process ({kind}) follows the designed law."
        if left:
            text += f" Not told apart from: {', '.join(left)}; take more chains."
        return text
    if jumped > 0.0:
        return (
            f"Not decided: the simulation ({kind}) does not follow the designed law ({word}), but "
            f"in {jumped:.2%} of the chains a step jumped over an infinity of w, which the process "
            "does not reach. The parametrisation is too steep there for steps of any practical "
            "size: lower the weight of the penalty, raise the temperature, or give a loss that "
            "confines w more."
        )
    if word != "rejected":
        reason = verdict[DESIGNED].reason
        return (
            f"Not decided: the designed law is neither consistent with the simulation ({kind}) nor "
            f"rejected{f' ({reason})' if reason else ''}; take more chains or more steps."
        )
    if kept:
        return (
            f"Not decided: the simulation ({kind}) from one start does not follow the designed law "
            f"({word}), but chains that start as draws of this law keep it. The run is too short "
            "to leave the place it starts from, as wells that this noise seldom crosses between: "
            "give a loss with one minimum, a higher temperature, or more `steps`."
        )
    text = f"The process ({kind}) does not follow the designed law ({word})."
    if gap > 1e-3:
        text += (
            f" The claimed penalty is not that of the predictor's Gram: 1/2 log det K - R/T varies "
            f"by {gap:.3g} over the law."
        )
        if verdict["det K"].verdict == "consistent":
            text += (
                " The process has the law of det K alone. A penalty read off log det S is no bias: "
                "generators that move parameters which the loss does not see (a dummy z -> z + "
                "t h(w)) change that determinant, and not the process."
            )
    return text


def without_penalty(
    design: Design, potential: Callable, temperature: Array, domain: Domain | None = None
) -> DensityLaw:
    """The law `exp(-l/T) dw` without the bias."""
    return DensityLaw(
        _Plain(potential),
        design.domain if domain is None else domain,
        temperature,
        name=WITHOUT,
        shape=design.shape,
        resolution=1e-60 if design.domain.dimension == 1 else 1e-9,
    )


class _Plain(eqx.Module):
    potential: Callable

    def __call__(self, w: Array, temperature: ArrayLike) -> Array:
        return -self.potential(w) / temperature


class _Gram(eqx.Module):
    """`-l/T - 1/2 log det K` at the lift, by autodiff."""

    design: Design
    potential: Callable

    def __call__(self, w: Array, temperature: ArrayLike) -> Array:
        return -self.potential(w) / temperature - self.half_log_det(w)

    def half_log_det(self, w: Array) -> Array:
        return 0.5 * predictor_log_det(self.design.phi, self.design.lift(w))


class _Difference(eqx.Module):
    gram: _Gram

    def __call__(self, w: Array) -> Array:
        design = self.gram.design
        return self.gram.half_log_det(w) - design.penalty(w) / design.temperature


class _Singular(eqx.Module):
    phi: Callable

    def __call__(self, params: PyTree) -> Array:
        return jnp.linalg.svd(self.phi(params), compute_uv=False)


def _determinant(design: Design, potential, temperature, draws, domain):
    gram = _Gram(design, potential)
    off = np.asarray(batch_of(_Difference(gram), draws), np.float64)
    off = off[np.isfinite(off)]
    law = DensityLaw(
        gram,
        design.domain if domain is None else domain,
        temperature,
        name="det K",
        shape=design.shape,
        resolution=1e-60 if design.domain.dimension == 1 else 1e-9,
    )
    return (float(np.ptp(off)) if off.size else math.inf), law
