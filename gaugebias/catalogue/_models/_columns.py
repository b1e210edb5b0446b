"""Columns of queries and keys: the diagonal subgroup of the symmetry of attention logits."""

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, ArrayLike

from ...quotient import Domain
from ...symmetry import AbstractAction, Rescaling
from .._base import AbstractModel, check_array, check_tuple, positive_int
from .._describe import Description, Dimensions, Failure, LawStatement
from ._chain import Chain
from ._heads import Heads, copies, with_index


class AttentionColumns(AbstractModel):
    """Columns of queries and keys under the **diagonal subgroup** of `GL(head)`.

    **Arguments:** `embedding` (`n`), `columns` (`c`, of all heads together), `context` (`m`;
    `embedding` by default).

    Parameters: the tuple `(Q, K)` of shapes `(n, c)` and `(m, c)`. Group `R_+^c`:
    `(q_j, k_j) -> (e^c_j q_j, e^-c_j k_j)`. Predictor: the `c` matrices `Z_j = q_j k_j^T`, shape
    `(c, n, m)`, everything that this subgroup leaves alone. Slice: `|q_j| = |k_j|`, on which, with
    `s_j = |q_j| |k_j|`,

    ```
    log det S  = sum_j log(2 s_j)
    log pdet K = sum_j [log(2 s_j) + (n + m - 2) log s_j]
    ```

    Logits are the **sums** of the `Z_j` of a head: the loss sees less than this predictor, and its
    whole symmetry is that of `AttentionLogits`. A claim in the diagonal gauge is therefore
    one on the columns, not on the logits.

    **Raises:** `ValueError` naming the argument.

    Source: 2601.06597 (the Gram); the rest derived for this project.

    !!! example

        ```python
        import jax
        from gaugebias.catalogue import AttentionColumns

        model = AttentionColumns(4, columns=2)
        model.scales(model.invariants(model.init(jax.random.key(0)))).shape   # (2,)
        ```
    """

    embedding: int = eqx.field(static=True)
    columns: int = eqx.field(static=True)
    context: int | None = eqx.field(static=True, default=None)

    def __check_init__(self):
        for name in ("embedding", "columns"):
            positive_int(getattr(self, name), name)
        if self.context is not None:
            positive_int(self.context, "context")

    @property
    def _keys(self) -> int:
        return self.embedding if self.context is None else self.context

    @property
    def _heads(self) -> Heads:
        return Heads(self.columns, Chain((self._keys, 1, self.embedding)))

    @property
    def action(self) -> AbstractAction:
        return Rescaling("0", "1", axes=(1, 1))

    @property
    def dimensions(self) -> Dimensions:
        return copies(self._heads.chain.dimensions, self.columns)

    @property
    def domain(self) -> Domain:
        return self._heads.domain

    @property
    def laws(self) -> tuple[LawStatement, ...]:
        return with_index(self._heads.chain.laws("Orbits are"), "j")

    @property
    def description(self) -> Description:
        n = self.embedding + self._keys - 2
        detail = (
            "logits are the sums of the columns of a head, so a loss sees less than this "
            "predictor: laws of the logits are those of the full GL(head)."
        )
        return Description(
            formula="Z_j = q_j k_j^T",
            group=f"R_+^{self.columns}",
            generators="(q_j, k_j) -> (c_j q_j, -c_j k_j)",
            moment_map="(|q_j|^2 - |k_j|^2)/2",
            slice="|q_j| = |k_j|",
            orbit_gram="sum log(2 s_j)",
            gram="sum log(2 s_j)" + (f" + {n} sum log s_j" if n else ""),
            caveats=(Failure("separation", detail),),
        )

    def invariants(self, params) -> Array:
        """`q_j k_j^T`, shape `(columns, embedding, context)`."""
        c = self.columns
        q, k = check_tuple(params, ((self.embedding, c), (self._keys, c)))
        return jnp.einsum("ic,jc->cij", q, k)

    def lift(self, w: ArrayLike) -> tuple[Array, Array]:
        """Columns of equal norms, up to a common sign of each pair."""
        outer, inner = self._heads.balanced(w)
        return outer[:, :, 0].T, inner[:, 0, :].T

    def init(self, key: Array, balanced: bool = True) -> tuple[Array, Array]:
        """Standard normal entries; if `balanced`, columns brought to equal norms."""
        first, second = jr.split(key)
        q = jr.normal(first, (self.embedding, self.columns))
        k = jr.normal(second, (self._keys, self.columns))
        return self.lift(self.invariants((q, k))) if balanced else (q, k)

    def scales(self, w: ArrayLike) -> Array:
        """`s_j = |q_j| |k_j|`, shape `(columns,)`."""
        return self._heads.spectrum(w)[:, 0]

    def apply_gram(self, w: ArrayLike, z: ArrayLike) -> Array:
        """`q_j q_j^T z_j + z_j k_j k_j^T`, column by column."""
        return self._heads.apply_gram(w, z)

    def log_det_gram(self, w: ArrayLike) -> Array:
        """`sum_j [log(2 s_j) + (n + m - 2) log s_j]`."""
        return self._heads.total(self._heads.chain.log_gram, w)

    def log_det_orbit_gram(self, w: ArrayLike) -> Array:
        """`sum_j log(2 s_j)`."""
        return self._heads.total(self._heads.chain.log_orbit, w)

    def log_conditioned_volume(self, w: ArrayLike) -> Array:
        """`-1/2 log det S`."""
        return self._heads.total(self._heads.chain.log_conditioned, w)

    def log_radial_density(self, scales: ArrayLike, exponent: ArrayLike) -> Array:
        """Log density of the `s_j`, Lebesgue `ds`, without `-l/T`, for a loss that depends on the
        `Z_j` through them alone."""
        s = check_array(scales, (self.columns,), "scales")
        return self._heads.log_spectral(s[:, None], exponent)
