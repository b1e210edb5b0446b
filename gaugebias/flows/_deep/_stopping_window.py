"""When to stop descent on a depth-N product, to be left with its target at a lower rank."""

import dataclasses
import math

import numpy as np

from ._deep_product import check_depth
from ._deep_times import Numbers
from ._step_bracket import step_bracket


@dataclasses.dataclass(frozen=True)
class StoppingWindow:
    r"""Steps at which the product is close to the best approximation of rank L of its target.

    - `rank`: `L`; `first`, `last`: the steps, both included; `last` is infinite where nothing ends
        the window, and `first` where it never begins.
    - `target`: \(r(W_L) = \sum_{i\le L}\lambda_i/\lambda_1\), the effective rank aimed at.
    - `lower`, `upper`: between these the effective rank is, at every step of the window.
    - `accuracy`, `leakage`: \(\epsilon\) and \(\delta\): in the window the first `L` eigenvalues
        are within a part \(\epsilon\) of the target's, the others at most \(\delta\).
    - `warning`: why the window is empty, or `""`.
    """

    rank: int
    first: float
    last: float
    target: float
    lower: float
    upper: float
    accuracy: float
    leakage: float
    warning: str

    @property
    def empty(self) -> bool:
        """Whether no step is guaranteed."""
        return bool(self.warning)

    @property
    def stop(self) -> int | None:
        """The first step of the window, the early-stopping rule; None where it is empty."""
        return None if self.empty else int(self.first)


def stopping_window(
    spectrum: Numbers,
    depth: int,
    learning_rate: float,
    init: float,
    *,
    rank: int | None = None,
    accuracy: float = 0.01,
    leakage: float | None = None,
) -> StoppingWindow:
    r"""The steps at which descent from \(\alpha I\) has recovered `rank` eigenvectors, no more.

    From the bounds of [`gaugebias.flows.step_bracket`][] on each eigenvalue's passage. With
    \((1-\epsilon)\lambda_i \le \mu_i \le \lambda_i\) for \(i \le L\) and \(\mu_i \le \delta\)
    for the others,

    \[ -\epsilon\, r(W_L) \le r(W(k)) - r(W_L) \le
       \frac{\epsilon\, r(W_L) + (n - L)\,\delta/\lambda_1}{1 - \epsilon}. \]

    Where \(\alpha^N\) is above one of the first `L` eigenvalues, that one comes from above and
    \(\mu_i \le (1+\epsilon)\lambda_i\) instead; the bounds allow for it.

    Zero and negative eigenvalues are never recovered from this start: they fall from
    \(\alpha^N\) towards 0, and the window waits until they are below \(\delta\). Equal eigenvalues
    are recovered together: a rank that separates them has an empty window, and `warning` says so.

    **Arguments:**

    - `spectrum`: the eigenvalues of a symmetric target, in any order.
    - `depth`, `learning_rate`, `init`: `N`, \(\eta\), \(\alpha > 0\).
    - `rank`: `L`, at most the number of positive eigenvalues. Default: where the next eigenvalue
        is the smallest part of the last one.
    - `accuracy`: \(\epsilon\), in (0, 1); `leakage`: \(\delta\), default \(\lambda_1/200\).

    **Returns:** a [`gaugebias.flows.StoppingWindow`][]; an empty one carries its `warning`.

    **Raises:** `ValueError` for a target without positive eigenvalues, a rank above their number,
    negative eigenvalues at depth 1 (which are recovered there), and learning rates beyond the
    bounds.

    Source: 2011.13772 for the question; derived here.

    !!! example

        ```python
        window = gb.flows.stopping_window([10.0, 5.0, 1.0, 0.0], 3, 1e-3, 0.1, rank=1)
        window.stop, window.last, window.target  # 1083, 1422, 1.0
        ```
    """
    check_depth(depth)
    lam = np.asarray(spectrum, np.float64)
    if lam.ndim != 1 or lam.size < 1 or not np.isfinite(lam).all():
        raise ValueError("`spectrum` must be a vector of finite eigenvalues.")
    lam = np.sort(lam)[::-1]
    positive = int(np.sum(lam > 0))
    if positive == 0:
        raise ValueError(
            "`spectrum` has no positive eigenvalue: from an identical start the product falls to 0."
        )
    if depth == 1 and lam[-1] < 0:
        raise ValueError(
            "`spectrum` has negative eigenvalues, which depth 1 recovers too: the bounds are for "
            "products that stay positive. Give a depth of 2 or more."
        )
    if not (math.isfinite(init) and init > 0):
        raise ValueError(f"`init` must be positive, but is {init}.")
    if not 0 < accuracy < 1:
        raise ValueError(f"`accuracy` is {accuracy}: give a number between 0 and 1.")
    leak = float(lam[0]) / 200.0 if leakage is None else float(leakage)
    if not 0 < leak < lam[0]:
        raise ValueError(f"`leakage` is {leak}: give one between 0 and the largest eigenvalue.")
    if rank is None:
        rank = 1 + int(np.argmin(np.append(lam, 0.0)[1 : positive + 1].clip(0) / lam[:positive]))
    if not 1 <= rank <= positive:
        raise ValueError(
            f"`rank` is {rank}, but `spectrum` has {positive} positive eigenvalue(s), and others "
            "are not recovered from an identical start: give one from 1 to that."
        )
    return _window(lam, depth, learning_rate, init, rank, accuracy, leak)


def _window(lam, depth, rate, init, rank, accuracy, leak) -> StoppingWindow:
    size = init**depth
    firsts, lasts, above = [0.0], [math.inf], False

    def passage(value, level):
        bracket = step_bracket(value, depth, rate, init, level ** (1.0 / depth))
        return float(bracket.lower), float(bracket.upper)

    for value in lam[:rank]:
        above = above or size > value
        if size < (1.0 - accuracy) * value:
            firsts.append(math.floor(passage(value, (1.0 - accuracy) * value)[1]))
        elif size > (1.0 + accuracy) * value:
            firsts.append(math.floor(passage(value, (1.0 + accuracy) * value)[1]))
        else:
            passage(value, size)
    for value in lam[rank:]:
        if size > leak:
            firsts.append(math.floor(x) if (x := passage(value, leak)[1]) < math.inf else x)
        else:
            low = passage(value, leak)[0]
            # Before the first step at the level, which may be the bound itself.
            lasts.append(math.ceil(low) - 1.0 if low < math.inf else low)
    first, last = max(firsts), min(lasts)
    target = float(lam[:rank].sum() / lam[0])
    excess = accuracy if above else 0.0
    leaked = (len(lam) - rank) * leak / float(lam[0])
    lower = target * (1.0 - accuracy) / (1.0 + excess)
    upper = (target * (1.0 + excess) + leaked) / (1.0 - accuracy)
    warning = ""
    if not first <= last or math.isinf(first):
        following = float(lam[rank]) if rank < len(lam) else 0.0
        ratio = float(lam[rank - 1]) / following if following > 0 else math.inf
        if ratio == 1.0:
            reason = "the next eigenvalue is equal to the last one kept"
        elif size > leak and following >= leak:
            reason = f"the start {size:.3g} of every eigenvalue is above `leakage`"
        else:
            reason = (
                f"the next eigenvalue leaves 0 before the last one kept has arrived (they are in a "
                f"ratio of {ratio:.3g})"
            )
        warning = (
            f"no step is guaranteed for rank {rank} at depth {depth}: {reason}. Lower `init`, "
            "raise the depth, or loosen `accuracy` and `leakage`."
        )
    return StoppingWindow(
        rank, float(first), float(last), target, lower, upper, accuracy, leak, warning
    )
