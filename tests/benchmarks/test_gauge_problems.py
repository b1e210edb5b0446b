"""The torch loops, and the scan, run the experiments that they are said to run."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

if not (Path(__file__).resolve().parents[2] / "benchmarks").is_dir():
    pytest.skip("the benchmarks are not part of this distribution", allow_module_level=True)

from benchmarks import peers, train
from benchmarks._gauge_problems import coefficient_error, experiments
from benchmarks._gauge_runs import scan
from benchmarks._training_problems import Training, problems

EXPERIMENTS = {experiment.name: experiment for experiment in experiments()}
LINEAR = ("spectrum", "variation")


@pytest.fixture(autouse=True)
def single():
    """All of them are measured in float32."""
    with jax.enable_x64(False):
        yield


def batch(experiment, seed):
    if experiment.data is not None:
        return jax.tree.map(jnp.asarray, experiment.data(seed))
    return experiment.draw(jax.random.key(seed))


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_torch_and_jax_have_the_same_losses(name):
    """Values and gradients of every model on one batch, alone and as one of two seeds."""
    torch = pytest.importorskip("torch")
    experiment = EXPERIMENTS[name]
    module = peers.torch_module(name)
    assert module is not None
    losses = module.losses(experiment)
    batches = [batch(experiment, seed) for seed in (0, 1)]
    stacked = jax.tree.map(lambda *xs: torch.tensor(np.stack(xs)), *batches)
    for model, loss in zip(experiment.models, losses, strict=True):
        together = [torch.tensor(x, requires_grad=True) for x in model.starts(2)]
        both = loss(together, stacked)
        assert both.shape == (2,)
        both.sum().backward()
        for seed in (0, 1):
            start = tuple(jnp.asarray(x) for x in model.start(seed))
            value, slopes = jax.value_and_grad(model.loss)(start, batches[seed])
            alone = [torch.tensor(np.array(x), requires_grad=True) for x in start]
            one = loss(alone, jax.tree.map(lambda x: torch.tensor(np.array(x)), batches[seed]))
            one.backward()
            np.testing.assert_allclose(one.item(), value, rtol=1e-4)
            np.testing.assert_allclose(both[seed].item(), value, rtol=1e-4)
            for a, b, want in zip(alone, together, slopes, strict=True):
                size = 1e-4 * float(jnp.max(jnp.abs(want)))
                np.testing.assert_allclose(a.grad.numpy(), want, rtol=1e-3, atol=size)
                np.testing.assert_allclose(b.grad.numpy()[seed], want, rtol=1e-3, atol=size)


@pytest.mark.parametrize("name", LINEAR)
def test_descent_without_noise_is_the_same_everywhere(name):
    """Thirty full-batch steps by hand in numpy (float64), by the scan and by torch."""
    experiment, steps = EXPERIMENTS[name], 30
    assert experiment.data is not None
    design, values = (x.astype(float) for x in experiment.data(0))
    if name == "variation":
        summed = design @ np.tril(np.ones((design.shape[1],) * 2))
    wanted = []
    for model in experiment.models:
        ps = [x.astype(float) for x in model.start(0)]
        rows = summed if name == "variation" and len(ps) == 2 else design
        for _ in range(steps):
            x = ps[0] if len(ps) == 1 else ps[0] * ps[1]
            g = 2 / len(values) * rows.T @ (rows @ x - values)
            gs = [g] if len(ps) == 1 else [g * ps[1], g * ps[0]]
            if model.name == "penalised":
                gs[0] = gs[0] + 0.1 * np.sign(ps[0])
            ps = [p - model.learning_rate * g for p, g in zip(ps, gs, strict=True)]
        wanted.append(ps)
    runs = {
        "one": (scan(experiment, None, steps)()[0], lambda x: x),
        "two": (scan(experiment, 2, steps)()[0], lambda x: x[0]),
    }
    for seeds, name_ in ((None, "torch one"), (2, "torch two")):
        loop = peers.torch_training(experiment, seeds, steps, 1)
        if loop is not None:
            runs[name_] = (loop(), (lambda x: x) if seeds is None else (lambda x: x[0]))
    for found, of_first in runs.values():
        for ps, want in zip(found, wanted, strict=True):
            for p, w in zip(ps, want, strict=True):
                np.testing.assert_allclose(of_first(np.asarray(p)), w, atol=1e-5)
    moved = max(np.max(np.abs(w - s)) for w, s in zip(wanted[0], model.start(0), strict=False))
    assert moved > 1e-3


@pytest.mark.parametrize("name", ["relu", "attention", "completion"])
def test_training_on_fresh_batches_descends(name):
    """Fifty times the published learning rate, forty steps: the loss on held-out batches falls."""
    from dataclasses import replace

    experiment = EXPERIMENTS[name]
    (model,) = experiment.models
    model = replace(model, learning_rate=50 * model.learning_rate)
    experiment = replace(experiment, models=(model,))
    assert experiment.draw is not None
    held_out = [experiment.draw(jax.random.key(1000 + i)) for i in range(8)]

    def mean_loss(params):
        params = tuple(jnp.asarray(x) for x in params)
        return float(np.mean([model.loss(params, each) for each in held_out]))

    before = mean_loss(model.start(0))
    ends = [scan(experiment, None, 40)()[0][0]]
    loop = peers.torch_training(experiment, None, 40, 1)
    if loop is not None:
        ends.append(loop()[0])
    for end in ends:
        assert mean_loss(end) < before


def test_the_error_of_coefficients_is_the_mean_over_the_interval():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 5))
    t = (np.arange(4000) + 0.5) / 4000
    gap = np.cos(2 * np.pi * np.outer(t, np.arange(5))) @ (a - b)
    np.testing.assert_allclose(coefficient_error(b, a), np.mean(gap**2), rtol=1e-10)


@pytest.mark.parametrize("problem", problems(), ids=lambda p: p.name)
def test_minibatch_training_is_the_same_everywhere(problem):
    """Copies of one sample: whatever rows are drawn, all paths must end at one point."""
    data = tuple(np.repeat(x[:1], len(x), axis=0) for x in problem.data)
    p = Training(problem.name, data, problem.start, problem.loss, 1e-2, problem.batch, 3)
    sample = tuple(jnp.asarray(x[0]) for x in data)
    want = tuple(jnp.asarray(x) for x in p.start)
    for _ in range(20):
        want = jax.tree.map(lambda x, g: x - 1e-2 * g, want, jax.grad(p.loss)(want, sample))
    assert max(float(jnp.max(jnp.abs(x - y))) for x, y in zip(want, p.start, strict=True)) > 1e-3
    ends = [train.library(p, 20)(), train.scan(p, 20)()]
    torch = peers.torch_minibatches(p, 1, 20)
    if torch is not None:
        ends.append(torch())
    for end in ends:
        for x, w in zip(end, want, strict=True):
            np.testing.assert_allclose(np.asarray(x), np.repeat(w[None], 3, axis=0), atol=1e-5)
