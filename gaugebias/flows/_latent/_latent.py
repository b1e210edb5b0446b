"""Exact gradient flow of a wide two-layer linear network on one latent variable."""

import math
from typing import NamedTuple, final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike

from ..._arguments import real_scalar
from .._parametrisations._parametrisation import check_entries
from .._potentials._potential import as_float

_RATE = {"squared": 2.0, "half": 1.0}


class Layers(NamedTuple):
    """Products of the rescaled layers `U = u / sqrt(rate_u)`, `W = w / sqrt(rate_w)`."""

    overlap: Array  # U . W
    size_u: Array  # |U|^2
    size_w: Array
    terms: Array  # the size of what `overlap` is the sum of


class _State(NamedTuple):
    log_xi: Array
    decay: Array  # residual over its start
    layers: Layers
    alignment: Array


@final
class LatentVariableFlow(eqx.Module):
    r"""The flow of \(f(x) = \gamma\,x \sum_i u_i w_i\) on data along one direction.

    The input is \(x\) times a fixed unit vector, `x` a random scalar with label `y`, and `w_i` the
    component of the i-th first-layer weight along it: the others do not move. Layers have their
    own rates, \(\dot u = -\eta_u \partial_u L\), \(\dot w = -\eta_w \partial_w L\). With
    \(A = E x^2\), \(B = E xy\), \(h = \sqrt{\eta_u \eta_w}\) and

    \[ p = (u/\sqrt{\eta_u} + w/\sqrt{\eta_w})/\sqrt2, \quad
       q = (u/\sqrt{\eta_u} - w/\sqrt{\eta_w})/\sqrt2, \quad P = |p(0)|^2, \; Q = |q(0)|^2 \]

    the whole network moves by one number \(\xi\), `xi(0) = 1`:

    \[ p(t) = \sqrt\xi\, p(0), \quad q(t) = q(0)/\sqrt\xi, \quad
       \dot\xi = c \gamma h\,(2 B \xi - \gamma h A (P \xi^2 - Q)), \]

    `c = 2` for the loss \(E(f-y)^2\) and 1 for half of it. This is solved here by the ratio of two
    sums of positive terms with decaying exponentials only, so that nothing overflows or cancels,
    also at \(t = \infty\), at `P = 0` or `Q = 0`, for targets of either sign and negative `scale`.

    Where `P = 0` and \(\gamma B > 0\) (or `Q = 0` and \(\gamma B < 0\)), exactly, the flow does not
    learn but converges to the saddle at zero weights, and \(\xi\) goes to infinity (to 0). The
    smallest other part of the weights would escape, so that `P` of the size of rounding is not 0.

    **Arguments:**

    - `u`, `w`: the weights at the start, both of shape `(d,)`.
    - `second_moment`: `A`, positive; `cross_moment`: `B`.
    - `rate_u`, `rate_w`: the layers' rates, positive.
    - `scale`: \(\gamma\), not 0.
    - `loss`: `"squared"`, \(E(f-y)^2\), or `"half"`, \(\tfrac12 E(f-y)^2\).

    Every method takes times \(t \ge 0\) of any shape. All is differentiable and can be vmapped,
    the construction included.

    **Raises:** `ValueError` where shapes differ, a width or all weights are 0, a rate or `A` is
    not positive, or a value is not finite.

    Source: 2401.07085; re-derived, in a form that holds at all times.

    !!! example

        ```python
        u, w = 0.05 * np.random.default_rng(3).standard_normal((2, 50))
        flow = gb.flows.LatentVariableFlow(u, w)
        flow.alignment(jnp.array([0.0, jnp.inf]))       # 0.11 and 0.99
        ```
    """

    u: Array
    w: Array
    second_moment: Array
    cross_moment: Array
    rate_u: Array
    rate_w: Array
    scale: Array
    loss: str = eqx.field(static=True)

    def __init__(
        self,
        u: ArrayLike,
        w: ArrayLike,
        *,
        second_moment: ArrayLike = 1.0,
        cross_moment: ArrayLike = 1.0,
        rate_u: ArrayLike = 1.0,
        rate_w: ArrayLike = 1.0,
        scale: ArrayLike = 1.0,
        loss: str = "squared",
    ):
        self.u, self.w, self.rate_u, self.rate_w = checked_layers(u, w, rate_u, rate_w)
        self.second_moment = real_scalar(second_moment, "second_moment")
        self.cross_moment = real_scalar(cross_moment, "cross_moment")
        self.scale = real_scalar(scale, "scale")
        good = jnp.isfinite(self.second_moment) & (self.second_moment > 0)
        check_entries(
            good, "second_moment", "must be positive and finite: it is the mean of x^2 of the data"
        )
        check_entries(jnp.isfinite(self.cross_moment), "cross_moment", "must be finite")
        good = jnp.isfinite(self.scale) & (self.scale != 0)
        check_entries(good, "scale", "must be finite and not 0: with 0 the output is always 0")
        still = jnp.any(self.u != 0) | jnp.any(self.w != 0)
        check_entries(still, "u", "and `w` are all 0: the flow does not move from there")
        if loss not in _RATE:
            raise ValueError(f"`loss` must be 'squared' or 'half', but is {loss!r}.")
        self.loss = loss

    @property
    def width(self) -> int:
        """`d`."""
        return self.u.shape[0]

    @property
    def initial_norms(self) -> tuple[Array, Array]:
        r"""\(P = |p(0)|^2\) and \(Q = |q(0)|^2\)."""
        p, q = rotated_layers(self.u, self.w, self.rate_u, self.rate_w)
        return jnp.sum(p**2), jnp.sum(q**2)

    @property
    def learning_time(self) -> Array:
        r"""\(t_c = 1/(2 c |\gamma| h \Delta)\), \(\Delta^2 = B^2 + A^2\gamma^2 h^2 PQ\).

        The residual falls as \(e^{-t/t_c}\) in the end. Infinite where `B = 0` and `PQ = 0`: then
        it falls as `1/t`.
        """
        big_p, big_q = self.initial_norms
        gain, speed = self._gain, self._speed
        root = gain * jnp.sqrt(big_p) * jnp.sqrt(big_q)
        return 0.5 / (speed * jnp.hypot(self.cross_moment, root))

    @property
    def target(self) -> Array:
        """`B / A`, the slope of the best line."""
        return self.cross_moment / self.second_moment

    @property
    def _root_rate(self) -> Array:
        return jnp.sqrt(self.rate_u) * jnp.sqrt(self.rate_w)

    @property
    def _speed(self) -> Array:
        return _RATE[self.loss] * jnp.abs(self.scale) * self._root_rate

    @property
    def _gain(self) -> Array:
        return jnp.abs(self.scale) * self._root_rate * self.second_moment

    def _state(self, t: ArrayLike) -> _State:
        t = as_float(t)
        check_entries(t >= 0, "t", "must be a time of at least 0")
        return _evaluate(self, t)

    def log_xi(self, t: ArrayLike) -> Array:
        r"""\(\log\xi(t)\), to rounding also where \(\xi\) is close to 1 or overflows."""
        return self._state(t).log_xi

    def xi(self, t: ArrayLike) -> Array:
        r"""\(\xi(t)\)."""
        return jnp.exp(self._state(t).log_xi)

    def weights(self, t: ArrayLike) -> tuple[Array, Array]:
        """`(u, w)` at the times `t`, both of shape `t.shape + (d,)`."""
        y = 0.5 * self._state(t).log_xi
        p, q = rotated_layers(self.u, self.w, self.rate_u, self.rate_w)
        half = math.sqrt(0.5)
        grown = _outer(jnp.exp(jnp.where(jnp.any(p != 0), y, 0.0)), half * p)
        shrunk = _outer(jnp.exp(jnp.where(jnp.any(q != 0), -y, 0.0)), half * q)
        # Close to the start sums of the start's layers, lest small layers lose their digits.
        near = jnp.clip(y, -1.0, 1.0)
        first, second = self.u / jnp.sqrt(self.rate_u), self.w / jnp.sqrt(self.rate_w)
        cosh, sinh = jnp.cosh(near), jnp.sinh(near)
        u = _outer(cosh, first) + _outer(sinh, second)
        w = _outer(cosh, second) + _outer(sinh, first)
        close = (jnp.abs(y) < 1.0)[..., None]
        return (
            jnp.sqrt(self.rate_u) * jnp.where(close, u, grown + shrunk),
            jnp.sqrt(self.rate_w) * jnp.where(close, w, grown - shrunk),
        )

    def prediction(self, t: ArrayLike) -> Array:
        r"""The slope \(f(x)/x = \gamma u \cdot w = \gamma h (P\xi - Q/\xi)/2\)."""
        return self.scale * self._root_rate * self._state(t).layers.overlap

    def residual(self, t: ArrayLike) -> Array:
        r"""\(B - A f(x)/x\), with all its digits also where it is tiny."""
        start = self.cross_moment - self.second_moment * self.scale * jnp.sum(self.u * self.w)
        return start * self._state(t).decay

    def excess_loss(self, t: ArrayLike) -> Array:
        """The loss above that of the best line, `residual^2 / A` (half of it for `"half"`)."""
        return 0.5 * _RATE[self.loss] * self.residual(t) ** 2 / self.second_moment

    def kernel(self, t: ArrayLike) -> Array:
        r"""The tangent kernel over \(x x'\): \(\gamma^2 \eta_u\eta_w (P\xi + Q/\xi)\).

        With the layers' rates in it: \(\gamma^2(\eta_u |w|^2 + \eta_w |u|^2)\).
        """
        _, size_u, size_w, _ = self._state(t).layers
        return (self.scale * self._root_rate) ** 2 * (size_u + size_w)

    def kernel_change(self, t: ArrayLike) -> Array:
        """`kernel(t) / kernel(0) - 1`, with its digits also where it is tiny."""
        state = self._state(t)
        y = 0.5 * jnp.clip(state.log_xi, -2.0, 2.0)
        size_u, size_w = jnp.sum(self.u**2) / self.rate_u, jnp.sum(self.w**2) / self.rate_w
        overlap = jnp.sum(self.u * self.w) / self._root_rate
        total = size_u + size_w
        near = 2.0 * jnp.sinh(y) ** 2 + 2.0 * jnp.sinh(2.0 * y) * (overlap / total)
        far = (state.layers.size_u + state.layers.size_w) / total - 1.0
        return jnp.where(jnp.abs(state.log_xi) < 2.0, near, far)

    def norms(self, t: ArrayLike) -> tuple[Array, Array]:
        """`(|u|, |w|)`."""
        _, size_u, size_w, _ = self._state(t).layers
        return jnp.sqrt(self.rate_u * size_u), jnp.sqrt(self.rate_w * size_w)

    def alignment(self, t: ArrayLike) -> Array:
        r"""\(\zeta = u \cdot w/(|u||w|)\), by convention 0 where a layer is 0.

        \((P\xi - Q/\xi)/\sqrt{(P\xi + Q/\xi)^2 - 4R^2}\), \(R = p(0) \cdot q(0)\): rising in
        \(\xi\), with the sign of the prediction over that of `scale`.
        """
        return self._state(t).alignment


