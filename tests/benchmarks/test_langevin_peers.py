"""The peers of `simulate` run the problem that the engines run."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

if not (Path(__file__).resolve().parents[2] / "benchmarks").is_dir():
    pytest.skip("the benchmarks are not part of this distribution", allow_module_level=True)

from benchmarks import engines, peers

STEPS, CHAINS = 40, 8


@pytest.fixture(autouse=True)
def single():
    """The engines are measured in float32, without double precision anywhere."""
    with jax.enable_x64(False):
        yield


def problem(name, temperature):
    loss, _, start = engines.problem(name)
    target = engines.as_peer(name, STEPS).target
    # Away from the solution, on which the start of two of the problems lies.
    start = (1.5 * start[0], 0.5 * start[1])
    return peers.Problem(loss, start, target, STEPS, CHAINS, 1e-2, temperature, 0)


def final(problem, name):
    runs = peers.langevin(problem, slow=False)[0] | peers.langevin(problem, slow=True)[0]
    if name not in runs:
        pytest.skip(f"{name} is not installed")
    out = runs[name]()
    if not isinstance(out, tuple):
        out = tuple(np.split(np.asarray(out), 2, axis=1))
    return [np.asarray(x).reshape(CHAINS, -1) for x in out]


@pytest.mark.parametrize("which", ["hadamard", "factorisation"])
@pytest.mark.parametrize("name", [peer[0] for peer in peers.LANGEVIN])
def test_without_noise_every_peer_descends_the_gradient(which, name):
    """At T = 0 nothing is left but gradient descent, which all of them must do alike."""
    p = problem(which, 0.0)
    expected = p.start
    for _ in range(STEPS):
        slope = jax.grad(p.loss)(expected)
        expected = jax.tree.map(lambda x, g: x - p.dt * g, expected, slope)
    moved = max(float(jnp.max(jnp.abs(a - b))) for a, b in zip(expected, p.start, strict=True))
    assert moved > 0.05
    for got, want in zip(final(p, name), expected, strict=True):
        np.testing.assert_allclose(got, np.tile(np.ravel(want), (CHAINS, 1)), atol=2e-5)


@pytest.mark.parametrize("name", [peer[0] for peer in peers.LANGEVIN])
def test_the_noise_of_every_peer_has_the_size_asked(name):
    """Differences between chains after `STEPS` short steps: variance `2 T STEPS dt`, up to drift.

    512 numbers or more at 15% (chi-squared: 2.4 standard deviations of the 6.2% it scatters, but
    fixed seeds); half or double the noise is off by a factor of two at least.
    """
    p = problem("hadamard", 1e-6)
    p = peers.Problem(p.loss, p.start, None, STEPS, CHAINS, 1e-4, 1e-6, 0)
    spread = np.concatenate([np.var(x, axis=0, ddof=1) for x in final(p, name)])
    assert np.mean(spread) == pytest.approx(2e-6 * STEPS * 1e-4, rel=0.15)


def test_absent_packages_are_named(monkeypatch):
    from benchmarks.peers import _langevin

    monkeypatch.setattr(_langevin, "find_spec", lambda package: None)
    runs, absent = peers.langevin(problem("toy", 0.1), slow=True)
    assert runs == {} and absent == ["torch vmap(grad)", "torchsde euler", "diffrax defaults"]
