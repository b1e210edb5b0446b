"""How unbalanced a trained network is, layer by layer, and what balancing it changes."""

from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import PyTree

from ...symmetry import AbstractAction, Product, Rescaling
from .._quotient import Quotient
from ._chain_gauge import moved_leaves
from ._gauge import MomentMapGauge, fix_gauge


@final
class LayerBalance(eqx.Module):
    """One factor of the group, for example the units of one hidden layer.

    - `leaves`: paths of the leaves on which it acts.
    - `imbalance`: size of its moment map over half the squared norm of these leaves: 0 is
      balanced, 1 is as unbalanced as can be; `imbalance_after` at the representative.
    - `ratios`: for rescalings the ratio of the norms of the two sides of each unit (weighted by
      the powers), 1 where it is balanced; `None` for other groups.
    """

    leaves: tuple[str, ...] = eqx.field(static=True)
    imbalance: float
    imbalance_after: float
    ratios: np.ndarray | None


@final
class BalanceReport(eqx.Module):
    """What [`gaugebias.quotient.balance_report`][] measured.

    - `layers`: a [`gaugebias.quotient.LayerBalance`][] for each factor of the group.
    - `norm`, `norm_after`: the norm of all parameters, given and at the representative, where it
      is the least of the orbit.
    - `change`: the largest change of the predictor, absolute and relative to its largest entry.
    - `balanced`: the representative.
    """

    layers: tuple[LayerBalance, ...]
    norm: float
    norm_after: float
    change: float
    relative_change: float
    balanced: PyTree

    def table(self) -> str:
        """All of it as text, one line a layer."""
        lines = [
            "layer  units  imbalance  after     ratio of norms (least, median, largest)  leaves"
        ]
        for i, layer in enumerate(self.layers):
            ratios, units = "", ""
            if layer.ratios is not None and layer.ratios.size:
                low, middle, high = np.quantile(layer.ratios, [0.0, 0.5, 1.0])
                ratios, units = f"{low:.3g}, {middle:.3g}, {high:.3g}", str(layer.ratios.size)
            lines.append(
                f"{i + 1:<5}  {units:<5}  {layer.imbalance:<9.3g}  {layer.imbalance_after:<8.1e}  "
                f"{ratios:<39}  {', '.join(layer.leaves)}"
            )
        less = 1 - self.norm_after / self.norm if self.norm else 0.0
        lines.append(f"norm {self.norm:.6g} -> {self.norm_after:.6g} ({100 * less:.2f}% less)")
        lines.append(
            f"largest change of the predictor {self.change:.2e}, {self.relative_change:.2e} of its "
            "largest entry"
        )
        return "\n".join(lines)


def balance_report(q: Quotient, params: PyTree) -> BalanceReport:
    """Bring `params` to the slice of the moment map and say how far from it each layer was.

    **Arguments:** `q`, a quotient with `MomentMapGauge` (its `phi` is what must not change; its
    action a group or a `Product` of one for each layer), and `params`, one concrete point.

    **Returns:** a [`gaugebias.quotient.BalanceReport`][].

    **Raises:** `ValueError` as `gaugebias.fix_gauge` does, and where the gauge is another one.

    !!! Example

        ```python
        act = gb.symmetry.Rescaling("u", "v")
        q = gb.Quotient(lambda p: p["u"] * p["v"], act)
        report = balance_report(q, {"u": jnp.array([4.0]), "v": jnp.array([1.0])})
        report.layers[0].ratios, report.norm_after  # [4.], sqrt(8)
        ```
    """
    if not isinstance(q, Quotient):
        raise ValueError(f"`q` must be a `gaugebias.Quotient`, not {type(q).__name__}.")
    if not isinstance(q.gauge, MomentMapGauge):
        raise ValueError("`q` must have the gauge `MomentMapGauge()`: balance is its zero.")
    if any(isinstance(x, Tracer) for x in jax.tree.leaves(params)):
        raise ValueError("`params` is traced: call `balance_report` outside of jit.")
    fixed = fix_gauge(q, params)
    factors = q.action.actions if isinstance(q.action, Product) else (q.action,)
    layers = tuple(_layer(factor, params, fixed) for factor in factors)
    before, after = jax.tree.leaves(q.phi(params)), jax.tree.leaves(q.phi(fixed))
    change = max(
        float(jnp.max(jnp.abs(x - y), initial=0.0)) for x, y in zip(before, after, strict=True)
    )
    size = max(float(jnp.max(jnp.abs(x), initial=0.0)) for x in before)
    return BalanceReport(
        layers, _norm(params), _norm(fixed), change, change / size if size else change, fixed
    )


def _moving(params: PyTree) -> list[np.ndarray]:
    return [np.asarray(x, np.float64) for x in jax.tree.leaves(params) if eqx.is_inexact_array(x)]


def _norm(params: PyTree) -> float:
    return float(np.sqrt(sum(np.sum(x**2) for x in _moving(params))))


def _layer(action: AbstractAction, params: PyTree, fixed: PyTree) -> LayerBalance:
    moved = moved_leaves(action, params)
    paths = [
        jax.tree_util.keystr(path, simple=True, separator=".")
        for path, x in jax.tree_util.tree_flatten_with_path(params)[0]
        if eqx.is_inexact_array(x)
    ]

    def imbalance(point: PyTree) -> float:
        chi = jax.tree.leaves(MomentMapGauge().chi(action, point))
        size = sum(np.sum(x**2) for i, x in enumerate(_moving(point)) if i in moved)
        total = np.sqrt(sum(float(np.sum(np.asarray(x, np.float64) ** 2)) for x in chi))
        return float(2.0 * total / size) if size else 0.0

    ratios: Any = None
    if isinstance(action, Rescaling):
        p, q = action.powers
        f, g = (np.asarray(x, np.float64) for x in action.squared_norms(params))
        # A unit of zeros is balanced; one with a side of zeros has been refused.
        live = (f > 0) & (g > 0)
        ratios = np.sqrt(np.where(live, abs(p) * f, 1.0) / np.where(live, abs(q) * g, 1.0))
        ratios = np.ravel(ratios)
    return LayerBalance(
        tuple(paths[i] for i in sorted(moved)), imbalance(params), imbalance(fixed), ratios
    )
