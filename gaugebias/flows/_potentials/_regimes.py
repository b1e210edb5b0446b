"""Bounds on the start that put `u^2 - v^2` into a regime, and the potentials beside its own."""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike

from .._parametrisations._parametrisation import check_entries
from ._kernel_rich import kernel_rich
from ._potential import AbstractPotential, as_float

BOUNDS = ("derived", "published")


def _norm_and_excess(norm: ArrayLike, name: str, excess: ArrayLike, bound: str):
    if bound not in BOUNDS:
        raise ValueError(f'`bound` must be "derived" or "published", but is {bound!r}.')
    b, e = as_float(norm), as_float(excess)
    check_entries((b > 0) & jnp.isfinite(b), name, "must be positive and finite")
    check_entries((e > 0) & jnp.isfinite(e), "excess", "must be positive and finite")
    return b, e


def log_rich_alpha(
    l1_norm: ArrayLike,
    dimension: int,
    excess: ArrayLike,
    *,
    bound: str = "derived",
) -> Array:
    r"""The logarithm of a start below which `u^2 - v^2` finds nearly the least l1 norm.

    From `u = v = alpha` with `log alpha` up to this value, the limit on `A x = b` has
    \(|x|_1 \le (1 + \epsilon)\,b\), \(b\) the least l1 norm and \(\epsilon\) the `excess`. With
    \(L = \ln(1/\alpha^2)\), comparing \(Q_\alpha\) at the limit and at the least-l1 solution gives

    \[ L \ge \tfrac1\epsilon \big[\ln 2b + (1 + \epsilon)(1 + \ln\tfrac{d}{(1+\epsilon) b})\big],
       \quad L \ge \ln\tfrac{d}{(1+\epsilon) b}, \quad L \ge -\ln b, \]

    the `"derived"` bound, logarithmic in the dimension \(d\). The `"published"` one,
    \(\alpha \le \min\{(2(1+\epsilon) b)^{-(2+\epsilon)/(2\epsilon)}, e^{-d/(\epsilon b)}\}\),
    follows from a cruder estimate, is exponential in `d`, and often below the least positive
    number: hence the logarithm.

    **Arguments:**

    - `l1_norm`: \(b\), positive, shape () (or any that `excess` broadcasts with).
    - `dimension`: \(d\), the number of entries of `x`.
    - `excess`: \(\epsilon > 0\).
    - `bound`: `"derived"` or `"published"`.

    **Raises:** `ValueError` for norms, dimensions or excesses that are not positive.

    Source: 2002.09277, Theorem 2; re-derived, and sharpened.

    !!! example

        ```python
        gb.flows.log_rich_alpha(2.6, 1000, 0.1)                         # about -46
        gb.flows.log_rich_alpha(2.6, 1000, 0.1, bound="published")      # about -3846
        ```
    """
    b, e = _norm_and_excess(l1_norm, "l1_norm", excess, bound)
    if isinstance(dimension, bool) or int(dimension) != dimension or dimension < 1:
        raise ValueError(f"`dimension` must be a positive integer, but is {dimension!r}.")
    d = int(dimension)
    if bound == "published":
        power = -(2.0 + e) / (2.0 * e) * jnp.log(2.0 * (1.0 + e) * b)
        return jnp.minimum(power, -d / (e * b))
    thin = jnp.log(d / ((1.0 + e) * b))
    depth = jnp.maximum((jnp.log(2.0 * b) + (1.0 + e) * (1.0 + thin)) / e, thin)
    return -0.5 * jnp.maximum(depth, -jnp.log(b))


def log_kernel_alpha(
    l2_norm: ArrayLike,
    excess: ArrayLike,
    *,
    bound: str = "derived",
) -> Array:
    r"""The logarithm of a start above which `u^2 - v^2` finds nearly the least l2 norm.

    From `u = v = alpha` with `log alpha` at least this value, the limit on `A x = b` has
    \(|x|_2^2 \le (1 + \epsilon)\,b^2\), \(b\) the least l2 norm and \(\epsilon\) the `excess`:

    - `"derived"`: \(\alpha^4 \ge b^2 (1+\epsilon)/(4 \epsilon (2+\epsilon))\), from
      \(z^2/(2\sqrt{4+z^2}) \le q(z) \le z^2/4\);
    - `"published"`: \(\alpha \ge \sqrt{2(1+\epsilon)(1+2/\epsilon)\,b}\), which is larger.

    **Arguments:** `l2_norm`, \(b > 0\); `excess`, \(\epsilon > 0\); `bound`.

    **Raises:** `ValueError` for norms or excesses that are not positive.

    Source: 2002.09277, Theorem 2; re-derived, and sharpened.
    """
    b, e = _norm_and_excess(l2_norm, "l2_norm", excess, bound)
    if bound == "published":
        return 0.5 * jnp.log(2.0 * (1.0 + e) * (1.0 + 2.0 / e) * b)
    return 0.25 * jnp.log(b**2 * (1.0 + e) / (4.0 * e * (2.0 + e)))


def distance_potential(alpha: ArrayLike) -> AbstractPotential:
    r"""The least \(|u - \alpha|^2 + |v - \alpha|^2\) with `u^2 - v^2 = x`, as a potential.

    What a bias towards the weights *nearest* to their start would minimise:
    \(\sum \alpha^2 r(x/\alpha^2)\), \(r(z)\) the smallest real root in `t` of

    \[ t^4 - 6t^3 + (12 - 2z^2)t^2 - (8 + 10z^2)t + z^2 + z^4 = 0. \]

    It is not [`kernel_rich`][gaugebias.flows.kernel_rich]`(2, alpha)`, which gradient flow
    minimises: it grows like `|z|` and not like `|z| log|z|`. Its derivative is the multiplier
    \(\lambda\) of the constraint, \(u = \alpha/(1-\lambda)\), \(v = \alpha/(1+\lambda)\), so that
    \(r' = h_4^{-1}\): it is the potential of depth **four**, \(r = q_4\), and this function
    returns `kernel_rich(4, sqrt(alpha))`.

    **Arguments:** `alpha`, a positive scalar.

    Source: 2002.09277 for `r`; that it is \(q_4\) derived here.
    """
    alpha = as_float(alpha)
    check_entries(alpha > 0, "alpha", "must be positive: the weights' start")
    return kernel_rich(4, jnp.sqrt(alpha))


def wide_potential(alpha: ArrayLike, width: int) -> AbstractPotential:
    r"""\(Q_\mu\), \(\mu^2 = \alpha^2 k/2\): the bias of wide factors with Gaussian starts.

    Of `x_i = sum_j u_ij v_ij` over `k` parallel units, and of the spectrum of `U V^T` under
    commuting measurements (see [`gaugebias.flows.commuting_sensing`][]), with all factors drawn
    from `N(0, alpha^2)`: as `k` grows with `mu` fixed, \(\sum_j u_{ij}^2\) concentrates at
    \(\alpha^2 k\) and the start at 0, with fluctuations of relative size \(1/\sqrt k\). So width
    alone, at any small `alpha`, leads to the kernel regime.

    **Arguments:** `alpha`, the standard deviation of the factors; `width`, `k`.

    Source: 2002.09277, Theorem 4; re-derived.
    """
    if isinstance(width, bool) or int(width) != width or width < 1:
        raise ValueError(f"`width` must be a positive integer, but is {width!r}.")
    alpha = as_float(alpha)
    check_entries(alpha > 0, "alpha", "must be positive: the scale of the factors")
    return kernel_rich(2, alpha * (0.5 * int(width)) ** 0.5)
