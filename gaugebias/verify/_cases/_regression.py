"""Real tables: least squares under a Hadamard parametrisation, and its bias."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ...catalogue import HadamardProduct
from ...dynamics import ProjectedLangevin
from ...laws import DensityLaw, horizontal, sample_nuts
from ...quotient import Domain
from ...stats import mean_test
from .._case import Case, Context
from .._report import CaseResult, Row
from .._table import Table
from ._tools import Runs, figure, judge_rows, virial_row

_MOST_STEPS = 40_000


class _HalfMeanSquare:
    """`|X w - y|^2 / (2 n)` less its value at 0, through the moments of the table."""

    def __init__(self, features: np.ndarray, target: np.ndarray):
        n = len(target)
        self.gram = jnp.asarray(features.T @ features / n)
        self.moment = jnp.asarray(features.T @ target / n)

    def __call__(self, w):
        gram, moment = self.gram.astype(w.dtype), self.moment.astype(w.dtype)
        return 0.5 * jnp.sum(w * jnp.sum(gram * w[:, None], axis=0)) - jnp.sum(moment * w)


def _standardised(x: np.ndarray) -> np.ndarray:
    return (x - x.mean(axis=0)) / x.std(axis=0)


def _sizes(gram: np.ndarray, w: np.ndarray, temperature: float) -> np.ndarray:
    """Sizes of the coefficients, at least the thermal width of each: below it noise moves them."""
    return np.maximum(np.abs(w), np.sqrt(temperature / np.diag(gram)))


def _scales(gram: np.ndarray, w: np.ndarray, depth: int, temperature: float):
    """Slowest and fastest rate of the linearised quotient process."""
    size = _sizes(gram, w, temperature)
    root = np.sqrt(depth * size ** (2.0 - 2.0 / depth))
    rates = np.linalg.eigvalsh(root[:, None] * gram * root[None, :])
    return float(rates[0]), float(rates[-1])


def _crossing(gram: np.ndarray, w: np.ndarray, depth: int, temperature: float) -> float:
    """Time in which noise alone carries the widest coefficient from its place to 0.

    In the root `a = |w|^(1/N)` the metric is `N da^2`, and for `N >= 3` the loss is flat at 0:
    nothing but diffusion, `N a^2 / (2 T)`, brings the process there and back.
    """
    size = _sizes(gram, w, temperature)
    return float(np.max(depth * size ** (2.0 / depth)) / (2.0 * temperature)) if depth > 2 else 0.0


class _InRoots:
    """A law of `w` in the roots `a`, `w_i = +-|a_i|^N`, where a Hamiltonian sampler moves freely.

    `|w|^-(1 - 1/N) dw` is `da` up to a constant: in roots the horizontal law is flat but for the
    loss. (In `log |w|` the sampler spends its time in the long tails towards 0, at 30 to 100
    transitions a draw.) Of even depth both signs of `a` stand for one `w`, of the start's sign.
    """

    def __init__(self, potential: Callable, depth: int, signs: np.ndarray, temperature: float):
        self.depth, self.signs = depth, jnp.asarray(signs)
        self.potential, self.temperature = potential, temperature
        self.box = Domain.box(np.full(len(signs), -np.inf), np.full(len(signs), np.inf))

    def predictor(self, a):
        if self.depth % 2:
            return a**self.depth
        return self.signs.astype(a.dtype) * a**self.depth

    def _weight(self, a, temperature):
        return -self.potential(self.predictor(a)) / temperature

    def draws(self, key, n: int, start: np.ndarray) -> np.ndarray:
        """`n` draws of `w` from the horizontal law."""
        law = DensityLaw(self._weight, self.box, self.temperature, name="horizontal (in roots)")
        size = np.abs(start) ** (1.0 / self.depth)
        root = np.sign(start) * size if self.depth % 2 else size
        return np.asarray(sample_nuts(law, key, n, start=root, observe=self.predictor))


def _regression(
    context: Context,
    name: str,
    features: np.ndarray,
    target: np.ndarray,
    columns: tuple[str, ...],
    depth: int,
    temperature: float,
) -> CaseResult:
    runs = Runs(context, (1.0,))
    x, y = _standardised(features), _standardised(target)
    potential = _HalfMeanSquare(x, y)
    gram = np.asarray(potential.gram)
    solution = np.linalg.lstsq(x, y, rcond=None)[0]
    size = len(solution)
    model = HadamardProduct((size,), depth)
    at = model.lift(jnp.asarray(solution))
    q = model.quotient(at=at)
    keeps_signs = depth % 2 == 0
    bounds = [(0.0, np.inf) if s > 0 else (-np.inf, 0.0) for s in solution]
    lower, upper = zip(*(bounds if keeps_signs else [(-np.inf, np.inf)] * size), strict=True)
    domain = Domain.box(lower, upper, None if keeps_signs else ((0.0,),) * size)
    horizontal(q, potential, temperature, domain=domain)  # raises where a condition fails
    loss = model.loss(potential)
    sde = ProjectedLangevin(loss, model.action, temperature)
    slow, fast = _scales(gram, solution, depth, temperature)
    dt = 0.2 / fast
    relaxations = 2.0 if context.quick else 4.0
    time = relaxations * max(1.0 / slow, _crossing(gram, solution, depth, temperature))
    if time / dt > _MOST_STEPS:
        raise ValueError(
            f"`csv`: the columns are so nearly collinear that {time / dt:,.0f} steps are needed "
            f"(at most {_MOST_STEPS:,} are run): drop or combine columns, or raise `temperature`."
        )
    ens = runs("horizontal noise", sde, at, time=time, dt=dt, observe=model.invariants, regauge=q)
    context.progress("draws of the predicted law", 0.9)
    sampler = _InRoots(potential, depth, np.sign(solution), temperature)
    keys = jax.random.split(jax.random.fold_in(context.key, 101))
    count = 1024 if context.quick else 2048
    laws = {
        f"horizontal: prod |w_i|^-{1.0 - 1.0 / depth:.3g}": sampler.draws(keys[0], count, solution)
    }
    if not context.quick:
        flat = DensityLaw(
            lambda w, t: -potential(w) / t, Domain.box(lower, upper), temperature, name="flat in w"
        )
        laws["flat in w"] = np.asarray(sample_nuts(flat, keys[1], count, start=solution))
    names, dynamics = list(laws), "horizontal, balanced start"
    rows = judge_rows(
        ens,
        list(laws.values()),
        names,
        case=name,
        dynamics=dynamics,
        expected=names[:1],
        joint=True,
    )
    rows = tuple(dataclasses.replace(row, reference="lebesgue") for row in rows)
    draws = ens.last()
    rows += tuple(
        _dilation_row(potential, draws, power, role, temperature, case=name, dynamics=dynamics)
        for power, role in ((1.0 / depth, "expected"), (1.0, "rival"))
    )
    rows += (virial_row(ens, loss, model.action, temperature, case=name, dynamics=dynamics),)
    notes = _shrinkage(columns, solution, draws, laws, temperature)
    return CaseResult(rows, _pictures(columns, solution, draws, laws, names[:1]), notes)


def _dilation_row(
    potential: Callable,
    draws: np.ndarray,
    power: float,
    role: str,
    temperature: float,
    *,
    case: str,
    dynamics: str,
) -> Row:
    """`E[w_i dl/dw_i] = p T` for every coefficient, as `prod |w_i|^(p - 1) exp(-l/T) dw` has it.

    By parts: there is no boundary term on half-lines or lines for `p > 0`. It needs no
    normalisation and no draws of the law. Bonferroni over the coefficients.
    """
    slopes = jax.jit(jax.vmap(jax.grad(potential)))
    products = draws * np.asarray(slopes(jnp.asarray(draws)))
    tests = [mean_test(x, power * temperature) for x in products.T]
    worst = min(tests, key=lambda test: test.p_value)
    word = "horizontal" if role == "expected" else "flat in w"
    return Row(
        test=f"dilations, {word}",
        case=case,
        dynamics=dynamics,
        law=f"{word}: E[w_i dl/dw_i] = {power:.3g} T",
        reference="lebesgue",
        role=role,
        draws=len(draws),
        statistic=worst.statistic,
        p_value=min(1.0, len(tests) * worst.p_value),
        kind="mean",
        detail="E[w_i dl/dw_i]/T = "
        + ", ".join(f"{x.mean() / temperature:.3f}" for x in products.T),
    )


def _change(mean: float, base: float) -> str:
    """How far a mean coefficient is from least squares, towards 0 or away from it."""
    if mean * base <= 0.0:
        return "of the other sign"
    change = abs(mean) / abs(base) - 1.0
    return f"{'shrunk' if change <= 0.0 else 'grown'} by {abs(change):.0%}"


def _shrinkage(columns, solution, draws, laws, temperature) -> tuple[str, ...]:
    """Which coefficients the bias shrinks, and by how much relative to T -> 0."""
    predicted, *others = laws.values()
    words = "law", "flat"
    lines = [
        f"mean coefficients at T = {temperature:g} against the T -> 0 limit (least squares): of "
        "the process, of the predicted law"
        + (" and of the same Gibbs density flat in w" if others else "")
        + "; percentages are of the least-squares size:"
    ]
    for i, column in enumerate(columns):
        base = solution[i]
        means = [x[:, i].mean() for x in (draws, *laws.values())]
        named = ", ".join(f"{w} {m:+.3f}" for w, m in zip(words, means[1:], strict=False))
        text = f"  {column}: {base:+.3f} -> {means[0]:+.3f} ({named})"
        if abs(base) > 0.5 * draws[:, i].std():
            shares = [_change(mean, base) for mean in means]
            named = ", ".join(f"{w} {c}" for w, c in zip(words, shares[1:], strict=False))
            text += f"; {shares[0]} ({named})"
        else:
            text += "; least squares is within half a standard deviation of 0"
        lines.append(text)
    for plain in others:
        shrunk = [
            column
            for i, column in enumerate(columns)
            if np.abs(predicted[:, i].mean()) < np.abs(plain[:, i].mean())
        ]
        lines.append(
            f"the volume correction shrinks {', '.join(shrunk) or 'none'} against flat in w."
        )
    return tuple(lines)


def _pictures(columns, solution, draws, laws, expected):
    """Up to four coefficients: those that the law moves most from least squares."""
    predicted = next(iter(laws.values()))
    moved = np.abs(predicted.mean(axis=0) - solution) / predicted.std(axis=0)
    pictures = []
    for i in np.argsort(-moved)[:4]:
        seen = np.concatenate([draws[:, i], *(x[:, i] for x in laws.values())])
        low, high = np.quantile(seen, [0.005, 0.995])
        edges = np.linspace(low, high, 41)
        centres = 0.5 * (edges[1:] + edges[:-1])
        curves = {
            name: (centres, np.histogram(x[:, i], edges)[0] / (len(x) * np.diff(edges)))
            for name, x in laws.items()
        }
        label = f"coefficient of {columns[i]} (least squares {solution[i]:+.2f})"
        pictures.append(figure(str(columns[i]), label, draws[:, i], curves, expected, (low, high)))
    return tuple(pictures)


def run_diabetes(context: Context) -> CaseResult:
    """The diabetes table that scikit-learn ships, 442 x 10, at T = 0.01."""
    from sklearn.datasets import load_diabetes

    data: Any = load_diabetes(scaled=False)
    return _regression(
        context,
        "diabetes",
        np.asarray(data["data"]),
        np.asarray(data["target"]),
        tuple(data["feature_names"]),
        2,
        0.01,
    )


def csv_case(table: Table, depth: int, temperature: float) -> Case:
    """The same analysis of a user's table under a depth-`depth` Hadamard parametrisation."""

    def run(context: Context) -> CaseResult:
        return _regression(context, "table", table.x, table.y, table.columns, depth, temperature)

    title = f"{table.target} on {len(table.columns)} columns, depth {depth}"
    return Case("table", title, run, 2048, 1024)


diabetes = Case(
    "diabetes",
    "Hadamard regression on the diabetes table, T = 0.01",
    run_diabetes,
    2048,
    512,
    cost=5.0,
)
