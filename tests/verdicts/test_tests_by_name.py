from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

import gaugebias as gb
from gaugebias.verdicts import compare
from gaugebias.verdicts._stein import stein_test, tail_index, wall_weight

ALL = ("ks", "scores", "energy", "mmd", "stein", "rank")


class Gaussian:
    """N(0, I) in `dimension` coordinates: a score and draws, no marginals and no constant."""

    name, reference, normalised = "gaussian", "lebesgue", False

    def __init__(self, dimension, scale=1.0):
        self.scale, self.shape = scale, (dimension,)
        self.domain = SimpleNamespace(dimension=dimension)

    def score(self, x):
        return -x / self.scale**2

    def log_density(self, x):
        return -jnp.sum(x**2, axis=-1) / (2 * self.scale**2)

    def sample(self, key, n):
        return self.scale * jax.random.normal(key, (n, *self.shape))


@pytest.fixture(scope="module")
def product():
    model = gb.catalogue.HadamardProduct(())
    q = model.quotient(at=model.lift(jnp.asarray(1.0)))
    domain = gb.quotient.Domain.line(lower=0.0)
    return gb.laws.horizontal(q, lambda w: 0.5 * (w - 1.0) ** 2, 0.1, domain=domain)


def test_every_test_on_a_law_with_a_wall(product, power_law):
    # p ~ |w|^(-1/2) at w = 0: the Stein test functions must vanish there. A right law fails with
    # probability 1e-3; the wrong power must be rejected by each test that sees shapes.
    rng = np.random.default_rng(0)
    right, wrong = power_law().draw(rng, 800), power_law(0.6).draw(rng, 800)
    row = compare(right, product, tests=ALL)[0]
    assert row.verdict == "consistent"
    assert set(row.tests) == {
        "ks",
        "energy",
        "mmd",
        "stein",
        "rank",
        "rank[density]",
        "temperature",
        "exponent",
    }
    row = compare(wrong, product, tests=ALL)[0]
    for name in ("ks", "energy", "mmd", "stein", "rank", "exponent"):
        assert row.tests[name].p_value < 1e-3, name
    only = compare(right, product, tests="stein")[0]
    assert set(only.tests) == {"stein"} and only.statistic == only.tests["stein"].statistic
    assert only.detectable == {}


def test_many_coordinates_take_stein_by_default():
    rng = np.random.default_rng(1)
    law = Gaussian(5)
    row = compare(rng.normal(size=(600, 5)), law, law_draws=600)[0]
    assert row.verdict == "consistent" and {"stein", "energy", "ks[4]"} <= set(row.tests)
    wide = compare(1.5 * rng.normal(size=(600, 5)), law, law_draws=600)[0]
    assert wide.verdict == "rejected" and wide.tests["stein"].p_value < 1e-6
    # Right marginals, wrong dependence: the log density's ranks and Stein see it.
    tied = rng.normal(size=(1200, 5))
    tied[:, 1] = 0.8 * tied[:, 0] + 0.6 * tied[:, 1]
    row = compare(tied, law, tests=("stein", "rank"), law_draws=11_400)[0]
    assert row.tests["stein"].p_value < 1e-6 and set(row.tests) > {"rank[0]", "rank[density]"}


def test_stein_alone_needs_no_draws():
    whole = Gaussian(4)
    law = SimpleNamespace(name="score only", score=whole.score, domain=whole.domain)
    row = compare(np.random.default_rng(2).normal(size=(300, 4)), law, tests="stein")[0]
    assert row.verdict == "consistent"


def test_draws_against_draws_by_name():
    rng = np.random.default_rng(3)
    first, second = rng.normal(size=(2, 500, 2))
    row = compare(first, second, tests=("ks", "mmd"))[0]
    assert set(row.tests) == {"ks[0]", "ks[1]", "mmd"}
    with pytest.raises(ValueError, match="`tests`: 'draws 0' is a set of draws"):
        compare(first, second, tests="stein")


def test_the_weight_vanishes_at_walls_and_has_its_gradient():
    domain = gb.quotient.Domain.box([0.0, -np.inf], [np.inf, 3.0], ((1.0,), ()))
    points = np.random.default_rng(4).uniform(0.1, 2.5, size=(40, 2))
    found = wall_weight(domain, points)
    assert found is not None
    # The length scale is the draws' standard deviation, which a common shift leaves alone.
    step = 1e-6
    for i in range(2):
        up, down = (wall_weight(domain, points + s * step * np.eye(2)[i]) for s in (1, -1))
        assert up is not None and down is not None
        slope = (up[0] - down[0]) / (2 * step)
        np.testing.assert_allclose(found[1][:, i], slope, rtol=1e-5, atol=1e-7)
    for wall in ([0.0, 0.5], [1.0, 0.5], [0.5, 3.0]):
        value = wall_weight(domain, np.vstack([points, wall]))
        assert value is not None and value[0][-1] == 0.0
    ordered = gb.quotient.Domain.box([-np.inf] * 2, [np.inf] * 2, ordered=True)
    value = wall_weight(ordered, np.array([[1.0, 1.0], [2.0, 0.0]]))
    assert value is not None and value[0][0] == 0.0 < value[0][1]
    assert wall_weight(gb.quotient.Domain.line(), points[:, :1]) is None


