"""`MinibatchSDE` against hand-written jitted loops with the same per-sample gradients.

    python -m benchmarks.minibatch_sde

All programs are run in turn in one process, for a short time and for one three times as long. The
cost of a step is the difference, the cost of a call (checks on the host, dispatch) is what is left;
ratios are of whole long calls, medians over the turns of the ratios within a turn. Memory is what
the compiler reserves for temporaries of one chain's program.

- one pass: a `lax.scan` of gradient descent on the loss with random weights of the samples, one
  backward pass a step: the same gradients, combined in the cheapest way we know. The target is a
  time of at most 1.3 of this one.
- all gradients: the same with the `n x D` matrix of per-sample gradients, as one writes it first
  (timed where it is small).
- `gb.train` against a `lax.scan` of plain minibatch gradient descent with the same batches.
"""

import argparse
import sys
import time
from functools import partial

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from jax.flatten_util import ravel_pytree

import gaugebias as gb
from gaugebias.dynamics import integrate

RATE, BATCH, LIMIT = 0.05, 32, 1.3


def digits(n):
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    return jnp.asarray(images[:n] / 16.0, jnp.float32), jnp.asarray(labels[:n])


def network(key, sizes):
    keys = jr.split(key, len(sizes))
    return [
        (jr.normal(k, (a, b), jnp.float32) * (2.0 / a) ** 0.5, jnp.zeros(b, jnp.float32))
        for k, a, b in zip(keys, sizes, sizes[1:], strict=False)
    ]


def cross_entropy(params, sample):
    x, label = sample
    *hidden, (weights, bias) = params
    for w, b in hidden:
        x = jax.nn.relu(x @ w + b)
    return -jax.nn.log_softmax(x @ weights + bias)[label]


def product(params, sample):
    x, y = sample
    return 0.5 * (params["u"] * params["v"] * x - y) ** 2


def one_pass(loss, data, params, keys, steps):
    """Hand-written: per step and chain one backward pass with random weights."""
    n = jax.tree.leaves(data)[0].shape[0]

    def step(p, key):
        z = jr.normal(key, (n,), jnp.float32)
        weights = RATE / n - RATE * (z - z.mean()) / (BATCH * n) ** 0.5
        g = jax.grad(lambda p: weights @ jax.vmap(loss, (None, 0))(p, data))(p)
        return jax.tree.map(jnp.subtract, p, g)

    return _loop(step, params, keys, steps)


def all_gradients(loss, data, params, keys, steps):
    """Hand-written: the matrix of per-sample gradients, drift and noise from it."""
    n = jax.tree.leaves(data)[0].shape[0]
    flat, unravel = ravel_pytree(params)

    def step(x, key):
        def one(s):
            return ravel_pytree(jax.grad(loss)(unravel(x), s))[0]

        g = jax.vmap(one)(data)
        mean = g.mean(0)
        z = jr.normal(key, (n,), jnp.float32)
        return x - RATE * mean + RATE * (z @ (g - mean[None])) / (BATCH * n) ** 0.5

    return _loop(step, flat, keys, steps)


def plain(loss, data, params, keys, steps):
    """Hand-written minibatch gradient descent."""
    n = jax.tree.leaves(data)[0].shape[0]

    def step(p, key):
        rows = jr.randint(key, (BATCH,), 0, n)
        batch = jax.tree.map(lambda x: x[rows], data)
        g = jax.grad(lambda p: jax.vmap(loss, (None, 0))(p, batch).mean())(p)
        return jax.tree.map(lambda a, b: a - RATE * b, p, g)

    return _loop(step, params, keys, steps)


def _loop(step, start, keys, steps):
    chains = keys.shape[0]
    many = jax.tree.map(lambda x: jnp.broadcast_to(x[None], (chains, *x.shape)), start)

    def body(states, i):
        now = jax.vmap(lambda k: jr.fold_in(k, i))(keys)
        return jax.vmap(step)(states, now), None

    return jax.lax.scan(body, many, jnp.arange(steps))[0]


def interleaved(programs, turns):
    """Seconds of each program in each turn, all run one after the other."""
    for run in programs.values():
        jax.block_until_ready(run())
    seen = {name: [] for name in programs}
    for _ in range(turns):
        for name, run in programs.items():
            start = time.perf_counter()
            jax.block_until_ready(run())
            seen[name].append(time.perf_counter() - start)
    return {name: np.array(times) for name, times in seen.items()}


def ratio(one, two):
    """The median over turns of the ratio within a turn."""
    return float(np.median(one / two))


