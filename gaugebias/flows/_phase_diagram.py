"""Scalings with width of a two-layer linear network: kernel regime or features."""

import dataclasses
import math
from typing import Literal


@dataclasses.dataclass(frozen=True)
class Phase:
    r"""What scalings make of a wide network; see [`gaugebias.flows.phase`][].

    - `regime`: `"kernel"` where \(r \to 0\) with width, else `"feature learning"`;
        `boundary`: whether `r` tends to a constant (`exponent` 0: the change is of order one).
    - `exponent`: of \(1/r\) in the width. `speed`: of the rate \(1/t_c\); 0 is stable.
    - `ratio`, `r`; `kernel_change`, \(\sqrt{1 + r^2} - 1\), the relative change of the tangent
        kernel; `alignment`, \(\zeta_\infty\); `time_constant`, all at `width`, for \(f_0 = 0\).
    """

    regime: Literal["kernel", "feature learning"]
    boundary: bool
    exponent: float
    speed: float
    ratio: float
    kernel_change: float
    alignment: float
    time_constant: float


def phase(
    width: float,
    *,
    output_scale: float = 0.0,
    sigma_u: float = 0.0,
    sigma_w: float = 0.0,
    rate_u: float = 0.0,
    rate_w: float = 0.0,
    second_moment: float = 1.0,
    correlation: float = 1.0,
    loss: Literal["mean", "half"] = "mean",
) -> Phase:
    r"""The regime of [`gaugebias.flows.LatentVariable`][] whose scales are powers of the width.

    \(\gamma = d^{c_\gamma}\), starts of independent entries with deviations \(\sigma_u, \sigma_w\)
    and the layers' rates likewise. As `d` grows \(P \approx Q \approx S = \tfrac d2
    (\sigma_u^2/\eta_u + \sigma_w^2/\eta_w)\), and with \(r = B/(A\gamma\sqrt{\eta_u\eta_w}\,S)\)

    \[ \xi_\infty = r + \sqrt{1 + r^2}, \quad K_\infty/K_0 = \sqrt{1 + r^2}, \quad
       \zeta_\infty = \frac{r}{\sqrt{1 + r^2 - \rho^2}}, \]

    \(\rho = (\sigma_u^2/\eta_u - \sigma_w^2/\eta_w)/(\sigma_u^2/\eta_u + \sigma_w^2/\eta_w)\).
    For \(f_0 = 0\) (append \((-u_i, w_i)\) to half of the draws): with a plain draw \(f_0\) may be
    of order one, and changes the kernel by \((r^2/2)(1 - (A f_0/B)^2)\).

    **Arguments:** the exponents \(c\) of each; `width`, `d`, at which numbers are given;
    `second_moment`, `A`, and `correlation`, `B`; `loss` as in the flow.

    Source: 2401.07085 for the question; re-derived.

    !!! example

        ```python
        gb.flows.phase(1e6, output_scale=-0.5).kernel_change  # 5e-7: the kernel regime
        gb.flows.phase(1e6, output_scale=-1.0, rate_u=1.0, rate_w=1.0).alignment  # 0.7071
        ```
    """
    exponents = {
        "output_scale": output_scale,
        "sigma_u": sigma_u,
        "sigma_w": sigma_w,
        "rate_u": rate_u,
        "rate_w": rate_w,
    }
    for name, value in exponents.items():
        if not math.isfinite(value):
            raise ValueError(f"`{name}` must be a finite exponent, but is {value}.")
    if not (math.isfinite(width) and width >= 2):
        raise ValueError(f"`width` must be at least 2, but is {width}.")
    if not (math.isfinite(second_moment) and second_moment > 0):
        raise ValueError(f"`second_moment` must be positive, but is {second_moment}.")
    if not math.isfinite(correlation) or correlation == 0:
        raise ValueError(
            "`correlation` must be finite and not 0: without a signal there is nothing to learn."
        )
    if loss not in ("mean", "half"):
        raise ValueError(f'`loss` must be "mean" or "half", but is {loss!r}.')
    tilt = 0.5 * (rate_w - rate_u)
    exponent = output_scale + 1.0 + max(2.0 * sigma_u + tilt, 2.0 * sigma_w - tilt)
    boundary = abs(exponent) < 1e-12
    exponent = 0.0 if boundary else exponent
    speed = output_scale + 0.5 * (rate_u + rate_w) + max(exponent, 0.0)
    first = width ** (2.0 * sigma_u + tilt)
    second = width ** (2.0 * sigma_w - tilt)
    # gamma h S, from which everything follows.
    scale = width**output_scale * 0.5 * width * (first + second)
    r = correlation / (second_moment * scale)
    size = math.hypot(1.0, r)
    # 1 + r^2 - rho^2, where 1 - rho^2 may be tiny.
    rest = 4.0 * first * second / (first + second) ** 2 + r * r
    factor = 4.0 if loss == "mean" else 2.0
    product = width ** (output_scale + 0.5 * (rate_u + rate_w))
    delta = math.hypot(correlation, second_moment * scale)
    return Phase(
        "kernel" if exponent > 0 else "feature learning",
        boundary,
        exponent,
        0.0 if abs(speed) < 1e-12 else speed,
        r,
        r * r / (1.0 + size),
        r / math.sqrt(rest) if rest > 0 else math.copysign(1.0, r),
        1.0 / (factor * product * delta),
    )
