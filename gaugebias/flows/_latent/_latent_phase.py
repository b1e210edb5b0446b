"""Kernel regime or feature learning: the phase diagram of the latent-variable model."""

import math
from typing import Literal, NamedTuple, final

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array

from ..._arguments import as_key

Regime = Literal["kernel", "boundary", "feature learning"]


class LatentPrediction(NamedTuple):
    r"""What a wide latent-variable model does from independent weights of mean zero.

    - `ratio`: \(r = B/(A\gamma h S)\), `S = (d/2)(sigma_u^2/rate_u + sigma_w^2/rate_w)`.
    - `asymmetry`: \(\rho\), of the layers: difference over sum of the two terms of `S`.
    - `log_xi`: \(\log(r + \sqrt{1 + r^2})\) at the end.
    - `kernel_change`: \(\sqrt{1 + r^2} - 1\), of the tangent kernel, relative to its start.
    - `alignment`: \(\zeta_\infty = r/\sqrt{1 + r^2 - \rho^2}\).
    - `learning_time`: \(t_c = 1/(2 c \gamma h \Delta)\).
    - `initial_output`: the standard deviation \(|\gamma| \sqrt d \sigma_u\sigma_w\) of the output's
        slope at the start, where it is not paired to 0.
    """

    ratio: float
    asymmetry: float
    log_xi: float
    kernel_change: float
    alignment: float
    learning_time: float
    initial_output: float


def latent_prediction(
    width: int,
    *,
    scale: float = 1.0,
    sigma_u: float = 1.0,
    sigma_w: float = 1.0,
    rate_u: float = 1.0,
    rate_w: float = 1.0,
    second_moment: float = 1.0,
    cross_moment: float = 1.0,
    loss: str = "squared",
) -> LatentPrediction:
    r"""The end of the flow from wide layers of deviations `sigma_u`, `sigma_w`.

    For `P = Q = S`, that is an output of exactly 0 at the start, as of
    [`latent_start`][gaugebias.flows.latent_start] with `paired`; `S` is its mean, off by a relative
    \(O(d^{-1/2})\) for one draw. From another start \(f_0\) the kernel changes by
    \(\sqrt{1 + r^2(1 - (A f_0/B)^2)} - 1\) instead, which may be negative.

    **Arguments:** `width`, `d`; the others as of [`gaugebias.flows.LatentVariableFlow`][].

    Source: 2401.07085; re-derived.
    """
    values = {
        "width": width,
        "sigma_u": sigma_u,
        "sigma_w": sigma_w,
        "rate_u": rate_u,
        "rate_w": rate_w,
        "second_moment": second_moment,
    }
    for name, value in values.items():
        least = value >= 0 if name.startswith("sigma") else value > 0
        if not (math.isfinite(value) and least):
            raise ValueError(f"`{name}` must be positive and finite, but is {value}.")
    if not (math.isfinite(scale) and scale != 0):
        raise ValueError(f"`scale` must be finite and not 0, but is {scale}.")
    if not math.isfinite(cross_moment):
        raise ValueError(f"`cross_moment` must be finite, but is {cross_moment}.")
    if sigma_u == 0 and sigma_w == 0:
        raise ValueError("`sigma_u` and `sigma_w` are both 0: the flow does not move from there.")
    if loss not in ("squared", "half"):
        raise ValueError(f"`loss` must be 'squared' or 'half', but is {loss!r}.")
    first, second = sigma_u**2 / rate_u, sigma_w**2 / rate_w
    size = 0.5 * width * (first + second)
    speed = scale * math.sqrt(rate_u) * math.sqrt(rate_w)
    r = cross_moment / (second_moment * speed * size)
    # 1 - rho^2 from its factors: it is tiny where one layer is.
    spread = 4.0 * (first / (first + second)) * (second / (first + second))
    below = math.hypot(r, math.sqrt(spread))
    delta = math.hypot(cross_moment, second_moment * speed * size)
    return LatentPrediction(
        ratio=r,
        asymmetry=(first - second) / (first + second),
        log_xi=math.asinh(r),
        kernel_change=abs(r) * (abs(r) / (1.0 + math.hypot(1.0, r))),
        alignment=r / below if below > 0 else 0.0,
        learning_time=1.0 / ((4.0 if loss == "squared" else 2.0) * abs(speed) * delta),
        initial_output=abs(scale) * math.sqrt(width) * sigma_u * sigma_w,
    )


