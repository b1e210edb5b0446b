"""Redundant maps and the potentials of differences."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from gaugebias import flows

from .conftest import check_potential

X = jnp.array([-4.0, -0.7, 0.01, 0.5, 3.0])
MAPS = {
    "depth 2": flows.PowerDifference(2),
    "depth 3": flows.PowerDifference(3),
    "depth 4.5": flows.PowerDifference(4.5),
    "depth 1.5": flows.PowerDifference(1.5),
    "product": flows.Product(),
    "sinh": flows.SignedDifference(flows.Sinh()),
    "power 3": flows.SignedDifference(flows.Power(3)),
}


SLOW = ("depth 1.5", "depth 4.5", "power 3")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in MAPS]
)
def test_potential_of_a_start(name):
    rng = np.random.default_rng(1)
    rho = MAPS[name]
    start = (jnp.asarray(rng.uniform(0.5, 1, 5)), jnp.asarray(rng.uniform(0.4, 0.9, 5)))
    potential = rho.potential(start)
    x0 = rho(start)
    np.testing.assert_allclose(potential.gradient(x0), 0.0, atol=1e-13)
    np.testing.assert_allclose(potential.curvature(x0) * rho.gram(start), 1.0, rtol=1e-12)
    # One start for all entries: the constant of the gradient is then shared.
    same = rho.potential((jnp.full(5, 0.7), jnp.full(5, 0.5)))
    check_potential(same, X)


def test_a_signed_difference_of_powers_is_a_power_difference():
    start = (jnp.full(5, 0.7), jnp.full(5, 0.5))
    general, special = (MAPS[n].potential(start) for n in ("power 3", "depth 3"))
    np.testing.assert_allclose(general.terms(X), special.terms(X), rtol=1e-11)
    np.testing.assert_allclose(general.gradient(X), special.gradient(X), rtol=1e-11)


@pytest.mark.parametrize("name", ["depth 2", "depth 3", "depth 1.5", "sinh"])
def test_lift_stays_on_the_leaf(name):
    rho = MAPS[name]
    u, v = rho.lift(X, 0.3)
    np.testing.assert_allclose(rho((u, v)), X, rtol=1e-10, atol=1e-12)
    if name == "depth 2":
        np.testing.assert_allclose(u * v, 0.09, rtol=1e-12)
    if name == "depth 3":
        np.testing.assert_allclose(1 / u + 1 / v, 2 / 0.3, rtol=1e-10)
    if name == "sinh":
        total = jnp.arctan(jnp.sinh(u)) + jnp.arctan(jnp.sinh(v))
        np.testing.assert_allclose(total, 2 * np.arctan(np.sinh(0.3)), rtol=1e-10)


def test_product_keeps_its_imbalance():
    u, v = flows.Product().lift(X, 0.5)
    np.testing.assert_allclose(u * v, X, rtol=1e-12)
    np.testing.assert_allclose(u**2 - v**2, 0.5, rtol=1e-10)


def test_below_depth_two_dual_time_goes_through_zero_weights():
    entropy = flows.PowerEntropy(1.25, jnp.zeros(5), jnp.zeros(5))
    # From 0: exactly p-th powers, p = 2/D.
    p = 1.6
    expected = p**2 / (4 * (p - 1)) * jnp.sign(X) * jnp.abs(X) ** (p - 1)
    np.testing.assert_allclose(entropy.gradient(X), expected, rtol=1e-12)
    u, v = entropy.weights(entropy.gradient(X))
    assert bool(jnp.all(jnp.minimum(u, v) == 0.0))


@pytest.mark.parametrize("start", [(0.3, 0.2), (1e-6, 1e-6)])
def test_the_domain_of_a_difference_ends_where_a_weight_does(start):
    """`u^1.5 - v^1.5`: `sqrt(u) + sqrt(v)` is kept until one of them is 0."""
    rho = flows.SignedDifference(flows.Power(1.5))
    u, v = (jnp.asarray(w) for w in start)
    potential = rho.potential((u, v))
    most = (np.sqrt(u) + np.sqrt(v)) ** 3
    np.testing.assert_allclose(tuple(potential.domain), (-most, most), rtol=1e-12)
    inside, beyond = jnp.asarray(0.9 * most), jnp.asarray(1.1 * most)
    np.testing.assert_allclose(potential.from_dual(potential.gradient(inside)), inside, rtol=1e-12)
    assert bool(potential.contains(inside)) and not bool(potential.contains(beyond))
    assert np.isnan(potential.gradient(beyond))
    np.testing.assert_allclose(rho(rho.lift(6.0 * u**1.5, u)), 6.0 * u**1.5, rtol=1e-12)
    with pytest.raises(ValueError, match="`x` is not reached from u = v = `scale`"):
        rho.lift(10.0 * u**1.5, u)


FAR = [
    (3, 100.0, 100.0, 1.0),  # what x moves the weights by is lost in them
    (3, 1e4, 1e4, 1.0),
    (2.5, 40.0, 30.0, 3e3),
    (10, 0.03, 0.03, 1.0),  # 1 - s/s_max is below rounding
    (6, 1e-4, 2e-4, -5.0),
    (3, 0.7, 0.5, -1.0),
]


@pytest.mark.parametrize("case", FAR)
def test_power_entropies_from_large_and_small_starts(case):
    """Against the definition in 80 digits: a root in the dual time, and `s x - R*(s)`."""
    depth, u, v, x = case
    with mpmath.workdps(80):
        d, a, b, y = (mpmath.mpf(value) for value in case)
        first, second = a ** (2 - d), b ** (2 - d)
        rate = d * (d - 2)
        low, high = -second / rate, first / rate

        def weights(s):
            return (first - rate * s) ** (1 / (2 - d)), (second + rate * s) ** (1 / (2 - d))

        for _ in range(270):
            s = (low + high) / 2
            up, down = weights(s)
            low, high = (s, high) if up**d - down**d < y else (low, s)
        value = s * y - (up**2 + down**2 - a**2 - b**2) / (2 * d)
        bend = 1 / (d**2 * (up ** (2 * d - 2) + down ** (2 * d - 2)))
        exact = [float(each) for each in (s, value, bend, up, down)]
    entropy = flows.PowerEntropy(depth, u, v)
    found = [entropy.gradient(x), entropy.terms(x), entropy.curvature(x), *entropy.weights_at(x)]
    np.testing.assert_allclose(found, exact, rtol=1e-12)
    slope = jax.grad(entropy.gradient)(x)
    np.testing.assert_allclose(slope, exact[2], rtol=1e-10)


def test_the_slope_of_the_gradient_at_the_start_itself():
    entropy = flows.PowerEntropy(3.0, 0.7, 0.5)
    x = entropy.u**3 - entropy.v**3
    np.testing.assert_allclose(jax.grad(entropy.gradient)(x), entropy.curvature(x), rtol=1e-12)


@pytest.mark.parametrize("depth", [2.5, 3, 4])
def test_no_weights_beyond_the_dual_time_at_which_one_is_infinite(depth):
    entropy = flows.PowerEntropy(depth, 0.7, 0.5)
    low, high = (float(end) for end in entropy.dual_domain)
    assert float(entropy.from_dual(0.999 * high)) > 10.0
    for s in (1.001 * low, high, 2.0 * high):
        values = entropy.from_dual(s), entropy.dual_curvature(s), entropy.conjugate(s)
        assert np.isnan(values).all()


def test_what_bad_input_says():
    ones, zeros = jnp.ones(2), jnp.zeros(2)
    with pytest.raises(ValueError, match="`depth` must be above 1"):
        flows.PowerDifference(1)
    with pytest.raises(ValueError, match="`start` has a zero weight, which never moves"):
        flows.PowerDifference(2).potential((ones, zeros))
    with pytest.raises(ValueError, match="`start` must be positive"):
        flows.PowerDifference(3).potential((ones, -ones))
    with pytest.raises(ValueError, match="`start` is balanced"):
        flows.Product().potential((ones, -ones))
    with pytest.raises(ValueError, match=r"`params` must be a pair"):
        flows.Product()(ones)
    with pytest.raises(ValueError, match="two arrays of one shape"):
        flows.Product()((ones, jnp.ones(3)))
    with pytest.raises(ValueError, match="`scale` must be positive"):
        flows.PowerDifference(3).lift(ones, 0.0)
    with pytest.raises(ValueError, match="`depth` must be above 1 and not 2"):
        flows.PowerEntropy(2.0, ones, ones)
    with pytest.raises(ValueError, match="`u` must be positive at depth 3"):
        flows.PowerEntropy(3.0, zeros, ones)
