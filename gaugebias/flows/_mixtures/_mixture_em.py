"""EM for Gaussian mixtures whose means are in the image of a chart."""

from typing import final

import equinox as eqx
import numpy as np
from jaxtyping import ArrayLike

from .._potentials._potential import as_float
from ._chart import AbsoluteChart, AbstractChart
from ._mixture import GaussianMixture, check_data
from ._ordered_charts import FlooredChart, OrderedChart, along
from ._relative_charts import CentredChart, FixedChart, RelativeChart
from ._simplex_chart import SimplexChart
from ._singularity import coincident_components

CONVERGED, MAX_STEPS, SINGULAR, NOT_FINITE = range(4)
MIXTURE_RESULTS: dict[int, str] = {
    CONVERGED: "converged",
    MAX_STEPS: "stopped at the most steps allowed",
    SINGULAR: "met a singular covariance: the likelihood has no bound there",
    NOT_FINITE: "met values that are not finite",
}
"""Result code -> what it means."""


@final
class MixtureFit(eqx.Module):
    """What [`gaugebias.flows.mixture_em`][] found from each of its S starts.

    - `mixtures`: S mixtures; where a start failed, the last one before.
    - `results`: S codes, as in `MIXTURE_RESULTS`.
    - `traces`: S arrays, the log-likelihood (a sum over the data) at the start and after each
      iteration. It never falls from a feasible start, and never after the first iteration.
    - `feasible`: whether each start was in the closed image of the chart.
    - `coincident`: for each start its pairs of equal components. Without a floor or fixed
      differences that part them they stay equal for ever.
    - `best`: the start of the largest log-likelihood among those that did not fail; -1 for none.
    """

    mixtures: tuple[GaussianMixture, ...]
    results: tuple[int, ...]
    traces: tuple[np.ndarray, ...]
    feasible: tuple[bool, ...]
    coincident: tuple[tuple[tuple[int, int], ...], ...]
    best: int

    @property
    def mixture(self) -> GaussianMixture:
        """The best one; `ValueError` where every start failed."""
        if self.best < 0:
            raise ValueError(
                f"every start failed; the first {MIXTURE_RESULTS[self.results[0]]}. Start "
                "elsewhere, share the covariance, or take fewer components."
            )
        return self.mixtures[self.best]


def mixture_em(
    data: ArrayLike,
    starts: GaussianMixture | list[GaussianMixture] | tuple[GaussianMixture, ...],
    *,
    chart: AbstractChart | None = None,
    weights: SimplexChart | None = None,
    fixed_weights: bool = False,
    covariance: str = "fixed",
    max_steps: int = 1000,
    tol: float = 1e-10,
    least: float = 1e-8,
) -> MixtureFit:
    r"""Maximum likelihood in the closed image of a chart of the means, by EM.

    With responsibilities \(r_{nk}\), \(N_k = \sum_n r_{nk}\) and \(M_k\) the weighted means, the
    M-step of the means is \(M_k\) in an unconstrained chart; the weighted isotonic regression
    (pool adjacent violators, SciPy) of \(M_k - \sum_{j<k}\delta_{\min,j}\) in an ordered or
    floored one, above one dimension of its part along the direction of the chart, with weights
    \(N_k/(u^T \Sigma_k u)\), each mean then moving along \(\Sigma_k u\); the weighted mean of
    \(M_k - D_k\) for fixed differences, \(D_k\) the offsets, with weights
    \(N_k \Sigma_k^{-1}\). Where covariances are free the means are maximised at the old ones
    (expectation conditional maximisation, monotone).

    A floored or ordered chart is closed here: the maximum may be on the floor itself, and at a
    floor of 0 two components may become one.

    **Arguments:**

    - `data`: shape `(N,)` or `(N, d)`, finite.
    - `starts`: one mixture or several. A start outside the chart is taken as it is (the first
      M-step moves it inside, and the log-likelihood may fall in that one step).
    - `chart`: of the means; default `AbsoluteChart()`.
    - `weights`: default `SimplexChart()`; its floor is kept (closed, as those of the means).
    - `fixed_weights`: keep the weights of each start.
    - `covariance`: "fixed" at that of each start, "shared", or "free".
    - `tol`: a start has converged when the log-likelihood of a datum rises by less.
    - `least`: a covariance whose least eigenvalue falls below this part of the mean variance of
      the data is singular: the start stops with its code and the others go on.

    **Returns:** a [`gaugebias.flows.MixtureFit`][].

    **Raises:** `ValueError` for data that are not finite or too few, shapes that do not fit,
    floors or differences beyond the range of the data, and where every start has equal components
    that no step would part.

    Runs on the host, in float64.

    Source: re-derived; protocol ours, about 2206.08598. The isotonic M-step is exact: the sum of
    weighted squares is what the expected log-likelihood depends on.
    """
    chart = AbsoluteChart() if chart is None else chart
    weights = SimplexChart() if weights is None else weights
    given = list(starts) if isinstance(starts, list | tuple) else [starts]
    if not given or not all(isinstance(m, GaussianMixture) for m in given):
        raise ValueError("`starts` must be a `GaussianMixture` or a list of at least one of them.")
    if covariance not in ("fixed", "shared", "free"):
        raise ValueError(f'`covariance` must be "fixed", "shared" or "free", not {covariance!r}.')
    if isinstance(max_steps, bool) or not isinstance(max_steps, int) or max_steps < 1:
        raise ValueError(f"`max_steps` must be a whole number of at least 1, but is {max_steps!r}.")
    if not (tol >= 0 and least > 0):
        raise ValueError("`tol` must not be negative and `least` must be positive.")
    points = np.asarray(check_data(data), float)
    for mixture in given:
        _check(points, mixture, chart, weights)
    coincident = tuple(coincident_components(m) for m in given)
    if all(coincident) and not isinstance(chart, FlooredChart | FixedChart):
        i, j = coincident[0][0]
        raise ValueError(
            f"`starts`: two components are equal in every one of them ({i + 1} and {j + 1} in the "
            "first), and no step of EM parts them: start with the means apart, or in a "
            "`FlooredChart`, which parts them."
        )
    rows = points.reshape(len(points), -1)
    simplex = None if fixed_weights else weights
    chains = [_chain(rows, m, chart, simplex, covariance, max_steps, tol, least) for m in given]
    ends = [trace[-1] if code < SINGULAR else -np.inf for _, code, trace in chains]
    return MixtureFit(
        mixtures=tuple(c[0] for c in chains),
        results=tuple(c[1] for c in chains),
        traces=tuple(c[2] for c in chains),
        feasible=tuple(_feasible(m, chart) for m in given),
        coincident=coincident,
        best=int(np.argmax(ends)) if np.isfinite(max(ends)) else -1,
    )


