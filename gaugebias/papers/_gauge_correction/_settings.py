"""What is run: the settings of every experiment."""

import dataclasses

from ._hyperbola import HyperbolaSettings


@dataclasses.dataclass(frozen=True)
class Settings:
    """Defaults are the published values, and ours where those are not known."""

    hyperbola: HyperbolaSettings = HyperbolaSettings()


def quick() -> Settings:
    """Fewer seeds and shorter runs."""
    return Settings(
        hyperbola=HyperbolaSettings(seeds=16),
    )
