"""Runs publications one after another and keeps what is known on disk at every step."""

import dataclasses
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .._files import replace_text, writable_folder
from .._versions import versions
from ..plot import save_curve_page
from ._claim import Claim
from ._options import with_options
from ._publication import Publication, load


@dataclasses.dataclass(frozen=True)
class Reproduced:
    """What became of one publication; `record` is what `claims.json` holds."""

    publication: Publication
    settings: Any
    claims: tuple[Claim, ...]
    controls: tuple[Claim, ...]
    seconds: float
    figure: Path | None
    record: Mapping[str, Any]

    @property
    def rows(self) -> tuple[Claim, ...]:
        """Claims, then controls."""
        return self.claims + self.controls


def reproduce(
    publication: Publication,
    *,
    out: str | Path,
    seed: int = 0,
    quick: bool = False,
    options: Sequence[str] = (),
    progress: Callable[[str, float], None] = lambda text, fraction: None,
) -> Reproduced:
    """Run one publication; write `claims.json` and `figure.png` into the folder `out`/name.

    The claims are written before the figure is drawn. Files are replaced whole. `options` are
    settings to change, `"NAME=VALUE"` each, see [`gaugebias.papers.with_options`][].

    **Raises:** `ValueError` where `out` cannot be written or an option is wrong, before any work.
    """
    import jax

    module = load(publication.name)
    settings = with_options(module.quick() if quick else module.Settings(), options)
    folder = writable_folder(Path(out) / publication.name)
    began = time.perf_counter()
    result = module.run(settings, jax.random.key(seed), progress)
    claims, controls = tuple(module.claims(result)), tuple(module.controls(result))
    seconds = time.perf_counter() - began
    record = {
        "publication": dataclasses.asdict(publication),
        "seed": seed,
        "quick": quick,
        "settings": dataclasses.asdict(settings),
        "seconds": round(seconds, 1),
        "versions": versions(),
        "claims": [dataclasses.asdict(each) for each in claims],
        "controls": [dataclasses.asdict(each) for each in controls],
    }
    done = Reproduced(publication, settings, claims, controls, seconds, None, record)
    replace_text(folder / "claims.json", json.dumps(record, indent=2, allow_nan=False) + "\n")
    panels = module.figures(result)
    if not panels:
        return done
    figure = save_curve_page(panels, folder / "figure.png")
    return dataclasses.replace(done, figure=figure)


def exit_code(rows: Sequence[Claim]) -> int:
    """0 all verdicts as expected, 3 where the others are undecided only, else 1."""
    wrong = [each.verdict for each in rows if not each.as_expected]
    if not wrong:
        return 0
    return 3 if set(wrong) == {"undecided"} else 1
