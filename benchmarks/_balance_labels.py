"""A factorisation with anisotropic label noise: balance is not `U^T U = V^T V`.

The predicted point is that of small learning rates: noise of labels at the minimum. At a finite
rate `U V^T` fluctuates about the minimum, and the step of the full gradient counts too; both shift
the point in proportion to the rate (7% of it at 0.02, for any length of run). So training is run at
three rates `h, 2h, 4h`, for times that grow as the inverse square, and each chain's late mean is
extrapolated to rate zero by the parabola through the three, `(8 f(h) - 6 f(2h) + f(4h)) / 3`. The
extrapolated chains are independent draws and are held to the prediction by Student's t, with no
other tolerance. Half of the chains start at equal norms, half beyond the predicted point.
"""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax

import gaugebias as gb
from gaugebias.dynamics import LabelNoiseSDE, balance_rates, noise_equilibrium

from ._report import Report

RATES, BATCH, SAMPLES = (0.01, 0.02, 0.04), 2, 64
WEIGHTS = np.array([8.0, -6.0, 1.0]) / 3  # of the parabola through h, 2h, 4h, at zero
TIME, RECORDS = 28.8, 80  # steps times the squared rate; the second half is used
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


def process(std, rate=RATES[0]):
    x, target = inputs(), teacher()
    y = jax.vmap(lambda one: predict(target, one))(x)
    return LabelNoiseSDE(predict, (x, y), rate, BATCH, std)


def closed_form_misfit(p, std):
    """`tr(C_xi) V^T C_x V - tr(C_x) U^T C_xi U`, relative: zero at the noise-balanced point."""
    x = inputs()
    cx, cl = x.T @ x / SAMPLES, jnp.diag(std**2)
    one = jnp.trace(cl) * p["V"].T @ cx @ p["V"]
    two = jnp.trace(cx) * p["U"].T @ cl @ p["U"]
    return float(jnp.linalg.norm(one - two) / jnp.linalg.norm(one))


def late_means(std, rate, begin, key):
    """Steps, `|U|^2 - |V|^2` of all chains, and the late rates of noise and finite step."""
    steps = round(TIME / rate**2)
    run = gb.train(
        loss,
        begin,
        sampler(std),
        optimiser=optax.sgd(rate),
        batch_size=BATCH,
        key=key,
        steps=steps,
        every=steps // RECORDS,
        batched=True,
        observe=lambda p: {"C": difference(p), "p": p},
    )
    sde = process(std, rate)

    def total(p):
        found = balance_rates(sde, ACTION, p)
        return jnp.trace(found.noise + found.finite_step)

    late = jax.tree.map(lambda x: jnp.asarray(x[:, RECORDS // 2 :: 4]), run.values["p"])
    return run.steps, run.values["C"], np.asarray(jax.jit(jax.vmap(jax.vmap(total)))(late))


def experiment(figure, *, chains=16):
    """The table, and the figure where `figure` is a path."""
    even = jnp.full(3, jnp.sqrt(jnp.mean(STD**2)))
    report = Report(
        f"3x3 factorisation of rank 2, label noise {tuple(np.asarray(STD).tolist())}, batch {BATCH}"
        f", learning rates {RATES}: |U|^2 - |V|^2"
    )
    curves, half = {}, chains // 2

    def both(one, two):
        return jax.tree.map(lambda a, b: jnp.stack([a] * half + [b] * half), one, two)

    for number, (name, std) in enumerate((("anisotropic", STD), ("isotropic", even))):
        found = noise_equilibrium(process(std), ACTION, teacher())
        predicted = float(difference(found.params))
        misfit = 1 + closed_form_misfit(found.params, std)
        report.note(f"{name}: 1 + misfit of the closed form", misfit, 1.0, 1e-5)
        beyond = ACTION.flow(found.params, 0.3 * jnp.eye(2))
        begin = both(teacher(), beyond)
        seen = {
            rate: late_means(std, rate, begin, jr.fold_in(jr.key(4), 10 * number + i))
            for i, rate in enumerate(RATES)
        }
        late = np.stack([c[:, RECORDS // 2 :].mean(axis=1) for _, c, _ in seen.values()])
        limit = WEIGHTS @ late
        report.add(f"{name}, learning rate -> 0", limit, predicted)
        report.add("   equal norms", limit, 0.0, right=False)
        report.add(
            f"   at rate {RATES[-1]} itself, not extrapolated", late[-1], predicted, right=False
        )
        report.add(
            "   start at equal norms less start beyond", late[0, :half] - late[0, half:], 0.0
        )
        start = float(jnp.trace(balance_rates(process(std), ACTION, teacher()).noise))
        rest = seen[RATES[0]][2].mean(axis=1)
        report.add("   rate of noise and step, over that at equal norms", rest / start, 0.0)
        curves[name] = (seen, late, limit, predicted)
    if figure is not None:
        _draw(figure, curves)
    return report


def _draw(path, curves):
    import matplotlib.pyplot as plt

    from gaugebias.plot._style import PALETTE, tidy

    fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    fine = np.linspace(0, 1.05 * RATES[-1], 50)
    for colour, (name, (seen, late, limit, predicted)) in zip(
        PALETTE, curves.items(), strict=False
    ):
        for style, rate in zip(("-", "--", ":"), RATES, strict=True):
            steps, c, _ = seen[rate]
            half = c.shape[0] // 2
            for i, part in enumerate((c[:half], c[half:])):
                label = f"{name}, rate {rate}" if i == 0 else None
                left.plot(
                    steps * rate**2, part.mean(0), color=colour, ls=style, lw=1.2, label=label
                )
        left.axhline(predicted, color=colour, lw=0.8, alpha=0.6)
        mean, root = late.mean(axis=1), np.sqrt(late.shape[1])
        right.errorbar(
            RATES, mean, 2 * late.std(axis=1, ddof=1) / root, fmt="o", ms=4, color=colour
        )
        right.plot(fine, np.polyval(np.polyfit(RATES, mean, 2), fine), color=colour, lw=1)
        right.errorbar(
            [0], [limit.mean()], 2 * limit.std(ddof=1) / root, fmt="s", ms=4, mfc="w", color=colour
        )
        right.plot([0], [predicted], "*", ms=11, color=colour, label=f"{name}: predicted", zorder=0)
    left.axhline(0, color="k", lw=0.8)
    left.set(
        xlabel="steps x (learning rate)^2",
        ylabel="|U|^2 - |V|^2",
        title="thin lines: noise-balanced points; black: |U| = |V|",
    )
    right.axhline(0, color="k", lw=0.8)
    right.set(
        xlabel="learning rate", ylabel="late mean", title="extrapolated (squares, 2 s.e.) to 0"
    )
    for ax in (left, right):
        ax.legend(frameon=False, fontsize=7)
        tidy(ax)
    fig.savefig(path, dpi=150)
    plt.close(fig)
