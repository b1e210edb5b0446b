"""Fisher information of mixtures, natural gradient flow, the singularity report."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from gaugebias import flows

W = 0.3  # of the second component
WEIGHTS = jnp.array([1 - W, W])
LIKE = flows.GaussianMixture(WEIGHTS, jnp.array([0.0, 0.5]))
CENTRED = flows.MixtureModel(LIKE, flows.CentredChart(WEIGHTS))
RELATIVE = flows.MixtureModel(LIKE, flows.RelativeChart())
ABSOLUTE = flows.MixtureModel(LIKE, flows.AbsoluteChart())
LEADING = 2 * W**2 * (1 - W) ** 2


def at(model, delta):
    means = jnp.array([-W * delta, (1 - W) * delta])
    fisher = flows.fisher_information(model, model.inverse(flows.GaussianMixture(WEIGHTS, means)))
    assert float(jnp.max(fisher.error)) < 1e-14
    return np.asarray(fisher.matrix)


def test_numbers_near_the_singularity():
    """2% of the stated values; leading-order law within its own order."""
    for delta, information, condition in ((0.1, 8.794e-4, 1.13e3), (0.01, 8.8197e-6, 1.13e5)):
        fisher = at(CENTRED, delta)
        assert fisher[1, 1] == pytest.approx(information, rel=1e-3)
        assert fisher[1, 1] == pytest.approx(LEADING * delta**2, rel=delta**2)
        assert np.linalg.cond(fisher) == pytest.approx(condition, rel=0.01)
        for model, factor in ((RELATIVE, 1 + W**2), (ABSOLUTE, W**2 + (1 - W) ** 2)):
            ratio = np.linalg.cond(at(model, delta)) / np.linalg.cond(fisher)
            assert ratio == pytest.approx(factor**2, rel=0.02)
    for delta, factor in ((0.5, 1.025), (1.0, 1.11)):
        ratio = np.linalg.cond(at(CENTRED, delta)) * LEADING * delta**2
        assert ratio == pytest.approx(factor, rel=0.005)


def test_a_chart_pulls_the_matrix_back():
    means = jnp.array([-0.2, 0.5])
    absolute = at_means(ABSOLUTE, means)
    for chart in (flows.CentredChart(WEIGHTS), flows.OrderedChart(), flows.FlooredChart(0.1)):
        model = flows.MixtureModel(LIKE, chart)
        pulled = chart.pull_back(chart.inverse(means), absolute)
        np.testing.assert_allclose(at_means(model, means), pulled, rtol=1e-9, atol=1e-13)


def at_means(model, means):
    xi = model.inverse(flows.GaussianMixture(WEIGHTS, means))
    return flows.fisher_information(model, xi).matrix


def test_monte_carlo_agrees_with_quadrature_in_its_errors(getkey):
    """Three entries within 4.5 standard errors (false alarms below 3e-5), and errors are small."""
    xi = CENTRED.inverse(LIKE)
    exact = at(CENTRED, 0.5)
    found = flows.fisher_information(CENTRED, jnp.array([0.0, 0.5]), key=getkey(), draws=20_000)
    z = (np.asarray(found.matrix) - exact) / np.asarray(found.error)
    assert np.abs(z).max() < 4.5
    assert xi.shape == (2,)
    wrong = (np.asarray(found.matrix) - at(CENTRED, 0.6)) / np.asarray(found.error)
    assert np.abs(wrong).max() > 6


def test_gaussian_in_the_plane(getkey):
    """One Gaussian: `I = Sigma^-1`, each of three entries within 4.5 standard errors."""
    sigma = jnp.array([[1.0, 0.3], [0.3, 0.5]])
    one = flows.GaussianMixture(jnp.ones(1), jnp.zeros((1, 2)), sigma)
    model = flows.MixtureModel(one, flows.AbsoluteChart())
    found = flows.fisher_information(model, jnp.zeros(2), key=getkey(), draws=20_000)
    z = (np.asarray(found.matrix) - np.linalg.inv(sigma)) / np.asarray(found.error)
    assert np.abs(z).max() < 4.5
    report = flows.singularity(model, jnp.zeros(2), key=getkey(), draws=20_000)
    assert report.rank == 2 and report.nearest == () and np.isinf(report.distance)


def test_the_report_names_the_components():
    near = flows.singularity(CENTRED, jnp.array([0.0, 0.01]))
    assert near.rank == 2 and not near.singular
    assert near.condition == pytest.approx(1.13e5, rel=0.01)
    assert near.nearest == (0, 1) and near.distance == pytest.approx(0.01 / np.sqrt(2))
    assert near.hellinger[0, 1] == pytest.approx(np.sqrt(-np.expm1(-(0.01**2) / 8)), rel=1e-9)
    np.testing.assert_allclose(np.abs(near.direction), [0.0, 1.0], atol=1e-2)
    on = flows.singularity(CENTRED, jnp.array([0.3, 0.0]))
    assert on.singular and on.rank == 1 and np.isinf(on.condition)
    assert on.coincident == ((0, 1),) and on.distance == 0.0
    like = flows.GaussianMixture(jnp.array([0.0, 1.0]), jnp.array([0.0, 2.0]))
    gone = flows.singularity(flows.MixtureModel(like, flows.AbsoluteChart()), jnp.array([0.0, 2.0]))
    assert gone.vanishing == (0,) and gone.nearest == (0,) and gone.rank == 1


def test_the_pair_that_collides_among_three():
    like = flows.GaussianMixture(jnp.array([0.3, 0.3, 0.4]), jnp.array([0.0, 3.0, 3.001]))
    model = flows.MixtureModel(like, flows.RelativeChart(), flows.SimplexChart())
    report = flows.singularity(model, model.inverse(like))
    assert report.nearest == (1, 2) and report.coincident == () and report.rank < 5
    # Least known is how the mass of the pair is shared: (eta_1, eta_2) along (w_2, -w_1).
    blame = report.direction * np.sign(report.direction[3])
    np.testing.assert_allclose(blame, [0.0, 0.0, 0.0, 0.8, -0.6], atol=1e-3)


def test_single_precision_knows_its_rounding():
    w = jnp.asarray(WEIGHTS, jnp.float32)
    like = flows.GaussianMixture(w, jnp.array([0.0, 1.0], jnp.float32))
    model = flows.MixtureModel(like, flows.CentredChart(w))
    for delta, rank in ((0.0, 1), (0.1, 2)):
        report = flows.singularity(model, jnp.array([0.0, delta], jnp.float32))
        assert report.eigenvalues.dtype == np.float32 and report.rank == rank
    assert report.eigenvalues[1] == pytest.approx(8.794e-4, rel=2e-3)


@pytest.mark.slow
def test_natural_flow_is_the_same_in_every_chart_and_plain_flow_is_not():
    truth = flows.GaussianMixture(WEIGHTS, jnp.array([-0.5, 0.8]))
    start = flows.GaussianMixture(WEIGHTS, jnp.array([0.0, 0.3]))
    ends = {}
    for natural in (True, False):
        for model in (ABSOLUTE, flows.MixtureModel(LIKE, flows.FlooredChart(0.1))):
            path = flows.population_flow(
                model, truth, model.inverse(start), jnp.array([0.0, 0.5, 1.0]), natural=natural
            )
            ends.setdefault(natural, []).append(np.asarray(path.x.means))
    np.testing.assert_allclose(*ends[True], atol=1e-6)
    assert np.abs(ends[False][0] - ends[False][1]).max() > 1e-2
    same = eqx.filter_jit(flows.mixture_divergence)(
        *[flows.GaussianMixture(WEIGHTS, m[-1]) for m in ends[True]]
    )
    assert float(same.hellinger) < 1e-6


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: flows.fisher_information(CENTRED, jnp.zeros((2, 1))), "`coordinates`"),
        (lambda: flows.fisher_information(CENTRED, jnp.zeros(2), draws=1), "`draws`"),
        (lambda: flows.singularity(CENTRED, jnp.zeros(2), tolerance=2.0), "`tolerance`"),
        (
            lambda: flows.population_flow(CENTRED, LIKE, jnp.zeros(2), 1.0, natural=True),
            "`start` is a singular point",
        ),
        (
            lambda: flows.fisher_information(
                lambda v: flows.GaussianMixture(WEIGHTS, v.reshape(2, 2)), jnp.zeros(4)
            ),
            "`key` is needed",
        ),
    ],
)
def test_bad_input(make, says):
    with pytest.raises(ValueError, match=says):
        make()
