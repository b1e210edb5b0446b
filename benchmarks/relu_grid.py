"""A grid of ReLU networks from lazy to rich: kernel distance over the scale and balance of a start.

    python -m benchmarks.relu_grid --quick          # a minute or two on two cores
    python -m benchmarks.relu_grid                  # the published grid: for an accelerator, hours

Students `f = sum_i a_i relu(w_i . x)` learn a teacher of three units by full-batch gradient descent
(settings of the grid in 2406.06158: 50 units, 1000 samples of 100 inputs, 17 scales in
logspace(-1, .3), 17 deltas in linspace(-1, 1), seeds 100 to 115, learning rate 5e-3/scale^2, 1e6
steps). The protocol beside these numbers is ours: inputs N(0, I/d), unit teacher weights, units in
pairs of opposite `a` so that f = 0 at the start, `a^2 - |w|^2 = delta scale^2`,
`a^2 + |w|^2 = scale^2` for each unit (delta in [-.9, .9]: at the ends a layer is 0 and never
learns), loss half of the mean square.

Rows: `a^2 - |w|^2` is conserved but for the finite step; the kernel moves less from larger scales;
at the middle scale, networks whose first layer is the larger (delta < 0) move it more than those
whose last layer is. The distance is `1 - <K_0, K_t>/(|K_0| |K_t|)`; the publication's notebook
takes the norm of K_t with the *first* `a`, shown as a rival: it leaves [0, 1].
"""

import argparse
import sys
import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from gaugebias.flows import kernel_distance

from ._bias_rows import Rows


class Settings(NamedTuple):
    """Of one grid."""

    units: int
    samples: int
    inputs: int
    scales: int
    deltas: int
    seeds: int
    steps: int


PUBLISHED = Settings(50, 1000, 100, 17, 17, 16, 1_000_000)
QUICK = Settings(20, 60, 10, 3, 3, 2, 40_000)
TEACHER, RATE, FIRST_SEED, EDGE = 3, 5e-3, 100, 0.9


def predict(weights, x):
    a, w = weights
    return a @ jax.nn.relu(w @ x.T)


def kernel(weights, x, last=None):
    """The tangent kernel on the samples `x`; `last`, other output weights."""
    a, w = weights
    a = a if last is None else last
    z = w @ x.T
    on = (z > 0).astype(z.dtype)
    hidden = jax.nn.relu(z)
    return hidden.T @ hidden + (x @ x.T) * ((a[:, None] ** 2 * on).T @ on)


