"""Figures written whole or not at all."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def save_whole(figure: "Figure", path: str | Path, dpi: int) -> Path:
    """Write `figure` as PNG to `path`; what is there is replaced once the new one is complete."""
    path = Path(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        figure.savefig(part, format="png", dpi=dpi)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return path