def measure(loss, data, params, chains, steps, turns, chunk):
    """Seconds of all programs at both lengths, and temporaries of one chain's program in bytes."""
    key = jr.key(0)
    keys = jax.vmap(lambda i: jr.fold_in(key, i))(jnp.arange(chains))
    dimension = ravel_pytree(params)[0].size
    sde = gb.dynamics.MinibatchSDE(loss, data, RATE, BATCH)
    chunked = gb.dynamics.MinibatchSDE(loss, data, RATE, BATCH, chunk=chunk)

    def simulated(process):
        def run(n):
            return gb.simulate(process, params, key=key, chains=chains, steps=n, dt=RATE).final

        return run

    def hand(program):
        compiled = jax.jit(program, static_argnums=(0, 4))
        return lambda n: compiled(loss, data, params, keys, n)

    descent = optax.sgd(RATE)

    def trained(n):
        return gb.train(
            loss,
            params,
            data,
            optimiser=descent,
            batch_size=BATCH,
            key=key,
            chains=chains,
            steps=n,
        ).final

    programs = {
        "one pass": hand(one_pass),
        "MinibatchSDE": simulated(sde),
        f"MinibatchSDE, chunk={chunk}": simulated(chunked),
        "gb.train": trained,
        "plain SGD": hand(plain),
    }
    if dimension < 1000:  # above, one turn of it takes minutes
        programs["all gradients"] = hand(all_gradients)
    times = interleaved(
        {
            (name, n): partial(program, n)
            for n in (steps, 3 * steps)
            for name, program in programs.items()
        },
        turns,
    )

    def temporaries(fn, *args):
        compiled = jax.jit(fn).lower(*args).compile()
        analysis = compiled.memory_analysis()
        return float("nan") if analysis is None else analysis.temp_size_in_bytes

    def one(process):
        return temporaries(lambda p: integrate(process, p, key=key, steps=4, dt=RATE), params)

    def by_hand(program):
        return temporaries(lambda p: program(loss, data, p, keys[:1], 4), params)

    memory = {
        "MinibatchSDE": one(sde),
        f"MinibatchSDE, chunk={chunk}": one(chunked),
        "one pass": by_hand(one_pass),
        "all gradients": by_hand(all_gradients),
    }
    return times, memory


def main(argv=None):
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--turns", type=int, default=9)
    turns = parser.parse_args(argv).turns
    if turns < 1:
        parser.error("--turns must be at least 1")
    x = jr.normal(jr.key(1), (64,), jnp.float32)
    small = {"u": jnp.float32(1.0), "v": jnp.float32(0.5)}
    images = digits(512)
    problems = {
        "u v x, n = 64, D = 2, 256 chains": (product, (x, 2.0 * x), small, 256, 800, 16),
        "digits 64-32-10, n = 512, D = 2410, 4 chains": (
            cross_entropy,
            images,
            network(jr.key(2), (64, 32, 10)),
            4,
            200,
            64,
        ),
        "digits 64-128-128-10, n = 512, D = 26122, 2 chains": (
            cross_entropy,
            images,
            network(jr.key(3), (64, 128, 128, 10)),
            2,
            100,
            64,
        ),
    }
    worst = 0.0
    for name, (loss, data, params, chains, steps, chunk) in problems.items():
        times, memory = measure(loss, data, params, chains, steps, turns, chunk)
        print(f"\n{name}, calls of {3 * steps} steps")
        print(f"{'':30}{'us/chain-step':>14}{'ms/call':>9}{'/ one pass':>12}{'temp MB':>10}")
        whole = {program: t for (program, n), t in times.items() if n == 3 * steps}
        for program, long in whole.items():
            short, used = times[program, steps], ""
            if program in memory:
                used = f"{memory[program] / 1e6:10.3f}"
            each = np.median(long - short) / (2 * steps)
            call = max(np.median(1.5 * short - 0.5 * long), 0.0)
            print(
                f"{program:30}{each / chains * 1e6:14.2f}{call * 1e3:9.1f}"
                f"{ratio(long, whole['one pass']):12.2f}{used}"
            )
        for program in memory.keys() - whole.keys():
            print(f"{program:30}{'':35}{memory[program] / 1e6:10.3f}")
        print(f"gb.train / plain SGD: {ratio(whole['gb.train'], whole['plain SGD']):.2f}")
        worst = max(worst, ratio(whole["MinibatchSDE"], whole["one pass"]))
    verdict = "met" if worst <= LIMIT else "missed"
    print(f"\nlargest time of MinibatchSDE over one pass: {worst:.2f} (at most {LIMIT}: {verdict})")
    return 0 if worst <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
