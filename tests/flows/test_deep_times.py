"""Exact times of the flow of one eigenvalue."""

import numpy as np
import pytest

from gaugebias import flows


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5])
@pytest.mark.parametrize(
    ("eigenvalue", "start", "end"),
    [
        (3.0, 0.05, 1.1),  # rising
        (3.0, 3.5, 3.01),  # falling to it
        (0.004, 1.2, 0.9),  # far above a small one: the series
        (0.0, 0.8, 0.3),
        (-2.0, 0.8, 1e-2),
        (-1e-3, 0.8, 0.05),
    ],
)
def test_closed_form_is_the_integral(depth, eigenvalue, start, end):
    closed = flows.flow_time(eigenvalue, depth, start, end)
    integral = flows.flow_time(eigenvalue, depth, start, end, method="quadrature")
    assert np.isfinite(closed) and closed > 0
    np.testing.assert_allclose(closed, integral, rtol=1e-12)


@pytest.mark.parametrize("depth", [3, 4, 5])
def test_the_hypergeometric_form_agrees(depth):
    given = [3.0, 0.3, -2.0], depth, [0.05, 0.1, 0.8], [1.1, 0.5, 0.1]
    series = flows.flow_time(*given, method="hypergeometric")
    np.testing.assert_allclose(flows.flow_time(*given), series, rtol=1e-11)


def test_leading_order_at_small_starts():
    alpha, lam = 1e-4, 2.0
    middle = (0.5 * lam) ** 0.5
    exact = flows.flow_time(lam, 2, alpha, middle)
    np.testing.assert_allclose(exact, np.log(lam / alpha**2) / (2 * lam), rtol=1e-3)
    exact = flows.flow_time(lam, 4, alpha, (0.5 * lam) ** 0.25)
    np.testing.assert_allclose(exact, alpha**-2 / (2 * lam), rtol=1e-3)


def test_what_is_never_reached_takes_forever():
    # The rest point itself, beyond it, away from it, and below 0.
    times = flows.flow_time([4.0, 4.0, 4.0, -1.0], 2, [1.0, 1.0, 1.0, 0.5], [2.0, 3.0, 0.5, 0.0])
    assert np.isinf(times).all()
    assert flows.flow_time(4.0, 2, 1.0, 1.0) == 0.0


def test_what_bad_input_says():
    with pytest.raises(ValueError, match="`start` must be positive"):
        flows.flow_time(1.0, 2, 0.0, 0.5)
    with pytest.raises(ValueError, match="`depth` must be an integer"):
        flows.flow_time(1.0, 0, 0.1, 0.5)
    with pytest.raises(ValueError, match="`spectrum` must be finite"):
        flows.flow_time(np.nan, 2, 0.1, 0.5)
    with pytest.raises(ValueError, match="hypergeometric"):
        flows.flow_time(1.0, 2, 0.1, 0.5, method="hypergeometric")
