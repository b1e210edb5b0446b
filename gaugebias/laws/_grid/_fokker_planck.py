"""The steady state of the quotient's Fokker-Planck equation."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..._arguments import as_key
from ..._compile import evaluated_now
from ...dynamics import AbstractSampledSDE, AbstractSDE, QuotientSDE
from ...dynamics._checks import count
from ...quotient import Domain, Quotient
from .._conditions import predictor_conditions, sample_of, start_point
from .._errors import Condition, LawRefused, require
from .._quadrature._evaluate import HostFunction
from ._grading import Grading, grading_of, midpoints
from ._lattice import jumps_of, node_flux, steady
from ._push import Push, markov_condition
from ._steady_state import SteadyState, fine_levels
from ._walls import diffusion_condition, require_whole, sides_of

_NAME = "fokker-planck"
_CELLS = {1: 400, 2: 120}
_SIMULATE = (
    "simulate the process in parameter space and compare samples with samples (`gaugebias.compare` "
    "uses the energy distance).",
)
_COARSE = 0.02  # change of a marginal distribution function under halving that is too much


class _Solution(NamedTuple):
    masses: np.ndarray
    flux: np.ndarray
    production: float
    decay: float


def fokker_planck(
    sde: AbstractSDE,
    q: Quotient,
    domain: Domain,
    *,
    cells: int | None = None,
    boundary: str = "no-flux",
    cut_off: float = 1e-4,
    key: Array | None = None,
) -> SteadyState:
    r"""The steady state of a process on the quotient, one or two predictors, by finite volumes.

        0 = -sum_i d_i (b_i p) + sum_ij d_i d_j (D_ij p)

    with `b` the generator of the process applied to `phi` (Ito's formula) and `2 D` the covariance
    rate `Dphi Sigma Dphi^T`, both at the representative on the slice. The scheme is a jump process
    on a grid: mass is conserved, all rates are positive (the matrix is an M-matrix), so densities
    are too. Along an edge the flux is exponentially fitted (Scharfetter and Gummel, for `D p`); in
    two coordinates a diffusion that is not diagonal is split into positive parts along up to three
    lattice vectors (Selling's reduction), so that positivity is never lost, whatever the
    anisotropy. Second order in the cells; grids are graded towards ends where diffusion vanishes.

    **Arguments:**

    - `sde`: the process: `Langevin`, `ProjectedLangevin`, `MinibatchSDE`, `LabelNoiseSDE`, an `SDE`
        of your own, or a `QuotientSDE`.
    - `q`: the [`gaugebias.quotient.Quotient`][]; `phi` an array of one or two entries.
    - `domain`: a bounded box. An end where diffusion vanishes (`w = 0` of `w = uv`) is one that
        paths do not pass; any other end must have no mass beyond it.
    - `cells`: cells along each axis, default 400 in one and 120 in two coordinates.
    - `boundary`: `"no-flux"`, or `"absorbing"`: paths end where they leave the box (not at ends
        where diffusion vanishes), and the law is the one given survival (quasi-stationary), with
        `decay_rate`. First order at a side that diffusion meets obliquely.
    - `cut_off`: the mass beyond the box, extrapolated from its last cells, that is tolerated with
        `"no-flux"`; 1 makes the box's sides reflecting walls.
    - `key`: for the points where conditions are checked.

    **Returns:** a [`gaugebias.laws.SteadyState`][], with the probability flux and the entropy
    production: a steady state that is no equilibrium is seen as such. Host side, float64.

    **Conditions:** `w` is a process by itself: its drift and covariance are constant on orbits, or
    the process keeps the slice (then for starts on it). The diffusion vanishes nowhere inside.

    **Raises:** [`gaugebias.laws.LawRefused`][], where a condition fails, where the quotient has
    three coordinates or more, where the box cuts off mass or the grid is too coarse;
    [`gaugebias.laws.NotNormalisable`][] where the mass collapses to an end; `ValueError`.

    !!! example

        ```python
        import jax.numpy as jnp
        import gaugebias as gb
        act = gb.symmetry.Orthogonal(lambda p: p)
        q = gb.Quotient(lambda p: jnp.sum(p**2), act, at=jnp.array([1.0, 0.5]),
                        lift=lambda w: jnp.stack([jnp.sqrt(w), 0.0 * w]))
        sde = gb.dynamics.Langevin(lambda p: 0.5 * jnp.sum(p**2), 1.0)
        law = gb.laws.fokker_planck(sde, q, gb.quotient.Domain.line(0.0, 40.0))
        law.cdf(2.0)       # 1 - 1/e, the exponential law of |x|^2 in the plane
        ```
    """
    if not isinstance(sde, AbstractSDE):
        raise ValueError("`sde` must be a process of `gaugebias.dynamics`, as `MinibatchSDE`.")
    if not isinstance(q, Quotient):
        raise ValueError("`q` must be a `gaugebias.Quotient`.")
    if boundary not in ("no-flux", "absorbing"):
        raise ValueError(f'`boundary` must be "no-flux" or "absorbing", not {boundary!r}.')
    if isinstance(cut_off, bool) or not isinstance(cut_off, int | float) or not cut_off > 0.0:
        raise ValueError(f"`cut_off` must be a positive number, but is {cut_off!r}.")
    with evaluated_now(), jax.enable_x64(True):
        params = start_point(q)
        shape, size = _shape(q, params)
        _check_domain(domain, size)
        each = _CELLS[size] if cells is None else count(cells, "cells", least=16)
        key = jax.random.key(0) if key is None else as_key(key)
        first, second = jax.random.split(key)
        if isinstance(sde, QuotientSDE):
            _check_same(sde, q, params)
        conditions = (*_predictor(q, params, first), markov_condition(sde, q, params, second))
        require(_NAME, conditions, _SIMULATE)
        if isinstance(sde, AbstractSampledSDE):
            sde.check_start(params)
    push = HostFunction(Push(sde, q, shape), (size,))
    sides = sides_of(push, domain, _NAME)
    gradings = tuple(
        grading_of(a, b, side[0].power, side[1].power)
        for a, b, side in zip(domain.lower, domain.upper, sides, strict=True)
    )
    conditions = (*conditions, diffusion_condition(push, domain))
    require(_NAME, conditions, _SIMULATE)
    absorbing = np.asarray(
        [[boundary == "absorbing" and s.power is None for s in side] for side in sides]
    )
    fine = _solve(push, gradings, each, absorbing)
    coarse = _solve(push, gradings, each // 2, absorbing)
    if boundary == "no-flux":
        require_whole(fine.masses, domain, sides, cut_off, _NAME)
    error = _difference(fine.masses, coarse.masses, gradings)
    resolved = Condition(
        "grid",
        error < _COARSE,
        error,
        f"a marginal distribution function changes by {error:.1e} from {each // 2} to {each} cells"
        + ("." if error < _COARSE else ": raise `cells`, or make `domain` smaller."),
    )
    conditions = (*conditions, resolved)
    require(_NAME, conditions, _SIMULATE)
    with np.errstate(divide="ignore"):
        log_values = np.log(fine.masses * float(each) ** size)
    return SteadyState(
        _NAME,
        domain,
        conditions,
        shape,
        gradings,
        log_values,
        fine.masses,
        fine.flux,
        fine.production,
        fine.decay,
        boundary,
        error,
        _temperature(sde),
    )


def _shape(q: Quotient, params) -> tuple[tuple[int, ...], int]:
    predictor = jax.eval_shape(q.phi, params)
    if not isinstance(predictor, jax.ShapeDtypeStruct):
        raise ValueError("`q.phi` must give one array for a law; ravel the predictor.")
    shape = tuple(predictor.shape)
    size = int(np.prod(shape, dtype=int))
    if size > 2:
        detail = (
            f"the predictor has {size} coordinates, and grids cover one or two: the number of "
            "cells grows as a power of it."
        )
        raise LawRefused(
            _NAME,
            detail,
            (Condition("at most two coordinates", False, float(size), detail),),
            _SIMULATE,
        )
    return shape, size


def _check_domain(domain, size: int) -> None:
    if not isinstance(domain, Domain):
        raise ValueError("`domain` must be a `gaugebias.quotient.Domain`, a bounded box.")
    if domain.dimension != size:
        raise ValueError(f"`domain` has {domain.dimension} coordinates, the predictor {size}.")
    if not (np.all(np.isfinite(domain.lower)) and np.all(np.isfinite(domain.upper))):
        raise ValueError(
            "`domain` must be bounded for a grid: give finite ends, beyond which there is no mass."
        )
    if domain.ordered and size > 1:
        raise ValueError(
            "`domain` is ordered, and the grid is one of a box: take coordinates in which it is a "
            "box, as (x_1 - x_2, x_2)."
        )


def _check_same(sde: QuotientSDE, q: Quotient, params) -> None:
    """`ValueError` where the equation is one of another quotient: by `log det K` at a point."""
    w = q.phi(params)
    try:
        there = float(sde.q.predictor_log_det(w))
    except (TypeError, ValueError):
        there = np.nan
    here = float(q.predictor_log_det(w))
    if not abs(here - there) <= 1e-6 * (1.0 + abs(here)):
        raise ValueError(
            f"`sde` is the equation of another quotient than `q`: log det K is {there:.6g} there "
            f"and {here:.6g} here at the same w. Give the quotient it was made with, `q=sde.q`."
        )


def _predictor(q: Quotient, params, key: Array) -> tuple[Condition, Condition]:
    return predictor_conditions(sample_of(q, params, key))


def _temperature(sde: AbstractSDE) -> Array | None:
    temperature = getattr(sde, "temperature", None)
    if temperature is not None:
        return jnp.asarray(temperature)
    variance = getattr(sde, "variance", None)
    return None if variance is None else 0.5 * jnp.asarray(variance)


def _solve(
    push: Callable, gradings: tuple[Grading, ...], each: int, absorbing: np.ndarray
) -> _Solution:
    """The scheme on `each` cells an axis: in lattice units, by Ito's formula for the grading."""
    m = len(gradings)
    sides = [g.x(midpoints(each)) for g in gradings]
    grid = [
        np.stack(np.meshgrid(*[side[k] for side in sides], indexing="ij"), axis=-1)
        for k in range(3)
    ]
    points, first, second = grid
    rates = push(points.reshape(-1, m))
    shape = (each,) * m
    drift = rates[:, :m].reshape(*shape, m)
    covariance = rates[:, m:].reshape(*shape, m, m)
    variance = np.einsum("...ii->...i", covariance)
    inner = drift / first - 0.5 * variance * second / first**3
    half = 0.5 * covariance / (first[..., :, None] * first[..., None, :])
    jumps = jumps_of(each * inner, each**2 * half, absorbing)
    p, decay = steady(jumps, each**m)
    lattice = node_flux(jumps, p, shape).reshape(*shape, m)
    tensors = (each**2 * half).reshape(-1, m, m)
    flat = lattice.reshape(-1, m)
    if np.any(jumps.loss > 0.0):  # the density vanishes at such walls, the current does not
        production = np.inf
    elif m == 1:
        production = 0.0
    else:
        pushed = np.linalg.solve(tensors, flat[:, :, None])[:, :, 0]
        production = float(np.sum(np.sum(flat * pushed, axis=1) / p))
    # a current per cell of the lattice, as one per unit of w: J^i = dx_i/ds_i J_s^i / |dx/ds|
    volume = np.prod(first, axis=-1, keepdims=True)
    flux = lattice * each ** (m - 1) * first / volume
    return _Solution(p.reshape(shape), flux, production, decay)


def _difference(fine: np.ndarray, coarse: np.ndarray, gradings: tuple[Grading, ...]) -> float:
    worst = 0.0
    for a, grading in enumerate(gradings):
        others = tuple(b for b in range(fine.ndim) if b != a)
        x, here = fine_levels(fine.sum(axis=others), grading)
        y, there = fine_levels(coarse.sum(axis=others), grading)
        worst = max(worst, float(np.max(np.abs(np.interp(x, y, there) - here))))
    return worst
