"""The stationary law of a two-layer scalar network under SGD, below and above its critical point.

    python -m benchmarks.scalar_network --out FOLDER

`f(x) = u w x` on fresh samples `x ~ N(0, 1)`, `y = c x + N(0, 1)`, loss `(f - y)^2`, stochastic
gradient descent with batches of 1 to 32 at one learning rate: the process itself, not its
diffusion approximation. `v = u w` is compared with 2308.06671, Thm 4.2. The critical point is
`eta/B = b2/a3`: with one sample a batch the noise is above it and `v` collapses to 0.

Rejected on the same draws: isotropic Langevin noise of the same power at the minimum (its
push-forward, on v > 0), and the powers -1 and -1/2 of `K` in place of -3/2.

Discrete descent differs from the equation by relative `O(eta^2)` here, as drift and noise are both
of order `eta` in this regime: one step multiplies `v` by `(1 - eta g)^2`, whose logarithm has the
mean `-2 eta E g - eta^2 E g^2 - (2/3) eta^3 E g^3 - (1/2) eta^4 E g^4`, and the last two terms are
1 % of the second at `B = 2`. A law whose temperature is off by 4 % would be seen.
"""

import sys

import jax.numpy as jnp
import jax.random as jr
import numpy as np

SLOPE, RATE = 0.033, 0.04
STEPS = {1: 3000, 2: 30_000, 4: 5000, 8: 3000, 16: 2000, 32: 1500}
CHAINS = 2048


def fresh(key):
    x, noise = jr.normal(key, (2,))
    return x, SLOPE * x + noise


def loss(p, sample):
    x, y = sample
    return (p["u"] * p["w"] * x - y) ** 2


def draws(batch, *, chains=CHAINS, steps=None, records=1):
    """`log v` of independent runs, shape `(chains, records)`, from `v = c`, balanced."""
    import optax

    import gaugebias as gb

    steps = STEPS[batch] if steps is None else steps
    start = jnp.full((), SLOPE**0.5)
    return gb.train(
        loss,
        {"u": start, "w": start},
        fresh,
        optimiser=optax.sgd(RATE),
        batch_size=batch,
        key=jr.fold_in(jr.key(7), batch),
        chains=chains,
        steps=steps,
        every=steps // records,
        observe=lambda p: jnp.log(p["u"] * p["w"]),
    )


def rivals(moments, batch):
    """Isotropic Langevin noise of the same power, and two wrong powers of `K`."""
    import gaugebias as gb

    tau = RATE / batch
    positive = gb.quotient.Domain.line(lower=0.0)
    act = gb.symmetry.Rescaling(lambda p: p[0], lambda p: p[1], axes=(None, None))
    q = gb.Quotient(
        lambda p: p[0] * p[1],
        act,
        at=(jnp.array(1.0), jnp.array(0.5)),
        lift=lambda v: (jnp.sqrt(v), jnp.sqrt(v)),
    )
    a1, a2, a3, b1, b2 = moments.a1, moments.a2, moments.a3, moments.b1, moments.b2
    low = b2 / b1
    noise = 4.0 * (a1 * low**2 - 2.0 * a2 * low + a3)
    # as much noise in all, tau sigma^2 K = 2 T x 2 parameters, with K = 2 v at the minimum
    temperature = tau * noise * 2.0 * low / 4.0
    isotropic = gb.laws.pushforward(
        q, lambda v: b1 * v**2 - 2 * b2 * v, temperature, ridge=1e-3, domain=positive
    )
    law = gb.laws.diagonal_linear(moments, RATE, batch)

    def powered(extra):
        return gb.laws.DensityLaw(
            lambda v, t: law.log_weight_at(v, t, law.exponent) + extra * jnp.log(v),
            positive,
            law.temperature,
        )

    return [
        ("isotropic Langevin", isotropic),
        ("K^-1", powered(0.5)),
        ("K^-1/2", powered(1.0)),
    ]


def log_rates(v, moments, batch=1):
    """`d E log v / dt` at `v`: of the equation, and of discrete descent with one sample a batch."""
    g = moments.a1 * v**2 - 2.0 * moments.a2 * v + moments.a3
    equation = 4.0 * (moments.b2 - moments.b1 * v) - 4.0 * RATE / batch * g
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    x, e = np.meshgrid(nodes, nodes)
    w = np.outer(weights, weights) / np.sum(weights) ** 2
    grid = np.linspace(0.0, float(np.max(v)), 200)
    step = 1.0 - 2.0 * RATE * x * (grid[:, None, None] * x - SLOPE * x - e)
    discrete = np.sum(w * 2.0 * np.log(np.abs(step)), axis=(1, 2)) / RATE
    return equation, np.interp(v, grid, discrete)


