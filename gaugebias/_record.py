"""The record of a run: a folder that takes files, texts replaced whole, versions."""

import os
import platform
import tempfile
from importlib import metadata
from pathlib import Path

_PACKAGES = ("gaugebias", "jax", "jaxlib", "equinox", "diffrax", "numpy", "scipy", "blackjax")


def writable_folder(out: str | Path) -> Path:
    """`out` as a folder that exists and takes files; `ValueError` saying why when it does not."""
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ValueError(
            f"`out`: cannot write into {str(folder)!r} ({reason}): choose another folder."
        ) from None
    return folder


def replace_text(path: Path, text: str) -> None:
    """Write `text` to `path`, all of it or nothing."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8")
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def versions() -> dict[str, str]:
    """Of Python and of the packages that numbers depend on."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
