"""Designs against simulation. Each row has a false-alarm rate of 1e-3; the seeds are fixed."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gaugebias as gb
from gaugebias.design import (
    L1,
    Barrier,
    Design,
    Log,
    Lp,
    Nuclear,
    TotalVariation,
    from_penalty,
    validate,
    validate_sgd,
)
from gaugebias.design._coordinates import kept_side

T = 0.2


def quadratic(w):
    return 0.5 * jnp.sum((w - 0.4) ** 2)


SLOW = pytest.mark.slow


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param("l1", marks=SLOW), pytest.param("l0.5", marks=SLOW), "factors"]
)
def test_the_process_follows_the_design_and_not_its_rivals(name):
    """The designed law is consistent; without, and with twice the penalty, it is rejected."""
    designs = {
        "l1": lambda: from_penalty(L1(0.2, scale=0.05), T),
        "l0.5": lambda: from_penalty(Lp(0.5, 0.3, 0.05), T),
        "factors": lambda: from_penalty(Log(0.5 * T), T, form="product"),
    }
    design = designs[name]()
    lower = 0.0 if name == "factors" else -np.inf
    domain = gb.quotient.Domain.line(lower, breaks=(0.0,))

    def rival(factor):
        return gb.laws.DensityLaw(
            lambda w, t: -quadratic(w) / t - factor * design.penalty(w) / T, domain, T
        )

    found = validate(
        design, quadratic, rivals={"none": rival(0.0), "twice": rival(1.9)}, chains=3000
    )
    assert found.verdict["designed"].verdict == "consistent", found.table()
    assert found.verdict["none"].verdict == "rejected", found.table()
    assert found.verdict["twice"].verdict == "rejected", found.table()
    assert found.holds and found.exit_code == 0 and found.determinant < 1e-6


@SLOW
@pytest.mark.parametrize("name", ["tv", "nuclear"])
def test_several_coordinates_follow_their_designs(name):
    """Increments of two points, and singular values of 2 x 2 matrices."""
    if name == "tv":
        design, check = from_penalty(TotalVariation(0.2, 2, scale=0.05), T), {}
        target = jnp.asarray([0.0, 0.4])
    else:
        design = from_penalty(Nuclear(L1(0.3)), T, shape=(2, 2))
        check, target = {"spectrum": True}, jnp.zeros((2, 2))
    options: dict[str, Any] = check
    found = validate(design, lambda w: 0.5 * jnp.sum((w - target) ** 2), chains=2500, **options)
    assert found.holds, found.table()


@SLOW
def test_another_temperature_has_the_scaled_penalty():
    design = from_penalty(L1(0.2, scale=0.05), T)
    fixed = gb.laws.DensityLaw(
        lambda w, t: -(quadratic(w) + design.penalty(w)) / t, gb.quotient.Domain.line(), 0.4
    )
    found = validate(design, quadratic, temperature=0.4, rivals={"R fixed": fixed}, chains=3000)
    assert found.holds, found.table()


def dummy(strength):
    """`w = u` with a dummy `z` that its group moves by `t h(w)`: `log det S = 2 log h`."""

    def h(w):
        return jnp.exp(strength * w)

    action = gb.symmetry.Generators(
        lambda params, t: {"u": jnp.zeros_like(params["u"]), "z": t * h(params["u"])},
        jnp.zeros(()),
    )
    return Design(
        lambda params: params["u"],
        lambda w: -T * jnp.log(h(w)),
        T,
        lift=lambda w: {"u": w, "z": jnp.zeros_like(w)},
        action=action,
    )


def test_a_dummy_parameter_changes_the_determinant_and_not_the_process():
    claims = [dummy(1.0), dummy(-1.0)]
    w = jnp.asarray([0.0, 1.0])
    actions: list[Any] = [c.action for c in claims]
    volumes = [
        [float(gb.log_orbit_volume(a, c.lift(x))) for x in w]
        for a, c in zip(actions, claims, strict=True)
    ]
    np.testing.assert_allclose(np.diff(volumes, axis=1)[:, 0], [1.0, -1.0], atol=1e-9)
    found = validate(claims[0], quadratic, rivals={}, chains=2000)
    assert found.verdict["designed"].verdict == "rejected"
    assert found.verdict["det K"].verdict == "consistent"
    assert not found.holds and found.exit_code == 1
    assert found.determinant > 0.5
    assert "dummy" in found.statement and "log det S is no bias" in found.statement
    ends = []
    for claim in claims:
        sde = claim.process(quadratic)
        run = {"chains": 64, "steps": 200, "dt": 0.01, "observe": claim.phi}
        ens = gb.simulate(sde, claim.lift(jnp.asarray(0.0)), key=jax.random.key(5), **run)
        ends.append(ens.values)
    np.testing.assert_allclose(ends[0], ends[1], atol=1e-12)


def per_sample(w, y):
    return 0.5 * (w - y) ** 2


def sgd(steps, chains, limits=(-2.0, 2.5)):
    design = from_penalty(Lp(2.0, 0.1, 0.0), T)
    y = np.random.default_rng(0).normal(size=512)
    y = jnp.asarray(0.5 + (y - y.mean()) / y.std())
    return validate_sgd(
        design,
        per_sample,
        y,
        learning_rate=0.02,
        batch_size=1,
        steps=steps,
        limits=limits,
        chains=chains,
    )


@SLOW
def test_minibatch_noise_has_its_own_law():
    found = sgd(3000, 4096)
    assert found.verdict["minibatch"].verdict != "rejected", found.table()
    assert found.verdict["designed"].verdict == "rejected", found.table()
    assert "multiplied by dw/du" in found.statement


def test_draws_outside_of_the_limits_decide_nothing():
    """Limits that cut the process: said with the range of the draws, and never judged."""
    narrow = sgd(200, 512, limits=(0.45, 0.55))
    assert narrow.outside > 0.1 and narrow.exit_code == 3 and not narrow.holds
    low, high = float(narrow.ensemble.values.min()), float(narrow.ensemble.values.max())
    assert "of the draws lie outside of `limits` (0.45, 0.55)" in narrow.statement
    assert f"from {low:.4g} to {high:.4g}" in narrow.statement
    assert sgd(200, 512).outside == 0.0


@pytest.mark.parametrize("ends", [(-1.5, 0.5), (-0.5, 1.5)])
def test_limits_beyond_the_walls_are_refused(ends):
    design = from_penalty(Barrier(-1.0, 1.0, 0.05), T)
    with pytest.raises(ValueError, match=r"`limits` .* reach beyond .*\(-1, 1\)"):
        validate_sgd(
            design, per_sample, jnp.ones(4), learning_rate=0.1, batch_size=1, steps=1, limits=ends
        )


@SLOW
def test_steps_that_jump_over_infinity_decide_nothing():
    """`exp(10 |w|)` is too steep for a loss this wide: the run says so, not that R is wrong."""
    design = from_penalty(L1(1.0, scale=0.1), 0.1)
    found = validate(
        design, lambda w: 0.5 * (w - 0.5) ** 2, rivals={}, chains=2000, steps=4000, dt=1e-4
    )
    assert found.verdict["designed"].verdict == "rejected"
    assert found.jumped > 0.01 and found.exit_code == 3 and not found.holds
    assert "jumped over an infinity of w" in found.statement and "lower the weight" in found.table()


def test_beyond_infinity_is_not_beyond_a_wall():
    """Only reflections at infinity count: both ends, one, or none of them infinite."""
    line = from_penalty(L1(0.2), T).parametrisation
    end = line.map.folds[1]
    u = jnp.asarray([0.0, 0.99 * end, 1.01 * end, -1.01 * end])
    np.testing.assert_array_equal(line.map.beyond(u), [False, False, True, True])
    assert bool(line.beyond(u)) and not bool(line.beyond(u[:2]))


def test_bad_input():
    design = from_penalty(L1(0.2), T)
    with pytest.raises(ValueError, match=r"`process` must be .*`validate_sgd`"):
        validate(design, quadratic, process="sgd")
    with pytest.raises(ValueError, match="`steps` would be .*Raise the temperature"):
        validate(design, quadratic, dt=1e-9)
    with pytest.raises(ValueError, match="one coordinate without symmetry"):
        validate_sgd(
            from_penalty(Log(0.1), T, form="product"),
            per_sample,
            jnp.ones(4),
            learning_rate=0.1,
            batch_size=1,
            steps=1,
            limits=(0.0, 1.0),
        )


def wells(w):
    """Two wells behind a barrier of 16 T, one lower than the other by T."""
    return 0.1 * (16.0 * (w**2 - 1.0) ** 2 + 0.5 * w)


def test_a_right_law_that_the_chains_are_too_slow_for_is_not_decided():
    """From one start chains stay in one of two wells: the law is kept, not refuted."""
    design = from_penalty(L1(0.02, scale=0.05), 0.1)
    found = validate(design, wells, chains=1000, steps=2000, dt=2e-3)
    assert found.verdict["designed"].verdict == "rejected", found.table()
    assert found.kept and found.exit_code == 3 and not found.holds
    assert found.statement.startswith("Not decided") and "more `steps`" in found.statement


@pytest.mark.parametrize("sign", [pytest.param(1.0, marks=SLOW), -1.0])
def test_balanced_starts_are_compared_on_their_own_side(sign):
    """An even number of factors keeps the sign of `w`, whichever it is."""
    design = from_penalty(Log(0.5 * T), T, form="product")
    start = design.lift(jnp.asarray(0.4 * sign))
    found = validate(
        design, lambda w: quadratic(sign * w), start=start, rivals={}, chains=1000, steps=1500,
        dt=5e-3,
    )  # fmt: skip
    assert found.holds, found.table()


def test_maps_anchored_off_0_keep_the_side_of_their_anchor():
    """A box that leaves out 0: products start on one half of it and stay there."""
    for low, high, side in ((1.0, 2.0, (1.5, 2.0)), (-np.inf, -1.0, (-np.inf, -1.0))):
        design = from_penalty(Barrier(low, high, 0.05), T, form="product")
        domain = kept_side(design, None)
        assert domain is not None
        assert (float(domain.lower[0]), float(domain.upper[0])) == side
    box = from_penalty(Barrier(1.0, 2.0, 0.05), T, form="product")
    lower = kept_side(box, box.lift(jnp.asarray(1.2)))
    assert lower is not None
    assert (float(lower.lower[0]), float(lower.upper[0])) == (1.0, 1.5)


def test_a_law_of_several_entries_beyond_the_reach_is_refused():
    """The periodic penalty is resolved up to about 25; the loss lets w go to 100."""
    design = from_penalty(lambda w: 0.1 * jnp.cos(w), 0.1, shape=(2,))
    with pytest.raises(ValueError, match="of its entries beyond .* as far as u resolves"):
        validate(design, lambda w: 0.5e-5 * jnp.sum(w**2), chains=64)
