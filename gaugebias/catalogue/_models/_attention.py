"""Attention heads: logits `Q K^T` and value-output products `W_V W_O`, each with `GL(head)`."""

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, ArrayLike

from ...quotient import Domain
from ...symmetry import AbstractAction, GeneralLinear
from .._base import AbstractModel, check_tuple, positive_int
from .._describe import Description, Dimensions, LawStatement
from ._chain import Chain
from ._heads import Heads, check_head


class AttentionLogits(AbstractModel):
    """Logits `Q_h K_h^T` of attention heads, each with its full symmetry `GL(head)`.

    **Arguments:** `embedding` (`n`), `head` (`r <= min(n, context)`), `heads` (1), `context` (`m`,
    the width that keys read, for cross attention; `embedding` by default).

    Parameters: the tuple `(Q, K)` of shapes `(heads, n, r)` and `(heads, m, r)`; predictor: the
    matrices `W_h = Q_h K_h^T`, shape `(heads, n, m)`, so that the logits are `x_i^T W_h x_j`. Each
    head is a `Factorisation` of rank `r`: `(Q_h, K_h) -> (Q_h A_h, K_h A_h^-T)`, slice
    `Q_h^T Q_h = K_h^T K_h`, and `log det S`, `log pdet K` are the sums over heads. With
    `r < n` the logits do not see all of `K`: densities refer to the Hausdorff measure, or to the
    singular values. The diagonal subgroup is `AttentionColumns`.

    **Raises:** `ValueError` naming the argument.

    Source: the symmetry in 2601.06597; closed forms derived for this project.

    !!! example

        ```python
        import jax
        from gaugebias.catalogue import AttentionLogits

        model = AttentionLogits(4, head=2, heads=2)
        w = model.invariants(model.init(jax.random.key(0)))
        model.spectrum(w).shape                                # (2, 2)
        ```
    """

    embedding: int = eqx.field(static=True)
    head: int = eqx.field(static=True)
    heads: int = eqx.field(static=True, default=1)
    context: int | None = eqx.field(static=True, default=None)

    def __check_init__(self):
        for name in ("embedding", "head", "heads"):
            positive_int(getattr(self, name), name)
        if self.context is not None:
            positive_int(self.context, "context")
        check_head(self.head, min(self.embedding, self._keys))

    @property
    def _keys(self) -> int:
        return self.embedding if self.context is None else self.context

    @property
    def _heads(self) -> Heads:
        return Heads(self.heads, Chain((self._keys, self.head, self.embedding)))

    @property
    def action(self) -> AbstractAction:
        return GeneralLinear("0", "1", axes=(2, 2), batch=(0, 0))

    @property
    def dimensions(self) -> Dimensions:
        return self._heads.dimensions

    @property
    def domain(self) -> Domain:
        return self._heads.domain

    @property
    def laws(self) -> tuple[LawStatement, ...]:
        return self._heads.laws

    @property
    def description(self) -> Description:
        return self._heads.describe("W = Q K^T", "(Q, K) -> (Q C, -K C^T)", "Q^T Q - K^T K")

    def invariants(self, params) -> Array:
        """`Q_h K_h^T`, shape `(heads, embedding, context)`."""
        heads, r = self.heads, self.head
        q, k = check_tuple(params, ((heads, self.embedding, r), (heads, self._keys, r)))
        return jnp.einsum("hir,hjr->hij", q, k)

    def lift(self, w: ArrayLike) -> tuple[Array, Array]:
        """Balanced queries and keys of each head."""
        outer, inner = self._heads.balanced(w)
        return outer, jnp.swapaxes(inner, 1, 2)

    def init(self, key: Array, balanced: bool = True) -> tuple[Array, Array]:
        """Standard normal entries; if `balanced`, brought to the slice over the same logits."""
        first, second = jr.split(key)
        q = jr.normal(first, (self.heads, self.embedding, self.head))
        k = jr.normal(second, (self.heads, self._keys, self.head))
        return self.lift(self.invariants((q, k))) if balanced else (q, k)

    def spectrum(self, w: ArrayLike) -> Array:
        """The singular values of each head, decreasing, shape `(heads, head)`."""
        return self._heads.spectrum(w)

    def apply_gram(self, w: ArrayLike, z: ArrayLike) -> Array:
        """`Q Q^T z + z K K^T`, head by head."""
        return self._heads.apply_gram(w, z)

    def log_det_gram(self, w: ArrayLike) -> Array:
        """The sum over heads of that of a factorisation of rank `head`."""
        return self._heads.total(self._heads.chain.log_gram, w)

    def log_det_orbit_gram(self, w: ArrayLike) -> Array:
        """`sum_h sum_ij log(s_hi + s_hj)`."""
        return self._heads.total(self._heads.chain.log_orbit, w)

    def log_conditioned_volume(self, w: ArrayLike) -> Array:
        """The sum over heads of that of a factorisation."""
        return self._heads.total(self._heads.chain.log_conditioned, w)

    def log_spectral_density(self, spectrum: ArrayLike, exponent: ArrayLike) -> Array:
        """Log density of the heads' ordered singular values, shape `(heads, head)`, without
        `-l/T`: the sum over heads of that of a factorisation."""
        return self._heads.log_spectral(spectrum, exponent)


