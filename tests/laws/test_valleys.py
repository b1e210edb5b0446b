"""Laws that lose their mass to infinity along valleys and curves are refused, and no others.

Along `w_1 - w_2 = c` a density `prod |w_i|^-p` falls as `R^(-2p)` in a valley of constant width:
integrable for `p > 1/2`. On a valley of dimension two in three coordinates: for `p > 2/3`.
"""

import jax.numpy as jnp
import numpy as np
import pytest

import gaugebias as gb
from gaugebias.laws import DensityLaw, NotNormalisable
from gaugebias.laws._quadrature._integrable import check_integrable
from gaugebias.quotient import Domain

LINE = [[1.0, -1.0]]
PLANE = [[1.0, -1.0, 1.0]]


def whole(m):
    return Domain(np.full(m, -np.inf), np.full(m, np.inf))


def regression(rows, power, decay=0.0):
    rows = jnp.asarray(rows)

    def weight(w, temperature):
        loss = 0.5 * jnp.sum((rows @ w - 1.0) ** 2) + decay * jnp.sum(jnp.abs(w))
        return -loss / temperature - power * jnp.sum(jnp.log(jnp.abs(w)))

    return weight


def check(weight, domain, temperature=0.1):
    check_integrable(DensityLaw(weight, domain, temperature))


def test_horizontal_law_of_a_hadamard_model_with_too_few_measurements_is_refused():
    q = gb.catalogue.HadamardProduct((2,), 2).quotient()
    row = jnp.array([1.0, -1.0])

    def valley(w):
        return 0.5 * (row @ w - 1.0) ** 2

    def two_rows(w):
        return valley(w) + 0.5 * (jnp.array([0.5, 1.0]) @ w - 1.0) ** 2

    with pytest.raises(NotNormalisable, match="along a valley") as error:
        gb.laws.horizontal(q, valley, 0.1)
    message = str(error.value)
    assert "weight decay" in message and "bounded box" in message
    # The sentence names the exponent of the marginal: R^-1, logarithmic divergence.
    assert abs(error.value.conditions[0].value + 1.0) < 1e-3
    assert gb.laws.horizontal(q, two_rows, 0.1).normalised
    assert gb.laws.horizontal(q, valley, 0.1, ridge=0.01).normalised
    box = Domain(np.full(2, -30.0), np.full(2, 30.0))
    assert gb.laws.horizontal(q, valley, 0.1, domain=box).normalised


@pytest.mark.parametrize("temperature", [0.1, 1e-4])
def test_along_a_line_the_exponent_decides(temperature):
    for power in (0.49, 0.5):
        with pytest.raises(NotNormalisable, match="valley") as error:
            check(regression(LINE, power), whole(2), temperature)
        assert error.value.conditions[0].value == pytest.approx(-2.0 * power, abs=2e-3)
    check(regression(LINE, 0.51), whole(2), temperature)


def test_far_weight_decay_and_full_rank_confine():
    # Decay sets in at R = T / 1e-4 = 1e3, where nothing else falls.
    check(regression(LINE, 0.3, 1e-4), whole(2))
    check(regression([[1.0, -1.0], [1.001, -1.0]], 0.3), whole(2))


def test_in_the_positive_orthant_the_sign_of_the_row_decides():
    positive = Domain(np.zeros(2), np.full(2, np.inf))
    check(regression([[1.0, 1.0]], 0.4), positive)
    with pytest.raises(NotNormalisable, match="valley"):
        check(regression(LINE, 0.4), positive)


def test_a_valley_of_dimension_two():
    with pytest.raises(NotNormalisable, match="valley"):
        check(regression(PLANE, 0.66), whole(3))
    check(regression(PLANE, 0.68), whole(3))


def test_a_generic_null_space_in_five_coordinates():
    rows = np.random.default_rng(1).standard_normal((4, 5))
    with pytest.raises(NotNormalisable, match="valley"):
        check(regression(rows, 0.19), whole(5))
    check(regression(rows, 0.21), whole(5))


def test_curved_valleys():
    def hyperbola(power):
        def weight(w, temperature):
            tilt = -power * jnp.log1p(jnp.sum(w**2))
            return -0.5 * (w[0] * w[1] - 1.0) ** 2 / temperature + tilt

        return weight

    def parabola(power):
        def weight(w, temperature):
            return -0.5 * (w[1] - w[0] ** 2) ** 2 / temperature - power * jnp.log1p(w[0] ** 2)

        return weight

    # Width 1/R at distance R: any power of R does. Along the parabola dw_1 (1 + w_1^2)^-p.
    for weight in (hyperbola(-0.01), parabola(0.49)):
        with pytest.raises(NotNormalisable, match="valley"):
            check(weight, whole(2))
    for weight in (hyperbola(0.01), parabola(0.51)):
        check(weight, whole(2))


def test_quadrature_refuses_them_too():
    with pytest.raises(NotNormalisable, match="valley"):
        DensityLaw(regression(LINE, 0.5), whole(2), 0.1).log_normaliser()
    two = DensityLaw(regression([[1.0, -1.0], [0.5, 1.0]], 0.5), whole(2), 0.1)
    assert np.isfinite(two.log_normaliser())
