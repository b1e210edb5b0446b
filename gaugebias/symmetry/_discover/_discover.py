"""Finding the linear and affine symmetries of a predictor."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from ..._types import Array, Key, Params
from .._action import AbstractAction, generator_name, orbit_jacobian
from .._leaves import moving_dtype
from .._product import Product
from ._candidates import Family, describe, families, rows, shown, total, units
from ._checks import (
    closure_residual,
    commute,
    fibre_dimension,
    flow_residual,
    orbit_rank_at,
)
from ._identify import Found, identify, linear_fields
from ._null_space import Triangle
from ._result import Discovery
from ._samples import Sampler, has_entries
from ._solve import Solution, effective, solve

_HELD_OUT = 4  # one input in four, and one evaluation in four
_FEWEST = 4  # inputs
_CUT = 1e-9
_SURELY_ZERO = 2e-11
_SURELY_NOT = 1e-7
_GAP = 1e3
_FAINT = 1e-5  # of what the predictor sees of the leaf that it sees best
_RESIDUAL = 1e-6
_SMALL = 512  # candidates, up to which one thread is quicker than several
_LARGEST_FIBRE = 2048  # parameters, up to which the fibre's dimension is computed


def discover(
    predict: Callable[..., Any],
    params: Params,
    inputs: Any = None,
    *,
    key: Key | None = None,
    tolerance: float | None = None,
    samples: int | None = None,
    sample: Callable[..., Any] | None = None,
    max_candidates: int = 2048,
    memory: int = 2**28,
) -> Discovery:
    r"""Find the continuous linear and affine symmetries of a predictor.

    Candidate fields on each leaf are matrices along each axis (left and right multiplication of a
    matrix, channels of a convolution, all linear maps of a vector), which contain scalings by row,
    column and unit; on a leaf with three axes also matrices that vary over another axis, as
    attention heads do; and translations, constant along one axis (\(W + 1 b^\top\)) or, of a
    vector, free. The symmetries are the null space, over freshly sampled parameters and the inputs,
    of \(A \mapsto D_\theta f(\theta, x)[A.\theta]\), without the candidates that act trivially and
    without those that move along a translation found already (\(W \to W + 1 v^\top W\) beside
    \(W \to W + 1 b^\top\)).

    One evaluation is the gradient of one random combination of the outputs at one sampled
    parameter and one input, contracted with all candidates at once: a row. Rows are folded into a
    triangular factor of c x c numbers for c candidates, whose singular values are theirs in full
    precision (a Gram matrix would square them). Everything runs in float64, whatever the dtype of
    `params`.

    **Arguments:**

    - `predict`: `predict(params, inputs)`, or `predict(params)` without `inputs`: any
      deterministic function that JAX can differentiate in reverse, of floating outputs whose
      first axis is the batch's. Everything that the loss sees: with weight decay in it only
      orthogonal symmetries survive.
    - `params`: any pytree: a dict, an Equinox module, a Flax NNX state
      (`graph, params, rest = nnx.split(model, nnx.Param, ...)`, and
      `lambda p, x: nnx.merge(graph, p, rest)(x)` as `predict`). Floating leaves move, others stay.
      Only the shapes and the sizes of the leaves enter, unless `params` is singular.
    - `inputs`: a pytree of arrays with a common first axis, at least four samples. The result is
      the symmetry **on these inputs**: entries of matrices that they do not show, such as the
      weights of a pixel that is always zero, are free, and left out of the count. One in four is
      held out of the fit.
    - `key`: random key of all sampling; a fixed one by default.
    - `tolerance`: singular values up to this fraction of the largest are zero. By default those
      below 2e-11 are and those above 1e-7 are not, and one between is refused.
    - `samples`: the number of evaluations; twice the number of candidates by default.
    - `sample`: `sample(key, params) -> params`, where the default (each leaf normal with the size
      it has in `params`, so that each unit is seen on and off) leaves the predictor's domain.
    - `max_candidates`: full matrices on the longest axes give way to scalings until the
      candidates are no more than this.
    - `memory`: bytes that a block of rows and its gradients may take (at least eight rows are
      taken at once); the factor takes about four times 8 c^2 beside it.

    **Returns:** a [`gaugebias.symmetry.Discovery`][].

    **Raises:** `ValueError` where `predict` is not deterministic, not finite, not floating, or
    mixes samples; where `inputs` has no common batch axis, too few samples, or hardly shows some
    entries of the parameters; where `samples` are
    fewer than the candidates that differ (saying how many are needed); where the gap between zero
    and non-zero singular values is unclear; where `sample` shows too few activation patterns; and
    where `params` is singular: on a smaller orbit than its neighbours (naming the generator).

    Discrete symmetries are not seen. Source: derived for this project.

    !!! Example

        ```python
        params = {"u": jnp.ones((3, 2)), "v": jnp.eye(2)}
        found = discover(lambda p: p["u"] @ p["v"].T, params)
        found.dimension, found.identification  # 4, ("GL(2) on leaves u, v",)
        ```
    """
    _check_arguments(predict, params, inputs, tolerance)
    for value, name in (
        (samples, "samples"),
        (max_candidates, "max_candidates"),
        (memory, "memory"),
    ):
        if value is not None and not (isinstance(value, int | np.integer) and value >= 1):
            raise ValueError(f"`{name}` is {value}: give a positive integer.")
    key = jax.random.key(0) if key is None else key
    if not (eqx.is_array(key) and key.dtype in (jnp.uint32, jax.random.key(0).dtype)):
        raise ValueError(f"`key` must be a random key, as of `jax.random.key(0)`, not {key!r}.")
    from threadpoolctl import threadpool_limits

    shapes = [x.shape for x in jax.tree.leaves(params) if has_entries(x)]
    found = families(shapes, max_candidates)
    # Many small factorisations: threads would wait for one another.
    threads = 1 if total(found) <= _SMALL else None
    with jax.enable_x64(True), threadpool_limits(threads):
        options = tolerance, samples, sample, max_candidates, memory
        return _discover(predict, params, inputs, total(found), key, *options)


def _check_arguments(predict: Any, params: Params, inputs: Any, tolerance: float | None) -> None:
    if not callable(predict):
        raise ValueError(
            "`predict` must be a function of parameters and inputs, not of type "
            f"{type(predict).__name__}."
        )
    if any(isinstance(x, Tracer) for x in jax.tree.leaves((params, inputs))):
        raise ValueError("`params` or `inputs` is traced: call `discover` outside of jit.")
    leaves = [x for x in jax.tree.leaves(params) if has_entries(x)]
    if not leaves:
        raise ValueError(
            "`params` holds no floating array: integer and static leaves do not move. Pass the "
            "parameters themselves, as floating arrays."
        )
    moving_dtype(params)
    if not all(np.isfinite(np.asarray(x)).all() for x in leaves):
        raise ValueError("`params` holds values that are not finite: give valid parameters.")
    if tolerance is not None and not 0.0 < tolerance < 1.0:
        raise ValueError(f"`tolerance` is {tolerance}: give a number between 0 and 1.")


def _discover(
    predict: Callable[..., Any],
    params: Params,
    inputs: Any,
    most: int,
    key: Key,
    tolerance: float | None,
    samples: int | None,
    sample: Callable[..., Any] | None,
    max_candidates: int,
    memory: int,
) -> Discovery:
    rng = np.random.default_rng([int(x) for x in np.ravel(jax.random.key_data(key))])
    shapes = [x.shape for x in jax.tree.leaves(params) if has_entries(x)]
    width = most + sum(math.prod(shape) for shape in shapes)
    block = min(max(8, int(memory // (8 * 4 * width))), 2 * most + 32, 512)
    sampler = Sampler(predict, params, inputs, sample, rng, block)
    fit, held = _divided(sampler, rng)
    seed = int(rng.integers(2**31))
    count = 2 * most + 32 if samples is None else samples
    least = _SURELY_ZERO if tolerance is None else tolerance
    sizes, influence, times = sampler.look(fit, 2 * most + 32, least)
    unseen = {i for i, x in enumerate(influence) if x <= least}
    found = families(shapes, max_candidates, unseen)
    c = total(found)
    drawn = min(block, c + 16)
    reference = [
        [size * rng.standard_normal((drawn, *s)) for size, s in zip(sizes, shapes, strict=True)]
    ]
    different = effective(found, reference, sizes, seed)
    if count < different:
        raise ValueError(
            f"`samples` is too few to determine the null space: {count} evaluations for "
            f"{different} candidates that differ; give at least {different}, better "
            f"{2 * different}."
        )
    cut = _CUT if tolerance is None else tolerance
    kept, rare = shown(found, times)
    if any(x.any() for x in rare):
        _refuse_rare(sampler.paths, rare)
    first = Triangle(units(found, sizes))
    _evaluate(found, first, sampler, fit, count, kept)
    whole = first.copy()
    _evaluate(found, whole, sampler, held, count // _HELD_OUT + 8, kept)
    sampler.require_switching(min(block, 256))
    seen = np.concatenate([x.ravel() for x in kept])
    solution = solve(found, whole, reference, sizes, seen, cut, seed)
    _require_gap(solution, tolerance, sampler.paths, influence)
    before = solve(found, first, reference, sizes, seen, cut, seed)
    _require_inputs(solution, before, sampler, different)

    basis = solution.basis()
    groups = identify(found, solution, sampler.paths, shapes)
    point = [x[0, ...] for x in sampler.draw(1)]
    action, groups = _assembled(groups, found, sampler, shapes, point, rng)
    orbit = orbit_rank_at(found, basis, solution.frame, point)
    if orbit_rank_at(found, basis, solution.frame, sampler.leaves) < orbit:
        _refuse_singular(action, sampler, orbit)
    closure = closure_residual(found, basis, solution.frame, sampler.draw(3), rng)
    invariance = flow_residual(predict, action, sampler, held)
    if tolerance is None and not max(closure, invariance) <= _RESIDUAL:
        raise ValueError(
            f"`sample` or `inputs` are not generic: the {solution.dimension} fields found are no "
            f"group of symmetries (brackets leave them by {closure:.1e}, finite elements change "
            f"`predict` by {invariance:.1e}, relative). Sample leaves independently of each other."
        )
    fibre = None
    if sampler.dimension <= _LARGEST_FIBRE and 8 * sampler.dimension**2 <= memory:
        fibre = fibre_dimension(sampler, seen, orbit, cut)
    left_out = [int(x.size - x.sum()) for x in kept]
    return Discovery(
        action=action,
        identification=tuple(group.text for group in groups),
        dimension=solution.dimension,
        gap=solution.kept / max(solution.dropped, float(np.finfo(np.float64).eps)),
        residual=max(closure, invariance),
        closure=closure,
        invariance=invariance,
        smallest_kept=solution.kept,
        largest_dropped=solution.dropped,
        orbit_dimension=orbit,
        fibre_dimension=fibre,
        candidates=c,
        effective=different,
        unseen=sum(left_out),
        evaluations=whole.count,
        patterns=len(sampler.patterns),
        searched=describe(found, sampler.paths, left_out),
    )


def _evaluate(
    found: Sequence[Family],
    triangle: Triangle,
    sampler: Sampler,
    inputs: np.ndarray,
    count: int,
    kept: list[np.ndarray],
) -> None:
    """Fold in `count` rows, at inputs with these numbers."""
    for drawn in sampler.evaluations(inputs, count):
        pairs = zip(drawn.grads, kept, strict=True)
        hidden = [np.abs(g).max(axis=0) * (keep == 0.0) for g, keep in pairs]
        if any(x.any() for x in hidden):
            _refuse_rare(sampler.paths, hidden)
        bounds = [np.abs(x) for x in drawn.values], [np.abs(g) for g in drawn.grads]
        triangle.add(rows(found, drawn.values, drawn.grads), rows(found, *bounds))


def _refuse_rare(paths: list[str], rare: list[np.ndarray]) -> None:
    """`rare` is not zero at the entries to complain about, one array a leaf."""
    worst = int(np.argmax([np.count_nonzero(x) for x in rare]))
    entry = tuple(int(i) for i in np.argwhere(rare[worst])[0])
    raise ValueError(
        f"`inputs` show {np.count_nonzero(rare[worst])} entries of leaf {paths[worst]!r}, such as "
        f"{entry}, too rarely to tell what they do (a pixel that is zero in nearly all pictures): "
        "add a little noise to `inputs`, which then show the symmetries of the architecture, or "
        "make such features zero throughout."
    )


def _divided(sampler: Sampler, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the inputs to fit and of those held out."""
    if sampler.inputs is None:
        return np.zeros(1, int), np.zeros(1, int)
    arrays = [x for x in jax.tree.leaves(sampler.inputs) if np.ndim(x)]
    rows = np.concatenate([np.reshape(x, (len(x), -1)) for x in arrays], axis=1)
    different = len(np.unique(rows, axis=0))
    if different < _FEWEST:
        raise ValueError(
            f"`inputs` holds {different} different samples along its first axis: too few to hold "
            f"one in {_HELD_OUT} out. Give at least {_FEWEST}, generic ones."
        )
    order = rng.permutation(sampler.count)
    held = max(1, sampler.count // _HELD_OUT)
    return order[held:], order[:held]


def _require_gap(
    solution: Solution, tolerance: float | None, paths: list[str], influence: list[float]
) -> None:
    values = np.concatenate([spectrum.values for spectrum in solution.spectra])
    if tolerance is None:
        between = values[(values > _SURELY_ZERO) & (values < _SURELY_NOT)]
        unclear = between.size > 0 or solution.kept < _GAP * solution.dropped
    else:
        unclear = solution.kept < 10.0 * solution.dropped
    if unclear:
        ascending = np.sort(values)
        first = int(np.searchsorted(ascending, max(solution.dropped, _SURELY_ZERO)))
        near = ascending[max(first - 3, 0) : first + 6]
        faint = [
            f"{path or 'params'} ({x:.1e})"
            for path, x in zip(paths, influence, strict=True)
            if 0.0 < x < _FAINT
        ]
        leaves = f" `predict` hardly sees leaves {', '.join(faint)}." if faint else ""
        raise ValueError(
            "`tolerance`: the gap between symmetries and the rest is unclear: around the cut the "
            f"relative singular values are {', '.join(f'{x:.1e}' for x in near)}.{leaves} A "
            "symmetry may be broken slightly (by the epsilon of a normalisation, or by float32 "
            "inside `predict`, as in `jax.nn.dot_product_attention`), or the samples may be badly "
            "scaled: decide with `tolerance=`, or change `params` or `sample`."
        )


def _require_inputs(whole: Solution, first: Solution, sampler: Sampler, different: int) -> None:
    if first.dimension > whole.dimension:
        needed = max(2 * sampler.count, math.ceil(different / max(sampler.outputs, 1)) + 1)
        raise ValueError(
            f"`inputs` or `samples` are too few to determine the null space: {first.dimension} "
            f"fields are symmetries on three quarters of the {sampler.count} inputs and only "
            f"{whole.dimension} with the rest: give at least {needed} generic inputs."
        )


def _assembled(
    groups: list[Found],
    found: Any,
    sampler: Sampler,
    shapes: list[tuple[int, ...]],
    point: list[np.ndarray],
    rng: np.random.Generator,
) -> tuple[AbstractAction, list[Found]]:
    """One action of all groups; groups that do not commute become one set of fields."""
    if not groups:
        return linear_fields(found, np.zeros((0, total(found))), sampler.paths, shapes), []
    clusters: list[list[Found]] = []
    for group in groups:
        mixed = [
            cluster
            for cluster in clusters
            if any(not commute(found, group.coeffs, g.coeffs, point, rng) for g in cluster)
        ]
        clusters = [c for c in clusters if not any(c is m for m in mixed)]
        clusters.append([g for m in mixed for g in m] + [group])
    actions = [
        cluster[0].action
        if len(cluster) == 1
        else linear_fields(
            found, np.concatenate([g.coeffs for g in cluster]), sampler.paths, shapes
        )
        for cluster in clusters
    ]
    return actions[0] if len(actions) == 1 else Product(*actions), groups


def _refuse_singular(action: AbstractAction, sampler: Sampler, orbit: int) -> None:
    frame: Array = orbit_jacobian(action, sampler.params)
    matrix = np.asarray(frame)
    _, s, vt = np.linalg.svd(matrix, full_matrices=True)
    rank = int((s > 1e-9 * max(s.max(initial=0.0), 1e-300)).sum())
    # Of all stabilised directions take the generator that lies in them most.
    share = np.sum(vt[rank:] ** 2, axis=0)
    name = generator_name(action, sampler.params, int(np.argmax(share)))
    raise ValueError(
        f"`params` lies on a singular stratum: its orbit has dimension {rank}, that of parameters "
        f"nearby {orbit}. Generator {name} of the action found is stabilised (a factor without "
        "full rank, a unit of zeros): discover at other parameters, for example at a small "
        "perturbation of these."
    )
