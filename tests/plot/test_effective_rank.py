"""Effective ranks with their windows."""

import numpy as np

import gaugebias as gb


def test_windows_stand_where_the_rank_is_their_own():
    spectrum, rate, alpha = [10.0, 5.0, 1.0, 0.0, 0.0], 1e-3, 0.1
    path = gb.flows.spectral_descent(
        spectrum, depth=3, learning_rate=rate, init=alpha, steps=12_000, saves=600
    )
    windows = [
        gb.flows.stopping_window(
            spectrum, depth=3, learning_rate=rate, init=alpha, rank=rank, accuracy=0.05, leakage=0.1
        )
        for rank in (1, 2)
    ]
    ax = gb.plot.effective_rank(path, windows)
    (curve,) = [
        np.asarray(line.get_xydata()) for line in ax.lines if len(np.asarray(line.get_xdata())) > 2
    ]
    boxes = [c.get_paths()[0].get_extents() for c in ax.collections]
    assert len(ax.patches) == len(boxes) == sum(not w.empty for w in windows) >= 1
    for box in boxes:
        inside = curve[(curve[:, 0] >= box.x0) & (curve[:, 0] <= box.x1), 1]
        assert len(inside) and np.all((inside >= box.y0 - 1e-9) & (inside <= box.y1 + 1e-9))
