"""One compiled stretch of a process: diffrax over integer steps with the counter path."""

from collections.abc import Callable, Sequence
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, PyTree

from ..._arguments import as_key
from .._checks import check_real, check_wide, count, scalar, strong
from .._processes._sde import AbstractSampledSDE, AbstractSDE
from ._additive import check_additive
from ._path import CounterPath
from ._products import SIMULATION, written_out
from ._threefry import fastest

LONGEST_STRETCH = 2**24 - 1  # integers up to here are exact in float32
_ADJOINTS = (diffrax.RecursiveCheckpointAdjoint, diffrax.DirectAdjoint, diffrax.ForwardMode)
SMALL_STATE = 64  # parameters a chain; up to here chains vectorise better on the last axis


def _cast(tree: PyTree, like: PyTree, scale: Array) -> PyTree:
    return jax.tree.map(lambda x, y: (scale * x).astype(y.dtype), tree, like)


class _Batched(eqx.Module):
    """A per-chain function over the chain axis; the function itself for a single chain.

    With chains first, the leaves of states and noise are kept as vectors: a loop over all numbers
    of a leaf falls into hardware vectors, one along the rows of a matrix leaves a rest of each row
    (noise of 20 x 20 matrices took four times as long). With chains last, loops run over chains,
    and leaves keep their shapes.
    """

    axis: int | None = eqx.field(static=True)
    shapes: tuple[tuple[tuple[int, ...], ...], ...] = eqx.field(static=True)

    def __init__(self, axis: int | None, state: PyTree, noise: PyTree):
        """`state`, `noise`: of one chain."""
        self.axis = axis
        self.shapes = tuple(
            tuple(x.shape for x in jax.tree.leaves(tree)) for tree in (state, noise)
        )

    def __call__(self, fn: Callable, *args: PyTree) -> PyTree:
        """`fn(state)` or `fn(state, noise)`, something like the state."""
        fn = written_out(fn, SIMULATION)

        def one(*args):
            given = [shaped(x, s) for x, s in zip(args, self.shapes, strict=False)]
            moved = jax.tree.map(_fitted, fn(*given), given[0])
            return moved if self.axis == -1 else jax.tree.map(jnp.ravel, moved)

        if self.axis is None:
            return one(*args)
        return jax.vmap(one, in_axes=self.axis, out_axes=self.axis)(*args)

    def noise_like(self, noise: PyTree) -> PyTree:
        """The noise of one chain as it is kept."""
        if self.axis == -1:
            return noise
        return jax.tree.map(lambda s: jax.ShapeDtypeStruct((s.size,), s.dtype), noise)


def flattened(y: PyTree, axis: int | None) -> PyTree:
    """The state of all chains, or of the only one, as loops keep it: see `_Batched`."""
    if axis == -1:
        return y
    front = 0 if axis is None else 1
    return jax.tree.map(lambda x: x.reshape(*x.shape[:front], -1), y)


def shaped(tree: PyTree, shapes: Sequence[tuple[int, ...]]) -> PyTree:
    """The leaves in these shapes again."""
    leaves, treedef = jax.tree.flatten(tree)
    return jax.tree.unflatten(treedef, [x.reshape(s) for x, s in zip(leaves, shapes, strict=True)])


def _fitted(x: ArrayLike, like: Array) -> ArrayLike:
    """`x` in the shape of what it moves: as vectors, any two arrays of one size could be added."""
    if jnp.shape(x) == like.shape:
        return x
    try:
        return jnp.broadcast_to(x, like.shape)
    except ValueError:
        raise ValueError(
            f"`sde` (or `regauge`) gives an array of shape {jnp.shape(x)} for one of shape "
            f"{like.shape}: let its functions return the shapes of the parameters that move."
        ) from None