def _check(points, mixture, chart, weights) -> None:
    if points.ndim != mixture.means.ndim or points.shape[1:] != mixture.means.shape[1:]:
        raise ValueError(
            f"`data` has shape {points.shape}, but the means of the start have "
            f"{mixture.means.shape}: give (N,) with (K,), or (N, d) with (K, d)."
        )
    if len(points) < 2:
        raise ValueError(f"`data` must have at least 2 points, but has {len(points)}.")
    k = mixture.components
    chart.rows(k)
    if k > 1:
        weights.rows(k)
    known = (AbsoluteChart, RelativeChart, CentredChart, OrderedChart, FlooredChart, FixedChart)
    if not isinstance(chart, known):
        raise ValueError(
            f"`chart` has no M-step here ({type(chart).__name__}): use a chart of means of "
            "`gaugebias.flows`, or `mixture_descent`."
        )
    line = points
    if isinstance(chart, OrderedChart | FlooredChart):
        line = np.asarray(along(as_float(points), chart.direction, type(chart).__name__))
    span = np.ptp(line, axis=0)
    if isinstance(chart, FlooredChart):
        name, verb = "floor", "parts"
        need = np.asarray(np.sum(np.broadcast_to(chart.floor, (k - 1,))))
    elif isinstance(chart, FixedChart):
        if np.shape(chart.offsets) != mixture.means.shape:
            raise ValueError(
                f"`differences` of the chart give means of shape {np.shape(chart.offsets)}, the "
                f"start has {mixture.means.shape}."
            )
        name, verb = "differences", "part"
        need = np.ptp(np.asarray(chart.offsets), axis=0)
    else:
        return
    if np.any(need > span):
        raise ValueError(
            f"`{name}` of the chart {verb} the outer means by {np.max(need):.4g}, more than the "
            f"range of the data, {np.max(span):.4g}: give less, or fewer components."
        )


def _floors(chart: AbstractChart, k: int) -> np.ndarray | None:
    """The least differences of an ordered chart, shape `(K - 1,)`; None without order."""
    if isinstance(chart, FlooredChart):
        return np.broadcast_to(np.asarray(chart.floor, float), (k - 1,))
    return np.zeros(k - 1) if isinstance(chart, OrderedChart) else None


def _feasible(mixture: GaussianMixture, chart: AbstractChart) -> bool:
    floors = _floors(chart, mixture.components)
    if floors is None:
        return bool(chart.contains(mixture.means))
    means = np.asarray(mixture.means, float)
    direction = getattr(chart, "direction", None)
    means = means if direction is None else means @ np.asarray(direction, float)
    slack = 1e-12 * (np.max(np.abs(means)) + np.max(floors, initial=0.0))
    return bool(np.all(np.diff(means) >= floors - slack))


