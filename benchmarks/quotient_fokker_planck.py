"""The quotient's Fokker-Planck equation against minibatch noise simulated in parameter space.

    python -m benchmarks.quotient_fokker_planck --out FOLDER

The steady state solved on a grid of the predictor against `MinibatchSDE` on the parameters, whose
noise depends on the state:

1. `w = u v^2`, one predictor: also the closed minibatch law. Rejected: the law of horizontal
   Langevin noise of the same power at the minimum, and of isotropic noise with a ridge.
2. `w = (u_1 v_1, u_2 v_2)`, regression on two correlated inputs: noise of one coordinate drives
   the other, the diffusion is not diagonal, and the steady state has a probability current, which
   no density of the form `exp(-potential)` gives. Rejected: horizontal Langevin noise, and the
   product of the true marginals.

Starts are balanced, and Euler steps keep them so. What remains is the step size: an Euler step `h`
of the linearised equation widens the law by `1/sqrt(1 - rate h / 2)`, 0.5 % here; a run with four
times the step shows four times that.
"""

import sys

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

SAMPLES, CHAINS, STEP, TIME = 16, 4096, 0.005, 8.0


class Product:
    """The product of two laws of one coordinate each, as `compare` reads a law."""

    def __init__(self, laws):
        from gaugebias.quotient import Domain

        self.laws, self.shape, self.reference = laws, (len(laws),), "lebesgue"
        lower, upper = ([getattr(x.domain, end)[0] for x in laws] for end in ("lower", "upper"))
        self.domain = Domain.box(lower, upper)

    def coordinate(self, index):
        return self.laws[index[0]]

    def marginal(self, fn):
        raise ValueError("`marginal` of a product: take `coordinate`.")

    def sample(self, key, n):
        keys = jr.split(key, len(self.laws))
        draws = [law.sample(k, n) for law, k in zip(self.laws, keys, strict=True)]
        return jnp.stack(draws, axis=-1)


def cubic():
    """`w = u v^2`: the quotient, data, the loss of a sample in `w`, `eta`, `B`, the box."""
    import gaugebias as gb

    act = gb.symmetry.Rescaling(
        lambda p: p["u"], lambda p: p["v"], axes=(None, None), powers=(2.0, -1.0)
    )
    # balanced: 2 u^2 = v^2
    lift = lambda w: {"u": (w / 2.0) ** (1 / 3), "v": 2**0.5 * (w / 2.0) ** (1 / 3)}  # noqa: E731
    q = gb.Quotient(
        lambda p: p["u"] * p["v"] ** 2,
        act,
        lift=lift,
        at={"u": jnp.array(0.9), "v": jnp.array(1.1)},
    )
    sign, spread, noise = jr.normal(jr.key(3), (3, SAMPLES))
    x = jnp.sign(sign) * (1.0 + 0.2 * spread)
    data = (x, 1.2 * x + 0.8 * noise)
    return q, data, lambda w, s: 0.5 * (w * s[0] - s[1]) ** 2, 0.1, 2


def pair():
    """`w = (u_1 v_1, u_2 v_2)`, the same for two correlated inputs."""
    import gaugebias as gb

    act = gb.symmetry.Rescaling(lambda p: p["u"], lambda p: p["v"], axes=(0, 0))
    lift = lambda w: {"u": jnp.sqrt(w), "v": jnp.sqrt(w)}  # noqa: E731
    q = gb.Quotient(
        lambda p: p["u"] * p["v"],
        act,
        lift=lift,
        at={"u": jnp.array([0.9, 1.2]), "v": jnp.array([1.1, 0.6])},
    )
    z = jr.normal(jr.key(5), (SAMPLES, 4))
    first = jnp.sign(z[:, 0]) * (1.0 + 0.2 * z[:, 1])
    x = jnp.stack([first, 0.5 * first + 0.8 * jnp.sign(z[:, 2])], axis=-1)
    # labels are noisier where both inputs are large: noise along (1, 1.3), curvature elsewhere
    y = x @ jnp.array([1.2, 0.8]) + jnp.where(x[:, 0] * x[:, 1] > 0.5, 1.2, 0.4) * z[:, 3]
    return q, (x, y), lambda w, s: 0.5 * (jnp.sum(w * s[0]) - s[1]) ** 2, 0.1, 2


def simulated(q, data, loss, rate, batch, start, *, chains=CHAINS, step=STEP, key=0, time=TIME):
    """Predictors of independent chains at the end, shape `(chains, ...)`."""
    import gaugebias as gb

    sde = gb.dynamics.MinibatchSDE(lambda p, s: loss(q.phi(p), s), data, rate, batch)
    run = gb.simulate(
        sde,
        q.lift(start),
        key=jr.key(key),
        chains=chains,
        steps=round(time / step),
        dt=step,
        observe=q.phi,
    )
    return sde, np.asarray(run.values[:, -1])


def mean_loss(data, loss):
    return lambda w: jnp.mean(jax.vmap(loss, (None, 0))(w, data))


def power(data, loss, rate, batch, w):
    """`T` of Langevin noise with the trace of minibatch noise in `w`-gradients: a number."""
    slopes = jax.vmap(jax.grad(loss), (None, 0))(w, data)
    spread = jnp.sum((slopes - jnp.mean(slopes, axis=0, keepdims=True)) ** 2) / SAMPLES
    return 0.5 * rate / batch * float(spread) / max(1, jnp.size(w))


