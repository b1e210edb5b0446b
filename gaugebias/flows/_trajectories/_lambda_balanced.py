"""Exact gradient flow of two-layer linear networks from lambda-balanced weights."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, ArrayLike

from .._parametrisations._parametrisation import check_entries
from .._potentials._potential import as_float


@final
class LambdaBalanced(eqx.Module):
    r"""The flow of \(L = \tfrac12 |W_2 W_1 - \Sigma|^2\) from lambda-balanced weights.

    These are \(W_2^T W_2 - W_1 W_1^T = \lambda I\), which the flow conserves. The loss is the
    squared one \(|W_2 W_1 X - Y|^2/(2n)\) on whitened inputs, `X X^T/n = I`, with
    \(\Sigma = Y X^T/n\), up to a constant. With \(Q = [W_1^T; W_2]\) and
    \(F = [[-\lambda/2, \Sigma^T], [\Sigma, \lambda/2]]\) the product \(P = Q Q^T\) obeys
    \(\dot P = F P + P F - P^2\). The published solution multiplies growing exponentials and has
    lost its digits by a few units of time; here only decaying ones appear, and no matrix is
    squared before it is inverted, at any time, for any widths.

    How many digits a trajectory has is a matter of its start. On its way it passes near saddles as
    closely as the start is near their stable manifolds, which are where \(V_+^T Q\) is singular,
    \(V_+\) the eigenvectors of the growing modes. A relative change \(\epsilon\) of the weights
    moves the time at which it leaves, and the relative change of \(P\) is at most about
    \(4\epsilon\) `condition`, \(|Q|\,|(V_+^T Q)^{-1}|\) in the spectral norm: rounding of the
    weights alone costs as much, in any method. It is a few units for most starts, and of order
    \(s/\lambda\) where a small \(\lambda\) is all that leads away from a saddle (as where the
    determinants of the start and of a square target have opposite signs).

    **Arguments:**

    - `W1`: shape `(h, in)`; `W2`: shape `(out, h)`.
    - `target`: \(\Sigma\), shape `(out, in)`.

    **Fields:** `imbalance`, \(\lambda\); `condition`, see above; both scalars.

    **Raises:** `ValueError` where shapes do not fit or the weights are not lambda-balanced: then
    `Q Q^T` obeys no closed equation. [`gaugebias.flows.lambda_balanced_start`][] makes such
    weights.

    Source: 2409.14623; the stable form derived here.
    """

    imbalance: Array
    condition: Array
    _values: Array  # eigenvalues of F, chosen rows first
    _vectors: Array
    _inverse: Array  # of the chosen rows of V^T Q, up to a rotation from the left
    _rest: Array  # the other rows times that inverse
    inputs: int = eqx.field(static=True)

    def __init__(self, W1: ArrayLike, W2: ArrayLike, target: ArrayLike):
        for value in (W1, W2, target):
            if isinstance(value, Tracer):
                raise ValueError(
                    "`W1`, `W2`, `target` must be concrete: build this outside of jit."
                )
        w1, w2, sigma = (np.asarray(as_float(v)) for v in (W1, W2, target))
        good = w1.ndim == w2.ndim == sigma.ndim == 2 and w2.shape[1] == w1.shape[0]
        if not good or sigma.shape != (w2.shape[0], w1.shape[1]):
            raise ValueError(
                "`W1`, `W2`, `target` must have shapes (h, in), (out, h), (out, in), but have "
                f"{w1.shape}, {w2.shape}, {sigma.shape}."
            )
        if not all(np.isfinite(v).all() for v in (w1, w2, sigma)):
            raise ValueError("`W1`, `W2`, `target` must be finite, but an entry is not.")
        gap = w2.T @ w2 - w1 @ w1.T
        lam = float(np.mean(np.diag(gap)))
        off = np.linalg.norm(gap - lam * np.eye(len(gap)))
        size = np.linalg.norm(w2) ** 2 + np.linalg.norm(w1) ** 2
        if off > 1e3 * np.finfo(w1.dtype).eps * size:
            raise ValueError(
                f"`W1` and `W2` are not lambda-balanced: W2^T W2 - W1 W1^T differs from {lam:.3g} "
                f"times the identity by {off:.2g}. Make them by `lambda_balanced_start`, or "
                "integrate with `gradient_flow`."
            )
        dtype, eps = w1.dtype, float(np.finfo(w1.dtype).eps)
        w1, w2, sigma = (v.astype(np.float64) for v in (w1, w2, sigma))
        self.imbalance, self.inputs = jnp.asarray(lam, dtype), w1.shape[1]
        n_in, n_out = w1.shape[1], w2.shape[0]
        top = np.hstack([-0.5 * lam * np.eye(n_in), sigma.T])
        f = np.vstack([top, np.hstack([sigma, 0.5 * lam * np.eye(n_out)])])
        values, vectors = np.linalg.eigh(f)
        values, vectors = values[::-1], vectors[:, ::-1]
        noise = 8.0 * len(f) * eps
        # Columns larger than sqrt(n) times the noise of a row: as many rows are independent.
        columns = _full_column_rank(np.vstack([w1.T, w2]), 2.0 * noise * len(f) ** 0.5)
        q = vectors.T @ columns
        chosen = _first_independent_rows(q, noise)
        others = [i for i in range(len(values)) if i not in chosen]
        left, sizes, right = np.linalg.svd(q[chosen])
        inverse = left.T / sizes[:, None]
        rest = q[others] @ right.T @ inverse
        # By the choice of rows a row depends on those of larger eigenvalues only.
        rest[values[others][:, None] > values[chosen][None, :]] = 0.0
        order = [*chosen, *others]
        self.condition = jnp.asarray(np.linalg.norm(q, 2) / sizes[-1], dtype)
        self._values = jnp.asarray(values[order], dtype)
        self._vectors = jnp.asarray(vectors[:, order], dtype)
        self._inverse, self._rest = jnp.asarray(inverse[::-1], dtype), jnp.asarray(rest, dtype)

    def gram(self, t: ArrayLike) -> Array:
        """`Q Q^T` at the time `t >= 0`, a scalar: shape `(in + out, in + out)`.

        Differentiable in `t`, to any order.
        """
        t = jnp.asarray(t, self._values.dtype)
        check_entries((t >= 0) & jnp.isfinite(t), "t", "must be finite and not negative")
        return _gram(t, flow=self)

    def _solution(self, t: Array) -> Array:
        r = self._inverse.shape[0]
        high, low = self._values[:r], self._values[r:]
        scale = jnp.maximum(high, 0.0)

        def spent(rate):  # int_0^t exp(-2 |rate| s) ds
            size = 2.0 * jnp.abs(rate)
            safe = jnp.where(size * t > 0, size, 1.0)
            return jnp.where(size * t > 0, -jnp.expm1(-safe * t) / safe, t)

        # C = G^T G + ... is never formed: its condition is the square of that of its root.
        start = self._inverse * jnp.exp(-scale * t)[None, :]

        def relative(power):
            exponent = jnp.where(self._rest == 0, 0.0, (power[:, None] - scale[None, :]) * t)
            return self._rest * jnp.exp(exponent)

        tail = relative(jnp.maximum(low, 0.0))
        root = [start, jnp.diag(jnp.sqrt(spent(high))), jnp.sqrt(spent(low))[:, None] * tail]
        root = jnp.linalg.qr(jnp.vstack(root), mode="r")
        z = jnp.vstack([jnp.diag(jnp.exp((high - scale) * t)), relative(low)])
        half = jax.scipy.linalg.solve_triangular(root, (self._vectors @ z).T, trans=1)
        return half.T @ half

    def product(self, t: ArrayLike) -> Array:
        """The map `W_2 W_1` at the time `t`, shape `(out, in)`."""
        return self.gram(t)[self.inputs :, : self.inputs]

    def kernel(self, t: ArrayLike, inputs: ArrayLike) -> Array:
        """The neural tangent kernel at the time `t` on `inputs`, shape `(in, n)`.

        \\(I_{out} \\otimes X^T W_1^T W_1 X + W_2 W_2^T \\otimes X^T X\\), shape
        `(out n, out n)`, outputs first: that of [`gaugebias.flows.tangent_kernel`][] of `W2 W1 X`.
        """
        p, x = self.gram(t), as_float(inputs)
        first, second = p[: self.inputs, : self.inputs], p[self.inputs :, self.inputs :]
        identity = jnp.eye(second.shape[0], dtype=p.dtype)
        return jnp.kron(identity, x.T @ first @ x) + jnp.kron(second, x.T @ x)


@eqx.filter_custom_jvp
def _gram(t: Array, *, flow: LambdaBalanced) -> Array:
    return flow._solution(t)


@_gram.def_jvp
def _gram_jvp(primals, tangents, *, flow: LambdaBalanced):
    (t,), (dt,) = primals, tangents
    p = _gram(t, flow=flow)
    if dt is None:
        return p, None
    pull = flow._vectors @ (flow._values[:, None] * (flow._vectors.T @ p))
    return p, (pull + pull.T - p @ p) * dt


def _full_column_rank(q: np.ndarray, noise: float) -> np.ndarray:
    """A matrix of full column rank with the same `q q^T`, to relative errors of `noise`."""
    u, s, _ = np.linalg.svd(q, full_matrices=False)
    rank = int(np.sum(s > noise * s.max(initial=0.0)))
    if rank == 0:
        raise ValueError("`W1` and `W2` are 0: the flow does not move from there.")
    return u[:, :rank] * s[:rank]


def _first_independent_rows(q: np.ndarray, noise: float) -> list[int]:
    """The first rows, in order, that span all rows, to errors of `noise` of the largest."""
    chosen, basis = [], np.zeros((0, q.shape[1]))
    scale = np.linalg.norm(q, axis=1).max()
    for i, row in enumerate(q):
        left = row - basis.T @ (basis @ row)
        left = left - basis.T @ (basis @ left)
        size = np.linalg.norm(left)
        if size > noise * scale:
            chosen.append(i)
            basis = np.vstack([basis, left / size])
        if len(chosen) == q.shape[1]:
            break
    return chosen


def lambda_balanced_start(
    product: ArrayLike, imbalance: float, *, hidden: int | None = None, rotation=None
) -> tuple[Array, Array]:
    r"""Weights `(W1, W2)` with `W2 W1 = product` and `W2^T W2 - W1 W1^T = imbalance I`.

    Singular values \(\sqrt{(\sqrt{\lambda^2 + 4 s^2} \pm \lambda)/2}\) for \(W_2\) and \(W_1\).

    **Arguments:**

    - `product`: shape `(out, in)`.
    - `imbalance`: \(\lambda\), of either sign.
    - `hidden`: the width `h`, default `min(in, out)`; at least the rank of `product`, at most
        `out` where `imbalance > 0` and `in` where it is negative.
    - `rotation`: an orthogonal matrix `(h, h)` of the hidden units; default the identity.

    Source: 2409.14623.
    """
    w = np.asarray(as_float(product))
    if w.ndim != 2:
        raise ValueError(f"`product` must be a matrix, but has shape {w.shape}.")
    if not (np.isfinite(w).all() and np.isfinite(imbalance)):
        raise ValueError("`product` and `imbalance` must be finite.")
    n_out, n_in = w.shape
    h = min(n_in, n_out) if hidden is None else hidden
    if h < 1:
        raise ValueError(f"`hidden` must be at least 1, but is {h}.")
    limit = {1.0: n_out, -1.0: n_in}.get(float(np.sign(imbalance)))
    if limit is not None and h > limit:
        raise ValueError(
            f"`hidden` is {h}, but `imbalance` {imbalance:g} needs at most {limit} hidden units: "
            "the larger layer has no room for more."
        )
    eps = float(np.finfo(w.dtype).eps)
    u, s, vt = np.linalg.svd(w)
    if np.any(s[h:] > max(1e-12, 4.0 * max(w.shape) * eps) * s.max(initial=0.0)):
        raise ValueError(f"`hidden` is {h}, less than the rank of `product`: give more.")
    values = np.zeros(h)
    values[: min(h, len(s))] = s[:h]
    root = np.sqrt(imbalance**2 + 4.0 * values**2)
    big = np.sqrt(0.5 * (root + abs(imbalance)))
    small = np.divide(values, big, out=np.zeros(h), where=big > 0)
    second, first = (big, small) if imbalance >= 0 else (small, big)
    w2, w1 = np.zeros((n_out, h)), np.zeros((h, n_in))
    for j in range(h):
        if j < n_out:
            w2[:, j] = u[:, j] * second[j]
        if j < n_in:
            w1[j] = first[j] * vt[j]
    if rotation is not None:
        r = np.asarray(rotation, w.dtype)
        near = max(1e-8, 4.0 * h * eps)
        if r.shape != (h, h) or not np.allclose(r @ r.T, np.eye(h), atol=near):
            raise ValueError(f"`rotation` must be an orthogonal matrix of shape {(h, h)}.")
        w2, w1 = w2 @ r.T, r @ w1
    return jnp.asarray(w1, w.dtype), jnp.asarray(w2, w.dtype)