def checked_layers(
    u: ArrayLike, w: ArrayLike, rate_u: ArrayLike, rate_w: ArrayLike
) -> tuple[Array, Array, Array, Array]:
    """The two layers and their rates as arrays; `ValueError` where they do not fit."""
    u, w = as_float(u), as_float(w)
    if u.ndim != 1 or u.shape != w.shape:
        raise ValueError(
            f"`u` and `w` must be vectors of one length, but have shapes {u.shape} and {w.shape}; "
            "`vmap` over further axes."
        )
    if u.shape[0] == 0:
        raise ValueError("`u` and `w` are empty: the width must be at least 1.")
    check_entries(jnp.isfinite(u), "u", "must be finite")
    check_entries(jnp.isfinite(w), "w", "must be finite")
    rates = real_scalar(rate_u, "rate_u"), real_scalar(rate_w, "rate_w")
    for rate, name in zip(rates, ("rate_u", "rate_w"), strict=True):
        check_entries(
            jnp.isfinite(rate) & (rate > 0),
            name,
            "must be positive and finite: a layer that does not move leaves a linear model",
        )
    return u, w, *rates


def rotated_layers(u: Array, w: Array, rate_u: Array, rate_w: Array) -> tuple[Array, Array]:
    """`p` and `q`: half sum and half difference of the layers over the roots of their rates."""
    first, second = u / jnp.sqrt(rate_u), w / jnp.sqrt(rate_w)
    half = math.sqrt(0.5)
    return half * (first + second), half * (first - second)


