"""Is there another solution nearby? The tangent directions of the action that stay admissible."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..symmetry import orbit_jacobian
from ._action import MixingAction
from ._factorisation import Factorisation
from ._scattered import without_small


class Rigidity(NamedTuple):
    """Directions of [`gaugebias.factor.MixingAction`][] in which no share becomes negative at once.

    - `rigid`: there is none but 0: no other solution is near, up to `atol`. `None` where the
      linear program failed.
    - `directions`: the dimension K(K - 1) of the group.
    - `zeros`: the number of shares of A and G that are 0, each of which is one inequality.
    - `rank`: of those inequalities.
    """

    rigid: bool | None
    directions: int
    zeros: int
    rank: int


def rigidity(factorisation: Factorisation, *, atol: float = 1e-6) -> Rigidity:
    r"""Whether a factorisation has no other admissible solution in a neighbourhood.

    A sequence of admissible \(T_n \to I\) has a limiting direction C with C 1 = 0 along which the
    shares that are 0 do not fall: \((A C)_{ik} \ge 0\) where \(A_{ik} = 0\) and
    \((-C G)_{kj} \ge 0\) where \(G_{kj} = 0\). If C = 0 is the only such direction, the solution
    is isolated. The cone is {0} exactly if the sum of these slopes has no positive value on it and
    they have full rank: one linear program over `orbit_jacobian`. The converse fails: a cone that
    is not {0} need not hold a curve of solutions.

    **Arguments:** `atol`: shares of a row of A, and shares of a component in a column of G, up to
    this count as 0, and the statement is about the factorisation in which they are. (A share of
    a column in a component is no measure: with thousands of columns all are small.) Computed in
    float64, whatever the default dtype of JAX.

    **Source:** re-derived (infinitesimal rigidity of non-negative factorisations, Krone and Kubjas
    2021).
    """
    k = factorisation.components
    if k == 1:
        return Rigidity(True, 0, 0, 0)
    mixing = without_small(factorisation.mixing, atol)
    basis = without_small(factorisation.basis.T, atol).T
    # What is left of a share that counts as 0 would be an inequality of its own, for C_kk <= 0.
    with jax.enable_x64(True):
        params = (jnp.asarray(mixing), jnp.asarray(basis))
        slopes = np.asarray(orbit_jacobian(MixingAction(), params), np.float64)
    shares = np.concatenate([mixing.ravel(), basis.ravel()])
    slopes = slopes[shares == 0.0]
    directions = k * (k - 1)
    zeros = len(slopes)
    if not zeros:
        return Rigidity(False, directions, 0, 0)
    sizes = np.linalg.norm(slopes, axis=1)
    slopes = slopes[sizes > 1e-12] / sizes[sizes > 1e-12, None]
    rank = int(np.linalg.matrix_rank(slopes, tol=1e-9)) if len(slopes) else 0
    if rank < directions:
        return Rigidity(False, directions, zeros, rank)
    from scipy.optimize import linprog

    found = linprog(
        -slopes.sum(axis=0), A_ub=-slopes, b_ub=np.zeros(len(slopes)), bounds=(-1.0, 1.0)
    )
    rigid = bool(-found.fun <= 1e-7) if found.status == 0 else None
    return Rigidity(rigid, directions, zeros, rank)
