"""Between which steps gradient descent on a depth-N product passes a level."""

import math
from typing import NamedTuple

import numpy as np

from ._deep_times import Numbers, flow_time, rest_point


class StepBracket(NamedTuple):
    r"""`lower <= k <= upper` for the first step `k` at or past the level; `flow` is \(T/\eta\).

    Arrays of float64, infinite where the level is never passed.
    """

    lower: np.ndarray
    flow: np.ndarray
    upper: np.ndarray


def step_bracket(
    spectrum: Numbers,
    depth: int,
    learning_rate: float,
    start: Numbers,
    end: Numbers,
) -> StepBracket:
    r"""Rigorous bounds on the first step at which the factor \(d(k)\) passes `end`.

    For the recursion \(d \mapsto d - \eta d^{N-1}(d^N - \lambda)\) and the time `T` of
    [`gaugebias.flows.flow_time`][]:

    - rising, \(\alpha < a < \lambda^{1/N}\), with \(x = \eta\lambda^{2-2/N}\), \(N x < 1\):
      \((1 - N x)\,T/\eta \le k \le (1 + x)^{N-1}\,T/\eta + 1\);
    - falling to a positive eigenvalue, with \(y = \eta\alpha^{N-2}(\alpha^N - \lambda)\),
      \(z = N\eta\alpha^{2N-2} < 1\): \((1 - y)^{N-1}(1 - z)\,T/\eta \le k \le T/\eta + 1\);
    - falling to 0, \(\lambda \le 0\), \(y < 1\): \((1 - y)^{2N-1}\,T/\eta \le k \le T/\eta + 1\).

    Proof: with `g` the speed, a step from `d` to `d'` takes the flow
    \(\int_d^{d'} dz/g \in \eta\,[\min g(d)/g,\, \max g(d)/g]\) over the step, and the bounds of
    this ratio add up.

    **Arguments:** as in [`gaugebias.flows.flow_time`][]; `learning_rate`, \(\eta\).

    **Raises:** `ValueError`, with the bound, for a learning rate above the conditions.

    Source: derived here.
    """
    time = flow_time(spectrum, depth, start, end)
    if not (math.isfinite(learning_rate) and learning_rate > 0):
        raise ValueError(f"`learning_rate` must be positive, but is {learning_rate}.")
    lam, begin = np.broadcast_arrays(
        np.asarray(spectrum, np.float64), np.asarray(start, np.float64), time
    )[:2]
    low, high = np.empty(time.shape), np.empty(time.shape)
    for i in np.ndindex(time.shape):
        low[i], high[i] = _factors(float(lam[i]), depth, learning_rate, float(begin[i]))
    flow = time / learning_rate
    return StepBracket(low * flow, flow, high * flow + np.where(flow > 0, 1.0, 0.0))


def _factors(lam: float, depth: int, rate: float, start: float) -> tuple[float, float]:
    """What multiplies `T/rate` in the lower and the upper bound."""
    if depth == 1:
        _require(rate, 1.0)
        return 1.0 - rate, 1.0
    if start < rest_point(lam, depth):
        power = lam ** (2.0 - 2.0 / depth)
        _require(rate, 1.0 / (depth * power))
        x = rate * power
        return 1.0 - depth * x, (1.0 + x) ** (depth - 1)
    speed = start ** (depth - 2) * (start**depth - lam)
    if lam > 0:
        steep = depth * start ** (2 * depth - 2)
        _require(rate, 1.0 / steep)
        return (1.0 - rate * speed) ** (depth - 1) * (1.0 - rate * steep), 1.0
    _require(rate, 1.0 / speed)
    return (1.0 - rate * speed) ** (2 * depth - 1), 1.0


def _require(rate: float, limit: float) -> None:
    if not rate < limit:
        raise ValueError(
            f"`learning_rate` is {rate:g}, but the bounds on steps hold below {limit:.4g} for this "
            "spectrum, depth and start: lower it."
        )
