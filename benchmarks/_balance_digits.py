"""A ReLU network on digits: what moves `|u|^2 - |w|^2` of a hidden unit, noise and finite step."""

import equinox as eqx
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


def paths(data, params, key, chains, steps, every, noise):
    """Measured imbalances along runs, and the integral of what noise and finite steps predict."""
    run = gb.train(
        loss,
        params,
        data,
        optimiser=optax.sgd(RATE),
        batch_size=BATCH,
        key=key,
        chains=chains,
        steps=steps,
        every=every,
        noise=noise,
    )
    predict = eqx.filter_jit(lambda p: (imbalance(p), *rates(data, p)))
    first = predict(params)
    rows = []
    for c in range(chains):
        points = [jax.tree.map(lambda x, c=c, d=d: x[c, d], run.values) for d in range(run.draws)]
        rows.append([first, *(predict(p) for p in points)])
    measured, noises, finites = (
        np.array([[np.asarray(point[k]) for point in row] for row in rows]) for k in range(3)
    )
    weight = 0.5 * every * RATE

    def integral(rate):
        steps_ = weight * (rate[:, 1:] + rate[:, :-1])
        return np.concatenate([0 * rate[:, :1], np.cumsum(steps_, axis=1)], axis=1)

    if noise == "full":
        noises = 0 * noises
    times = np.concatenate([[0], run.steps])
    return times, measured - measured[:, :1], integral(noises), integral(finites)


def experiment(figure, *, chains=1024, long_chains=2, steps=300, every=2):
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
    clouds = []
    for at, params in points.items():
        noise, finite = (np.asarray(x) for x in rates(data, params))
        signs = np.sign(noise + finite)
        seen = one_step(data, params, jr.key(at + 2), chains)
        full = one_step(data, params, jr.key(0), 1, "full")[0]
        error = seen.std(0, ddof=1) / np.sqrt(chains)
        alive = error > 0  # a dead unit does not move at all
        off = np.abs(seen.mean(0) - noise - finite)[alive] / error[alive]
        clouds.append((noise + finite, seen.mean(0), error))
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
        noise: paths(data, begin, jr.key(9), c, steps, every, noise)
        for noise, c in (("minibatch", long_chains), ("full", 1))
    }
    for noise, (_, measured, by_noise, by_step) in long.items():
        total = (by_noise + by_step)[:, -1].mean(0)
        slope = float(measured[:, -1].mean(0) @ total / (total @ total))
        report.note(f"{noise}: slope of measured on predicted, {steps} steps", slope, 1.0, 0.05)
    if figure is not None:
        _draw(figure, long, clouds)
    return report


def _draw(path, long, clouds):
    import matplotlib.pyplot as plt

    from gaugebias.plot._style import PALETTE, tidy

    fig, axes = plt.subplots(1, 3, figsize=(11, 3.3), layout="constrained")
    times, measured, by_noise, by_step = long["minibatch"]
    total = (by_noise + by_step).mean(0)
    order = np.argsort(total[-1])
    for colour, j in zip(PALETTE, order[[0, 5, 10, 15]], strict=False):
        axes[0].plot(times, measured[:, :, j].mean(0), color=colour, label=f"unit {j}")
        axes[0].plot(times, total[:, j], "k:", lw=1.2)
        axes[1].plot(times, by_noise[:, :, j].mean(0), color=colour)
        axes[1].plot(times, by_step[:, :, j].mean(0), color=colour, ls="--")
        full = long["full"]
        axes[1].plot(full[0], full[1][0, :, j], color=colour, ls="-.", lw=1)
    axes[0].set(title=f"minibatch {BATCH} (dotted: predicted)", xlabel="step", ylabel="change of C")
    axes[1].set(
        title="noise (-), finite step (--), full batch (-.)", xlabel="step", ylabel="change of C"
    )
    axes[0].legend(frameon=False, fontsize=7)
    for colour, (predicted, seen, error) in zip(PALETTE, clouds, strict=False):
        axes[2].errorbar(predicted, seen, 2 * error, fmt="o", ms=3, color=colour, lw=1)
    span = [min(p.min() for p, _, _ in clouds), max(p.max() for p, _, _ in clouds)]
    axes[2].plot(span, span, "k:", lw=1)
    axes[2].set(title="one step at three times", xlabel="predicted dC/dt", ylabel="measured")
    for ax in axes:
        tidy(ax)
    fig.savefig(path, dpi=150)
    plt.close(fig)
