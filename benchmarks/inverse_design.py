"""Inverse design on the process: designs with their rivals, explicit l_1, and what a design costs.

    python -m benchmarks.inverse_design [--only laws|regression|flow|cost] [--quick]

1. `laws`: l_0.5-like, l_1-like, total variation and nuclear norm designs under Langevin dynamics of
   their parameters: the designed law must be consistent (p > 1e-3, twice the chains and half the
   step where it is not), the law without penalty rejected (p < 1e-6).
2. `regression`: sparse regression (20 x 40, 3 non-zero entries 1/sqrt(3), noise 0.1), noise: an
   l_1 design against the explicit l_1 (lasso by proximal gradient). In 40 dimensions the law is
   tested by an identity, E[w . grad(l + R)] = 40 T, and by its mean from an exact Gibbs sampler,
   which tends to the lasso as T falls.
3. `flow`: the same data without noise: gradient flow of a design whose potential tends to |x|
   (R'' = (x^2 + e^2)^(-1/2)) against the explicit minimum of |x|_1 (linear programme).
4. `cost`: a designed parametrisation against its closed form, interleaved medians: at most 3 times,
   for values, gradients, and both at once.

The exit code is 0 where every row came out as it should.
"""

import argparse
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np

ROWS = "{:<44}{:>14}{:>14}{:>11}  {}"


class Table:
    """Rows that are printed as they come; `passed` is whether all are as they should be."""

    def __init__(self):
        self.passed = True

    def head(self, title, *columns):
        print(f"\n{title}", flush=True)
        print(ROWS.format("", *columns, ""), flush=True)

    def row(self, what, a, b, c, good, word):
        self.passed &= bool(good)
        cells = [f"{x:.4g}" if isinstance(x, float) else str(x) for x in (a, b, c)]
        print(ROWS.format(what, *cells, word if good else f"{word} <- NOT AS EXPECTED"), flush=True)


def laws(table, quick):
    from gaugebias.design import L1, Lp, Nuclear, TotalVariation, from_penalty, validate

    temperature, chains = 0.1, 2048 if quick else 4096
    table.head("designs under Langevin dynamics, T = 0.1", "KS distance", "p-value", "draws")

    def quadratic(target):
        return lambda w: 0.5 * jnp.sum((w - jnp.asarray(target)) ** 2)

    length = 2 if quick else 3
    cases = {
        "l_0.5: 0.15 (w^2 + .05^2)^(1/4)": (Lp(0.5, 0.15, 0.05), 0.4, {}, {}),
        "l_1: 0.1 sqrt(w^2 + .05^2)": (L1(0.1, 0.05), 0.4, {}, {}),
        f"TV of {length} points: 0.1 sum sqrt(d^2 + .05^2)": (
            TotalVariation(0.1, length, scale=0.05),
            [0.0, 0.3, 0.6][:length],
            {},
            {},
        ),
        "nuclear norm 2 x 2: 0.15 |W|_*": (
            Nuclear(L1(0.15)),
            0.0,
            {"shape": (2, 2)},
            {"spectrum": True},
        ),
        "nuclear norm 3 x 2: 0.15 |W|_*": (
            Nuclear(L1(0.15)),
            0.0,
            {"shape": (3, 2)},
            {"spectrum": True},
        ),
    }
    for number, (name, (penalty, target, how, check)) in enumerate(cases.items()):
        begin = time.perf_counter()
        design = from_penalty(penalty, temperature, **how)
        found = validate(
            design, quadratic(target), chains=chains, key=jax.random.key(number), **check
        )
        for law, expected in (("designed", "consistent"), ("no penalty", "rejected")):
            row = found.verdict[law]
            what = name if law == "designed" else f"  rival: {law}"
            good = row.verdict == expected
            table.row(what, row.statistic, row.p_value, row.draws, good, row.verdict)
        print(f"  {found.settings}, {time.perf_counter() - begin:.0f} s", flush=True)


def data():
    rng = np.random.default_rng(0)
    n, d, s = 20, 40, 3
    x = rng.standard_normal((n, d))
    b = np.zeros(d)
    b[:s] = 1 / np.sqrt(s)
    return jnp.asarray(x), jnp.asarray(x @ b + 0.1 * rng.standard_normal(n)), jnp.asarray(b)


def lasso(x, y, weight, steps=20_000):
    """argmin |x w - y|^2/(2n) + weight |w|_1 by accelerated proximal gradient."""
    n = len(y)
    size = n / float(jnp.linalg.norm(x, 2) ** 2)

    def step(_, state):
        w, z, t = state
        new = z - size * (x.T @ (x @ z - y)) / n
        new = jnp.sign(new) * jnp.maximum(jnp.abs(new) - size * weight, 0.0)
        later = 0.5 * (1.0 + jnp.sqrt(1.0 + 4.0 * t**2))
        return new, new + (t - 1.0) / later * (new - w), later

    zero = jnp.zeros(x.shape[1])
    w = jax.jit(lambda: jax.lax.fori_loop(0, steps, step, (zero, zero, 1.0))[0])()
    slope = x.T @ (x @ w - y) / n
    off = jnp.where(w != 0, jnp.abs(slope + weight * jnp.sign(w)), jnp.abs(slope) - weight)
    return w, float(jnp.max(off))