class _Drift(diffrax.AbstractTerm):
    sde: AbstractSDE
    still: PyTree
    dt: Array
    over: _Batched

    def vf(self, t, y, args):
        return self.over(lambda p: self.sde.drift(eqx.combine(p, self.still)), y)

    def contr(self, t0, t1, **kwargs):
        return self.dt

    def prod(self, vf, control):
        return _cast(vf, vf, control)

    def vf_prod(self, t, y, args, control):
        return _cast(self.vf(t, y, args), y, control)


class _Diffusion(diffrax.AbstractTerm):
    """The vector field is kept as the state itself and applied to noise, never as a matrix."""

    sde: AbstractSDE
    still: PyTree
    dt: Array
    path: CounterPath
    over: _Batched

    def vf(self, t, y, args):
        return y

    def contr(self, t0, t1, **kwargs):
        return self.path.evaluate(t0, t1)

    def prod(self, vf, control):
        def apply(p, z):
            return self.sde.diffusion(eqx.combine(p, self.still), z)

        return _cast(self.over(apply, vf, control), vf, jnp.sqrt(self.dt))


class _Increment(diffrax.AbstractTerm):
    """Drift and noise of a step in one evaluation, for equations that share work between them."""

    sde: AbstractSampledSDE
    still: PyTree
    dt: Array
    path: CounterPath
    over: _Batched

    def vf(self, t, y, args):
        return y

    def contr(self, t0, t1, **kwargs):
        return self.path.evaluate(t0, t1)

    def prod(self, vf, control):
        def apply(p, z):
            return self.sde.increment(eqx.combine(p, self.still), z, self.dt)

        moved = self.over(apply, vf, control)
        return jax.tree.map(lambda x, y: x.astype(y.dtype), moved, vf)


class _Counted(diffrax.StepTo):
    """Steps to `ts`, which are 0, 1, 2, ..., up to the end asked for.

    diffrax checks in the compiled program that they increase and end there. Devices tell each other
    what they found, and the call to the host if they do not is compiled, though it is never made.
    """

    def wrap(self, direction):
        return self

    def init(self, terms, t0, t1, y0, dt0, args, func, error_order):
        return self.ts[1], 2


class _Regauged(diffrax.AbstractSolver):
    """A solver followed, after each step, by a group element that returns to the slice."""

    solver: diffrax.AbstractSolver
    move: Callable
    still: PyTree
    over: _Batched

    @property
    def term_structure(self):
        return self.solver.term_structure

    @property
    def interpolation_cls(self):  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.solver.interpolation_cls

    def order(self, terms):
        return self.solver.order(terms)

    def strong_order(self, terms):
        return self.solver.strong_order(terms)

    def init(self, terms, t0, t1, y0, args):
        return self.solver.init(terms, t0, t1, y0, args)

    def func(self, terms, t0, y0, args):
        return self.solver.func(terms, t0, y0, args)

    def step(self, terms, t0, t1, y0, args, solver_state, made_jump):
        y1, error, _, state, result = self.solver.step(
            terms, t0, t1, y0, args, solver_state, made_jump
        )

        def move(p):
            moved = self.move(eqx.combine(p, self.still))
            return eqx.filter(moved, eqx.is_inexact_array)

        y1 = self.over(move, y1)
        return y1, error, dict(y0=y0, y1=y1), state, result


