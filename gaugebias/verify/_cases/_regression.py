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
from .._report import CaseResult
from .._runner import Case, Context
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


def _scales(gram: np.ndarray, w: np.ndarray, depth: int, temperature: float):
    """Slowest and fastest rate of the linearised quotient process.

    A coefficient is taken at least as large as its own thermal width, below which noise moves it.
    """
    size = np.maximum(np.abs(w), np.sqrt(temperature / np.diag(gram)))
    root = np.sqrt(depth * size ** (2.0 - 2.0 / depth))
    rates = np.linalg.eigvalsh(root[:, None] * gram * root[None, :])
    return float(rates[0]), float(rates[-1])


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
    time = relaxations / slow
    if time / dt > _MOST_STEPS:
        raise ValueError(
            f"`csv`: the columns are so nearly collinear that {time / dt:,.0f} steps are needed "
            f"(at most {_MOST_STEPS:,} are run): drop or combine columns, or raise `temperature`."
        )
    ens = runs(
        "horizontal noise", sde, at, time=time, dt=dt, observe=model.invariants, regauge=q
    )
    context.progress("draws of the predicted law", 0.9)
    sampler = _InRoots(potential, depth, np.sign(solution), temperature)
    keys = jax.random.split(jax.random.fold_in(context.key, 101))
    count = 1024 if context.quick else 2048
    predicted = sampler.draws(keys[0], count, solution)
    flat = DensityLaw(
        lambda w, t: -potential(w) / t, Domain.box(lower, upper), temperature, name="flat in w"
    )
    plain = np.asarray(sample_nuts(flat, keys[1], count, start=solution))
    names = [f"horizontal: prod |w_i|^-{1.0 - 1.0 / depth:.3g}", "flat in w"]
    dynamics = "horizontal, balanced start"
    rows = judge_rows(
        ens, [predicted, plain], names, case=name, dynamics=dynamics, expected=names[:1], joint=True
    )
    rows = tuple(dataclasses.replace(row, reference="lebesgue") for row in rows)
    rows += (virial_row(ens, loss, model.action, temperature, case=name, dynamics=dynamics),)
    draws = ens.last()
    notes = _shrinkage(columns, solution, draws, predicted, plain, temperature)
    return CaseResult(rows, _pictures(columns, solution, draws, predicted, plain, names), notes)


def _shrinkage(columns, solution, draws, predicted, plain, temperature) -> tuple[str, ...]:
    """Which coefficients the bias shrinks, and by how much relative to T -> 0."""
    lines = [
        f"mean coefficients at T = {temperature:g} against the T -> 0 limit (least squares); "
        "means of the process, of the predicted law and of the same Gibbs density flat in w; "
        "shrinkage is 1 - |mean|/|least squares|:"
    ]
    for i, column in enumerate(columns):
        base = solution[i]
        means = [x[:, i].mean() for x in (draws, predicted, plain)]
        text = f"  {column}: {base:+.3f} -> {means[0]:+.3f}"
        text += f" (law {means[1]:+.3f}, flat {means[2]:+.3f})"
        if abs(base) > 0.5 * draws[:, i].std():
            shares = [1.0 - abs(mean) / abs(base) for mean in means]
            text += (
                f"; shrunk by {shares[0]:+.0%} (law {shares[1]:+.0%}, flat {shares[2]:+.0%})"
            )
        else:
            text += "; least squares is within half a standard deviation of 0"
        lines.append(text)
    shrunk = [
        column
        for i, column in enumerate(columns)
        if np.abs(predicted[:, i].mean()) < np.abs(plain[:, i].mean())
    ]
    lines.append(f"the volume correction shrinks {', '.join(shrunk) or 'none'} against flat in w.")
    return tuple(lines)


def _pictures(columns, solution, draws, predicted, plain, names):
    """The coefficients whose laws differ most from flat, up to four panels."""
    spread = plain.std(axis=0)
    moved = np.abs(predicted.mean(axis=0) - plain.mean(axis=0)) / spread
    pictures = []
    for i in np.argsort(-moved)[:4]:
        low, high = np.quantile(np.concatenate([draws[:, i], plain[:, i]]), [0.005, 0.995])
        edges = np.linspace(low, high, 41)
        centres = 0.5 * (edges[1:] + edges[:-1])
        curves = {
            name: (centres, np.histogram(x[:, i], edges)[0] / (len(x) * np.diff(edges)))
            for name, x in zip(names, (predicted, plain), strict=True)
        }
        label = f"coefficient of {columns[i]} (least squares {solution[i]:+.2f})"
        pictures.append(figure(str(columns[i]), label, draws[:, i], curves, names[:1], (low, high)))
    return tuple(pictures)


def run_diabetes(context: Context) -> CaseResult:
    """The diabetes table that scikit-learn ships, 442 x 10, at T = 0.01."""
    from sklearn.datasets import load_diabetes

    data: Any = load_diabetes(scaled=False)
    return _regression(
        context, "diabetes", np.asarray(data["data"]), np.asarray(data["target"]),
        tuple(data["feature_names"]), 2, 0.01,
    )


def csv_case(table: Table, depth: int, temperature: float) -> Case:
    """The same analysis of a user's table under a depth-`depth` Hadamard parametrisation."""

    def run(context: Context) -> CaseResult:
        return _regression(
            context, "table", table.x, table.y, table.columns, depth, temperature
        )

    title = f"{table.target} on {len(table.columns)} columns, depth {depth}"
    return Case("table", title, run, 2048, 1024)


diabetes = Case(
    "diabetes", "Hadamard regression on the diabetes table, T = 0.01", run_diabetes, 2048, 512
)