def _chain(x, start, chart, simplex, kind, max_steps, tol, least):
    """`(mixture, code, trace)` of one start; `x` of shape `(N, d)`."""
    n, d = x.shape
    k = start.components
    w = np.asarray(start.weights, float)
    mu = np.asarray(start.means, float).reshape(k, d)
    cov = np.asarray(start.covariances, float).reshape(k, d, d)
    scale = float(np.mean(np.var(x, axis=0)))
    log_p = _log_terms(x, mu, cov)
    trace, code = [], MAX_STEPS
    for step in range(max_steps + 1):
        top, total = _mixed(w, log_p)
        trace.append(float(np.sum(total)))
        if not np.isfinite(trace[-1]):
            code = NOT_FINITE
            break
        if step and abs(trace[-1] - trace[-2]) <= tol * n:
            code = CONVERGED
            break
        if step == max_steps:
            break
        r = np.exp(top - total[:, None])
        new = _maximise(x, r, w, mu, cov, chart, simplex, kind)
        if kind != "fixed" and not np.linalg.eigvalsh(new[2]).min() > least * scale:
            code = SINGULAR
            break
        w, mu, cov = new
        log_p = _log_terms(x, mu, cov)
    return _as_mixture(start, w, mu, cov, kind), code, np.array(trace)


def _log_terms(x: np.ndarray, mu: np.ndarray, cov: np.ndarray) -> np.ndarray:
    out = np.empty((len(x), len(mu)))
    for k, (centre, matrix) in enumerate(zip(mu, cov, strict=True)):
        z = np.linalg.solve(np.linalg.cholesky(matrix), (x - centre).T)
        log_det = np.linalg.slogdet(matrix)[1]
        out[:, k] = -0.5 * (np.sum(z**2, axis=0) + log_det + x.shape[1] * np.log(2.0 * np.pi))
    return out


def _mixed(w: np.ndarray, log_p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    with np.errstate(divide="ignore"):
        terms = np.log(w)[None] + log_p
    return terms, np.logaddexp.reduce(terms, axis=1)


def _maximise(x, r, w, mu, cov, chart, simplex, kind):
    mass = r.sum(axis=0)
    alive = mass > 0
    safe = np.where(alive, mass, 1.0)
    mean = np.where(alive[:, None], (r.T @ x) / safe[:, None], mu)
    new_mu = _means(mean, np.where(alive, mass, np.finfo(float).tiny), cov, chart)
    new_cov = cov
    if kind != "fixed":
        gaps = x[None] - new_mu[:, None]
        scatter = np.einsum("nk,kni,knj->kij", r, gaps, gaps, optimize=True)
        if kind == "shared":
            new_cov = np.broadcast_to(scatter.sum(axis=0) / len(x), cov.shape)
        else:
            new_cov = np.where(alive[:, None, None], scatter / safe[:, None, None], cov)
    new_w = w if simplex is None else _weights(mass / mass.sum(), float(simplex.floor))
    return new_w, new_mu, new_cov


def _weights(share: np.ndarray, floor: float) -> np.ndarray:
    """The maximiser of `sum share log w` over weights of at least `floor`."""
    low = np.zeros(len(share), bool)
    while True:
        free = share[~low].sum()
        w = np.where(low, floor, share * (1.0 - low.sum() * floor) / max(free, 1e-300))
        below = ~low & (w < floor)
        if not below.any():
            return w
        low |= below


def _means(mean: np.ndarray, mass: np.ndarray, cov: np.ndarray, chart: AbstractChart) -> np.ndarray:
    """The maximiser over means `(K, d)` in the closed image of the chart."""
    floors = _floors(chart, len(mean))
    if floors is not None:
        from scipy.optimize import isotonic_regression

        direction = getattr(chart, "direction", None)
        u = np.ones(1) if direction is None else np.asarray(direction, float)
        # The best mean with u . mu = s is M + cov u (s - u . M)/(u cov u), at the cost of
        # mass (s - u . M)^2/(u cov u): isotonic in s, whatever the dimension.
        spread = cov @ u
        variance = spread @ u
        height = mean @ u
        shift = np.concatenate([[0.0], np.cumsum(floors)])
        weight = mass / variance
        pooled = isotonic_regression(
            height - shift, weights=np.maximum(weight / weight.max(), 1e-300)
        )
        move = (pooled.x + shift - height) / variance
        return mean + move[:, None] * spread
    if isinstance(chart, FixedChart):
        offsets = np.asarray(chart.offsets, float).reshape(mean.shape)
        precision = mass[:, None, None] * np.linalg.inv(cov)
        right = np.einsum("kij,kj->i", precision, mean - offsets)
        return np.linalg.solve(precision.sum(axis=0), right)[None] + offsets
    return mean


def _as_mixture(start, w, mu, cov, kind) -> GaussianMixture:
    shape = start.means.shape
    matrix = start.covariance
    if kind == "shared":
        matrix = cov[0].reshape(shape[1:] * 2)
    elif kind == "free":
        matrix = cov.reshape(shape + shape[1:])
    return GaussianMixture(w, mu.reshape(shape), matrix)
