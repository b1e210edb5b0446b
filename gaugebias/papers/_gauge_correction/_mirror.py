"""Where noiseless descent on products ends: the mirror potential of the start, as a certificate."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ... import flows
from ._linear_descent import LinearProblems


@dataclasses.dataclass(frozen=True)
class MirrorReport:
    """A run on `x = u v` against the mirror potential of its start, one value a seed.

    - `residual`: the part of the change of the potential's gradient outside of the row space of
      the features, over its length: 0 where the end is the minimiser of the Bregman divergence
      from the start among the predictors with the same residuals (the Karush-Kuhn-Tucker
      condition).
    - `distance`: from that minimiser to the end, over the length of the minimiser.
    - `euclidean`: the same residual for the squared length in place of the potential, as of a
      model that is not a product.
    """

    residual: np.ndarray
    distance: np.ndarray
    euclidean: np.ndarray


def mirror_report(problems: LinearProblems, start: tuple[Array, Array], end: Array) -> MirrorReport:
    """Holds the ends of runs from `start` against the hyperbolic entropy of the start.

    Holds for gradient flow at any time, fitted or not: what is left is the size of the steps.
    """
    product, square = flows.Product(), flows.Identity().potential(jnp.zeros(()))
    rows = []
    for i, A in enumerate(problems.features):
        params = (start[0][i], start[1][i])
        first, x = product(params), end[i]
        potential = product.potential(params)
        nearest = flows.minimise_bregman(potential, A, A @ x, start=first).x
        rows.append(
            (
                flows.certificate(potential, A, x, first).residual,
                jnp.linalg.norm(x - nearest) / jnp.linalg.norm(nearest),
                flows.certificate(square, A, x, first).residual,
            )
        )
    return MirrorReport(*np.asarray(rows, float).T)


def mirror_limits(problems: LinearProblems, start: tuple[Array, Array]) -> np.ndarray:
    """Where gradient flow on `x = u v` from `start` ends once it fits, shape `(seeds, n)`.

    Exact: the minimiser of the start's Bregman divergence on the solutions, without any run.
    """
    product = flows.Product()
    ends = []
    for i, (A, b) in enumerate(zip(problems.features, problems.targets, strict=True)):
        params = (start[0][i], start[1][i])
        found = flows.minimise_bregman(product.potential(params), A, b, start=product(params))
        ends.append(found.x)
    return np.asarray(jax.device_get(ends), float)
