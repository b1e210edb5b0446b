"""`gaugebias doctor`: what there is to compute with, and whether it computes rightly."""

import dataclasses
import importlib.metadata
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from ._options import parse

_DESCRIPTION = """Print devices, versions and settings of precision, and check in about ten \
seconds that this installation computes rightly: the bits of the random numbers, a law against a \
short simulation, a store written and read.

Examples:
  gaugebias doctor
  gaugebias doctor --json

Exit codes: 0 all checks pass, 1 one fails, 2 bad input, 130 interrupted."""

_Flag = Annotated[tyro.conf.FlagCreatePairsOff[bool], tyro.conf.arg(help_behavior_hint="")]
_NEEDED = (
    *("jax", "jaxlib", "equinox", "diffrax", "lineax", "optimistix", "optax", "numpy", "scipy"),
    *("blackjax", "scikit-learn", "xarray", "zarr", "matplotlib"),
)
_OPTIONAL = ("matfree", "flax", "torch", "jupytext")


@dataclasses.dataclass(frozen=True)
class Options:
    json: _Flag = False
    """Print one JSON object instead of text."""


def run(argv: Sequence[str]) -> int:
    """Parse `argv`, look, check, print, and return the exit code."""
    options = parse(Options, argv, prog="gaugebias doctor", description=_DESCRIPTION)
    about = _about()
    if not options.json:
        for name, value in about.items():
            table = isinstance(value, dict)
            text = ", ".join(f"{k} {v}" for k, v in value.items()) if table else value
            print(f"{name:<11} {text}", flush=True)
    results = []
    for name, check in _CHECKS.items():
        begin = time.perf_counter()
        try:
            said, passed = check()
        except Exception as error:
            said, passed = " ".join(f"{type(error).__name__}: {error}".split()), False
        seconds = time.perf_counter() - begin
        results.append({"check": name, "passed": passed, "said": said, "seconds": seconds})
        if not options.json:
            word = "ok" if passed else "FAILED"
            print(f"{word:<11} {name}: {said} ({seconds:.1f} s)", flush=True)
    if options.json:
        print(json.dumps({**about, "checks": results}, indent=1))
    return 0 if all(r["passed"] for r in results) else 1


def _about() -> dict[str, Any]:
    import jax

    from .. import __version__
    from ..dynamics._runs._memory import host_memory

    devices = jax.devices()
    kinds = sorted({device.device_kind for device in devices})
    free = host_memory()
    return {
        "gaugebias": f"{__version__}, python {platform.python_version()}, {platform.system()}",
        "devices": f"{len(devices)} {devices[0].platform} ({', '.join(kinds)}), "
        f"{os.cpu_count()} cores" + ("" if free is None else f", {free / 2**30:.1f} GiB free"),
        "precision": "float64"
        if jax.config.read("jax_enable_x64")
        else 'float32, as jax begins; float64 by jax.config.update("jax_enable_x64", True)',
        "generator": os.environ.get("GAUGEBIAS_GENERATOR", "auto")
        + " (GAUGEBIAS_GENERATOR: auto, stock or unrolled)",
        "versions": {name: _version(name) for name in _NEEDED},
        "optional": {name: _version(name) for name in _OPTIONAL},
    }


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


def _bits() -> tuple[str, bool]:
    """The generator that runs draws the bits of jax's own."""
    import jax
    import jax.random as jr
    import numpy as np

    from ..dynamics._runs._threefry import fastest, unrolled

    key = jr.key(0)
    same = all(
        np.array_equal(jax.jit(lambda k: jr.bits(k, (257,)))(make(key)), jr.bits(key, (257,)))
        for make in (fastest, unrolled)
    )
    return ("random bits are jax's own" if same else "random bits differ from jax's own"), same


def _sums() -> tuple[str, bool]:
    """Sums over many small matrix products, which a fusion of XLA gets wrong where it is on."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    rng = np.random.default_rng(0)
    matrix, rows = rng.normal(size=(3, 3)), rng.normal(size=(20_000, 3))
    with jax.enable_x64(True):
        found = jax.jit(jax.vmap(lambda d: jnp.sum(jnp.asarray(matrix) @ d)))(jnp.asarray(rows))
        wrong = int(np.sum(np.abs(np.asarray(found) - (rows @ matrix.T).sum(-1)) > 1e-9))
    if not wrong:
        return "sums over 20,000 small matrix products are right", True
    cure = "import gaugebias before jax computes, or see docs/numerics.md"
    return f"sums over small matrix products are wrong in {wrong} of 20,000 rows: {cure}", False


def _law() -> tuple[str, bool]:
    """A short simulation of w = u v against the horizontal law, at a false-alarm rate of 1e-6."""
    import jax
    import jax.numpy as jnp
    import jax.random as jr

    import gaugebias as gb

    before = jax.config.read("jax_enable_x64")
    jax.config.update("jax_enable_x64", True)
    try:
        action = gb.symmetry.Rescaling("u", "v", axes=(None, None))

        def phi(p):
            return p["u"] * p["v"]

        def potential(w):
            return 0.5 * (w - 1.0) ** 2

        def lift(w):
            return {"u": jnp.sqrt(w), "v": jnp.sqrt(w)}

        start = lift(jnp.asarray(1.0))
        domain = gb.quotient.Domain.line(lower=0.0)
        q = gb.Quotient(phi, action, at=start, lift=lift, domain=domain)
        law = gb.laws.horizontal(q, potential, 0.1)
        sde = gb.dynamics.ProjectedLangevin(lambda p: potential(phi(p)), action, 0.1)
        run = {"chains": 512, "steps": 1000, "dt": 5e-3, "observe": phi, "regauge": q}
        ens = gb.simulate(sde, start, key=jr.key(0), **run)
        verdict = gb.compare(ens, [law], key=jr.key(1))
        p = float(verdict.rows[0].p_value)
    finally:
        jax.config.update("jax_enable_x64", before)
    return f"w = u v follows its horizontal law (p = {p:.2g}, fails below 1e-6)", p > 1e-6


def _store() -> tuple[str, bool]:
    """A sweep of four cells, written, read, and not written again."""
    import jax.random as jr

    from .. import sweep

    @dataclasses.dataclass(frozen=True)
    class Settings:
        x: float = 0.0

    def square(settings, key):
        return {"y": settings.x**2}

    with tempfile.TemporaryDirectory() as folder:
        path, written = Path(folder) / "doctor.zarr", []
        for _ in range(2):
            found = sweep.run(
                square,
                Settings(),
                {"x": [0.0, 1.0, 2.0, 3.0]},
                path=path,
                key=jr.key(0),
                progress=False,
            )
            values = sorted(f for f in (path / "y").rglob("*") if f.is_file())
            written.append([(f.name, f.stat().st_mtime_ns) for f in values])
    right = found.y.values.ravel().tolist() == [0.0, 1.0, 4.0, 9.0]
    right = right and written[0] == written[1] != []
    return "a store was written, read, and not written again", right


_CHECKS: dict[str, Callable[[], tuple[str, bool]]] = {
    "generator": _bits,
    "sums": _sums,
    "law": _law,
    "store": _store,
}
