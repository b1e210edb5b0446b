"""The cost of a step: how many to run, and how to take the cost of a call out of it."""

import math
import os
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from ._timing import Turns

Make = Callable[[int], Callable[[], Any]]


def seconds_of(fn: Callable[[], Any]) -> float:
    """Of the second call: the first may compile."""
    jax.block_until_ready(fn())
    start = time.perf_counter()
    jax.block_until_ready(fn())
    return time.perf_counter() - start


def fitted(make: Make, budget: float, first: int, most: int) -> int:
    """Steps, a multiple of `first` and at most `most`, that take about `budget` seconds.

    Of something whose call may cost far more than its steps: longer and longer pairs of runs are
    tried until their difference shows what a step costs.
    """
    n = first
    while True:
        gain = seconds_of(make(3 * n)) - seconds_of(make(n))
        if gain >= budget / 4 or n >= most:
            return _multiple(budget * 2 * n / max(gain, 1e-9), first, most)
        n = min(8 * n, most)


def filled(make: Make, budget: float, first: int, most: int) -> int:
    """As `fitted`, of something whose call costs nothing beside its steps."""
    return _multiple(budget * first / seconds_of(make(first)), first, most)


def _multiple(steps: float, first: int, most: int) -> int:
    return first * max(1, min(math.floor(steps / first), most // first))


def torch_threads(make: Callable[[int], Callable[[int], Callable]], steps: int) -> int:
    """One thread or as many as there are cores: what is faster for `make(threads)(steps)`.

    Small tensors gain nothing by threads, and lose much where other work holds the cores.
    """
    best, threads = math.inf, 1
    for count in dict.fromkeys((1, os.cpu_count() or 1)):
        taken = seconds_of(make(count)(steps))
        if taken < 0.9 * best:
            best, threads = taken, count
    return threads


def pair(name: str, make: Make, steps: int) -> tuple[dict[str, Callable], dict[str, int]]:
    """A short and a long run of something whose call costs as much as many steps."""
    lengths = {f"{name} short": steps, f"{name} long": 3 * steps}
    return {key: make(length) for key, length in lengths.items()}, lengths


def step_times(turns: Turns, steps: dict[str, int]) -> dict[str, np.ndarray]:
    """Microseconds of a step at each turn, by name; of pairs from their difference.

    A turn in which other work made the short run the longer one says nothing: NaN.
    """
    found = {}
    for name, seconds in turns.seconds.items():
        if name.endswith(" long"):
            short = name.removesuffix("long") + "short"
            taken = (seconds - turns.seconds[short]) / (steps[name] - steps[short])
            found[name.removesuffix(" long")] = 1e6 * np.where(taken > 0, taken, np.nan)
        elif not name.endswith(" short"):
            found[name] = 1e6 * seconds / steps[name]
    return found


def call_times(turns: Turns, steps: dict[str, int], name: str) -> np.ndarray:
    """Seconds of a call beyond its steps, at each turn, of one pair."""
    short, long = turns.seconds[f"{name} short"], turns.seconds[f"{name} long"]
    few, many = steps[f"{name} short"], steps[f"{name} long"]
    return short - (long - short) * few / (many - few)
