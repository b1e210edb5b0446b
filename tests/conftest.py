"""Settings shared by every test: float64, no implicit broadcasting, fixed seeds, checked types."""

import atexit
import gc
import itertools
import os
import shutil
import tempfile
from collections.abc import Callable
from importlib.metadata import version

# Most of a test's time is compilation of what then runs for a moment. XLA's older emitters of
# fusions take a quarter less of it; an option that a jaxlib does not know would end the process.
_FLAGS = ["--xla_backend_optimization_level=0"]
if version("jaxlib").startswith("0.10."):
    _FLAGS.append("--xla_cpu_use_fusion_emitters=false")
os.environ["XLA_FLAGS"] = " ".join([os.environ.get("XLA_FLAGS", ""), *_FLAGS])

import jax
import matplotlib
import pytest
from hypothesis import HealthCheck, settings
from jaxtyping import install_import_hook

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


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave `slow` tests out unless they are asked for by marker or by name."""
    if config.getoption("-m") or any("::" in arg for arg in config.args):
        return
    skip = pytest.mark.skip(reason="slow: run with -m slow")
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(skip)


@pytest.fixture
def getkey() -> Callable[[], jax.Array]:
    """`getkey()` gives a fresh key; the n-th key of a test is the same in every run."""
    counter = itertools.count()
    root = jax.random.key(20_240_917)
    return lambda: jax.random.fold_in(root, next(counter))