def _outer(a: Array, b: Array) -> Array:
    return jnp.tensordot(a, b, axes=0)


@eqx.filter_jit
def _evaluate(flow: LatentVariableFlow, t: Array) -> _State:
    """xi = n/m with n = 1 + b + M Q S + e (1 - b), m = 1 - b + M P S + e (1 + b).

    From the linear system (m, n)' = k [[-B, M P], [M Q, B]] (m, n), whose matrix has eigenvalues
    +-Delta: b = B/Delta, e = exp(-2 k Delta t), S = (1 - e)/Delta, M = |scale| h A. A negative
    scale is a target of the other sign. Then n - m = 2 S g(0) and the residual is
    g(t) = 4 e g(0)/(n m).
    """
    big_p, big_q = flow.initial_norms
    gain, speed = flow._gain, flow._speed
    target = jnp.sign(flow.scale) * flow.cross_moment
    overlap = jnp.sum(flow.u * flow.w) / flow._root_rate
    start = target - gain * overlap

    root = gain * jnp.sqrt(big_p) * jnp.sqrt(big_q)
    delta = jnp.hypot(target, root)
    moving = delta > 0
    safe = jnp.where(moving, delta, 1.0)
    large = 1.0 + jnp.abs(target) / safe
    little = jnp.where(moving, (root / safe) * (root / (safe + jnp.abs(target))), 1.0)
    up, down = jnp.where(target >= 0, large, little), jnp.where(target >= 0, little, large)

    power = jnp.where(moving, 2.0 * speed * safe * t, 0.0)
    e = jnp.exp(-power)
    spent = jnp.where(moving, -jnp.expm1(-power) / safe, 2.0 * speed * t)
    rest_n = up + _times(gain * big_q, spent)
    rest_m = down + _times(gain * big_p, spent)
    n, m = rest_n + e * down, rest_m + e * up

    def log(rest, whole, coefficient):  # also where e underflows and nothing else is there
        bare = jnp.log(coefficient) - power
        return jnp.where(rest == 0, bare, jnp.log(jnp.where(rest == 0, 1.0, whole)))

    ratio = _times(2.0 * start, spent) / jnp.where(m > 0, m, 1.0)
    close = (m > 0) & (jnp.abs(ratio) < 0.5)
    logs = log(rest_n, n, down) - log(rest_m, m, up)
    log_xi = jnp.where(close, jnp.log1p(jnp.where(close, ratio, 0.0)), logs)
    decay = jnp.where(
        rest_m == 0,
        4.0 / (up * jnp.where(n > 0, n, 1.0)),
        jnp.where(
            rest_n == 0,
            4.0 / (down * jnp.where(m > 0, m, 1.0)),
            4.0 * (e / jnp.where(n > 0, n, 1.0)) / jnp.where(m > 0, m, 1.0),
        ),
    )

    layers = layers_at(flow, log_xi)
    # Late, a small target is the difference of large weights: take the form with smaller terms.
    left = decay * start
    small = jnp.abs(target) + jnp.abs(left) < gain * layers.terms
    overlap = jnp.where(small, (target - left) / gain, layers.overlap)
    layers = layers._replace(overlap=overlap)
    return _State(log_xi, decay, layers, alignment_at(flow, layers))


