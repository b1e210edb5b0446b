"""Independent checks of discovered fields: closure, finite flow, orbits, what is left over."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._action import AbstractAction, algebra_dimension, unravel_coefficients
from ._candidates import Family, fields, rows
from ._samples import Sampler
from ._solve import Frame, flat, split

_PAIRS = 6
_POINTS = 3
_FIBRES = 8, 64  # points at which the fibre's dimension is computed, and where that is cheap
_CHEAP = 128  # parameters
_AT_MOST = 64  # held-out inputs for finite group elements


def _at(values: list[np.ndarray], i: int) -> list[np.ndarray]:
    return [x[i, ...] for x in values]


def bracket(
    found: Sequence[Family], point: list[np.ndarray], one: np.ndarray, other: np.ndarray
) -> np.ndarray:
    """The bracket of two affine fields at a point, as one vector."""
    x, y = fields(found, point, one[None]), fields(found, point, other[None])
    zero = [np.zeros_like(v) for v in point]

    def linear(coeffs: np.ndarray, v: list[np.ndarray]) -> np.ndarray:
        at = [u[0, ...] for u in v]
        whole, constant = fields(found, at, coeffs[None]), fields(found, zero, coeffs[None])
        return flat(whole)[0] - flat(constant)[0]

    return linear(other, x) - linear(one, y)


def closure_residual(
    found: Sequence[Family],
    basis: np.ndarray,
    frame: Frame,
    values: list[np.ndarray],
    rng: np.random.Generator,
) -> float:
    """How far random brackets are from the fields' span, relative; 0 is a Lie algebra.

    Brackets are compared at several points with the same coefficients, modulo translations and
    what is not seen: a field that lies in these at every point moves no orbit.
    """
    k, each = basis.shape[0], basis.shape[0] + 8
    if k < 2:
        return 0.0
    shapes = [x.shape[1:] for x in values]
    dimension = sum(int(np.prod(s)) for s in shapes)
    pairs = rng.standard_normal((_PAIRS, 2, k)) @ basis
    left, right = [], []
    for i in range(_POINTS):
        v = frame.outside(rng.standard_normal((each, dimension)))
        copies = [np.broadcast_to(x[i], (each, *x[i].shape)) for x in values]
        left.append(rows(found, copies, split(v, shapes)) @ basis.T)
        brackets = np.stack([bracket(found, _at(values, i), a, b) for a, b in pairs], axis=1)
        right.append(v @ brackets)
    a, b = np.concatenate(left), np.concatenate(right)
    solved = np.linalg.lstsq(a, b, rcond=1e-10)[0]
    # Measured against the fields' own size: where all brackets vanish they leave only rounding.
    size = np.linalg.norm(pairs) * np.linalg.norm(basis) / np.sqrt(k * _PAIRS)
    scale = np.linalg.norm(a) / np.sqrt(k) * size / np.linalg.norm(basis)
    return float(np.linalg.norm(a @ solved - b) / max(np.linalg.norm(b), scale, 1e-300))


def commute(
    found: Sequence[Family], one: np.ndarray, other: np.ndarray, point: list[np.ndarray], rng: Any
) -> bool:
    """Whether two sets of fields commute, tried at a point with random coefficients."""
    a = rng.standard_normal(one.shape[0]) @ one
    b = rng.standard_normal(other.shape[0]) @ other
    size = np.linalg.norm(flat(fields(found, point, a[None])))
    size = size + np.linalg.norm(flat(fields(found, point, b[None])))
    return bool(np.linalg.norm(bracket(found, point, a, b)) <= 1e-8 * max(size, 1e-300))


def flow_residual(
    predict: Callable[..., Any], action: AbstractAction, sampler: Sampler, held: np.ndarray
) -> float:
    """The largest relative change of the predictor under random group elements.

    At freshly sampled parameters, on the held-out inputs.
    """
    k = algebra_dimension(action, sampler.params)
    if k == 0:
        return 0.0
    inputs = None
    if sampler.inputs is not None:
        inputs = jax.tree.map(lambda x: x[held[:_AT_MOST]] if np.ndim(x) else x, sampler.inputs)

    def outputs(params: Any) -> list[Any]:
        return jax.tree.leaves(predict(params) if inputs is None else predict(params, inputs))

    @jax.jit
    def change(leaves: list[Any], vector: Any) -> Any:
        point = sampler.with_leaves(leaves)
        coeffs = unravel_coefficients(action.algebra(point), vector)
        worst = jnp.zeros(())
        pairs = zip(outputs(point), outputs(action.flow(point, coeffs)), strict=True)
        for one, other in pairs:
            size = jnp.maximum(jnp.max(jnp.abs(one)), jnp.max(jnp.abs(other)))
            part = jnp.max(jnp.abs(one - other)) / jnp.where(size > 0, size, 1.0)
            worst = jnp.maximum(worst, part)
        return worst

    values = sampler.draw(_POINTS)
    vectors = 0.5 * sampler.rng.standard_normal((_POINTS, k)) / np.sqrt(k)
    return max(float(change([x[i] for x in values], vectors[i])) for i in range(_POINTS))


def orbit_rank_at(
    found: Sequence[Family], basis: np.ndarray, frame: Frame, point: list[np.ndarray]
) -> int:
    """The dimension of the orbit through a point, of what is seen."""
    if basis.shape[0] == 0:
        return 0
    moves = flat(fields(found, point, basis)) * frame.seen[None]
    size = np.linalg.norm(
        flat(fields(found, [np.asarray(np.abs(x)) for x in point], np.abs(basis))), axis=1
    )
    s = np.linalg.svd(moves / np.maximum(size, 1e-300)[:, None], compute_uv=False)
    return int((s > 1e-9 * max(s[0], 1e-300)).sum()) if s[0] > 1e-9 else 0


def fibre_dimension(sampler: Sampler, seen: np.ndarray, orbit: int, cut: float) -> int | None:
    """`D - rank` of the derivative by the entries `seen`: the least at several sampled points.

    At one of them a unit may be dead on all inputs; `orbit`, the lower bound, ends the search.

    `None` where the data do not determine it: fewer scalar outputs than parameters.
    """
    dimension = int(seen.sum())
    enough = sampler.count * sampler.outputs >= dimension + 8
    if sampler.inputs is not None and not enough:
        return None
    wanted = dimension + 16
    left = dimension
    for _ in range(_FIBRES[dimension <= _CHEAP]):
        if left <= orbit:
            break
        values = [np.repeat(x, wanted, axis=0) for x in sampler.draw(1)]
        chosen = np.resize(sampler.rng.permutation(sampler.count), wanted)
        grads = flat(sampler.gradients(values, chosen).grads)[:, seen > 0]
        size = np.linalg.norm(grads, axis=1, keepdims=True)
        s = np.linalg.svd(grads / np.maximum(size, 1e-300), compute_uv=False)
        left = min(left, dimension - int((s > cut * s[0]).sum()))
    return left