def exact_mean(x, y, weight, temperature, start, chains=40, sweeps=1500):
    """Chain means of `w` and `|w|_1` under the lasso's law, by exact Gibbs sampling.

    The law is exp(-(|x w - y|^2/(2n) + weight |w|_1)/T) dw, its Laplace factors scale mixtures of
    Gaussians (Park and Casella 2008): nothing of the design. Shape `(chains, d + 1)`.
    """
    x, y = np.asarray(x), np.asarray(y)
    n, d = x.shape
    rng = np.random.default_rng(1)
    rate, scale = weight / temperature, n * temperature
    gram, pull = x.T @ x / scale, np.broadcast_to(x.T @ y / scale, (chains, d))[..., None]
    w, total, burn = np.tile(np.asarray(start), (chains, 1)), np.zeros((chains, d + 1)), sweeps // 5
    for sweep in range(sweeps):
        precision = rng.wald(rate / np.maximum(np.abs(w), 1e-12), rate**2)
        root = np.linalg.cholesky(gram + precision[:, :, None] * np.eye(d))
        turned = root.transpose(0, 2, 1)
        noise = rng.standard_normal((chains, d, 1))
        w = np.linalg.solve(turned, np.linalg.solve(root, pull) + noise)[..., 0]
        total = total + with_norm(w) if sweep >= burn else total
    return total / (sweeps - burn)


def with_norm(w):
    """`w` and `|w|_1` along the last axis."""
    return np.concatenate([w, np.sum(np.abs(w), axis=-1, keepdims=True)], axis=-1)


def agreement(each, exact):
    """p-value of equal means of two sets of chains: the least over columns, times their number."""
    from scipy.stats import ttest_ind

    p: np.ndarray = ttest_ind(each, exact, axis=0, equal_var=False).pvalue  # pyright: ignore
    return min(1.0, float(np.min(p)) * each.shape[1])


def regression(table, quick):
    import gaugebias as gb
    from gaugebias.design import L1, from_penalty
    from gaugebias.stats import mean_test

    x, y, b = data()
    n, d, weight = *x.shape, 0.05
    best, kkt = lasso(x, y, weight)
    explicit = float(jnp.sum((best - b) ** 2))
    table.head(
        f"l_1 design and explicit l_1 ({n} x {d}, weight {weight}; lasso KKT {kkt:.0e}, "
        f"error {explicit:.4f})",
        "|w - lasso|^2",
        "|w - b|^2",
        "identity",
    )

    def potential(w):
        return 0.5 * jnp.sum((x @ w - y) ** 2) / n

    def total(w):
        return potential(w) + weight * jnp.sum(jnp.abs(w))

    def distances(w):
        return [float(np.sum((np.asarray(w) - np.asarray(other)) ** 2)) for other in (best, b)]

    chains = 64 if quick else 128
    runs = [(0.02, 5e-4, 40_000)] if quick else [(0.04, 1e-3, 80_000), (0.02, 2.5e-4, 160_000)]
    for temperature, dt, steps in runs:
        design = from_penalty(L1(weight), temperature, shape=(d,))
        ens = gb.simulate(
            design.process(potential),
            design.lift(best + 0.01),
            key=jax.random.key(1),
            chains=chains,
            steps=steps,
            dt=dt,
            observe=design.phi,
            burn_in=steps // 2,
            every=steps // 400,
        )
        values = np.asarray(ens.values)
        flat = jnp.asarray(values.reshape(-1, d))
        work = {}
        for name, energy in (("designed", total), ("no penalty", potential)):
            slope = jax.jit(jax.vmap(jax.grad(energy)))(flat)
            each = np.asarray(jnp.sum(slope * flat, axis=1)).reshape(chains, -1).mean(axis=1)
            work[name] = (each / (d * temperature), mean_test(each, d * temperature).p_value)
        ratio, p = work["designed"]
        table.row(
            f"mean of the process, T = {temperature:g}",
            *distances(values.mean(axis=(0, 1))),
            float(ratio.mean()),
            p > 1e-3,
            f"p {p:.1e}: identity holds",
        )
        ratio, p = work["no penalty"]
        table.row(
            "  rival: no penalty", "", "", float(ratio.mean()), p < 1e-6, f"p {p:.0e}: rejected"
        )
        each = with_norm(values).mean(axis=1)
        exact = exact_mean(x, y, weight, temperature, best)
        p = agreement(each, exact)
        table.row(
            "  exact sampler of the law",
            *distances(exact.mean(axis=0)[:-1]),
            "",
            p > 1e-3,
            f"p {p:.1e}: means of w and |w|_1 agree",
        )
        p = agreement(each, exact_mean(x, y, 1.5 * weight, temperature, best))
        table.row("  rival: 1.5 times the penalty", "", "", "", p < 1e-6, f"p {p:.0e}: rejected")
    off, error = distances(jnp.linalg.pinv(x) @ y)
    table.row("min-l_2 interpolant, for scale", off, error, "", True, "")
    # Where T is small h' = exp(R/T) is too steep to simulate: the law itself, exactly sampled.
    down = []
    for temperature in (0.01, 0.002) if quick else (0.01, 0.005, 0.002, 0.001):
        off, error = distances(exact_mean(x, y, weight, temperature, best).mean(axis=0)[:-1])
        table.row(f"exact sampler of the law, T = {temperature:g}", off, error, "", True, "")
        down.append(off)
    good = all(later < before for before, later in zip(down, down[1:], strict=False))
    good = good and down[-1] < 0.3 * down[0]
    table.row("distance to the lasso falls to 0 with T", down[0], down[-1], "", good, "")