def choose_solver(sde: AbstractSDE, solver: Any):
    """The solver for an SDE's calculus; `ValueError` for one of the other kind."""
    if solver is None:
        return diffrax.Euler() if sde.calculus == "ito" else diffrax.EulerHeun()
    if not isinstance(solver, diffrax.AbstractSolver):
        raise ValueError(
            f"`solver` must be one of diffrax, as `diffrax.Euler()`, but is {solver!r}: leave it "
            "out, or give an instance."
        )
    if isinstance(solver, diffrax.Heun):
        if isinstance(sde, AbstractSampledSDE):
            raise ValueError(
                f"`solver` Heun is for additive noise, but the noise of {type(sde).__name__} is "
                "made by data and depends on the parameters: leave `solver` out."
            )
        return solver  # Ito and Stratonovich agree where the noise is additive: checked apart
    ito = isinstance(solver, diffrax.AbstractItoSolver)
    stratonovich = isinstance(solver, diffrax.AbstractStratonovichSolver)
    name = type(solver).__name__
    if not (ito or stratonovich):
        raise ValueError(
            f"`solver` {name} is for ordinary differential equations: use `diffrax.Euler()` (Ito) "
            "or `diffrax.EulerHeun()` (Stratonovich)."
        )
    if (sde.calculus == "ito") != ito:
        raise ValueError(
            f"`solver` {name} converges to the {'Ito' if ito else 'Stratonovich'} solution, but "
            f"the equation is tagged {sde.calculus!r}. The two differ by the drift "
            "(1/2) sum_j (D sigma_j) sigma_j: add it to the drift (Stratonovich to Ito) or "
            "subtract it (Ito to Stratonovich), as `to_ito` and `to_stratonovich` do, or leave "
            "`solver` out."
        )
    if not isinstance(solver, (diffrax.Euler, diffrax.EulerHeun)):
        raise ValueError(
            f"`solver` {name} needs the diffusion as a matrix or Levy areas, which the counter "
            "path does not draw: use `diffrax.Euler()`, `diffrax.EulerHeun()`, or for additive "
            "noise `diffrax.Heun()`."
        )
    return solver


def choose_adjoint(adjoint: diffrax.AbstractAdjoint | None) -> diffrax.AbstractAdjoint:
    """`adjoint`, or the default; `ValueError` for one whose gradients would be wrong."""
    if adjoint is None:
        return diffrax.RecursiveCheckpointAdjoint()
    if not isinstance(adjoint, _ADJOINTS):
        raise ValueError(
            f"`adjoint` {type(adjoint).__name__} does not differentiate the steps that were made: "
            "leave it out, or for forward mode use `diffrax.ForwardMode()`."
        )
    return adjoint


def of_one_chain(
    sde: AbstractSDE, params: PyTree, noise: PyTree, dt: ArrayLike, regauge: Callable | None
) -> list:
    """What a step computes of one chain: its functions, without the arithmetic around them."""
    if isinstance(sde, AbstractSampledSDE):
        made = [sde.increment(params, noise, jnp.asarray(dt))]
    else:
        made = [sde.drift(params), sde.diffusion(params, noise)]
    return made if regauge is None else [*made, regauge(params)]


def stretch(
    sde: AbstractSDE,
    y: PyTree,
    still: PyTree,
    keys: Array,
    start: ArrayLike,
    dt: ArrayLike,
    *,
    steps: int,
    axis: int | None,
    solver: diffrax.AbstractSolver,
    regauge: Callable | None,
    adjoint: diffrax.AbstractAdjoint,
    max_steps: int | None,
) -> PyTree:
    """The moving leaves after `steps` steps from step number `start`. Pure."""
    point = y if axis is None else jax.tree.map(lambda x: jnp.take(x, 0, axis=axis), y)
    noise = sde.noise_like(eqx.combine(point, still))
    over = _Batched(axis, point, noise)
    path = CounterPath(keys, start, over.noise_like(noise), 0 if axis is None else axis)
    dt = jnp.asarray(dt, jnp.result_type(*jax.tree.leaves(y)))
    if isinstance(sde, AbstractSampledSDE):
        terms = _Increment(sde, still, dt, path, over)
    else:
        terms = diffrax.MultiTerm(
            _Drift(sde, still, dt, over), _Diffusion(sde, still, dt, path, over)
        )
    if regauge is not None:
        solver = _Regauged(solver, regauge, still, over)
    grid = jnp.arange(steps + 1, dtype=jnp.float32)
    # Its ends are given as constants: diffrax goes a hundred floats back from the last one, which
    # XLA else compiles, and takes out of one loop after the other.
    solution = diffrax.diffeqsolve(
        terms,
        solver,
        t0=np.zeros((), np.float32),
        t1=np.asarray(steps, np.float32),
        dt0=None,
        y0=flattened(y, axis),
        stepsize_controller=_Counted(ts=grid),
        saveat=diffrax.SaveAt(t1=True),
        adjoint=adjoint,
        max_steps=max_steps,
        throw=False,
    )
    return shaped(solution.ys, [x.shape for x in jax.tree.leaves(y)])