def experiment(figure, *, batches=(2, 4, 8, 16, 32)):
    """The table, and the figure where `figure` is a path."""
    import gaugebias as gb
    from gaugebias.stats import mean_test

    from ._verdicts import Verdicts

    moments = gb.laws.RegressionMoments.gaussian(SLOPE, 1.0)
    critical = moments.b2 / moments.a3
    table = Verdicts(
        f"Scalar network, SGD at learning rate {RATE}: v = u w against 2308.06671, Thm 4.2 "
        f"(critical eta/B = {critical:.4f})"
    )
    panels = []
    for batch in batches:
        run = draws(batch)
        seen = np.exp(run.values[:, -1])
        law = gb.laws.diagonal_linear(moments, RATE, batch)
        others = rivals(moments, batch)
        if batch > 8:
            # narrow laws: the power of K moves them by less than these draws can see
            others = others[:1]
        what = f"B = {batch}, eta/B = {RATE / batch / critical:.2f} critical"
        table.compare(what, seen, [("Thm 4.2", law)], others)
        panels.append((batch, seen, law, others))

    run = draws(1, records=100)
    paths, time = np.asarray(run.values), RATE * run.steps
    predicted = [
        np.concatenate([[0.0], np.cumsum(0.5 * np.diff(time) * (r[:-1] + r[1:]))])
        for r in (x.mean(0) for x in log_rates(np.exp(paths), moments))
    ]
    steps = log_rates(np.exp(paths), moments)[1]
    drift = np.sum(0.5 * np.diff(time) * (steps[:, 1:] + steps[:, :-1]), axis=1)
    test = mean_test(paths[:, -1] - paths[:, 0] - drift, 0.0)
    fallen = paths[:, -1] - paths[:, 0]
    error = fallen.std() / fallen.size**0.5
    table.note(
        f"B = 1, eta/B = {RATE / critical:.2f} critical: E log v has moved by {fallen.mean():.3f} "
        f"+- {error:.3f}; predicted for the steps {drift.mean():.3f} (p = "
        f"{test.p_value:.2g}), for the equation {predicted[0][-1]:.3f}",
        test.p_value > 1e-3 and fallen.mean() < -1.0,
    )
    try:
        gb.laws.diagonal_linear(moments, RATE, 1)
        table.note("B = 1: the law is not refused", False)
    except gb.laws.NotNormalisable as error:
        table.note(f"B = 1: {error}")
    if figure is not None:
        _draw(figure, panels, time, paths, predicted)
    return table


def _draw(path, panels, time, paths, predicted):
    import matplotlib.pyplot as plt

    import gaugebias as gb
    from gaugebias.plot._style import PALETTE, tidy

    fig, axes = plt.subplots(2, 3, figsize=(11, 6.4), layout="constrained")
    for ax, (batch, seen, law, others) in zip(axes.ravel(), panels, strict=False):
        top = float(np.quantile(seen, 0.995))
        x = np.linspace(1e-3 * top, top, 400)
        shown, jacobian, limits, label = x, 1.0, (0.0, top), "v = u w"
        if np.quantile(seen, 0.2) < 1e-2 * top:  # crowded at 0: over log v
            shown = np.linspace(np.log(np.quantile(seen, 0.002)), np.log(top), 400)
            x, seen = np.exp(shown), np.log(seen)
            jacobian, limits, label = x, (float(shown[0]), float(shown[-1])), "log v"
        curves = {
            name: (shown, jacobian * np.exp(np.asarray(one.log_density(x))))
            for name, one in [("Thm 4.2", law), *others]
        }
        data = gb.plot.FigureData(f"B = {batch}", label, seen, curves, ("Thm 4.2",), limits, 50)
        gb.plot.case_figure(data, ax)
    ax = axes.ravel()[len(panels)]
    ax.plot(time, paths[:60].T, color="0.75", lw=0.5)
    ax.plot(time, paths.mean(0), color=PALETTE[0], lw=2, label="mean of log v")
    for line, dash, name in zip(predicted, (":", "--"), ("equation", "steps"), strict=True):
        ax.plot(time, paths[:, 0].mean() + line, "k", ls=dash, lw=1.2, label=f"predicted: {name}")
    ax.set(xlabel="time", ylabel="log v", title="B = 1: collapse")
    ax.legend(frameon=False, fontsize=7)
    tidy(ax)
    fig.savefig(path, dpi=130)
    plt.close(fig)


def main(argv=None):
    from ._verdicts import command

    return command(__doc__, "scalar_network", experiment, argv)


if __name__ == "__main__":
    sys.exit(main())
