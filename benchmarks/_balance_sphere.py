"""A scale-invariant network: what `|theta|^2` does with and without weight decay."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax

import gaugebias as gb
from gaugebias.dynamics import ProjectedLangevin, noise_trace

from ._balance_digits import digits
from ._report import Report

FEATURES, HIDDEN, SAMPLES = 10, 8, 100
DIMENSION = FEATURES * HIDDEN + HIDDEN * 10
ACTION = gb.symmetry.Scale(("w", "u"))
RATE, BATCH, DECAY = 0.1, 2, 0.05
TEMPERATURE, RIDGE, STEP = 0.02, 0.5, 4e-3


def data():
    """Ten principal components of 100 digits."""
    x, y = digits(SAMPLES)
    x = x - x.mean(0, keepdims=True)
    return x @ jnp.linalg.svd(x, full_matrices=False)[2][:FEATURES].T, y


def start(key):
    a, b = jr.split(key)
    p = {"w": jr.normal(a, (FEATURES, HIDDEN)), "u": jr.normal(b, (HIDDEN, 10))}
    size = jnp.sqrt(squared(p))
    return jax.tree.map(lambda x: x / size, p)


def squared(p):
    return jnp.sum(p["w"] ** 2) + jnp.sum(p["u"] ** 2)


def loss(p, sample):
    """Cross-entropy of a network of the direction of the parameters only."""
    x, label = sample
    scale = jnp.sqrt(0.5 * DIMENSION / squared(p))
    hidden = jax.nn.relu(x @ (scale * p["w"]) / FEATURES**0.5)
    return -jax.nn.log_softmax(hidden @ (scale * p["u"]) / HIDDEN**0.5)[label]


def pull(points):
    """`tr Sigma / B + |grad L|^2` at points with leading axes (chains, draws)."""
    some = data()

    def mean_loss(p):
        return jnp.mean(jax.vmap(loss, (None, 0))(p, some))

    def one(p):
        g = jax.grad(mean_loss)(p)
        return noise_trace(loss, p, some), squared(g)

    shape = jax.tree.leaves(points)[0].shape[:2]
    flat = jax.tree.map(lambda x: jnp.asarray(x).reshape(-1, *x.shape[2:]), points)
    out = jax.jit(lambda q: jax.lax.map(one, q))(flat)
    return [np.asarray(x).reshape(shape) for x in out]


def trained(decay, key, chains, steps, every):
    descent = optax.chain(optax.add_decayed_weights(decay), optax.sgd(RATE))
    run = gb.train(
        loss,
        lambda k: start(k),
        data(),
        optimiser=descent,
        batch_size=BATCH,
        key=key,
        chains=chains,
        steps=steps,
        every=every,
    )
    return run, np.asarray(jax.vmap(jax.vmap(squared))(run.values))


def langevin(ridge, key, chains, steps, every):
    some = data()

    def total(p):
        return jnp.mean(jax.vmap(loss, (None, 0))(p, some)) + 0.5 * ridge * squared(p)

    sde = ProjectedLangevin(total, ACTION, TEMPERATURE)
    run = gb.simulate(
        sde,
        lambda k: start(k),
        key=key,
        chains=chains,
        steps=steps,
        dt=STEP,
        every=every,
        observe=squared,
    )
    return run.steps * STEP, run.values


def experiment(figure, *, chains=16, steps=3000, time=5.0):
    """The table, and the figure where `figure` is a path."""
    report = Report(
        f"Scale-invariant network, D = {DIMENSION}, {SAMPLES} digits: |theta|^2 at the end"
    )
    count = round(time / STEP)
    t, with_ridge = langevin(RIDGE, jr.key(1), chains, count, count // 50)
    _, without = langevin(0.0, jr.key(2), chains, count, count // 50)
    goal = TEMPERATURE * (DIMENSION - 1) / RIDGE
    left = np.exp(-2 * RIDGE * t)
    exact = goal + (1.0 - goal) * left
    grown = 1.0 + 2 * TEMPERATURE * (DIMENSION - 1) * t
    # an Euler step of size h relaxes by (1 - lam h)^2: 1/(1 - lam h / 2) in the goal
    stepped = goal / (1 - RIDGE * STEP / 2)
    end = stepped + (1.0 - stepped) * (1 - RIDGE * STEP) ** (2 * count)
    report.add("horizontal Langevin, decay: T (D - 1) / lambda", with_ridge[:, -1], end)
    isotropic = goal * DIMENSION / (DIMENSION - 1)
    report.show("   the same, of the continuous equation", with_ridge[:, -1].mean(), exact[-1])
    report.add(
        "   isotropic noise would give T D / lambda", with_ridge[:, -1], isotropic, right=False
    )
    report.add("horizontal Langevin, no decay: grows by 2T(D - 1)t", without[:, -1], grown[-1])

    run, sizes = trained(DECAY, jr.key(3), chains, steps, steps // 120)
    late = slice(run.steps.size // 2, None)
    trace, force = pull(jax.tree.map(lambda x: x[:, late], run.values))
    seen = sizes[:, late]
    # stationary: E |theta|^2 (2 lam - eta lam^2) = eta E[tr Sigma / B + |grad L|^2], as
    # expectations: means of the differences, not of the ratios
    scale = RATE / (2 * DECAY - RATE * DECAY**2)
    report.part("minibatch, decay", seen, scale * trace / BATCH, scale * force)
    noise = RATE * trace / BATCH / (2 * DECAY)
    report.show("   tau E tr Sigma / (2 lambda), the noise alone", seen.mean(), noise.mean())

    free, grow = trained(0.0, jr.key(5), chains, steps // 4, 1)
    trace, force = (x[:, :-1] for x in pull(free.values))
    noises, finites = (RATE**2 * np.cumsum(x, axis=1) for x in (trace / BATCH, force))
    predicted = noises + finites
    measured = grow[:, 1:] - grow[:, :1]
    report.part("minibatch, no decay: growth", *(x[:, -1:] for x in (measured, noises, finites)))
    report.show("   the noise alone", measured[:, -1].mean(), noises[:, -1].mean())
    if figure is not None:
        _draw(
            figure,
            (t, with_ridge, exact, without, grown),
            (run.steps, sizes, run.steps[late], noise),
            (free.steps, grow, predicted),
        )
    return report


def _draw(path, horizontal, decayed, free):
    import matplotlib.pyplot as plt

    from gaugebias.plot._style import PALETTE, tidy

    fig, axes = plt.subplots(1, 3, figsize=(11, 3.2), layout="constrained")
    t, with_ridge, exact, without, grown = horizontal
    for colour, seen, law, label in (
        (PALETTE[0], with_ridge, exact, "weight decay"),
        (PALETTE[1], without, grown, "none"),
    ):
        axes[0].plot(t, seen.T, color=colour, lw=0.4, alpha=0.5)
        axes[0].plot(t, law, "k:", lw=1.4)
        axes[0].plot([], [], color=colour, label=label)
    axes[0].set(xlabel="time", ylabel="|theta|^2", title="horizontal Langevin (dotted: predicted)")
    steps, sizes, late, noise = decayed
    axes[1].plot(steps, sizes.T, color=PALETTE[0], lw=0.4, alpha=0.5)
    axes[1].plot(late, noise.mean(0), "k:", lw=1.4)
    axes[1].set(xlabel="step", title="minibatch with decay\n(dotted: tau E tr Sigma / 2 lambda)")
    steps, grow, predicted = free
    axes[2].plot(steps, grow.mean(0) ** 2, color=PALETTE[1], label="measured")
    axes[2].plot(steps[1:], (grow[:, :1] + predicted).mean(0) ** 2, "k:", label="predicted")
    axes[2].set(xlabel="step", ylabel="|theta|^4", title="minibatch without decay")
    axes[0].legend(frameon=False, fontsize=8)
    axes[2].legend(frameon=False, fontsize=8)
    for ax in axes:
        tidy(ax)
    fig.savefig(path, dpi=150)
    plt.close(fig)
