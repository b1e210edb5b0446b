import jax
import numpy as np
import pytest

from gaugebias.factor import CountTable, Factorisation

TOY = [[448, 369], [1789, 1753], [636, 859], [177, 237], [39, 64]]
"""Self-assessed health, very good to very bad, of men and women (Greenacre, Exhibit 16.1)."""


@pytest.fixture
def toy():
    rows = ("very good", "good", "regular", "bad", "very bad")
    return CountTable(TOY, rows, ("male", "female"), name="health")


def _random(seed, i=12, j=9, k=3, pure=True):
    """Row-stochastic factors with some zeros, and with pure rows where asked for."""
    rng = np.random.default_rng(seed)
    mixing = rng.dirichlet(np.full(k, 0.8), i)
    if pure:
        mixing[:k] = np.eye(k)
    basis = rng.dirichlet(np.full(j, 0.8), k)
    return Factorisation(mixing, basis, rng.uniform(50.0, 900.0, i))


@pytest.fixture(scope="session")
def make():
    return _random


@pytest.fixture(scope="session")
def sample():
    """A noisy table of three components, 12 x 9."""
    found = _random(3)
    counts = np.random.default_rng(4).poisson(10 * found.fitted)
    return CountTable(counts)


@pytest.fixture
def key():
    return jax.random.key(7)
