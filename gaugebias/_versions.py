"""The versions that the numbers of a run depend on."""

import platform
from importlib import metadata

_PACKAGES = ("gaugebias", "jax", "jaxlib", "equinox", "diffrax", "numpy", "scipy", "blackjax")


def versions() -> dict[str, str]:
    """Of Python and of the packages, by name."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