def test_ordered_coordinates_satisfy_the_stein_identity(getkey):
    # Two ordered normals: density constant across x_1 = x_2, a wall of the cone. Right law fails
    # with probability 1e-3; another scale is rejected.
    class Ordered(Gaussian):
        def __init__(self, scale):
            super().__init__(2, scale)
            self.domain = gb.quotient.Domain.box([-np.inf] * 2, [np.inf] * 2, ordered=True)

    x = -np.sort(-np.random.default_rng(5).normal(size=(1500, 2)), axis=1)
    assert stein_test(Ordered(1.0), x, getkey()).p_value > 1e-3
    assert stein_test(Ordered(1.3), x, getkey()).p_value < 1e-6


class Singular(Gaussian):
    """|x_0|^(-1/2) exp(-|x|^2 / 2) in 4 coordinates: singular on x_0 = 0."""

    def __init__(self, domain):
        super().__init__(4)
        self.domain = domain

    def score(self, x):
        return -x - 0.5 * jnp.asarray([1.0, 0.0, 0.0, 0.0])[None, :] / x

    def draws(self, n):
        rng = np.random.default_rng(7)
        x = rng.normal(size=(n, 4))
        # x^2 / 2 follows the gamma law of exponent 1/4.
        x[:, 0] = np.sign(x[:, 0]) * np.sqrt(2.0 * rng.gamma(0.25, size=n))
        return x


def test_a_singularity_off_the_walls_is_refused():
    # Named as a break it is a wall, and the right law is not rejected (false alarm 1e-3).
    whole = [-np.inf] * 4, [np.inf] * 4
    named = Singular(gb.quotient.Domain.box(*whole, ((0.0,), (), (), ())))
    row = compare(named.draws(1500), named, tests="stein")[0]
    assert row.verdict == "consistent"
    assert compare(1.3 * named.draws(1500), named, tests="stein")[0].verdict == "rejected"
    hidden = Singular(gb.quotient.Domain.box(*whole))
    for n in (100, 1500):
        with pytest.raises(ValueError, match="no stein test.*no finite variance"):
            compare(hidden.draws(n), hidden, tests="stein")
    # Where the dimension chooses, it is left out with a note.
    row = compare(hidden.draws(200), hidden, law_draws=200)[0]
    assert "stein" not in row.tests and "no stein test" in row.detail


def test_the_tail_index_of_light_and_heavy_tails():
    rng = np.random.default_rng(8)
    for n in (100, 2000):
        light = np.asarray([tail_index(np.abs(rng.normal(size=n))) for _ in range(200)])
        heavy = np.asarray([tail_index(rng.uniform(size=n) ** -2.0) for _ in range(200)])  # 1/2
        assert np.all(light > 2.0) and np.mean(heavy < 2.0) > 0.95
    assert np.all(heavy < 2.0)
    assert tail_index(np.ones(50)) == np.inf


def test_bad_names_and_laws_that_do_not_offer_them(product):
    draws = np.random.default_rng(6).normal(size=64)
    with pytest.raises(ValueError, match="`tests` names 'kolmogorov': choose from ks"):
        compare(draws, norm(), tests="kolmogorov")
    with pytest.raises(ValueError, match="`tests` is empty"):
        compare(draws, norm(), tests=())
    with pytest.raises(ValueError, match="no stein test of the law 'law 0'.*`score`"):
        compare(draws, norm(), tests="stein")
    with pytest.raises(ValueError, match="no rank test.*`sample`"):
        compare(draws, norm(), tests="rank")
    with pytest.raises(ValueError, match="offers no draws"):
        compare(draws, norm(), tests="energy")
    with pytest.raises(ValueError, match="offers none of scores"):
        compare(draws, norm(), tests="scores")
    with pytest.raises(ValueError, match="no stein test.*lie outside of the law's domain"):
        compare(draws, product, tests="stein")
    with pytest.raises(ValueError, match="no stein test.*not finite at 1 of"):
        compare(np.append(np.abs(draws), 0.0), product, tests="stein")


def test_score_tests_know_the_skewness_of_the_statistic(product, power_law):
    # By quadrature of the law against that of the stand-in.
    law = power_law()
    for name in ("exponent", "temperature"):
        statistic = product.statistic(name)
        x, mass = law._nodes.ravel(), law._mass.ravel()
        values = np.asarray(statistic(x))
        away = values - np.sum(values * mass)
        third = np.sum(away**3 * mass) / np.sum(away**2 * mass) ** 1.5
        # Gauss-Legendre nodes see log^3 of the cell at the wall to 1e-3 only.
        assert product.skewness(statistic) == pytest.approx(third, rel=2e-3)
        assert abs(third) > 0.5


def test_a_few_draws_near_the_wall_do_not_reject_the_exponent(product, power_law):
    # log V is far from normal (kurtosis 66): with 100 draws the normal law gives the right law
    # p < 1e-5 in 8 of 10,000 runs. Here the lowest of 100 quantiles is put at 1e-6 of mass: that
    # happens in 1 of 10,000 runs, and no p-value may be far below it.
    x = power_law().quantile((np.arange(100) + 0.5) / 100)
    x[0] = power_law().quantile(1e-6)
    row = compare(x, product, tests=("scores",))[0]
    found = row.tests["exponent"]
    assert 2.0 * norm.sf(abs(found.statistic)) < found.p_value / 3.0
    assert found.p_value > 1e-4
    wrong = power_law(0.6).draw(np.random.default_rng(9), 3000)
    assert compare(wrong, product, tests=("scores",))[0].tests["exponent"].p_value < 1e-6
