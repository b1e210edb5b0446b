"""What is run: our own protocol."""

import dataclasses

from ...flows import LATENT_SCALINGS


@dataclasses.dataclass(frozen=True)
class Settings:
    r"""Defaults are our own protocol.

    - `scalings`: names in `gaugebias.flows.LATENT_SCALINGS`; `A = B = 1`.
    - `width`: where the weights are integrated, up to `times` time constants; `widths`: where the
      change of the kernel is followed with the width, over `seeds` starts with `f = 0`.
    - `demonstration_width`: of the three mechanisms.
    - `digits_*`: a ReLU network of one hidden layer of `digits_hidden` on `digits_samples` of
      scikit-learn's digits (the rest is the test set), from starts with outputs 0 multiplied by
      each of `digits_scales`; squared loss, full batches, `digits_steps` steps at `digits_rate`,
      less for large starts.
    """

    scalings: tuple[str, ...] = ("NTK", "standard", "mean-field", "Xavier", "muP", "small")
    width: int = 10_000
    times: float = 8.0
    widths: tuple[int, ...] = (100, 316, 1_000, 3_162, 10_000)
    seeds: int = 16
    demonstration_width: int = 50
    digits_samples: int = 400
    digits_hidden: int = 96
    digits_scales: tuple[float, ...] = (0.1, 4.0)
    digits_rate: float = 0.2
    digits_steps: int = 2_000
    digits_seeds: int = 8

    def __post_init__(self) -> None:
        unknown = [name for name in self.scalings if name not in LATENT_SCALINGS]
        if unknown or not self.scalings:
            raise ValueError(
                f"`scalings` must hold names of {', '.join(LATENT_SCALINGS)}, not "
                f"{', '.join(map(repr, unknown)) or 'none'}."
            )
        if self.seeds < 2 or self.demonstration_width < 2:
            raise ValueError("`seeds` and `demonstration_width` must be at least 2.")
        if not (self.times > 0 and self.digits_rate > 0):
            raise ValueError("`times` and `digits_rate` must be positive.")
        if self.width < 2 or self.width % 2 or any(d < 2 or d % 2 for d in self.widths):
            raise ValueError(
                "`width` and `widths` must be even: half of a start mirrors the other."
            )
        if len(self.widths) < 2:
            raise ValueError("`widths` must hold two or more.")
        if len(self.digits_scales) != 2 or not 0 < self.digits_scales[0] < self.digits_scales[1]:
            raise ValueError("`digits_scales` must be a small and a large scale, both positive.")
        if self.digits_hidden < 2 or self.digits_hidden % 2:
            raise ValueError("`digits_hidden` must be even: half of a start mirrors the other.")
        if self.digits_seeds < 2:
            raise ValueError("`digits_seeds` must be at least 2, to see their spread.")
        if not 20 <= self.digits_samples <= 1_500:
            raise ValueError("`digits_samples` must be from 20 to 1500 of the 1797.")
        if self.digits_steps < 100 or self.digits_steps % 100:
            raise ValueError("`digits_steps` must be a multiple of 100, not 0.")


def quick() -> Settings:
    """Smaller widths, fewer seeds and steps."""
    return Settings(
        width=2_000,
        widths=(100, 316, 1_000),
        digits_samples=300,
        digits_hidden=64,
        digits_steps=1_000,
        digits_seeds=8,
    )