def integrate(
    sde: AbstractSDE,
    params: PyTree,
    *,
    key,
    steps: int,
    dt: ArrayLike,
    start: ArrayLike = 0,
    chain: ArrayLike = 0,
    solver: diffrax.AbstractSolver | None = None,
    regauge: Callable | None = None,
    adjoint: diffrax.AbstractAdjoint | None = None,
) -> PyTree:
    """One chain of a process, as a pure function: `jit`, `vmap` and `grad` go through.

    Chain `c` of `gaugebias.simulate` and `integrate(..., chain=c)` draw the same noise.

    **Arguments:**

    - `sde`: the process.
    - `params`: the start, one point.
    - `key`: a `jax.random` key.
    - `steps`: number of steps (static), below 2^24.
    - `dt`: step size, in units of time.
    - `start`: number of the first step: a run cut in two is the whole run, bit for bit.
    - `chain`: number of the chain.
    - `solver`: `diffrax.Euler()` or `diffrax.EulerHeun()`, as the calculus asks; `diffrax.Heun()`
        for weak order two with additive noise, see `gaugebias.simulate`.
    - `regauge`: `params -> params`, applied after each step, as
        `lambda p: gb.fix_gauge(q, p)`; see `gaugebias.simulate` for when that is allowed.
    - `adjoint`: how to differentiate: `diffrax.RecursiveCheckpointAdjoint()`, the default,
        `diffrax.DirectAdjoint()`, or for forward mode `diffrax.ForwardMode()`. Others are refused:
        they solve an equation of their own backwards, over noise that is numbered forwards.

    **Returns:** the parameters after `steps` steps. Diverged chains return what they diverged to.
    """
    steps = count(steps, "steps", least=1)
    if steps > LONGEST_STRETCH:
        raise ValueError(f"`steps` must be below 2^24 in one call, but is {steps}: call it twice.")
    dt = scalar(dt, "dt", positive=True, fix="it is the step size.")
    if isinstance(start, int | np.integer) and not 0 <= start < 2**31 - steps:
        raise ValueError(f"`start` ({start}) and `steps` must stay between 0 and 2^31 together.")
    if isinstance(chain, int | np.integer) and not 0 <= chain < 2**31:
        raise ValueError(f"`chain` must be from 0 to 2^31 - 1, but is {chain}.")
    for name, number in (("start", start), ("chain", chain)):
        if not jnp.issubdtype(jnp.result_type(number), jnp.integer):
            raise ValueError(f"`{name}` must be an integer, but is {number!r}.")
    y, still = eqx.partition(params, eqx.is_inexact_array)
    y = jax.tree.map(strong, check_wide(check_real(y, "params"), "params"))
    if not jax.tree.leaves(y):
        raise ValueError("`params` has no floating leaf: nothing would move.")
    key = fastest(jax.random.fold_in(as_key(key), chain))
    adjoint = choose_adjoint(adjoint)
    solver = choose_solver(sde, solver)
    check_additive(sde, solver, params)
    out = stretch(
        sde,
        y,
        still,
        key,
        start,
        dt,
        steps=steps,
        axis=None,
        solver=solver,
        regauge=regauge,
        adjoint=adjoint,
        max_steps=None if isinstance(adjoint, diffrax.ForwardMode) else steps,
    )
    return eqx.combine(out, still)
