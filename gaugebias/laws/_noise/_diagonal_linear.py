"""Minibatch descent of a deep diagonal linear network on scalar regression."""

import math

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import ArrayLike

from ..._compile import evaluated_now
from ...dynamics._checks import count, scalar
from ...dynamics._processes._minibatch import RATE
from ...dynamics._processes._samples import as_data
from ...quotient import Domain
from .._density import DensityLaw
from .._errors import Condition, NotNormalisable, require
from .._quadrature._evaluate import HostFunction
from .._quadrature._line_integral import line_integral
from ._gradient_noise import DiagonalNoise, Force, HalfLogGram, LogNoise, Profile
from ._noise_conditions import noise_conditions

_NAME = "diagonal-linear"
_RESOLUTION = 1e-60


class RegressionMoments(eqx.Module):
    """Moments of scalar regression data `(x, y)`, in the letters of 2308.06671.

    - `a1 = Var x^2`, `a2 = Cov(x^2, xy)`, `a3 = Var xy`; `b1 = E x^2`, `b2 = E xy`.

    **Raises:** `ValueError` for moments that no data have (`a1`, `a3` or `a1 a3 - a2^2` negative,
    `b1` not positive).
    """

    a1: float = eqx.field(static=True, converter=float)
    a2: float = eqx.field(static=True, converter=float)
    a3: float = eqx.field(static=True, converter=float)
    b1: float = eqx.field(static=True, converter=float)
    b2: float = eqx.field(static=True, converter=float)

    def __check_init__(self):
        for name in ("a1", "a2", "a3", "b1", "b2"):
            if not math.isfinite(getattr(self, name)):
                raise ValueError(f"`{name}` must be finite, but is {getattr(self, name)}.")
        for name in ("a1", "a3", "b1"):
            value = getattr(self, name)
            if value < 0.0 or (name == "b1" and value == 0.0):
                raise ValueError(f"`{name}` is {value:g}, which no data have: it is a mean square.")
        if self.a1 * self.a3 - self.a2**2 < -1e-9 * (self.a1 * self.a3 + self.a2**2):
            raise ValueError(
                f"`a2` is {self.a2:g}, which no data have: it is a covariance, at most "
                f"sqrt(a1 a3) = {math.sqrt(self.a1 * self.a3):g}."
            )

    @staticmethod
    def of(x: ArrayLike, y: ArrayLike) -> "RegressionMoments":
        """Of a data set, both arrays of shape `(n,)`; float64, over `n`."""
        as_data((x, y))
        x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        if x.ndim != 1 or y.ndim != 1:
            raise ValueError(f"`x` and `y` must have shape (n,), not {x.shape} and {y.shape}.")
        square, cross = x**2, x * y
        a1, a2, a3 = np.cov(square, cross, bias=True)[[0, 0, 1], [0, 1, 1]]
        # constants have a variance of rounding errors
        least = (8.0 * np.finfo(float).eps) ** 2
        a1 = 0.0 if a1 <= least * np.mean(square) ** 2 else a1
        a3 = 0.0 if a3 <= least * np.mean(cross) ** 2 else a3
        a2 = 0.0 if a1 == 0.0 or a3 == 0.0 else a2
        return RegressionMoments(a1, a2, a3, np.mean(square), np.mean(cross))

    @staticmethod
    def gaussian(slope: float, noise: float, size: float = 1.0) -> "RegressionMoments":
        """Of fresh samples `x ~ N(0, size^2)`, `y = slope x + N(0, noise^2)`."""
        square, fourth = size**2, 2.0 * size**4
        return RegressionMoments(
            fourth,
            slope * fourth,
            slope**2 * fourth + noise**2 * square,
            square,
            slope * square,
        )


