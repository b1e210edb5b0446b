"""Losses of linear models through a link."""

from collections.abc import Callable
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike

from .._parametrisations._parametrisation import check_entries
from .._potentials._certificate import check_system
from .._potentials._potential import as_float


@final
class LinearModel(eqx.Module):
    r"""The loss \(L(x) = (1/n) \sum_i \ell(\sigma((A x)_i), y_i)\) of a predictor `x`.

    **Arguments:**

    - `A`, `y`: shapes `(n, d)` and `(n,)`.
    - `link`: `"identity"`, `"logistic"`, or an increasing function of a scalar.
    - `loss`: `"squared"` (half of the square), `"cross-entropy"` (for the logistic link, where it
        is the canonical loss), or a function of two scalars `(prediction, y)`.

    Where a flow ends does not depend on link or loss, as long as it fits: `A x = targets`.
    """

    A: Array
    y: Array
    link: Callable | str = eqx.field(static=True)
    loss: Callable | str = eqx.field(static=True)

    def __init__(
        self,
        A: ArrayLike,
        y: ArrayLike,
        *,
        link: Callable | str = "identity",
        loss: Callable | str = "squared",
    ):
        if isinstance(link, str) and link not in ("identity", "logistic"):
            raise ValueError(f'`link` must be "identity", "logistic" or a function, not {link!r}.')
        if isinstance(loss, str) and loss not in ("squared", "cross-entropy"):
            raise ValueError(
                f'`loss` must be "squared", "cross-entropy" or a function, not {loss!r}.'
            )
        if loss == "cross-entropy" and link != "logistic":
            raise ValueError('`loss="cross-entropy"` needs `link="logistic"`.')
        self.A, targets = check_system(A, y, name="y")
        if link == "logistic":
            good = (targets > 0) & (targets < 1)
            check_entries(good, "y", "must lie in (0, 1) to be fitted by logistic")
        self.y, self.link, self.loss = targets, link, loss

    def __call__(self, x: ArrayLike) -> Array:
        """`L(x)`, a scalar."""
        z = self.A @ as_float(x)
        return jnp.mean(jax.vmap(self._term)(z, self.y))

    def _term(self, z: Array, y: Array) -> Array:
        if self.loss == "cross-entropy":
            # Above its least value, so that it is 0 where it fits.
            entropy = y * jnp.log(y) + (1.0 - y) * jnp.log1p(-y)
            return jax.nn.softplus(z) - y * z + entropy
        if callable(self.link):
            prediction = self.link(z)
        else:
            prediction = z if self.link == "identity" else jax.nn.sigmoid(z)
        if callable(self.loss):
            return self.loss(prediction, y)
        return 0.5 * (prediction - y) ** 2

    def rows(self, chosen: Array) -> "LinearModel":
        """The loss of some of the rows alone: `chosen`, their numbers, shape `(b,)`."""
        return eqx.tree_at(lambda m: (m.A, m.y), self, (self.A[chosen], self.y[chosen]))

    @property
    def targets(self) -> Array:
        r"""\(\sigma^{-1}(y)\), shape `(n,)`: the right hand side of the constraints."""
        if self.link == "identity":
            return self.y
        if self.link == "logistic":
            return jnp.log(self.y) - jnp.log1p(-self.y)
        raise ValueError("`targets` are not known for a link of your own: invert it at `y`.")
