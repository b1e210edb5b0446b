import jax.numpy as jnp
import numpy as np
import pytest

from gaugebias.design import L1, Log, Lp, fit_family, validate


def phi(member, u):
    return jnp.sinh(member * u) / member


def lift(member, w):
    return jnp.arcsinh(member * w) / member


POINTS = jnp.linspace(0.2, 1.5, 20)
START = jnp.asarray(0.7)


def test_the_member_with_the_penalty_is_found():
    """`K = 1 + m^2 w^2`: the penalty `(T/2) log(w^2 + 1/4)` is the member 2, to rounding."""
    fit = fit_family(phi, lift, START, Log(0.1, scale=0.5), 0.1, POINTS)
    assert fit.converged and float(jnp.abs(fit.member)) == pytest.approx(2.0, abs=1e-6)
    assert fit.rms < 1e-6 and fit.worst < 1e-5
    own = fit.effective(jnp.asarray(0.5)) - fit.effective(jnp.asarray(1.0))
    assert float(own) == pytest.approx(0.05 * np.log(0.5 / 1.25), abs=1e-7)


@pytest.mark.slow
def test_a_misfit_is_reported_and_seen_in_the_process():
    """No member has an l_2 penalty: the residual says so, and so does the simulation."""
    fit = fit_family(phi, lift, START, Lp(2.0, 1.0, 0.0), 0.2, POINTS)
    assert 0.05 < fit.rms < fit.worst
    np.testing.assert_allclose(fit.rms, np.sqrt(np.mean(np.square(fit.residuals))) / 0.2, rtol=1e-9)
    found = validate(fit.design, lambda w: 0.5 * (w - 1.0) ** 2, rivals={}, chains=2000)
    assert found.verdict["designed"].verdict == "rejected", found.table()
    assert found.verdict["det K"].verdict == "consistent", found.table()


def test_bad_input():
    with pytest.raises(ValueError, match="`start` has no finite effective loss at w = "):
        fit_family(
            lambda m, u: jnp.exp(m * u),
            lambda m, w: jnp.log(w) / m,
            START,
            L1(0.4),
            0.2,
            jnp.asarray([-1.0, 1.0, 2.0]),
        )
    with pytest.raises(ValueError, match="`points` must hold more"):
        fit_family(phi, lift, START, L1(0.4), 0.2, jnp.ones(1))
    with pytest.raises(ValueError, match="`temperature` must be positive"):
        fit_family(phi, lift, START, L1(0.4), 0.0, POINTS)
    with pytest.raises(ValueError, match="`weights` must be .* not all 0"):
        fit_family(phi, lift, START, L1(0.4), 0.2, POINTS, weights=jnp.zeros(len(POINTS)))