def problem(seed, settings):
    """Inputs and the teacher's outputs, and unit directions of the student."""
    k1, k2, k3 = jr.split(jr.key(seed), 3)
    x = jr.normal(k1, (settings.samples, settings.inputs)) / settings.inputs**0.5
    w = jr.normal(k2, (TEACHER, settings.inputs))
    w = w / jnp.linalg.norm(w, axis=1, keepdims=True)
    signs = jnp.where(jnp.arange(TEACHER) % 2 == 0, 1.0, -1.0)
    half = jr.normal(k3, (settings.units // 2, settings.inputs))
    half = half / jnp.linalg.norm(half, axis=1, keepdims=True)
    return x, predict((signs, w), x), jnp.concatenate([half, half])


def run(seed, scale, delta, settings):
    """One network: kernel distance, the notebook's, drift of the imbalance, losses."""
    x, y, directions = problem(seed, settings)
    signs = jnp.where(jnp.arange(2 * (settings.units // 2)) < settings.units // 2, 1.0, -1.0)
    start = (
        signs * scale * jnp.sqrt(0.5 * (1.0 + delta)),
        directions * scale * jnp.sqrt(0.5 * (1.0 - delta)),
    )

    def loss(weights):
        return 0.5 * jnp.mean((predict(weights, x) - y) ** 2)

    rate = RATE / scale**2

    def step(weights, _):
        return jax.tree.map(lambda p, g: p - rate * g, weights, jax.grad(loss)(weights)), None

    end, _ = jax.lax.scan(step, start, None, length=settings.steps)
    first, last = kernel(start, x), kernel(end, x)
    wrong = kernel(end, x, start[0])
    notebook = 1.0 - jnp.sum(first * last) / jnp.linalg.norm(first) / jnp.linalg.norm(wrong)
    gap = [a**2 - jnp.sum(w**2, axis=1) for a, w in (start, end)]
    size = jnp.max(end[0] ** 2 + jnp.sum(end[1] ** 2, axis=1))
    drift = jnp.max(jnp.abs(gap[1] - gap[0])) / size
    return kernel_distance(first, last), notebook, drift, loss(start), loss(end)


def grid(settings):
    """`(scales, deltas, results)`: each result of shape `(scales, deltas, seeds)`."""
    scales = np.logspace(-1.0, 0.3, settings.scales)
    deltas = EDGE * np.linspace(-1.0, 1.0, settings.deltas)
    seeds = FIRST_SEED + np.arange(settings.seeds)
    row = jax.jit(
        jax.vmap(
            jax.vmap(lambda k, s, d: run(k, s, d, settings), in_axes=(0, None, None)),
            in_axes=(None, None, 0),
        )
    )
    found = [row(jnp.asarray(seeds), jnp.asarray(s), jnp.asarray(deltas)) for s in scales]
    return scales, deltas, [np.stack(v) for v in zip(*found, strict=True)]


def report(settings) -> Rows:
    scales, deltas, (distance, notebook, drift, before, after) = grid(settings)
    moved, wrong = distance.mean(axis=2), notebook.mean(axis=2)
    print(f"kernel distance, mean of {settings.seeds} seeds (the notebook's)")
    print(
        f"{'scale':>8}" + "".join(f"{f'delta {d:.2g}':>20}" for d in deltas) + f"{'loss left':>12}"
    )
    for s, own, other, left in zip(
        scales, moved, wrong, (after / before).max(axis=(1, 2)), strict=True
    ):
        cells = "".join(f"{f'{a:.4f} ({b:.4f})':>20}" for a, b in zip(own, other, strict=True))
        print(f"{s:8.3g}{cells}{left:12.1e}")
    rows = Rows()
    rows.below("largest change of a^2 - |w|^2, over the largest unit", 0.05, drift.max())
    rows.below("loss at the end over that of f = 0, worst", 0.1, (after / before).max())
    fall = np.diff(moved, axis=0).max()
    fall = np.diff(moved, axis=0).max()
    rows.below("largest rise of the kernel distance with the scale", 0.0, fall)
    ratio = (moved[0] / moved[-1]).min()
    rows.above("distance at the least scale over that at the largest, least", 10.0, ratio)
    middle = len(scales) // 2
    lead = moved[middle, 0] / moved[middle, -1]
    rows.above("first layer larger over last layer larger, middle scale", 1.2, lead)
    rows.above("least distance", -1e-12, distance.min())
    rows.below("the notebook's formula: its least value", 0.0, notebook.min())
    return rows


def main(argv=None):
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a small grid of small networks")
    for name in ("seeds", "steps", "scales", "deltas"):
        parser.add_argument(f"--{name}", type=int, help=f"number of {name}")
    options = parser.parse_args(argv)
    jax.config.update("jax_enable_x64", True)
    settings = QUICK if options.quick else PUBLISHED
    given = {name: getattr(options, name) for name in ("seeds", "steps", "scales", "deltas")}
    given = {name: value for name, value in given.items() if value is not None}
    if any(value < (2 if name in ("scales", "deltas") else 1) for name, value in given.items()):
        parser.error("`--seeds` and `--steps` must be at least 1, `--scales` and `--deltas` 2")
    begin = time.perf_counter()
    rows = report(settings._replace(**given))
    print(rows.text(f"\nReLU grid ({time.perf_counter() - begin:.0f} s): expected, measured"))
    print("\nall as expected" if rows.ok else "\nNOT all as expected")
    return 0 if rows.ok else 1


if __name__ == "__main__":
    sys.exit(main())
