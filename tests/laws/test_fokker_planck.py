"""The quotient's Fokker-Planck equation: known laws, orders, currents, walls, refusals."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import solve_continuous_lyapunov

import gaugebias as gb
from gaugebias.dynamics import SDE, LabelNoiseSDE, Langevin, MinibatchSDE, QuotientSDE
from gaugebias.laws import LawRefused, NotNormalisable, fokker_planck
from gaugebias.quotient import Domain, Quotient
from gaugebias.symmetry import Orthogonal, Rescaling, Translation

T = 0.3
PAIR = Rescaling(lambda p: p[0], lambda p: p[1], axes=(None, None))
PRODUCT = Quotient(
    lambda p: p[0] * p[1],
    PAIR,
    lift=lambda w: (jnp.sqrt(w), jnp.sqrt(w)),
    at=(jnp.array(1.0), jnp.array(0.6)),
)
X = jnp.array([1.0, -1.2, 0.8, 1.1])
DATA = (X, 0.9 * X + jnp.array([0.5, -0.2, -0.6, 0.4]))


def linear(p, x):
    return p[0] * p[1] * x


def loss(p, sample):
    x, y = sample
    return 0.5 * (linear(p, x) - y) ** 2


class Rotating(eqx.Module):
    """`dw = -A w dt + B dW` on the first leaf; noise of its own on the second."""

    matrix: jax.Array

    def __call__(self, p, noise=None):
        if noise is None:
            return {"w": -self.matrix @ p["w"], "z": jnp.zeros(1)}
        return {"w": self.matrix @ noise["w"], "z": noise["z"]}


def flat(size, action_leaf="z"):
    """Parameters `(w, z)` of which the loss sees `w`: the identity as a predictor."""
    return Quotient(
        lambda p: p["w"],
        Translation(lambda p: p[action_leaf], axis=0),
        lift=lambda w: {"w": w, "z": jnp.zeros(1)},
        at={"w": jnp.linspace(0.2, 0.5, size), "z": jnp.array([0.1])},
    )


def rotating(a, b):
    return SDE(Rotating(jnp.asarray(a)), Rotating(jnp.asarray(b)), calculus="ito")


PLANE, BOX = flat(2), Domain.box([-4.0, -4.0], [4.0, 4.0])


@pytest.mark.slow
def test_minibatch_noise_to_second_order_in_the_cells():
    """Against the closed law: its distribution function, for two grids."""
    exact = gb.laws.diagonal_linear(gb.laws.RegressionMoments.of(*DATA), 0.2, 1, scale=0.5)
    sde = MinibatchSDE(loss, DATA, 0.2, 1)
    w = np.linspace(0.02, 3.0, 40)
    gaps = []
    for cells in (100, 200):
        law = fokker_planck(sde, PRODUCT, Domain.line(0.0, 8.0), cells=cells)
        gaps.append(np.max(np.abs(law.cdf(w) - exact.cdf(w))))
        assert gaps[-1] < law.error
    assert 3.0 < gaps[0] / gaps[1] < 5.0
    np.testing.assert_allclose(law.log_density(w[3:]), exact.log_density(w[3:]), atol=0.03)
    np.testing.assert_allclose(law.score(w[5:30]), exact.score(w[5:30]), atol=0.1, rtol=0.05)
    assert np.max(np.abs(law.flux)) < 1e-10 and law.entropy_production == 0.0
    assert law.temperature is not None and float(law.temperature) == pytest.approx(0.1)
    effective = np.asarray(law.effective_loss(w[3:]) - 0.1 * -law.log_density(w[3:]))
    np.testing.assert_allclose(effective, 0.0, atol=1e-12)
    assert law.decay_rate == 0.0 and all(c.holds for c in law.conditions)


def test_label_noise_against_the_law_without_flux():
    """`p = exp(int 2b/a)/a` by quadrature, with `b, a` written out for `w = u v`, `u = v`."""
    std, eta, batch = 0.4, 0.2, 2
    law = fokker_planck(
        LabelNoiseSDE(linear, DATA, eta, batch, std), PRODUCT, Domain.line(0.0, 5.0), cells=300
    )
    x, y = (np.asarray(v) for v in DATA)
    t = np.linspace(np.log(1e-4), np.log(5.0), 20001)
    w = np.exp(t)
    slopes = (w[:, None] * x - y) * x
    spread = slopes.var(axis=1) / batch + std**2 * np.mean(x**2) / batch
    # dw = (-K l' + (eta/4) s^2 K K') dt + sqrt(eta) s K dB, K = 2 w
    force = -2 * slopes.mean(axis=1) / (eta * spread * 2 * w)
    energy = np.concatenate([[0.0], np.cumsum(0.5 * np.diff(w) * (force[1:] + force[:-1]))])
    density = np.exp(energy - energy.max()) * w**-1.5 / spread
    upto = np.concatenate([[0.0], np.cumsum(0.5 * np.diff(w) * (density[1:] + density[:-1]))])
    np.testing.assert_allclose(law.cdf(w), upto / upto[-1], atol=2e-3)


def test_the_radius_under_isotropic_noise_is_exponential_in_the_plane():
    """`|x|^2` of a Gaussian of variance T: a shifted argument, with a law as every law has it."""
    q = Quotient(
        lambda p: jnp.sum(p**2),
        Orthogonal(lambda p: p),
        lift=lambda w: jnp.sqrt(w) * jnp.array([1.0, 0.0]),
        at=jnp.array([0.4, 0.5]),
    )
    sde = Langevin(lambda p: 0.5 * jnp.sum(p**2), T)
    law = fokker_planck(sde, q, Domain.line(0.0, 10.0))
    w = np.array([0.01, 0.2, 0.6, 2.0])
    np.testing.assert_allclose(law.cdf(w), -np.expm1(-w / (2 * T)), atol=2e-4)
    np.testing.assert_allclose(law.quantile(law.cdf(w)), w, rtol=1e-6)
    mean, variance = law.expectation(lambda x: x)
    assert mean == pytest.approx(2 * T, rel=1e-3) and variance == pytest.approx(4 * T**2, rel=3e-3)
    draws = np.asarray(law.sample(jax.random.key(0), 4000))
    assert gb.compare(draws, law).rows[0].verdict == "consistent"
    assert gb.compare(1.2 * draws, law).rows[0].verdict == "rejected"
    squared = law.marginal(lambda x: jnp.sqrt(x))
    np.testing.assert_allclose(squared.cdf(np.sqrt(w)), law.cdf(w), atol=2e-3)
    assert law.to("lebesgue") is law
    with pytest.raises(ValueError, match="`p` must hold probabilities"):
        law.quantile(2.0)
    with pytest.raises(ValueError, match="0.5 \\* q.predictor_log_det"):
        law.to("quotient")
    with pytest.raises(LawRefused, match="cuts off mass at w_1 = 2: about"):
        fokker_planck(sde, q, Domain.line(0.0, 2.0))
    # a wall that reflects is asked for by name
    walled = fokker_planck(sde, q, Domain.line(0.0, 2.0), cut_off=1.0)
    ratio = -np.expm1(-0.5 / (2 * T)) / -np.expm1(-2.0 / (2 * T))
    assert float(walled.cdf(0.5)) == pytest.approx(ratio, abs=2e-4)


@pytest.mark.slow
def test_the_quotient_s_own_equation():
    law = fokker_planck(
        QuotientSDE(PRODUCT, lambda w: 0.5 * (w - 1) ** 2, T), PRODUCT, Domain.line(0.0, 6.0)
    )
    exact = gb.laws.horizontal(
        PRODUCT, lambda w: 0.5 * (w - 1) ** 2, T, domain=Domain.line(lower=0.0)
    )
    w = np.linspace(0.0, 4.0, 30)[1:]
    np.testing.assert_allclose(law.cdf(w), exact.cdf(w), atol=5e-4)


@pytest.mark.parametrize(
    "a, b",
    [
        ([[1.0, 2.0], [-2.0, 1.0]], [[0.9, 0.0], [0.0, 0.9]]),
        ([[1.0, 0.5], [-1.5, 0.9]], [[0.9, 0.0], [-0.7, 0.5]]),
    ],
)
def test_a_rotating_drift_has_its_current(a, b):
    """Gaussian of covariance C, `A C + C A^T = B B^T`; current `-(A - D C^-1) w p`, in closed form.

    Second order in the cells, with a diffusion that is not diagonal as well.
    """
    a, b = np.asarray(a), np.asarray(b)
    covariance = solve_continuous_lyapunov(a, b @ b.T)
    diffusion, inverse = 0.5 * b @ b.T, np.linalg.inv(covariance)
    turn = a - diffusion @ inverse
    production = np.trace(turn.T @ np.linalg.inv(diffusion) @ turn @ covariance)
    moments, currents, rates = [], [], []
    for cells in (40, 80):
        law = fokker_planck(rotating(a, b), PLANE, BOX, cells=cells, cut_off=1e-3)
        nodes = law.nodes()
        mean = np.einsum("abi,abj,ab->ij", nodes, nodes, law.masses)
        p = np.exp(-0.5 * np.einsum("...i,ij,...j->...", nodes, inverse, nodes))
        p /= 2 * np.pi * np.sqrt(np.linalg.det(covariance))
        expected = -np.einsum("ij,...j->...i", turn, nodes) * p[..., None]
        moments.append(np.max(np.abs(mean - covariance)))
        currents.append(np.max(np.abs(law.flux - expected)) / np.max(np.abs(expected)))
        rates.append(abs(law.entropy_production / production - 1.0))
    assert 3.0 < moments[0] / moments[1] < 5.0
    assert 3.0 < currents[0] / currents[1] < 5.0
    assert currents[1] < 0.03 and rates[1] < 0.05
    assert np.all(law.masses > 0.0) and np.sum(law.masses) == pytest.approx(1.0)
    np.testing.assert_allclose(
        law.log_density(np.array([[0.3, -0.2], [1.0, 0.4]])),
        [
            -0.5 * w @ inverse @ w - np.log(2 * np.pi * np.sqrt(np.linalg.det(covariance)))
            for w in np.array([[0.3, -0.2], [1.0, 0.4]])
        ],
        atol=0.05,
    )
    size = np.sqrt(covariance[0, 0])
    assert float(law.coordinate((0,)).cdf(size)) == pytest.approx(0.841345, abs=3e-3)
    draws = np.asarray(law.sample(jax.random.key(1), 2000))
    assert draws.shape == (2000, 2)
    np.testing.assert_allclose(np.cov(draws.T), covariance, atol=0.1 * np.max(covariance))


def test_absorbing_walls_give_the_law_of_survivors():
    """Ornstein-Uhlenbeck in [-c, c], killed at the walls: its first eigenvalue."""
    line = flat(1)
    c = 1.5
    sde = rotating([[1.0]], [[1.0]])
    law = fokker_planck(sde, line, Domain.line(-c, c), boundary="absorbing")
    x = np.linspace(-c, c, 201)
    inner = x[1:-1]
    h = x[1] - x[0]
    # L f = f''/2 - x f', f = 0 at the walls, by central differences
    matrix = (
        np.diag(np.full(len(inner), -1.0 / h**2))
        + np.diag(0.5 / h**2 - 0.5 * inner[:-1] / h, 1)
        + np.diag(0.5 / h**2 + 0.5 * inner[1:] / h, -1)
    )
    first = np.min(-np.linalg.eigvals(matrix).real)
    assert law.decay_rate == pytest.approx(first, rel=2e-3)
    assert law.boundary == "absorbing"
    # what is lost leaves by the two walls, in equal parts: also at the outermost nodes
    np.testing.assert_allclose(law.flux[[0, -1], 0], law.decay_rate * np.array([-0.5, 0.5]), 1e-4)
    assert law.entropy_production == np.inf
    assert float(law.cdf(np.array([0.0]))) == pytest.approx(0.5, abs=1e-6)
    with pytest.raises(ValueError, match=r"`x` must have shape \(..., \*\(1,\)\)"):
        law.cdf(np.array([0.0, 0.5]))
    with pytest.raises(LawRefused, match="cuts off mass"):
        fokker_planck(sde, line, Domain.line(-c, c))


def test_what_is_refused():
    sde, half = MinibatchSDE(loss, DATA, 0.2, 1), Domain.line(0.0, 8.0)
    with pytest.raises(LawRefused, match="3 coordinates.*energy distance"):
        fokker_planck(rotating(np.eye(3), np.eye(3)), flat(3), Domain.box([-1] * 3, [1] * 3))
    with pytest.raises(LawRefused, match="noise moves the moment map"):
        # isotropic noise along orbits that are not compact: w is no process by itself
        fokker_planck(Langevin(lambda p: 0.5 * (p[0] * p[1] - 1) ** 2, T), PRODUCT, half)
    with pytest.raises(NotNormalisable, match="collapses to that side"):
        fokker_planck(MinibatchSDE(loss, DATA, 20.0, 1), PRODUCT, half)
    with pytest.raises(LawRefused, match="noise of w vanishes inside of `domain`"):
        fokker_planck(MinibatchSDE(loss, (X, 0.9 * X), 0.2, 1), PRODUCT, half)
    flattened = rotating([[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [1.0, 0.0]])
    with pytest.raises(LawRefused, match="vanishes inside of `domain`.*in some direction"):
        fokker_planck(flattened, PLANE, BOX)
    slopes = jnp.stack([X, jnp.roll(X, 1)], axis=-1)
    fitted = MinibatchSDE(
        lambda p, s: 0.5 * (p["w"] @ s[0] - s[1]) ** 2,
        (slopes, slopes @ jnp.array([0.51, 0.27])),
        0.2,
        1,
    )
    with pytest.raises(LawRefused, match=r"vanishes inside.*near w = \[0.5.* 0.2[67]"):
        fokker_planck(fitted, PLANE, BOX)
    radius = Quotient(
        lambda p: jnp.sum(p**2),
        Orthogonal(lambda p: p),
        lift=lambda w: jnp.sqrt(w) * jnp.array([1.0, 0.0]),
        at=jnp.array([0.4, 0.5]),
    )
    with pytest.raises(ValueError, match="`sde` is the equation of another quotient than `q`"):
        fokker_planck(QuotientSDE(radius, lambda w: w, T), PRODUCT, half)
    with pytest.raises(ValueError, match="where the drift or the noise of the predictor is NaN"):
        fokker_planck(sde, PRODUCT, Domain.line(-1.0, 8.0))
    with pytest.raises(LawRefused, match="raise `cells`"):
        fokker_planck(sde, PRODUCT, half, cells=16)
    with pytest.raises(ValueError, match="`domain` must be bounded"):
        fokker_planck(sde, PRODUCT, Domain.line(lower=0.0))
    with pytest.raises(ValueError, match="`domain` has 2 coordinates, the predictor 1"):
        fokker_planck(sde, PRODUCT, BOX)
    with pytest.raises(ValueError, match="`domain` is ordered"):
        fokker_planck(flattened, PLANE, Domain.box([0, 0], [1, 1], ordered=True))
    with pytest.raises(ValueError, match='`boundary` must be "no-flux"'):
        fokker_planck(sde, PRODUCT, half, boundary="periodic")
    with pytest.raises(ValueError, match="`cells` must be at least 16"):
        fokker_planck(sde, PRODUCT, half, cells=4)
    with pytest.raises(ValueError, match="`cut_off` must be a positive"):
        fokker_planck(sde, PRODUCT, half, cut_off=0.0)
