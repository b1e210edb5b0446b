"""What symmetry discovery found."""

from typing import final

import equinox as eqx

from .._action import AbstractAction


@final
class Discovery(eqx.Module):
    """The symmetries that `gaugebias.discover` found, and how sure it is.

    - `action`: the group, usable wherever an action is. Recognised groups are `GeneralLinear`,
      `Rescaling`, `RightOrthogonal`, `Scale` and `Translation`, several of them a `Product`; what
      has no standard name, and groups that do not commute, are `LinearFields`.
    - `identification`: one line for each group, such as ``"GL(2) on leaves q, k"``.
    - `dimension`: the number of generators.
    - `gap`: the smallest singular value that counts as not zero over the largest that counts as
      zero (at least the machine epsilon); `smallest_kept` and `largest_dropped` are the two,
      relative to the largest of all.
    - `residual`: the larger of `closure`, by how much brackets leave the span of the generators,
      and `invariance`, the relative change of the predictor under random finite group elements at
      fresh parameters on held-out inputs. Both are near rounding for a group.
    - `orbit_dimension`: of the orbit through a generic point: `dimension` less stabilisers.
    - `fibre_dimension`: the number of all directions that leave the predictor alone on the inputs
      at a generic point, `D - rank`; `None` where the inputs do not determine it or it is too
      large. More than `orbit_dimension`: directions that no affine candidate explains.
    - `candidates`, `effective`: how many were tried, and how many of these differ.
    - `unseen`: entries of matrices on which the predictor does not depend, with these inputs. They
      are free, and left out of all dimensions.
    - `evaluations`, `patterns`: gradients taken, and different activation patterns among them.
    - `searched`: what was tried on each leaf.
    """

    action: AbstractAction
    identification: tuple[str, ...] = eqx.field(static=True)
    dimension: int = eqx.field(static=True)
    gap: float = eqx.field(static=True)
    residual: float = eqx.field(static=True)
    closure: float = eqx.field(static=True)
    invariance: float = eqx.field(static=True)
    smallest_kept: float = eqx.field(static=True)
    largest_dropped: float = eqx.field(static=True)
    orbit_dimension: int = eqx.field(static=True)
    fibre_dimension: int | None = eqx.field(static=True)
    candidates: int = eqx.field(static=True)
    effective: int = eqx.field(static=True)
    unseen: int = eqx.field(static=True)
    evaluations: int = eqx.field(static=True)
    patterns: int = eqx.field(static=True)
    searched: tuple[str, ...] = eqx.field(static=True)

    def table(self) -> str:
        """All of it as text."""
        found = self.identification or ("no continuous symmetry among the candidates",)
        lines = [f"dimension {self.dimension}", *(f"  {text}" for text in found)]
        lines.append(
            f"gap {self.gap:.1e} (kept {self.smallest_kept:.1e}, dropped "
            f"{self.largest_dropped:.1e}); residual {self.residual:.1e}"
        )
        fibre = "undetermined" if self.fibre_dimension is None else str(self.fibre_dimension)
        lines.append(f"orbit dimension {self.orbit_dimension}, fibre dimension {fibre}")
        lines.append(
            f"{self.candidates} candidates, {self.effective} different; {self.evaluations} "
            f"evaluations, {self.patterns} activation patterns"
        )
        lines += [f"  {line}" for line in self.searched]
        return "\n".join(lines)
