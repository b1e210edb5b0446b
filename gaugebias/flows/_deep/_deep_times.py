"""How long the flow of a depth-N product takes in one eigenvector: closed form and quadrature."""

import math
from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import ArrayLike

from ._deep_product import check_depth

#: Eigenvalues, or levels of them: an array, a number or a sequence of numbers.
Numbers: TypeAlias = ArrayLike | Sequence[float]

Method = Literal["roots", "hypergeometric", "quadrature"]


def rest_point(eigenvalue: float, depth: int) -> float:
    """Where the factor's flow rests: the root of a positive eigenvalue, else 0."""
    return eigenvalue if depth == 1 else max(eigenvalue, 0.0) ** (1.0 / depth)


def flow_time(
    spectrum: Numbers,
    depth: int,
    start: Numbers,
    end: Numbers,
    *,
    method: Method = "roots",
) -> np.ndarray:
    r"""Time of the flow \(\dot d = d^{N-1}(\lambda - d^N)\) from the factor `start` to `end`.

    \[ T = \int_\alpha^a \frac{dz}{z^{N-1}(\lambda - z^N)}, \qquad
       \frac{1}{z^{N-1}(\lambda - z^N)} =
       \frac1\lambda\left[z^{1-N} + \frac{z}{\lambda - z^N}\right]. \]

    The second term is \(-\frac{1}{N\lambda}\sum_l \mathrm{Re}\, r_l^2 \ln(1 - z/r_l)\) over the
    roots \(r_l^N = \lambda\), or \(\frac{z^2}{2\lambda}\,{}_2F_1(1, \tfrac2N; 1 + \tfrac2N;
    z^N/\lambda)\). At small \(\alpha\), \(T \approx \ln(\lambda/\alpha^2)/(2\lambda)\) for N = 2
    and \(\alpha^{2-N}/((N-2)\lambda)\) above: the time scales as \(1/\lambda\).

    **Arguments:**

    - `spectrum`: \(\lambda\) of any sign; `start`, `end`: \(\alpha\) and `a`, positive for depth
        2 and above (values of a factor: the eigenvalue of the product is their `depth`-th power).
        All broadcast together.
    - `depth`: `N`, at least 1.
    - `method`: `"roots"`, or as a check `"hypergeometric"` (needs depth 3 and, for
        \(\lambda > 0\), a start below the rest point) or `"quadrature"` (adaptive, in `ln z`).

    **Returns:** times in float64 (computed on the host), infinite where the flow never comes to
    `end`. `"roots"` and quadrature agree to 1e-12
        relative, `"hypergeometric"` to 1e-9 (it loses digits at large negative arguments).

    Source: 2011.13772 for the setting; re-derived.

    !!! example

        ```python
        gb.flows.flow_time([10.0, 5.0], 2, 0.01, [9.9**0.5, 4.95**0.5])  # 0.805, 1.541
        ```
    """
    check_depth(depth)
    if method not in ("roots", "hypergeometric", "quadrature"):
        raise ValueError(
            f'`method` must be "roots", "hypergeometric" or "quadrature", but is {method!r}.'
        )
    given = {"spectrum": spectrum, "start": start, "end": end}
    arrays = {name: np.asarray(value, np.float64) for name, value in given.items()}
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise ValueError(f"`{name}` must be finite.")
    if depth > 1 and (arrays["start"] <= 0).any():
        raise ValueError("`start` must be positive: from 0 a product of factors does not move.")
    lam, low, high = np.broadcast_arrays(*arrays.values())
    times = np.empty(lam.shape)
    for i in np.ndindex(lam.shape):
        times[i] = _one(float(lam[i]), depth, float(low[i]), float(high[i]), method)
    return times


def _one(lam: float, depth: int, start: float, end: float, method: Method) -> float:
    if end == start:
        return 0.0
    rest = rest_point(lam, depth)
    if not (start < end < rest or rest < end < start):
        return math.inf
    if method == "quadrature":
        return _quadrature(lam, depth, start, end)
    if depth == 1:
        return math.log(abs((lam - start) / (lam - end)))
    if method == "hypergeometric":
        return _hypergeometric(lam, depth, start, end)
    if abs(lam) <= 0.5 * min(start, end) ** depth:
        # Without the cancellation of the partial fractions at small eigenvalues.
        powers = np.arange(64)
        exponents = 2 * depth - 2 + depth * powers

        def series(z):
            return z ** (2.0 - 2 * depth) * np.sum((lam / z**depth) ** powers / exponents)

        return float(series(end) - series(start))
    if depth == 2:
        ratio = (lam - start**2) / (lam - end**2)
        return (2.0 * math.log(end / start) + math.log(ratio)) / (2.0 * lam)
    head = (start ** (2.0 - depth) - end ** (2.0 - depth)) / (depth - 2.0)
    return (head + _tail(lam, depth, end) - _tail(lam, depth, start)) / lam


def _tail(lam: float, depth: int, z: float) -> float:
    r"""\(\int z/(\lambda - z^N)\,dz\) by the roots of \(\lambda\)."""
    size = abs(lam) ** (1.0 / depth)
    turns = 2.0 * np.arange(depth) + (1.0 if lam < 0 else 0.0)
    roots = size * np.exp(1j * np.pi * turns / depth)
    if lam > 0:
        real = math.log1p(-z / size) if z < size else math.log(z / size - 1.0)
        logs = np.concatenate([[real], np.log1p(-z / roots[1:])])
    else:
        logs = np.log1p(-z / roots)
    return float(-np.sum((roots**2 * logs).real) / (depth * lam))


def _hypergeometric(lam: float, depth: int, start: float, end: float) -> float:
    from scipy.special import hyp2f1

    if depth < 3 or lam == 0 or 0 < lam <= start**depth:
        raise ValueError(
            '`method="hypergeometric"` needs a depth of 3 or more, a `spectrum` without 0 and a '
            '`start` below the rest point: use "roots".'
        )
    b = 2.0 / depth

    def primitive(z):
        series = hyp2f1(1.0, b, 1.0 + b, z**depth / lam)
        return -(z ** (2.0 - depth)) / (depth - 2.0) + z**2 / (2.0 * lam) * series

    return float((primitive(end) - primitive(start)) / lam)


def _quadrature(lam: float, depth: int, start: float, end: float) -> float:
    from scipy.integrate import quad

    if depth == 1:
        value, _ = quad(lambda z: 1.0 / (lam - z), start, end, epsrel=1e-12, epsabs=0, limit=500)
        return value

    def integrand(u):
        z = math.exp(u)
        return z ** (2.0 - depth) / (lam - z**depth)

    value, _ = quad(integrand, math.log(start), math.log(end), epsrel=1e-12, epsabs=0, limit=500)
    return value
