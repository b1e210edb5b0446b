"""A ReLU network on digits: what moves `|u|^2 - |w|^2` of a hidden unit, noise and finite step."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax

import gaugebias as gb
from gaugebias.dynamics import MinibatchSDE, balance_rates

from ._report import Report

RATE, BATCH, HIDDEN = 0.1, 8, 16
ACTION = gb.symmetry.Rescaling(("w", "b"), "u", axes=((1, 0), 0))


def digits(n=None):
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    return jnp.asarray(images[:n] / 16.0), jnp.asarray(labels[:n])


def start(key):
    a, b = jr.split(key)
    return {
        "w": jr.normal(a, (64, HIDDEN)) * (2.0 / 64) ** 0.5,
        "b": jnp.zeros(HIDDEN),
        "u": jr.normal(b, (HIDDEN, 10)) * (2.0 / HIDDEN) ** 0.5,
        "c": jnp.zeros(10),
    }


def loss(p, sample):
    x, label = sample
    return -jax.nn.log_softmax(jax.nn.relu(x @ p["w"] + p["b"]) @ p["u"] + p["c"])[label]


def imbalance(p):
    """`|w_j|^2 + b_j^2 - |u_j|^2` of each hidden unit."""
    into, out = ACTION.squared_norms(p)
    return into - out


def rates(data, params):
    sde = MinibatchSDE(loss, data, RATE, BATCH)
    found = balance_rates(sde, ACTION, params)
    return found.noise, found.finite_step


def one_step(data, params, key, chains, noise="minibatch"):
    """`Delta C / eta` of many independent single steps from one point, shape `(chains, units)`."""
    run = gb.train(
        loss,
        params,
        data,
        optimiser=optax.sgd(RATE),
        batch_size=BATCH,
        key=key,
        chains=chains,
        steps=1,
        observe=imbalance,
        noise=noise,
    )
    return (run.values[:, 0] - np.asarray(imbalance(params))) / RATE


def paths(data, params, key, chains, steps, noise):
    """`Delta C / eta` of every step of runs, and what noise and finite step predict for it.

    All of shape `(chains, steps, units)`. Given the past the prediction is the mean of the
    measurement exactly, so that their differences are uncorrelated.
    """
    run = gb.train(
        loss,
        params,
        data,
        optimiser=optax.sgd(RATE),
        batch_size=BATCH,
        key=key,
        chains=chains,
        steps=steps,
        every=1,
        noise=noise,
    )
    points = {
        name: jnp.concatenate([jnp.broadcast_to(x, (chains, 1, *x.shape)), run.values[name]], 1)
        for name, x in params.items()
    }

    @jax.jit
    def predict(p):
        return jax.lax.map(lambda q: (imbalance(q), *rates(data, q)), p)

    found = [predict(jax.tree.map(lambda x, c=c: x[c], points)) for c in range(chains)]
    c, by_noise, by_step = (np.stack([np.asarray(x[k]) for x in found]) for k in range(3))
    if noise == "full":
        by_noise = 0 * by_noise
    return np.diff(c, axis=1) / RATE, by_noise[:, :-1], by_step[:, :-1]


def experiment(figure, *, chains=1024, long_chains=2, steps=300):
    """The table, and the figure where `figure` is a path."""
    data = digits()
    begin = start(jr.key(0))
    run = gb.train(
        loss,
        begin,
        data,
        optimiser=optax.sgd(RATE),
        batch_size=BATCH,
        key=jr.key(1),
        chains=1,
        steps=1000,
        every=100,
    )
    points = {0: begin} | {
        int(run.steps[d]): jax.tree.map(lambda x, d=d: jnp.asarray(x[0, d]), run.values)
        for d in (0, 9)
    }
    report = Report(
        f"Digits, 64-{HIDDEN}-10 ReLU, batch {BATCH}, learning rate {RATE}: "
        "sum over units of |d(|w_j|^2 + b_j^2 - |u_j|^2)/dt|"
    )
    clouds = {}
    for at, params in points.items():
        noise, finite = (np.asarray(x) for x in rates(data, params))
        signs = np.sign(noise + finite)
        seen = one_step(data, params, jr.key(at + 2), chains)
        full = one_step(data, params, jr.key(0), 1, "full")[0]
        error = seen.std(0, ddof=1) / np.sqrt(chains)
        alive = error > 0  # a dead unit does not move at all
        off = np.abs(seen.mean(0) - noise - finite)[alive] / error[alive]
        clouds[at] = (noise + finite, seen.mean(0), error)
        report.add(f"step {at}: noise + finite step", seen @ signs, (noise + finite) @ signs)
        report.add(f"step {at}: finite step alone", seen @ signs, finite @ signs, right=False)
        if finite @ signs > 6 * (seen @ signs).std() / np.sqrt(chains):
            report.add(f"step {at}: noise alone", seen @ signs, noise @ signs, right=False)
        report.note(f"step {at}: full batch, finite step", full @ signs, finite @ signs, 1e-6)
        # Bonferroni: 16 units and three times at 1.6e-6 each, 8e-5 in all
        report.note(
            f"step {at}: live units within 4.8 s.e.", float(np.sum(off < 4.8)), alive.sum(), 0.0
        )
    long = {
        noise: paths(data, begin, jr.key(9), c, steps, noise)
        for noise, c in (("minibatch", long_chains), ("full", 1))
    }
    measured, by_noise, by_step = long["minibatch"]
    signs = np.sign(by_noise + by_step)  # known before the step, as the predictions are

    def along(x):
        return np.sum(signs * x, axis=-1).ravel()

    for what, predicted, right in (
        ("noise + finite step", by_noise + by_step, True),
        ("finite step alone", by_step, False),
        ("noise alone", by_noise, False),
    ):
        mean = along(predicted).mean()
        sample = along(measured - predicted) + mean
        report.add(f"{steps} steps on end: {what}", sample, mean, right=right)
    full, _, by_step = (RATE * np.abs(x.sum((0, 1))).sum() for x in long["full"])
    report.note(
        f"{steps} steps of the full batch, sums of |Delta C|: finite step", full, by_step, 1e-6
    )
    if figure is not None:
        _draw(figure, long, clouds)
    return report


def _draw(path, long, clouds):
    import matplotlib.pyplot as plt

    from gaugebias.plot._style import PALETTE, tidy

    fig, axes = plt.subplots(2, 2, figsize=(8.5, 6), layout="constrained")
    axes = axes.ravel()
    measured, by_noise, by_step = (RATE * x.mean(0).cumsum(0) for x in long["minibatch"])
    full, _, full_step = (RATE * x.mean(0).cumsum(0) for x in long["full"])
    times = 1 + np.arange(measured.shape[0])
    order = np.argsort((by_noise + by_step)[-1])
    for colour, j in zip(PALETTE, order[[0, 5, 10, 15]], strict=False):
        axes[0].plot(times, measured[:, j], color=colour, label=f"unit {j}")
        axes[0].plot(times, (by_noise + by_step)[:, j], "k:", lw=1.2)
        axes[1].plot(times, by_noise[:, j], color=colour)
        axes[1].plot(times, by_step[:, j], color=colour, ls="--")
        axes[2].plot(times, full[:, j], color=colour)
        axes[2].plot(times, full_step[:, j], "k:", lw=1.2)
    axes[0].set(title=f"minibatch {BATCH} (dotted: predicted)", xlabel="step", ylabel="change of C")
    axes[1].set(
        title="predicted parts: noise (-), finite step (--)", xlabel="step", ylabel="change of C"
    )
    axes[2].set(
        title="full batch, same rate (dotted: finite step)", xlabel="step", ylabel="change of C"
    )
    axes[0].legend(frameon=False, fontsize=7)
    for colour, (at, (predicted, seen, error)) in zip(PALETTE, clouds.items(), strict=False):
        axes[3].errorbar(
            predicted, seen, 2 * error, fmt="o", ms=3, color=colour, lw=1, label=f"at step {at}"
        )
    span = [
        min(p.min() for p, _, _ in clouds.values()),
        max(p.max() for p, _, _ in clouds.values()),
    ]
    axes[3].plot(span, span, "k:", lw=1)
    axes[3].set_xscale("symlog", linthresh=2e-3)
    axes[3].set_yscale("symlog", linthresh=2e-3)
    axes[3].set(title="one step, every unit (2 s.e.)", xlabel="predicted dC/dt", ylabel="measured")
    axes[3].legend(frameon=False, fontsize=7)
    for ax in axes:
        tidy(ax)
    fig.savefig(path, dpi=150)
    plt.close(fig)
