"""Norm ratios with what conservation predicts."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
import pytest

import gaugebias as gb


def squared_norms(p):
    return {"a": p["a"] ** 2, "b": p["b"] ** 2}


@pytest.fixture(scope="module")
def runs():
    """Two products fitted to a target, with batches that see all of it and with noisy ones."""
    x = jr.normal(jr.key(0), (64, 2))
    data = (x, x @ jnp.asarray([2.0, 1.0]) + 2.0 * jr.normal(jr.key(1), (64,)))
    start = {"a": jnp.asarray([0.2, 0.3]), "b": jnp.asarray([0.02, 0.9])}

    def error(p, sample):
        x, y = sample
        return 0.5 * (jnp.sum(x * p["a"] * p["b"]) - y) ** 2

    def run(noise):
        return gb.train(
            error, start, data, optimiser=optax.sgd(0.01), batch_size=1, key=jr.key(2),
            chains=8, steps=1500, every=100, observe=squared_norms, noise=noise,
        )  # fmt: skip

    return {noise: run(noise) for noise in ("full", "minibatch")}


def test_without_noise_the_ratios_are_those_of_conservation(runs):
    ax = gb.plot.norm_ratios(runs["full"], "a", "b")
    lines = [
        np.asarray(line.get_ydata()) for line in ax.lines if len(np.asarray(line.get_ydata())) == 15
    ]
    assert len(lines) == 4
    for measured, predicted in zip(lines[::2], lines[1::2], strict=True):
        np.testing.assert_allclose(measured, predicted, rtol=0.02)
    assert ax.get_yscale() == "log"


def test_with_noise_they_are_not(runs):
    ax = gb.plot.norm_ratios(runs["minibatch"], "a", "b")
    lines = [
        np.asarray(line.get_ydata()) for line in ax.lines if len(np.asarray(line.get_ydata())) == 15
    ]
    off = [abs(np.log(m[-1] / p[-1])) for m, p in zip(lines[::2], lines[1::2], strict=True)]
    assert max(off) > 0.1


def test_bad_input_is_said(runs):
    with pytest.raises(ValueError, match="did not observe 'c' but a, b"):
        gb.plot.norm_ratios(runs["full"], "a", "c")
    one = jax.tree.map(lambda x: x, runs["full"])
    once = gb.dynamics.Ensemble(
        values={k: v[:, :1] for k, v in one.values.items()},
        steps=one.steps[:1],
        results=one.results,
        failed_by=one.failed_by,
        final=one.final,
        key_data=one.key_data,
        settings=one.settings,
    )
    with pytest.raises(ValueError, match="has one draw"):
        gb.plot.norm_ratios(once, "a", "b")
