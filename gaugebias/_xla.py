"""What jaxlib is told on CPUs before it starts: two faults are kept out, small loops are whole.

All of it goes through environment variables that are left alone where they are set already. One
thing is told program by program: `small_products_inline`.
"""

import functools
import os
import re
import sys
import warnings
from importlib.metadata import PackageNotFoundError, version

_OPTION = "xla_cpu_experimental_ynn_fusion_type"
_PRODUCTS = "individual_dot"  # all that the library is left with
_VARIABLE = "XLA_FLAGS"
_SINCE, _UNTIL = (0, 10), (0, 11)  # jaxlib versions known to have the option; others abort on it
_EXTRA = "xla_backend_extra_options"
_SMALL_LOOPS = "xla_cpu_small_while_loop_byte_threshold"
_SMALL = 262_144  # bytes
_ANY = 2**50
_DEVICES = re.compile(r"""--xla_force_host_platform_device_count=["']?(\d+)""")
_OUR_LOOPS = "GAUGEBIAS_SET_XLA_LOOPS"
_THREADS, _OURS = "PJRT_NPROC", "GAUGEBIAS_SET_PJRT_NPROC"
_FEWEST = 4


def avoid_wrong_fusions() -> None:
    """Switch off fusions of XLA on CPUs that compute wrong numbers.

    In jaxlib 0.10, `jit` of a sum over a batch of small matrix-vector products, as the loss
    `sum((B @ d - b)**2)` under `vmap`, is handed to a library that returns wrong values without
    a word from row 16,385 on (3 x 3 matrices in float64, 16,385 to about 49,000 rows). Products by
    themselves are right there, and stay with that library, which keeps loops around them from being
    made whole (`make_small_loops_whole`): XLA's own products in there are 40 times as slow from
    64 x 64 matrices on. The option is set in the environment variable `XLA_FLAGS`, where it is not
    set already, and reaches all that is compiled in this process; other backends are not concerned.

    Warns with `RuntimeWarning` where something has been compiled already.
    """
    if _set_flag(_OPTION, _PRODUCTS) and _has_begun():
        warnings.warn(
            "jax has computed before gaugebias was imported: sums over batches of more than 16,384 "
            f"small matrix products can be wrong on CPUs (a fault of jaxlib {version('jaxlib')}). "
            f"Import gaugebias first, or set `{_VARIABLE}=--{_OPTION}={_PRODUCTS}` in the "
            "environment.",
            RuntimeWarning,
            stacklevel=3,
        )


def make_small_loops_whole() -> None:
    """Have XLA compile loops over up to 256 KiB on CPUs as one function each.

    Otherwise every operation of a turn is handed to a pool of threads and cut into tasks for them,
    which takes longer than the operation: 1,024 chains of two parameters made a step in 7 us on two
    cores and 14 us on two devices of one process for twice as many chains, for 5.6 and 5.7 us so.
    XLA does the same up to 1 KiB. Nothing is said where jax has computed before: it is slower, not
    wrong.

    With a device for each core or more, loops of any size are whole: operations that one device
    hands to the pool take the other's core. Two devices of 512 chains of 800 parameters switched
    threads eleven times a step, which took 1.2 ms, and takes 1.05 ms so (one core alone: 1.05 ms).
    """
    devices = _cpu_devices()
    crowded = devices > 1 and devices >= (_cores() or 1)
    said = f"{_SMALL_LOOPS}={_ANY if crowded else _SMALL}"
    before = os.environ.pop(_OUR_LOOPS, None)
    if before:  # by the process that started this one, for its own devices
        flags = os.environ.get(_VARIABLE, "").split()
        os.environ[_VARIABLE] = " ".join(f for f in flags if f != f"--{_EXTRA}={before}")
    if _set_flag(_EXTRA, said):
        os.environ[_OUR_LOOPS] = said


def small_products_inline() -> dict[str, str]:
    """The option for programs whose products of matrices are small: XLA writes them out by itself.

    Their loops are whole then, with what is said above of sizes.
    """
    return {_OPTION: ""} if _SINCE <= _jaxlib() < _UNTIL else {}


def avoid_waiting_for_ever() -> None:
    """Give jax at least four threads on CPUs with two or three cores.

    A batch of decompositions (`qr`, `svd`, `eigh`, ... under `vmap`) is shared among the threads of
    a pool, and the one that shares it waits for the others. Where a program holds as many batches
    at once as the pool has threads, all of them wait and none works: on two cores, a program with
    `vmap(qr)` of 32 matrices in two places never ends (jaxlib 0.10.2). With four threads twelve
    places came through; a step of a few microseconds costs up to a third more. The environment
    variable `PJRT_NPROC` is set where it and `NPROC` are not, and noted as ours, so that a process
    that inherits it, or is kept to fewer cores afterwards, decides anew.

    Warns with `RuntimeWarning` where jax has its threads already.
    """
    ours = _OURS in os.environ
    if "NPROC" in os.environ or (_THREADS in os.environ and not ours) or _jaxlib() < _SINCE:
        return
    cores = _cores()
    if not 1 < (cores or 1) < _FEWEST:
        if ours:
            os.environ.pop(_THREADS, None)
        return
    os.environ |= {_THREADS: str(_FEWEST), _OURS: "1"}
    if _has_begun() and not ours:
        warnings.warn(
            f"jax has computed before gaugebias was imported, with {cores} threads: programs with "
            "several batches of matrix decompositions can wait for ever (a fault of jaxlib "
            f"{version('jaxlib')}). Import gaugebias first, or set `{_THREADS}={_FEWEST}` in the "
            "environment.",
            RuntimeWarning,
            stacklevel=3,
        )


def _set_flag(option: str, value: str) -> bool:
    """Add an option that jaxlib knows to `XLA_FLAGS`; `False` where it is there or not known."""
    flags = os.environ.get(_VARIABLE, "")
    if option in flags or not _SINCE <= _jaxlib() < _UNTIL:
        return False
    os.environ[_VARIABLE] = f"{flags} --{option}={value}".strip()
    return True


def _cores() -> int | None:
    """How many cores this process may use, where that is known."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _cpu_devices() -> int:
    """How many devices the CPU is to be, as far as it has been said; 1 where it has not.

    jax's own setting comes before the flag, and of several flags XLA takes the last.
    """
    said = os.environ.get("JAX_NUM_CPU_DEVICES", "")
    if "jax" in sys.modules:  # has the variable too, or what was set in Python
        said = str(getattr(sys.modules["jax"].config, "jax_num_cpu_devices", ""))
    if said.strip().isdecimal():
        return int(said)
    flags = _DEVICES.findall(os.environ.get(_VARIABLE, ""))
    return int(flags[-1]) if flags else 1


@functools.cache
def _jaxlib() -> tuple[int, ...]:
    try:
        return tuple(int(n) for n in version("jaxlib").split(".")[:2])
    except (PackageNotFoundError, ValueError):
        return (0, 0)


def _has_begun() -> bool:
    """Whether jax has a backend already, which has read the variable."""
    bridge = sys.modules.get("jax._src.xla_bridge")
    begun = getattr(bridge, "backends_are_initialized", None)
    return bool(begun()) if callable(begun) else False