def one(table):
    """One predictor: adds its rows, and returns draws and laws for the figure."""
    import gaugebias as gb

    q, data, loss, rate, batch = cubic()
    best = float(jnp.sum(data[0] * data[1]) / jnp.sum(data[0] ** 2))
    sde, seen = simulated(q, data, loss, rate, batch, jnp.array(best))
    law = gb.laws.fokker_planck(sde, q, gb.quotient.Domain.line(0.0, 12.0), cells=600)
    positive = gb.quotient.Domain.line(lower=0.0)
    closed = gb.laws.minibatch(q, loss, data, rate, batch, domain=positive)
    potential, gram = mean_loss(data, loss), float(q.predictor_gram(jnp.array(best))[0, 0])
    temperature = power(data, loss, rate, batch, jnp.array(best)) * gram
    horizontal = gb.laws.horizontal(q, potential, temperature, domain=positive)
    # all of the noise spread over two parameters
    isotropic = gb.laws.pushforward(q, potential, temperature / 2, ridge=1e-2, domain=positive)
    rivals = [("horizontal Langevin", horizontal), ("isotropic Langevin", isotropic)]
    table.compare("w = u v^2", seen, [("Fokker-Planck", law), ("minibatch law", closed)], rivals)
    w = np.linspace(0.02, 4.0, 200)
    gap = float(np.max(np.abs(law.cdf(w) - closed.cdf(w))))
    table.note(
        f"   Fokker-Planck against the closed law: {gap:.1e} (its own estimate {law.error:.1e})",
        gap < 2e-3,
    )
    coarse = 4.0 * STEP
    _, other = simulated(q, data, loss, rate, batch, jnp.array(best), step=coarse, key=21)
    wide = other.std() / float(closed.expectation(lambda w: w)[1]) ** 0.5 - 1.0
    curvature = float(jax.grad(jax.grad(potential))(jnp.array(best)))
    euler = (1.0 - 0.5 * coarse * gram * curvature) ** -0.5 - 1.0
    table.note(
        f"   step {coarse:g} instead of {STEP:g}: standard deviation {wide:+.1%} of the law's "
        f"(standard error about 1.3%; an Euler step of the linearised equation {euler:+.1%})",
        abs(wide - euler) < 0.05,
    )
    return seen, {"Fokker-Planck": law, **dict(rivals)}


def two(table):
    """Two predictors: the same."""
    import gaugebias as gb

    q, data, loss, rate, batch = pair()
    best = jnp.linalg.lstsq(data[0], data[1])[0]
    sde, seen = simulated(q, data, loss, rate, batch, jnp.maximum(best, 0.1), key=1)
    law = gb.laws.fokker_planck(sde, q, gb.quotient.Domain.box([0.0, 0.0], [4.0, 4.0]), cells=160)
    potential = mean_loss(data, loss)
    gram = float(jnp.mean(jnp.diagonal(q.predictor_gram(best))))
    temperature = power(data, loss, rate, batch, best) * gram
    horizontal = gb.laws.horizontal(
        q, potential, temperature, domain=gb.quotient.Domain.box([0.0, 0.0], [np.inf, np.inf])
    )
    marginals = Product([law.coordinate((0,)), law.coordinate((1,))])
    rivals = [("horizontal Langevin", horizontal), ("product of its marginals", marginals)]
    table.compare("w = (u1 v1, u2 v2)", seen, [("Fokker-Planck", law)], rivals)
    table.note(
        f"   entropy production {law.entropy_production:.3f} per unit time, grid error "
        f"{law.error:.1e}: "
        "no equilibrium",
        law.entropy_production > 1e-2,
    )
    return seen, law


def experiment(figure):
    """The table, and the figure where `figure` is a path."""
    from ._verdicts import Verdicts

    table = Verdicts("The quotient's Fokker-Planck equation against MinibatchSDE on parameters")
    line, plane = one(table), two(table)
    if figure is not None:
        _draw(figure, *line, *plane)
    return table


def _draw(path, seen, laws, cloud, law):
    import matplotlib.pyplot as plt

    import gaugebias as gb
    from gaugebias.plot._style import PALETTE, tidy

    fig, axes = plt.subplots(1, 3, figsize=(12, 4.0), layout="constrained")
    top = float(np.quantile(seen, 0.998))
    x = np.linspace(1e-3, top, 400)
    curves = {name: (x, np.exp(np.asarray(one.log_density(x)))) for name, one in laws.items()}
    gb.plot.case_figure(
        gb.plot.FigureData("w = u v²", "w", seen, curves, ("Fokker-Planck",), (0.0, top), 60),
        axes[0],
    )
    gb.plot.law(law, axes[1])
    axes[1].plot(*cloud[:1500].T, ".", ms=1.2, color="0.3", alpha=0.6)
    axes[1].set_title("w = (u₁v₁, u₂v₂): law, and simulated draws")
    nodes, flux = law.nodes(), law.flux
    low, high = np.quantile(cloud, [0.002, 0.998], axis=0)
    gb.plot.law(law, axes[2])
    # arrows on an even lattice of the plane
    from scipy.interpolate import RegularGridInterpolator

    sides = nodes[:, 0, 0], nodes[0, :, 1]
    ticks = [np.linspace(a, b, 16) for a, b in zip(low, high, strict=True)]
    even = np.stack(np.meshgrid(*ticks, indexing="ij"), axis=-1)
    arrows = RegularGridInterpolator(sides, flux, bounds_error=False)(even)
    axes[2].quiver(
        even[..., 0], even[..., 1], arrows[..., 0], arrows[..., 1], color=PALETTE[1], angles="xy"
    )
    axes[2].set_title("its probability current")
    for ax in axes[1:]:
        ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
        tidy(ax)
    fig.savefig(path, dpi=130)
    plt.close(fig)


def main(argv=None):
    from ._verdicts import command

    return command(__doc__, "quotient_fokker_planck", experiment, argv)


if __name__ == "__main__":
    sys.exit(main())