def layers_at(flow: LatentVariableFlow, log_xi: Array) -> Layers:
    """The layers' products at `log xi`, whenever that is."""
    p, q = rotated_layers(flow.u, flow.w, flow.rate_u, flow.rate_w)
    big_p, big_q, cross = jnp.sum(p**2), jnp.sum(q**2), jnp.sum(p * q)
    size_u, size_w = jnp.sum(flow.u**2) / flow.rate_u, jnp.sum(flow.w**2) / flow.rate_w
    overlap = jnp.sum(flow.u * flow.w) / flow._root_rate
    grown = big_p * jnp.exp(jnp.where(big_p > 0, log_xi, 0.0))
    shrunk = big_q * jnp.exp(jnp.where(big_q > 0, -log_xi, 0.0))
    y = 0.5 * log_xi
    inside = jnp.abs(y) < 1.0
    near = jnp.clip(y, -1.0, 1.0)
    cosh2, sinh2, twice = jnp.cosh(near) ** 2, jnp.sinh(near) ** 2, jnp.sinh(2.0 * near)
    u2 = size_u * cosh2 + size_w * sinh2 + overlap * twice
    w2 = size_w * cosh2 + size_u * sinh2 + overlap * twice
    kept, turned = overlap * (cosh2 + sinh2), 0.5 * (size_u + size_w) * twice
    return Layers(
        overlap=jnp.where(inside, kept + turned, 0.5 * (grown - shrunk)),
        size_u=jnp.maximum(jnp.where(inside, u2, 0.5 * (grown + shrunk) + cross), 0.0),
        size_w=jnp.maximum(jnp.where(inside, w2, 0.5 * (grown + shrunk) - cross), 0.0),
        terms=jnp.where(inside, jnp.abs(kept) + jnp.abs(turned), 0.5 * (grown + shrunk)),
    )


def alignment_at(flow: LatentVariableFlow, layers: Layers) -> Array:
    """The cosine of the layers, 0 where one is 0."""
    big_p, big_q = flow.initial_norms
    size = jnp.sqrt(layers.size_u) * jnp.sqrt(layers.size_w)
    zeta = jnp.where(size > 0, layers.overlap / jnp.where(size > 0, size, 1.0), 0.0)
    # Antiparallel and parallel layers of one size stay so, down to weights that underflow.
    zeta = jnp.where(big_p == 0, -1.0, jnp.where(big_q == 0, 1.0, zeta))
    return jnp.clip(zeta, -1.0, 1.0)


def _times(a: Array, b: Array) -> Array:
    """`a b`, 0 where `a` is, also at infinite `b`."""
    return jnp.where(a == 0, 0.0, a * jnp.where(a == 0, 0.0, b))