def flow(table, quick):
    from scipy.optimize import linprog

    from gaugebias.design import from_potential

    x, y, b = data()
    n, d = x.shape
    found = linprog(
        np.ones(2 * d), A_eq=np.concatenate([x, -x], axis=1), b_eq=np.asarray(y), method="highs"
    )
    best = found.x[:d] - found.x[d:]
    table.head(
        f"flow of a design with R'' = (x^2 + e^2)^(-1/2), against min |x|_1 ({found.fun:.5f})",
        "|x|_1 excess",
        "|x - l_1|^2",
        "KKT",
    )
    excess = []
    for scale in (1e-1, 1e-3) if quick else (1e-1, 1e-3, 1e-6):
        design = from_potential(lambda z, e=scale: z * jnp.arcsinh(z / e) - jnp.sqrt(z**2 + e**2))
        done = design.validate(x, y, design.lift(jnp.zeros(d)), time=1e6, stop=1e-8)
        end = np.asarray(done.path.end)
        excess.append(float(np.sum(np.abs(end)) - found.fun))
        off = float(np.sum((end - best) ** 2))
        kkt = float(done.certificate.residual)
        word = f"rival x^2/2: {float(done.rival.residual):.1e}"
        table.row(f"e = {scale:g}", excess[-1], off, kkt, done.holds, word)
    plain = np.linalg.pinv(x) @ np.asarray(y)
    off = float(np.sum((plain - best) ** 2))
    table.row("plain gradient flow", float(np.sum(np.abs(plain)) - found.fun), off, "", True, "")
    falls = all(later < before for before, later in zip(excess, excess[1:], strict=False))
    table.row("excess falls with e", excess[0], excess[-1], "", falls and excess[-1] >= -1e-6, "")


def cost(table, quick):
    from gaugebias.design import L1, Log, from_penalty

    from ._timing import interleaved, machine

    table.head(
        f"cost for 4096 entries, microseconds ({machine()}, interleaved medians)",
        "designed",
        "closed form",
        "ratio",
    )
    closed = {
        "l_1, w = -0.5 sign(u) log(1 - 2|u|)": (
            L1(0.2),
            lambda u: -0.5 * jnp.sign(u) * jnp.log1p(-2.0 * jnp.abs(u)),
        ),
        "log, w = sign(u) (0.4 |u|)^2.5": (
            Log(0.06),
            lambda u: jnp.sign(u) * (0.4 * jnp.abs(u)) ** 2.5,
        ),
    }
    u = jnp.linspace(-0.45, 0.45, 4096)
    for name, (penalty, formula) in closed.items():
        design = from_penalty(penalty, 0.1, shape=(4096,))
        maps = (design.parametrisation, formula)

        def loss(f):
            return lambda u: jnp.sum((f(u) - 0.3) ** 2)

        pairs = {
            "values": [jax.jit(lambda u, f=f: f(u)) for f in maps],
            "gradient of a loss": [jax.jit(jax.grad(loss(f))) for f in maps],
            "value and gradient": [jax.jit(jax.value_and_grad(loss(f))) for f in maps],
        }
        for what, (own, other) in pairs.items():
            for a, b in zip(jax.tree.leaves(own(u)), jax.tree.leaves(other(u)), strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-8)
            seconds = interleaved(
                {"own": lambda f=own: f(u), "other": lambda f=other: f(u)},
                repeats=15 if quick else 45,
                least=1e-3,
            )
            ratio = seconds["own"] / seconds["other"]
            table.row(
                name if what == "values" else f"  {what}",
                1e6 * seconds["own"],
                1e6 * seconds["other"],
                ratio,
                ratio <= 3.0,
                "at most 3",
            )


def main(argv=None):
    parts = {"laws": laws, "regression": regression, "flow": flow, "cost": cost}
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", choices=tuple(parts))
    parser.add_argument("--quick", action="store_true", help="fewer chains and rows")
    options = parser.parse_args(argv)
    jax.config.update("jax_enable_x64", True)
    table = Table()
    for name, part in parts.items():
        if options.only in (None, name):
            part(table, options.quick)
    print("\nall as expected" if table.passed else "\nNOT all as expected")
    return 0 if table.passed else 1


if __name__ == "__main__":
    sys.exit(main())
