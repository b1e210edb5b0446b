"""Five names of one model: each as its own set of arrays, in the notation of its field."""

from typing import NamedTuple, TypeAlias

import numpy as np


class LBA(NamedTuple):
    """Latent budget analysis: profiles P = A B^T.

    - `mixing`: A, (I, K), rows sum to 1.
    - `budgets`: B, (J, K), columns sum to 1.
    - `row_totals`: (I,), what the profiles are multiplied by to give the fitted table.
    """

    mixing: np.ndarray
    budgets: np.ndarray
    row_totals: np.ndarray


class EMA(NamedTuple):
    """End-member analysis: compositions P = M B.

    - `mixing`: M, (I, K), the proportions of the end members, rows sum to 1.
    - `end_members`: B, (K, J), rows sum to 1.
    - `row_totals`: (I,), the size of each sample.
    """

    mixing: np.ndarray
    end_members: np.ndarray
    row_totals: np.ndarray


class PLSA(NamedTuple):
    """Probabilistic latent semantic analysis, asymmetric: P(j | i) = sum_k P(k | i) P(j | k).

    - `topics`: P(k | i), (I, K), rows sum to 1.
    - `words`: P(j | k), (K, J), rows sum to 1.
    - `row_totals`: (I,), the length of each document.
    """

    topics: np.ndarray
    words: np.ndarray
    row_totals: np.ndarray


class LCA(NamedTuple):
    """Latent class analysis of two variables, or symmetric PLSA: P(i, j) = sum_k pi_k a_ik b_jk.

    - `weights`: pi, (K,), positive, sum to 1.
    - `rows`: P(i | k), (I, K), columns sum to 1.
    - `columns`: P(j | k), (J, K), columns sum to 1.
    - `total`: what the joint distribution is multiplied by to give the fitted table.
    """

    weights: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    total: float


class NMF(NamedTuple):
    """Non-negative matrix factorisation of the fitted table itself: X = M H.

    - `left`: M, (I, K), non-negative.
    - `right`: H, (K, J), non-negative.
    """

    left: np.ndarray
    right: np.ndarray


Model: TypeAlias = LBA | EMA | PLSA | LCA | NMF

MODELS: dict[str, type[Model]] = {"lba": LBA, "ema": EMA, "plsa": PLSA, "lca": LCA, "nmf": NMF}
"""Name -> the arrays of the model."""
