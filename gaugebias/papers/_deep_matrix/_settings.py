"""What is run: our own protocol."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Settings:
    r"""Defaults are our own protocol; the publication's parameters were not available.

    - `spectrum`, `depths`, `alphas`, `learning_rate`, `steps`: estimation from identical starts,
      one \(\alpha\) for each depth.
    - `accuracy`, `leakage`: \(\epsilon\) and \(\delta\) of the effective-rank windows.
    - `product_scale`: \(\alpha^N\), one for all depths, where depths are compared;
      `large_scale` in the control; `compared_depths`, `compared_steps` there.
    - `matrix_steps`: steps on the matrices themselves, against the recursion.
    - `random_*`: estimation from Gaussian starts, over `random_seeds` of them.
    - `sensing_*`: sensing of a target with eigenvalues `sensing_spectrum` in `sensing_size`
      dimensions from `sensing_measurements` symmetric Gaussian measurements, over
      `sensing_seeds` targets and measurements.
    - `trap_*`: a spectrum with a negative eigenvalue. The perturbed start has half of `alphas`
      in its first factor.
    """

    spectrum: tuple[float, ...] = (10.0, 5.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    depths: tuple[int, ...] = (2, 3, 4, 5)
    alphas: tuple[float, ...] = (0.01, 0.1, 0.2, 0.3)
    learning_rate: float = 1e-3
    steps: int = 60_000
    accuracy: float = 0.01
    leakage: float = 0.05
    product_scale: float = 1e-3
    large_scale: float = 0.3
    compared_depths: tuple[int, ...] = (1, 2, 3, 4, 5)
    compared_steps: int = 12_000
    matrix_steps: int = 3_000
    random_depths: tuple[int, ...] = (2, 3)
    random_alphas: tuple[float, ...] = (0.01, 0.1)
    random_learning_rate: float = 5e-3
    random_steps: int = 24_000
    random_seeds: int = 16
    sensing_spectrum: tuple[float, ...] = (1.0, 0.5)
    sensing_size: int = 10
    sensing_measurements: int = 30
    sensing_depths: tuple[int, ...] = (1, 2, 3, 4)
    sensing_alphas: tuple[float, ...] = (0.0, 0.01, 0.1, 0.2)
    sensing_learning_rate: float = 0.1
    sensing_steps: int = 20_000
    sensing_seeds: int = 32
    trap_spectrum: tuple[float, ...] = (5.0, 2.0, 1.0, 0.2, -1.5)
    trap_alpha: float = 0.05
    trap_learning_rate: float = 0.01
    trap_steps: int = 20_000

    def __post_init__(self) -> None:
        for one, other in (
            ("depths", "alphas"),
            ("random_depths", "random_alphas"),
            ("sensing_depths", "sensing_alphas"),
        ):
            if len(getattr(self, one)) != len(getattr(self, other)):
                raise ValueError(f"`{other}` must have one value for each of `{one}`.")
            if not getattr(self, one):
                raise ValueError(f"`{one}` is empty: give at least one depth.")
        if len(self.compared_depths) < 2:
            raise ValueError("`compared_depths` must hold two or more.")
        if max(self.sensing_depths) < 2:
            raise ValueError("`sensing_depths` must hold one of 2 or more, to compare with 1.")
        if self.random_seeds < 8 or self.sensing_seeds < 8:
            raise ValueError(
                "`random_seeds` and `sensing_seeds` must be at least 8, for an interval of a "
                "median."
            )
        if any(a < b for a, b in zip(self.spectrum, self.spectrum[1:], strict=False)):
            raise ValueError("`spectrum` must fall: largest eigenvalue first.")
        if min(self.spectrum) < 0 or sum(v > 0 for v in self.spectrum) < 2:
            raise ValueError(
                "`spectrum` must have two positive eigenvalues and no negative one; negative ones "
                "belong to `trap_spectrum`."
            )
        if min(self.trap_spectrum) >= 0:
            raise ValueError("`trap_spectrum` must have a negative eigenvalue.")
        if self.random_steps % 1000 or self.sensing_steps % 400:
            raise ValueError(
                "`random_steps` must be a multiple of 1000 and `sensing_steps` of 400."
            )


def quick() -> Settings:
    """Fewer seeds and shorter runs."""
    return Settings(
        steps=20_000,
        matrix_steps=2_000,
        random_depths=(3,),
        random_alphas=(0.1,),
        random_steps=12_000,
        sensing_depths=(1, 2, 3),
        sensing_alphas=(0.0, 0.01, 0.1),
        sensing_steps=10_000,
    )
