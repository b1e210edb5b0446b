"""The estimate of a log-determinant, and that nothing uses it unasked."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gaugebias as gb
from gaugebias.quotient import DenseGram, StochasticLanczosGram
from gaugebias.symmetry import RightOrthogonal

ACTION = RightOrthogonal("0")
PARAMS = (jax.random.normal(jax.random.key(0), (12, 8)),)
GRAM = StochasticLanczosGram(ACTION, PARAMS, DenseGram(ACTION, PARAMS))


def test_only_large_grams_without_structure_offer_it():
    large = (jnp.ones((50, 46)),)
    gram = gb.orbit_gram(ACTION, large)
    assert isinstance(gram, StochasticLanczosGram)
    assert gram.structure.endswith("RightOrthogonal; `log_det_estimate` by stochastic Lanczos")
    assert isinstance(gb.orbit_gram(ACTION, PARAMS), DenseGram)


def test_all_other_methods_are_exact():
    exact = GRAM.dense
    c, v = jnp.cos(jnp.arange(28.0)), (jnp.cos(PARAMS[0]),)
    assert float(GRAM.log_det()) == float(exact.log_det())
    assert int(GRAM.rank()) == 28
    np.testing.assert_array_equal(GRAM.solve(c), exact.solve(c))
    np.testing.assert_array_equal(GRAM.sqrt(c), exact.sqrt(c))
    np.testing.assert_array_equal(GRAM.vertical(v)[0], exact.vertical(v)[0])


def test_the_estimate_is_within_its_standard_error():
    """Five standard errors at a fixed key: a false alarm of 6e-7 for a normal mean."""
    pytest.importorskip("matfree")
    value, error = GRAM.log_det_estimate(jax.random.key(1), probes=64, order=28)
    exact = float(GRAM.log_det())
    assert 0 < float(error) < 1.0
    assert abs(float(value) - exact) < 5 * float(error)
    # The log-determinant of 2 S, 28 log 2 further, is rejected by the same test.
    assert abs(float(value) - exact - 28 * np.log(2)) > 5 * float(error)


def test_the_estimate_in_float32():
    pytest.importorskip("matfree")
    small = (PARAMS[0].astype(jnp.float32),)
    gram = StochasticLanczosGram(ACTION, small, DenseGram(ACTION, small))
    value, error = gram.log_det_estimate(jax.random.key(1), probes=8, order=28)
    assert abs(float(value) - float(GRAM.log_det())) < 5 * float(error)


def test_without_matfree_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matfree", None)
    with pytest.raises(ImportError, match=r"pip install 'gaugebias\[matfree\]'"):
        GRAM.log_det_estimate(jax.random.key(0))


def test_one_probe_has_no_standard_error():
    with pytest.raises(ValueError, match="`probes` must be at least 2"):
        GRAM.log_det_estimate(jax.random.key(0), probes=1)