@final
class LatentScaling(eqx.Module):
    r"""How scale, deviations and rates go with the width: powers \(d^c\).

    The exponents decide the limit of large width, with `A` and `B` of order 1:

    - `kernel_exponent`, \(\kappa\): \(1/r\), the size of the kernel over that of the target, goes
        as \(d^\kappa\), \(\kappa = c_\gamma + 1 + \max(2c_u + (c_{\eta_w} - c_{\eta_u})/2,\;
        2c_w + (c_{\eta_u} - c_{\eta_w})/2)\).
    - `regime`: `"kernel"` where \(\kappa > 0\), so that the tangent kernel changes by
        \(d^{-2\kappa}\), relatively; `"feature learning"` where \(\kappa < 0\), so that it grows
        \(d^{-\kappa}\)-fold; `"boundary"` at 0: features are learnt as well, by an amount of
        order 1 which depends on the prefactors, not on the exponents alone.
    - `alignment_exponent`: \(\zeta_\infty\) goes as \(d\) to this power,
        \(-\max(0, \kappa - |\alpha|/2)\), \(\alpha = 2c_u - c_{\eta_u} - 2c_w + c_{\eta_w}\). In
        the kernel regime layers of different size can align all the same (`alignment_exponent` 0):
        the smaller moves by as much as it is large.
    - `time_exponent`: the learning time goes as \(d\) to this power,
        \(-c_\gamma - (c_{\eta_u} + c_{\eta_w})/2 - \max(0, \kappa)\); 0 is a stable speed.
    - `output_exponent`: the output at the start goes as \(d\) to this power,
        \(c_\gamma + 1/2 + c_u + c_w\), where it is not paired to 0.

    **Arguments:** the exponents, all 0 by default: `scale`, \(c_\gamma\); `u`, `w` of the
    deviations; `rate_u`, `rate_w`. `LATENT_SCALINGS` has those with names.

    Exponents within 1e-12 of the boundary count as on it, so that thirds can be given as floats.

    Source: 2401.07085; re-derived.

    !!! example

        ```python
        mup = gb.flows.LatentScaling(u=-1, rate_u=-1, rate_w=1)
        mup.regime, mup.at(10_000).kernel_change        # "boundary", 0.4142
        ```
    """

    scale: float = eqx.field(static=True, default=0.0)
    u: float = eqx.field(static=True, default=0.0)
    w: float = eqx.field(static=True, default=0.0)
    rate_u: float = eqx.field(static=True, default=0.0)
    rate_w: float = eqx.field(static=True, default=0.0)

    def __check_init__(self):
        for name in ("scale", "u", "w", "rate_u", "rate_w"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise ValueError(f"`{name}` must be an exponent, a number, but is {value!r}.")
            if not math.isfinite(value):
                raise ValueError(f"`{name}` must be a finite exponent, but is {value}.")

    @property
    def kernel_exponent(self) -> float:
        tilt = 0.5 * (self.rate_w - self.rate_u)
        value = self.scale + 1.0 + max(2.0 * self.u + tilt, 2.0 * self.w - tilt)
        return 0.0 if abs(value) < 1e-12 else value

    @property
    def regime(self) -> Regime:
        value = self.kernel_exponent
        return "kernel" if value > 0 else "feature learning" if value < 0 else "boundary"

    @property
    def alignment_exponent(self) -> float:
        tilt = 2.0 * (self.u - self.w) - self.rate_u + self.rate_w
        value = max(0.0, self.kernel_exponent - 0.5 * abs(tilt))
        return 0.0 if value < 1e-12 else -value

    @property
    def time_exponent(self) -> float:
        value = self.scale + 0.5 * (self.rate_u + self.rate_w) + max(0.0, self.kernel_exponent)
        return 0.0 if abs(value) < 1e-12 else -value

    @property
    def output_exponent(self) -> float:
        value = self.scale + 0.5 + self.u + self.w
        return 0.0 if abs(value) < 1e-12 else value

    @property
    def statement(self) -> str:
        """The regime in one sentence."""
        value = self.kernel_exponent
        if value > 0:
            return (
                f"Kernel regime: the tangent kernel changes by order d^{-2 * value:g}, relatively."
            )
        if value < 0:
            return f"Feature learning: the tangent kernel grows by order d^{-value:g}."
        return (
            "On the phase boundary: features are learnt at every width, by an amount of order 1 "
            "that the prefactors decide, not the exponents."
        )

    def settings(self, width: int) -> dict[str, float]:
        """`scale`, `sigma_u`, `sigma_w`, `rate_u`, `rate_w` at this width, prefactors 1."""
        if not width >= 1:
            raise ValueError(f"`width` must be at least 1, but is {width}.")
        names = {"scale": self.scale, "sigma_u": self.u, "sigma_w": self.w}
        names |= {"rate_u": self.rate_u, "rate_w": self.rate_w}
        try:
            values = {name: float(width) ** power for name, power in names.items()}
        except OverflowError:
            values = {"scale": math.inf}
        if not all(0.0 < v < math.inf for v in values.values()):
            raise ValueError(
                f"`width` is {width}: to the powers of this scaling it leaves float64. Use a "
                "smaller width, or the exponents themselves."
            )
        return values

    def at(
        self,
        width: int,
        *,
        second_moment: float = 1.0,
        cross_moment: float = 1.0,
        loss: str = "squared",
    ) -> LatentPrediction:
        """[`latent_prediction`][gaugebias.flows.latent_prediction] at a width, prefactors 1."""
        return latent_prediction(
            width,
            second_moment=second_moment,
            cross_moment=cross_moment,
            loss=loss,
            **self.settings(width),
        )


#: The scalings with names. `"standard"` and `"NTK"` are kernels, `"small"` learns features beyond
#: the boundary, where the others are.
LATENT_SCALINGS: dict[str, LatentScaling] = {
    "NTK": LatentScaling(scale=-0.5),
    "standard": LatentScaling(u=-0.5, rate_u=-1.0, rate_w=-1.0),
    "mean-field": LatentScaling(scale=-1.0, rate_u=1.0, rate_w=1.0),
    "Xavier": LatentScaling(u=-0.5, w=-0.5),
    "muP": LatentScaling(u=-1.0, rate_u=-1.0, rate_w=1.0),
    "small": LatentScaling(u=-1.0, w=-1.0),
}


def latent_start(
    key: Array, width: int, *, sigma_u: float = 1.0, sigma_w: float = 1.0, paired: bool = False
) -> tuple[Array, Array]:
    """Gaussian layers `(u, w)` of shape `(width,)`, independent, of mean 0.

    With `paired` the units come in twos `(u_i, w_i)`, `(-u_i, w_i)`, so that the output starts at
    0 to rounding; the width must then be even.
    """
    if width < 1:
        raise ValueError(f"`width` must be at least 1, but is {width}.")
    if paired and width % 2:
        raise ValueError(f"`width` must be even where `paired`, but is {width}.")
    first, second = jr.split(as_key(key))
    n = width // 2 if paired else width
    u, w = sigma_u * jr.normal(first, (n,)), sigma_w * jr.normal(second, (n,))
    if not paired:
        return u, w
    return _twice(u, -u), _twice(w, w)


def _twice(a: Array, b: Array) -> Array:
    return jnp.stack([a, b], 1).reshape(-1)
