"""Descent of the likelihood in charts."""

import jax.numpy as jnp
import numpy as np
import pytest

from gaugebias import flows

HALF = jnp.array([0.5, 0.5])
LIKE = flows.GaussianMixture(HALF, jnp.array([0.0, 1.0]))
START = flows.GaussianMixture(HALF, jnp.array([0.2, 0.9]))
_rng = np.random.default_rng(5)
DATA = _rng.standard_normal(200) + 2.0 * (_rng.random(200) < 0.5)


def models():
    return [flows.MixtureModel(LIKE, c) for c in (flows.AbsoluteChart(), flows.FlooredChart(0.1))]


def test_natural_steps_do_not_see_the_chart_and_plain_ones_do():
    """At a step of 1e-6 the means move alike, to that order."""
    rate, moves = 1e-6, {}
    for natural in (True, False):
        for model in models():
            found = flows.mixture_descent(
                model, DATA, model.inverse(START), learning_rate=rate, steps=1, natural=natural
            )
            means = [model(xi).means for xi in found.coordinates]
            moves.setdefault(natural, []).append((means[1] - means[0]) / rate)
    np.testing.assert_allclose(*moves[True], rtol=1e-4)
    assert np.abs(moves[False][0] / moves[False][1] - 1).max() > 0.1


def test_descents_arrive_where_em_does():
    fit = flows.mixture_em(DATA, START, fixed_weights=True, tol=1e-14)
    for natural, steps in ((True, 300), (False, 3000)):
        for model in models()[1:]:
            found = flows.mixture_descent(
                model,
                DATA,
                model.inverse(START),
                learning_rate=0.2,
                steps=steps,
                natural=natural,
            )
            assert int(found.diverged) == -1
            assert float(found.log_likelihood[-1]) == pytest.approx(fit.traces[0][-1], abs=1e-6)
            np.testing.assert_allclose(
                model(found.coordinates[-1]).means, fit.mixture.means, atol=1e-4
            )


def test_divergence_is_reported():
    model = models()[1]
    found = flows.mixture_descent(
        model, DATA, model.inverse(START), learning_rate=1e200, steps=5, natural=False
    )
    assert 0 < int(found.diverged) <= 5


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"learning_rate": 0.0}, "`learning_rate` must be a positive number"),
        ({"steps": 0}, "`steps` must be a whole number"),
        ({"data": jnp.array([jnp.nan, 1.0])}, "1 values that are not finite"),
        ({"data": jnp.zeros((3, 2)), "natural": True}, "`key` is needed for `natural`"),
        ({"start": jnp.zeros(2), "natural": True}, "`start` is a singular point"),
        ({"start": jnp.zeros((2, 1))}, "`start` must be a vector"),
    ],
)
def test_bad_input(options, says):
    given = {"data": DATA, "start": jnp.array([0.0, 1.0]), "learning_rate": 0.1, "steps": 3}
    given |= options
    with pytest.raises(ValueError, match=says):
        flows.mixture_descent(models()[0], given.pop("data"), given.pop("start"), **given)
