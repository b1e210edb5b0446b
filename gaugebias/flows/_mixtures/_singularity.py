"""How close a mixture is to being singular, and which components are to blame."""

from collections.abc import Callable
from typing import final

import equinox as eqx
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, ArrayLike

from .._potentials._potential import as_float
from ._fisher import fisher_information
from ._mixture import GaussianMixture


@final
class SingularityReport(eqx.Module):
    """What [`gaugebias.flows.singularity`][] found; P coordinates, K components.

    - `eigenvalues`: of the Fisher matrix, falling, shape `(P,)`.
    - `rank`: how many exceed `threshold`: the largest of `tolerance` times the first, three times
      the error of the matrix (Frobenius norm), and rounding (8 P eps times the first).
    - `condition`: the first over the last eigenvalue, inf where the rank is below P.
    - `direction`: the coordinates' unit vector of least information, shape `(P,)`.
    - `distance`: Euclidean, in weights, means and covariances, to the nearest singular mixture:
      one with two equal components or a component of weight 0.
    - `nearest`: `(i, j)`, the components that are equal there, or `(k,)`, the one that vanishes.
    - `hellinger`: shape `(K, K)`, the Hellinger distances of components, in [0, 1]: the separation
      that does not depend on units.
    - `coincident`: pairs of equal components (Hellinger distance within rounding); `vanishing`:
      components of weight 0.
    """

    eigenvalues: np.ndarray
    rank: int
    threshold: float
    condition: float
    direction: np.ndarray
    distance: float
    nearest: tuple[int, ...]
    hellinger: np.ndarray
    coincident: tuple[tuple[int, int], ...]
    vanishing: tuple[int, ...]

    @property
    def singular(self) -> bool:
        """Whether the rank falls short of the number of coordinates."""
        return self.rank < self.eigenvalues.size


def singularity(
    model: Callable[[Array], GaussianMixture],
    coordinates: ArrayLike,
    *,
    key: Array | None = None,
    draws: int = 100_000,
    tolerance: float = 1e-10,
) -> SingularityReport:
    """Rank, condition and nearest singular mixture at a point of a model.

    **Arguments:** as in [`gaugebias.flows.fisher_information`][]; `tolerance`, of the rank,
    relative to the largest eigenvalue.

    Eigenvalues and rank are those of the model's coordinates: a rank below the number of them says
    that the data cannot tell some direction, whatever the reason. Distances are those of the
    mixture in its weights, means and covariances.

    **Raises:** `ValueError` within `jit`: the report is made on the host.
    """
    xi = as_float(coordinates)
    if isinstance(xi, Tracer):
        raise ValueError("`coordinates` must be concrete: make the report outside of `jit`.")
    if not 0 < tolerance < 1:
        raise ValueError(f"`tolerance` must be between 0 and 1, but is {tolerance!r}.")
    fisher = fisher_information(model, xi, key=key, draws=draws)
    matrix, error = np.asarray(fisher.matrix), np.asarray(fisher.error)
    if not np.isfinite(matrix).all():
        raise ValueError("`coordinates` give a Fisher matrix that is not finite: are they?")
    values, vectors = np.linalg.eigh(matrix)
    rounding = 8 * values.size * np.finfo(values.dtype).eps
    threshold = max(max(tolerance, rounding) * values[-1], 3.0 * float(np.linalg.norm(error)))
    rank = int(np.sum(values > threshold))
    mixture = model(xi)
    apart = component_distances(mixture)
    distance, nearest = _nearest(mixture)
    return SingularityReport(
        eigenvalues=values[::-1],
        rank=rank,
        threshold=float(threshold),
        condition=float(values[-1] / values[0]) if rank == values.size else float("inf"),
        direction=vectors[:, 0],
        distance=distance,
        nearest=nearest,
        hellinger=apart,
        coincident=coincident_components(mixture),
        vanishing=tuple(int(k) for k in np.flatnonzero(np.asarray(mixture.weights) == 0)),
    )


def _stacked(mixture: GaussianMixture) -> tuple[np.ndarray, np.ndarray]:
    """Means `(K, d)` and covariances `(K, d, d)`."""
    k, d = mixture.components, mixture.dimension
    means, cov = np.asarray(mixture.means), np.asarray(mixture.covariances)
    return means.reshape(k, d), cov.reshape(k, d, d)


def component_distances(mixture: GaussianMixture) -> np.ndarray:
    r"""Hellinger distances of the components, shape `(K, K)`, in closed form.

    \(H^2 = 1 - \frac{|\Sigma_i|^{1/4}|\Sigma_j|^{1/4}}{|\bar\Sigma|^{1/2}}
    \exp(-\tfrac18 \Delta^T \bar\Sigma^{-1} \Delta)\), \(\bar\Sigma\) the mean of the two.
    """
    means, cov = _stacked(mixture)
    logs = np.linalg.slogdet(cov)[1]
    out = np.zeros((len(means), len(means)))
    for i in range(len(means)):
        for j in range(i):
            middle = 0.5 * (cov[i] + cov[j])
            gap = means[i] - means[j]
            log = 0.25 * (logs[i] + logs[j]) - 0.5 * np.linalg.slogdet(middle)[1]
            log -= 0.125 * gap @ np.linalg.solve(middle, gap)
            out[i, j] = out[j, i] = np.sqrt(max(-np.expm1(log), 0.0))
    return out


def coincident_components(mixture: GaussianMixture) -> tuple[tuple[int, int], ...]:
    """Pairs `(i, j)`, `i < j`, of components that are equal to rounding."""
    apart = component_distances(mixture)
    limit = np.sqrt(np.finfo(np.asarray(mixture.means).dtype).eps)
    near = np.argwhere(np.triu(apart <= limit, 1))
    return tuple((int(i), int(j)) for i, j in near)


def _nearest(mixture: GaussianMixture) -> tuple[float, tuple[int, ...]]:
    means, cov = _stacked(mixture)
    w = np.asarray(mixture.weights)
    k = len(w)
    # The mean point of the two is the nearest with both equal; w_k = 0 is a face of the simplex.
    found: list[tuple[float, tuple[int, ...]]] = [
        (float(w[i]) * np.sqrt(k / (k - 1)), (i,)) for i in range(k) if k > 1
    ]
    for j in range(k):
        for i in range(j):
            gap = np.sum((means[i] - means[j]) ** 2) + np.sum((cov[i] - cov[j]) ** 2)
            found.append((float(np.sqrt(0.5 * gap)), (i, j)))
    return min(found, default=(float("inf"), ()))
