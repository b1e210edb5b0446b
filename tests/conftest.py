"""Settings shared by every test: float64, no implicit broadcasting, fixed seeds, checked types."""

import atexit
import gc
import itertools
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import matplotlib
import pytest
from hypothesis import HealthCheck, settings
from jaxtyping import install_import_hook

# Most of a test's time is compilation of what then runs for a moment. XLA's older emitters of
# fusions need a fourth of it for each kernel, but round otherwise (they are not what users have):
# `-m slow`, whose tests compare bits at length, and whoever sets the option keep the others. A
# jaxlib that does not know an option would end the process. Workers inherit what is decided here,
# and XLA reads it when the first thing is computed.
_EMITTERS = "xla_cpu_use_fusion_emitters"
_KNOWN = version("jaxlib").startswith("0.10.")
if "PYTEST_XDIST_WORKER" not in os.environ:
    _flags = [os.environ.get("XLA_FLAGS", ""), "--xla_backend_optimization_level=0"]
    if _KNOWN and _EMITTERS not in _flags[0] and not any("slow" in word for word in sys.argv[1:]):
        _flags.append(f"--{_EMITTERS}=false")
    os.environ["XLA_FLAGS"] = " ".join(_flags)

# Before the package is imported anywhere: rooms loaded later are checked too. An int is a float.
install_import_hook(
    "gaugebias", "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"
)

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_rank_promotion", "raise")

# Many tests compile what another one has compiled: one cache for all workers of a run.
if "GAUGEBIAS_TEST_CACHE" not in os.environ:
    folder = tempfile.mkdtemp(prefix="gaugebias-tests-")
    os.environ["GAUGEBIAS_TEST_CACHE"] = folder
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
jax.config.update("jax_compilation_cache_dir", os.environ["GAUGEBIAS_TEST_CACHE"])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
matplotlib.use("Agg")

# Compiled programs make millions of objects that live as long as the run: looking through them
# again and again costs more than it frees.
gc.set_threshold(100_000, 50, 1_000)

settings.register_profile(
    "gaugebias",
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=20,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("gaugebias")


_MOST_MAPS = 30_000


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave `slow` tests out unless they are asked for by marker or by name."""
    if config.getoption("-m") or any("::" in arg for arg in config.args):
        return
    skip = pytest.mark.skip(reason="slow: run with -m slow")
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(scope="module", autouse=True)
def few_maps() -> Iterator[None]:
    """Compiled programs are let go before they use up what a process may map.

    Each takes about fifteen maps of memory, of which Linux allows 65,530; beyond, XLA ends the
    process without a word.
    """
    yield
    maps = Path("/proc/self/maps")
    if maps.exists() and maps.read_bytes().count(b"\n") > _MOST_MAPS:
        jax.clear_caches()
        gc.collect()


@pytest.fixture(scope="session")
def users_emitters() -> dict[str, Any]:
    """Options of `jax.jit` for functions whose bits are to be those that users get."""
    return {_EMITTERS: True} if _KNOWN else {}


@pytest.fixture
def getkey() -> Callable[[], jax.Array]:
    """`getkey()` gives a fresh key; the n-th key of a test is the same in every run."""
    counter = itertools.count()
    root = jax.random.key(20_240_917)
    return lambda: jax.random.fold_in(root, next(counter))
