"""Lines of a panel that are one prediction."""

import numpy as np


def as_one(x: np.ndarray, curves: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Curves over the same `x` as one that is broken between them, to be drawn in one style."""
    xs, ys = [], []
    for y in curves:
        xs += [x, x[-1:]]
        ys += [y, [np.nan]]
    return np.concatenate(xs)[:-1], np.concatenate(ys)[:-1]
