"""Stand-in laws that need nothing but NumPy, with exact distribution functions and draws."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest


class PowerLaw:
    """p(w) ~ w^exponent exp(-(w - 1)^2 / (2 T)) on w > 0, tabulated in x = sqrt(w), where it is
    smooth. The orbit volume of w = uv at balance is V = sqrt(2 w)."""

    def __init__(self, exponent=-0.5, temperature=0.1, name="power law", reference="lebesgue"):
        self.name, self.reference = name, reference
        self.exponent, self.temperature = exponent, temperature
        edges = np.linspace(0.0, 2.2, 4001)
        nodes, weights = np.polynomial.legendre.leggauss(6)
        half = (edges[1] - edges[0]) / 2
        x = edges[:-1, None] + half * (nodes[None] + 1)
        mass = x ** (2 * exponent + 1) * np.exp(-((x**2 - 1) ** 2) / (2 * temperature))
        mass = mass * weights[None] * half
        self._edges, self._nodes, self._mass = edges, x**2, mass / mass.sum()
        self._cdf = np.concatenate([[0.0], np.cumsum(self._mass.sum(axis=1))])

    def cdf(self, x):
        return np.interp(np.sqrt(np.clip(x, 0.0, None)), self._edges, self._cdf)

    def quantile(self, u):
        return np.interp(u, self._cdf, self._edges) ** 2

    def draw(self, rng, *shape):
        return self.quantile(rng.uniform(size=shape))

    def statistic(self, name):
        if name == "temperature":
            return lambda x: (x - 1) ** 2 / (2 * self.temperature)
        return lambda x: np.log(2 * x) / 2

    def expectation(self, fn):
        values = fn(self._nodes)
        mean = np.sum(values * self._mass)
        return mean, np.sum((values - mean) ** 2 * self._mass)


class Pair:
    """Two independent coordinates with the same one-dimensional law."""

    name, reference = "pair", "lebesgue"
    domain = SimpleNamespace(dimension=2)

    def __init__(self, law):
        self.law = law

    def marginal(self, fn):
        assert fn(np.arange(2.0)) in (0.0, 1.0)
        return self.law

    def sample(self, key, n):
        return self.law.quantile(np.asarray(jax.random.uniform(key, (n, 2))))


@pytest.fixture(scope="session")
def power_law():
    return PowerLaw


@pytest.fixture(scope="session")
def pair():
    return Pair


@pytest.fixture(scope="session")
def make_ensemble():
    def make(values, results=None):
        chains = len(jax.tree.leaves(values)[0])
        codes = np.zeros(chains, dtype=int) if results is None else np.asarray(results)
        return SimpleNamespace(values=values, results=codes)

    return make