def diagonal_linear(
    moments: RegressionMoments,
    learning_rate: ArrayLike,
    batch_size: int = 1,
    *,
    depth: int = 1,
    width: int = 1,
    scale: float = 1.0,
) -> DensityLaw:
    r"""Stationary law of a scalar diagonal linear network under minibatches (2308.06671, Thm 4.2).

    The network is `v x` with `v = sum_{i=1}^d prod_{j=0}^D u_ij`, the loss `scale (v x - y)^2`
    (`scale = 1` in the paper), balanced: every factor of a path of the same size, and all paths
    equal. Then `K = (D+1) d^(1 - 2D/(D+1)) |v|^(2D/(D+1))`, the samples' slopes have variance
    `4 scale^2 g(v)` with `g = a1 v^2 - 2 a2 v + a3`, and the minibatch law on one coordinate is

        p(v) ~ |v|^(-3D/(D+1)) g(v)^-1
               exp(-(1/(scale tau)) int d^(1-2/(D+1)) (b1 s - b2) / ((D+1) s^(2D/(D+1)) g(s)) ds),

    `tau = eta/B`, the printed formula at `scale = 1`. What the printed one leaves open:

    - `D = 0` has no branch `v > 0`: `K = d` is constant, and the law lives on the whole line. It
      is a Pearson law with the tail `|v|^(-2 - b1/(scale tau d a1))` (normal where `|x|` is
      constant, `a1 = 0`), and never collapses.
    - `D = 1`: the exponent at 0 is `-3/2 + b2/(2 scale tau a3)`: collapse to 0 from
      `tau = b2/(scale a3)` on, whatever the width.
    - `D >= 2`: the integral diverges at 0 faster than a logarithm: for `b2 > 0` the density
      vanishes there like `exp(-c v^-(D-1)/(D+1))`, at every `tau`; for `b2 <= 0` collapse.
    - `d > 1`: equal paths stay equal. For `D >= 2` noise makes paths of one sign equal; for
      `D <= 1` the law is the same however `v` is shared out among balanced paths.
    - A fully connected network, of hidden widths above 1, has the law of `width=1`: balanced, its
      layers are of rank one and `K` does not depend on the widths.

    The law on `v < 0` is that of `(x, -y)`.

    **Arguments:**

    - `moments`: [`gaugebias.laws.RegressionMoments`][], of fresh samples or of a data set.
    - `learning_rate`, `batch_size`: `tau = eta/B` (draws with replacement); the rate may be traced.
    - `depth`: `D >= 0`, hidden layers. `width`: `d >= 1`, paths.

    **Returns:** a [`gaugebias.laws.DensityLaw`][]: temperature `tau/2`, exponent -1 of
    `4 scale^2 g K`.

    **Raises:** [`gaugebias.laws.NotNormalisable`][] on collapse, naming the critical `eta/B`;
    [`gaugebias.laws.LawRefused`][] where noise vanishes at a fitted point; `ValueError`.

    !!! example

        ```python
        import gaugebias as gb
        moments = gb.laws.RegressionMoments.gaussian(slope=0.5, noise=1.0)
        law = gb.laws.diagonal_linear(moments, learning_rate=0.05, batch_size=1)
        law.cdf(0.5)
        ```
    """
    if not isinstance(moments, RegressionMoments):
        raise ValueError(
            "`moments` must be `gaugebias.laws.RegressionMoments`, as `RegressionMoments.of(x, y)`."
        )
    depth, width = count(depth, "depth", least=0), count(width, "width", least=1)
    rate = scalar(learning_rate, "learning_rate", positive=True, fix=RATE)
    if isinstance(scale, bool) or not isinstance(scale, int | float) or not 0.0 < scale < math.inf:
        raise ValueError(
            f"`scale` must be a positive number, but is {scale!r}: the loss is scale (v x - y)^2."
        )
    tau = rate / count(batch_size, "batch_size", least=1)
    if depth >= 1:
        _require_no_collapse(moments, tau, depth, scale)
    domain = Domain.line(lower=0.0) if depth else Domain.line()
    with evaluated_now():
        noise = _noise(moments, depth, width, scale)
        profile = HostFunction(Profile(noise), ())
        conditions = noise_conditions(profile, domain, _RESOLUTION)[1:]
        require(
            _NAME,
            conditions,
            ("exactly fitted samples end at that point, whatever the learning rate.",),
        )
        energy = line_integral(
            HostFunction(Force(noise), ()),
            domain.lower[0],
            domain.upper[0],
            (),
            resolution=_RESOLUTION,
            reach=100.0,
        )
    balanced = Condition(
        "balanced paths",
        True,
        0.0,
        f"depth {depth}, width {width}: stated for factors of one size and paths that are equal.",
    )
    return DensityLaw(
        HalfLogGram(noise, energy),
        domain,
        0.5 * tau,
        volume=LogNoise(noise),
        exponent=-jnp.ones(()),
        name=_NAME,
        conditions=(*conditions, balanced),
    )


def _noise(moments: RegressionMoments, depth: int, width: int, scale: float) -> DiagonalNoise:
    power = 2.0 * depth / (depth + 1.0)
    root = moments.a2 / moments.a1 if moments.a1 > 0.0 else 0.0  # a1 = 0: |x| is constant
    return DiagonalNoise(
        spread=jnp.asarray(moments.a1),
        root=jnp.asarray(root),
        rest=jnp.asarray(max(moments.a3 - moments.a2 * root, 0.0)),
        mean_square=jnp.asarray(moments.b1),
        cross=jnp.asarray(moments.b2),
        power=jnp.asarray(power),
        log_constant=jnp.asarray(math.log(depth + 1.0) + (1.0 - power) * math.log(width)),
        scale=jnp.asarray(float(scale)),
    )


def _require_no_collapse(moments: RegressionMoments, tau, depth: int, scale: float) -> None:
    """Raise [`gaugebias.laws.NotNormalisable`][] where the mass collapses to `v = 0`."""
    if moments.b2 <= 0.0:
        cure = "give `(x, -y)` for the branch v < 0." if moments.b2 < 0.0 else "x and y correlate."
        why = f"b2 = E xy is {moments.b2:g}: descent goes to 0 and below, which v > 0 cannot pass"
    elif depth == 1 and not isinstance(tau, Tracer):
        critical = moments.b2 / (scale * moments.a3) if moments.a3 else math.inf
        if float(tau) < critical:
            return
        cure = f"eta/B below b2/(scale a3) = {critical:.6g} has a density."
        why = f"eta/B = {float(tau):.6g} is not below b2/(scale a3) = {critical:.6g}"
    else:
        return
    reason = f"it is not normalisable at v = 0: {why}, and the mass collapses to v = 0."
    failing = Condition("no collapse", False, moments.b2, reason)
    raise NotNormalisable(_NAME, reason, (failing,), (cure,))