class ValueOutput(AbstractModel):
    """Products `W_V W_O` of values and output matrix of attention heads, with `GL(head)` each.

    **Arguments:** `inputs` (`n`), `outputs` (`m`), `head` (`r <= min(n, m)`), `heads` (1).

    Parameters: the tuple `(V, O)` of shapes `(heads, n, r)` and `(heads, r, m)`; predictor: the
    matrices `W_h = V_h O_h`, shape `(heads, n, m)` (the heads are weighted differently by their
    attention, so the loss sees each). Each is a `Factorisation` of rank `r`:
    `(V_h, O_h) -> (V_h A_h, A_h^-1 O_h)`, slice `V_h^T V_h = O_h O_h^T`.

    **Raises:** `ValueError` naming the argument.

    Source: as `AttentionLogits`.

    !!! example

        ```python
        import jax
        from gaugebias.catalogue import ValueOutput

        v, o = ValueOutput(4, 3, head=2, heads=2).init(jax.random.key(0))
        o.shape                                                # (2, 2, 3)
        ```
    """

    inputs: int = eqx.field(static=True)
    outputs: int = eqx.field(static=True)
    head: int = eqx.field(static=True)
    heads: int = eqx.field(static=True, default=1)

    def __check_init__(self):
        for name in ("inputs", "outputs", "head", "heads"):
            positive_int(getattr(self, name), name)
        check_head(self.head, min(self.inputs, self.outputs))

    @property
    def _heads(self) -> Heads:
        return Heads(self.heads, Chain((self.outputs, self.head, self.inputs)))

    @property
    def action(self) -> AbstractAction:
        return GeneralLinear("0", "1", axes=(2, 1), batch=(0, 0))

    @property
    def dimensions(self) -> Dimensions:
        return self._heads.dimensions

    @property
    def domain(self) -> Domain:
        return self._heads.domain

    @property
    def laws(self) -> tuple[LawStatement, ...]:
        return self._heads.laws

    @property
    def description(self) -> Description:
        return self._heads.describe("W = V O", "(V, O) -> (V C, -C O)", "V^T V - O O^T")

    def invariants(self, params) -> Array:
        """`V_h O_h`, shape `(heads, inputs, outputs)`."""
        heads, r = self.heads, self.head
        v, o = check_tuple(params, ((heads, self.inputs, r), (heads, r, self.outputs)))
        return jnp.einsum("hir,hrj->hij", v, o)

    def lift(self, w: ArrayLike) -> tuple[Array, Array]:
        """Balanced values and outputs of each head."""
        return self._heads.balanced(w)

    def init(self, key: Array, balanced: bool = True) -> tuple[Array, Array]:
        """Standard normal entries; if `balanced`, brought to the slice over the same products."""
        first, second = jr.split(key)
        v = jr.normal(first, (self.heads, self.inputs, self.head))
        o = jr.normal(second, (self.heads, self.head, self.outputs))
        return self.lift(self.invariants((v, o))) if balanced else (v, o)

    def spectrum(self, w: ArrayLike) -> Array:
        """The singular values of each head, decreasing, shape `(heads, head)`."""
        return self._heads.spectrum(w)

    def apply_gram(self, w: ArrayLike, z: ArrayLike) -> Array:
        """`V V^T z + z O^T O`, head by head."""
        return self._heads.apply_gram(w, z)

    def log_det_gram(self, w: ArrayLike) -> Array:
        """The sum over heads of that of a factorisation of rank `head`."""
        return self._heads.total(self._heads.chain.log_gram, w)

    def log_det_orbit_gram(self, w: ArrayLike) -> Array:
        """`sum_h sum_ij log(s_hi + s_hj)`."""
        return self._heads.total(self._heads.chain.log_orbit, w)

    def log_conditioned_volume(self, w: ArrayLike) -> Array:
        """The sum over heads of that of a factorisation."""
        return self._heads.total(self._heads.chain.log_conditioned, w)

    def log_spectral_density(self, spectrum: ArrayLike, exponent: ArrayLike) -> Array:
        """Log density of the heads' ordered singular values, as in `AttentionLogits`."""
        return self._heads.log_spectral(spectrum, exponent)
