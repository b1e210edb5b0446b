"""A factorisation with anisotropic label noise: balance is not `U^T U = V^T V`.

The predicted point is that of small learning rates. What is left is of the order of the step
(finite step, and fluctuations of `U V^T`): 15% at learning rate 0.1 and batch 16, 7% at 0.02 and 2;
so the value is held to 10%, and the rate of noise and finite step at the end is tested to vanish.
"""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax

import gaugebias as gb
from gaugebias.dynamics import LabelNoiseSDE, balance_rates, noise_equilibrium

from ._report import Report

RATE, BATCH, SAMPLES = 0.02, 2, 64
STD = jnp.array([0.3, 0.6, 1.2])
ACTION = gb.symmetry.GeneralLinear("U", "V")


def inputs():
    """Inputs with exactly the covariance diag(2, 1, 1/2)."""
    x = jr.normal(jr.key(0), (SAMPLES, 3))
    q, _ = jnp.linalg.qr(x)
    return q * jnp.sqrt(SAMPLES * jnp.array([2.0, 1.0, 0.5]))[None]


def predict(p, x):
    return p["U"] @ (p["V"].T @ x)


def loss(p, sample):
    x, y = sample
    return 0.5 * jnp.sum((predict(p, x) - y) ** 2)


def teacher():
    """Rank two, balanced: the minimiser with `U^T U = V^T V`."""
    turn = jnp.linalg.qr(jr.normal(jr.key(3), (3, 3)))[0]
    left = jnp.linalg.qr(jnp.eye(3) + 0.4 * turn)[0][:, :2]
    right = jnp.linalg.qr(jnp.eye(3) - 0.4 * turn)[0][:, :2]
    root = jnp.sqrt(jnp.array([1.2, 0.7]))[None]
    return {"U": left * root, "V": right * root}


def difference(p):
    """`|U|^2 - |V|^2`, unchanged by rotations."""
    return jnp.sum(p["U"] ** 2) - jnp.sum(p["V"] ** 2)


def sampler(std):
    """Fresh samples: an input of the data set with a fresh label."""
    x, target = inputs(), teacher()

    def draw(key):
        row, label = jr.split(key)
        one = x[jr.randint(row, (), 0, SAMPLES)]
        return one, predict(target, one) + std * jr.normal(label, (3,))

    return draw


def process(std):
    x, target = inputs(), teacher()
    y = jax.vmap(lambda one: predict(target, one))(x)
    return LabelNoiseSDE(predict, (x, y), RATE, BATCH, std)


def closed_form_misfit(p, std):
    """`tr(C_xi) V^T C_x V - tr(C_x) U^T C_xi U`, relative: zero at the noise-balanced point."""
    x = inputs()
    cx, cl = x.T @ x / SAMPLES, jnp.diag(std**2)
    one = jnp.trace(cl) * p["V"].T @ cx @ p["V"]
    two = jnp.trace(cx) * p["U"].T @ cl @ p["U"]
    return float(jnp.linalg.norm(one - two) / jnp.linalg.norm(one))


def experiment(figure, *, chains=12, steps=36_000):
    """The table, and the figure where `figure` is a path."""
    even = jnp.full(3, jnp.sqrt(jnp.mean(STD**2)))
    report = Report(
        f"3x3 factorisation of rank 2, label noise {tuple(np.asarray(STD).tolist())}, batch {BATCH}"
        f", learning rate {RATE}: |U|^2 - |V|^2"
    )
    curves = {}
    for name, std in (("anisotropic", STD), ("isotropic", even)):
        sde = process(std)
        found = noise_equilibrium(sde, ACTION, teacher())
        predicted = float(difference(found.params))
        starts = {"balanced": teacher(), "beyond": ACTION.flow(found.params, 0.3 * jnp.eye(2))}
        misfit = 1 + closed_form_misfit(found.params, std)
        report.note(f"{name}: 1 + misfit of the closed form", misfit, 1.0, 1e-5)
        for where, begin in starts.items():
            run = gb.train(
                loss,
                begin,
                sampler(std),
                optimiser=optax.sgd(RATE),
                batch_size=BATCH,
                key=jr.key(4),
                chains=chains,
                steps=steps,
                every=steps // 80,
                observe=lambda p: {"C": difference(p), "p": p},
            )
            last = jax.tree.map(lambda x: jnp.asarray(x[:, -1]), run.values["p"])
            rates = jax.vmap(lambda p, sde=sde: balance_rates(sde, ACTION, p))(last)
            total = jax.tree.map(
                lambda a, b: np.asarray(jnp.trace(a + b, axis1=-2, axis2=-1)),
                rates.noise,
                rates.finite_step,
            )
            c = run.values["C"]
            late = c[:, -20:].mean(axis=1)
            scale = float(jnp.trace(balance_rates(sde, ACTION, teacher()).noise))
            report.note(f"{name}, {where} start: |U|^2 - |V|^2", late.mean(), predicted, 0.1)
            report.add(f"{name}, {where} start: equal norms", late, 0.0, right=False)
            report.add(f"{name}, {where} start: rate / rate at the start", total / scale, 0.0)
            curves[name, where] = (run.steps, c, predicted)
    if figure is not None:
        _draw(figure, curves)
    return report


def _draw(path, curves):
    import matplotlib.pyplot as plt

    from gaugebias.plot._style import PALETTE, tidy

    fig, ax = plt.subplots(figsize=(5, 3.3), layout="constrained")
    for colour, name in zip(PALETTE, ("anisotropic", "isotropic"), strict=False):
        for where in ("balanced", "beyond"):
            steps, c, predicted = curves[name, where]
            label = f"{name} label noise" if where == "balanced" else None
            ax.plot(steps, c.mean(0), color=colour, label=label)
            low, high = np.quantile(c, [0.1, 0.9], axis=0)
            ax.fill_between(steps, low, high, color=colour, alpha=0.15, lw=0)
        ax.axhline(predicted, color=colour, ls=":", lw=1.2)
    ax.axhline(0, color="k", lw=0.8)
    ax.set(
        xlabel="step", ylabel="|U|^2 - |V|^2", title="dotted: noise-balanced point; line: |U| = |V|"
    )
    ax.legend(frameon=False, fontsize=8)
    tidy(ax)
    fig.savefig(path, dpi=150)
    plt.close(fig)
