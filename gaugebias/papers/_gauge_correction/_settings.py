"""What is run: the settings of every experiment."""

import dataclasses

from ._attention import AttentionSettings
from ._completion import CompletionSettings
from ._hyperbola import HyperbolaSettings
from ._relu import ReLUSettings
from ._signal import SignalSettings
from ._spectrum import SpectrumSettings
from ._stationary import StationarySettings


@dataclasses.dataclass(frozen=True)
class Settings:
    """Defaults are the published values, and ours where those are not known."""

    relu: ReLUSettings = ReLUSettings()
    attention: AttentionSettings = AttentionSettings()
    completion: CompletionSettings = CompletionSettings()
    hyperbola: HyperbolaSettings = HyperbolaSettings()
    spectrum: SpectrumSettings = SpectrumSettings()
    signal: SignalSettings = SignalSettings()
    stationary: StationarySettings = StationarySettings()


def quick() -> Settings:
    """Fewer seeds, and larger steps over the same training time; few chains run longer."""
    return Settings(
        relu=ReLUSettings(
            seeds=24,
            learning_rate=2e-4,
            steps=10_000,
            control_seeds=24,
            control_batch_size=64,
        ),
        attention=AttentionSettings(
            seeds=16,
            learning_rate=4e-3,
            steps=12_500,
            control_seeds=8,
            control_batch_size=32,
        ),
        completion=CompletionSettings(seeds=16, learning_rate=0.05, steps=10_000),
        hyperbola=HyperbolaSettings(seeds=16),
        spectrum=SpectrumSettings(temperatures=(1e-3,), noise_steps=10_000),
        signal=SignalSettings(
            learning_rate=5e-3, steps=60_000, temperatures=(1e-3,), noise_steps=3_000
        ),
        stationary=StationarySettings(chains=512, steps=4_000),
    )
