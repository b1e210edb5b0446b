import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.special
from jax.flatten_util import ravel_pytree

import gaugebias as gb
from gaugebias.design import (
    L1,
    Barrier,
    Group,
    Linear,
    Log,
    Lp,
    Norm,
    Nuclear,
    Penalty,
    Schatten,
    TotalVariation,
    from_penalty,
)

T = 0.1


def half_log_det(design, w):
    """`1/2 log det K` by central differences of the parametrisation itself."""
    flat, unravel = ravel_pytree(design.lift(w))
    h, eye = 1e-5, jnp.eye(flat.size)
    rows = jax.vmap(
        lambda e: (design(unravel(flat + h * e)) - design(unravel(flat - h * e))).reshape(-1)
    )(eye) / (2 * h)
    return 0.5 * jnp.linalg.slogdet(rows.T @ rows)[1]


CASES = {
    "l1": (L1(0.2), {}),
    "lp": (Lp(0.5, 0.2, 0.05), {}),
    "log": (Log(0.05), {}),
    "repelled": (Log(-0.05), {}),
    "barrier": (Barrier(-1.0, 1.5, 0.1), {}),
    "half-line": (Barrier(0.0, np.inf, 0.1), {}),
    "own": (lambda w: 0.1 * (w - 0.2) ** 4, {}),
    "several": (L1(0.2), {"shape": (3,)}),
    "tv": (TotalVariation(0.2, 3, scale=0.05), {}),
    "linear": (Linear(L1(0.2), [[1.0, 2.0], [0.5, -1.0]]), {}),
    "group": (Group(L1(0.2)), {"shape": (2, 3)}),
    "nuclear": (Nuclear(L1(0.2)), {"shape": (2, 3)}),
    "schatten": (Schatten(0.5, 0.1), {"shape": (2, 2)}),
    "product of l1": (L1(0.2), {"form": "product", "shape": (2,)}),
    "two factors": (Log(0.05), {"form": "product", "shape": (2,)}),
    "three factors": (Log(0.1 * 2 / 3), {"form": "product"}),
}


SLOW = {"tv", "several", "own", "half-line", "linear", "group", "schatten"}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] if n in SLOW else []) for n in CASES]
)
def test_the_gram_is_the_penalty(name):
    """`1/2 log det K - R/T` is the same constant at two points, and lifts are representatives."""
    penalty, options = CASES[name]
    design = from_penalty(penalty, T, **options)
    rng = np.random.default_rng(3)
    first = jnp.asarray(rng.uniform(0.5, 1.0, design.shape))
    points = [first, 0.4 * first]
    found = [half_log_det(design, w) - design.penalty(w) / T for w in points]
    assert abs(float(found[0] - found[1])) < 2e-6
    assert abs(float(design.penalty(points[0]) - design.penalty(points[1]))) > 1e-3
    for w in points:
        np.testing.assert_allclose(design(design.lift(w)), w, atol=1e-8)


def test_closed_forms_are_recognised():
    texts = {
        "log": from_penalty(Log(0.05), T, form="product").closed_form,
        "l1": from_penalty(L1(0.2), T).closed_form,
        "sine": from_penalty(Barrier(-1.0, 1.0, -0.05), T).closed_form,
    }
    assert texts["log"] == "w = u_1 u_2: a product of 2 factors"
    assert texts["l1"] == "w = -0.5 sign(u) log(1 - 2 |u|), |u| < 0.5"
    assert texts["sine"] == "w = sin(u)"
    assert from_penalty(L1(0.2, scale=0.05), T).closed_form is None
    design = from_penalty(L1(0.2), T)
    u = jnp.linspace(-0.45, 0.45, 31)
    np.testing.assert_allclose(
        design(u), -0.5 * jnp.sign(u) * jnp.log1p(-2 * jnp.abs(u)), atol=1e-8
    )


def evaluated(text, u):
    """A printed closed form `w = ...` at numbers `u`, by python."""
    formula = re.sub(r"\|u\|", "abs(u)", text.partition("w = ")[2].partition(", ")[0])
    formula = re.sub(r"(\d|\)) (?=[a-z(])", r"\1 * ", formula.partition(" (with")[0])
    names = {"log": np.log, "sign": np.sign, "sin": np.sin, "erfinv": scipy.special.erfinv}
    return eval(formula.replace("^", "**").replace(") (", ") * ("), {**names, "u": u})


@pytest.mark.parametrize(
    "penalty",
    [
        L1(0.2),
        L1(-0.2),
        L1(0.1),
        L1(1e-320),
        Log(0.05),
        Log(-0.03),
        Log(1e-320),
        Log(0.0),
        Lp(2.0, 0.3, 0.05),
        Barrier(-1.0, 3.0, -0.05),
    ],
    ids=lambda p: p.formula,
)
def test_printed_closed_forms_are_right_as_they_are_read(penalty):
    """`dw/du = exp(R/T)`, up to a constant, of the formula that is printed."""
    text = penalty.closed_form(T)
    u = np.asarray([0.11, 0.16, 0.21])
    h = 1e-6
    slope = (evaluated(text, u + h) - evaluated(text, u - h)) / (2 * h)
    wanted = np.asarray([float(penalty(jnp.asarray(w))) / T for w in evaluated(text, u)])
    off = np.log(slope) - wanted
    np.testing.assert_allclose(off, off[0], atol=1e-5)


def test_penalties_and_parametrisations_in_a_line():
    line = TotalVariation(0.2, 3, scale=0.05)
    assert line.formula == ("sum over i of 0.2 (sqrt(d_i^2 + 0.05^2) - 0.05), d_i = w_(i+1) - w_i")
    assert Nuclear(L1(0.2)).formula == "0.2 N, N = |W|_*"
    assert Lp(0.5, 0.2, 0.05).formula == "0.2 ((w^2 + 0.05^2)^0.25 - 0.05^0.5)"
    assert Barrier(0.0, np.inf, 0.1).formula == "-0.1 log(w)"
    with_level = from_penalty(TotalVariation(0.2, 3), T).text
    assert with_level.startswith("w = D^+ d + N z, D N = 0, z free; d_i = -0.5 sign(u_i) log(1 -")
    assert from_penalty(L1(0.2), T, form="product").text.endswith("x = sign(u v) sqrt(2 |u v|)")
    assert 'with `form="product"`: u_1 u_2 u_3' in from_penalty(Log(T * 2 / 3), T).text
    assert "r exp" not in from_penalty(Group(L1(0.2)), T, shape=(3,)).text


def test_a_periodic_penalty_is_solved_as_far_as_u_resolves_it():
    """And a law that lives beyond is refused, as is one whose loss does not confine it."""
    design = from_penalty(lambda w: 0.1 * jnp.cos(w), T)
    assert design.reach is not None and 15.0 < design.reach[1] < 60.0
    assert design.reach[0] == -design.reach[1] and "no law with mass there" in design.notes[1]
    w = jnp.asarray([-14.0, -0.4, 2.0, 9.0])
    off = [half_log_det(design, x) - design.penalty(x) / T for x in w]
    np.testing.assert_allclose(off, off[0], atol=1e-5)
    u = [scipy.integrate.quad(lambda x: np.exp(-np.cos(x)), 0.0, x, limit=400)[0] for x in w]
    np.testing.assert_allclose(design.lift(w), u, rtol=1e-5)
    assert float(design.law(lambda w: 0.5 * w**2).cdf(0.0)) == pytest.approx(0.5, abs=1e-9)
    with pytest.raises(ValueError, match="beyond the reach .* or a box"):
        design.law(lambda w: 0.5e-4 * w**2)
    with pytest.raises(gb.laws.NotNormalisable, match="infinity"):
        design.law(lambda w: 0.0 * w)
    # In a box the law needs no loss.
    box = from_penalty(Penalty(lambda w: 0.1 * jnp.cos(w), lower=-20.0, upper=20.0), T)
    assert float(box.law(lambda w: 0.0 * w).cdf(0.0)) == pytest.approx(0.5, abs=1e-9)


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_powers_are_products_of_factors(depth):
    design = from_penalty(Log(T * (1 - 1 / depth)), T, form="product")
    assert len(design.lift(jnp.asarray(0.5))) == depth
    w = jnp.asarray(0.3)
    off = half_log_det(design, w) - design.penalty(w) / T
    assert float(off) == pytest.approx(0.5 * np.log(depth), abs=1e-8)


def test_redundant_designs_go_into_quotients_and_laws():
    """`gb.laws.horizontal` computes K by itself, and finds the designed law."""
    design = from_penalty(L1(0.1), T, form="product")
    domain = gb.quotient.Domain.line(lower=0.0)
    q = design.quotient(domain=domain)
    law = gb.laws.horizontal(q, lambda w: 0.5 * (w - 0.5) ** 2, T)
    w = np.linspace(0.05, 1.5, 9)
    own = -0.5 * (w - 0.5) ** 2 / T - 0.1 * w / T
    off = np.asarray(law.log_density(w)) - own
    assert np.ptp(off) < 1e-7
    assert np.ptp(np.asarray(law.log_density(w)) + 0.5 * (w - 0.5) ** 2 / T) > 1.0
    with pytest.raises(ValueError, match="no symmetry"):
        from_penalty(L1(0.1), T).quotient()


def test_another_temperature_scales_the_penalty():
    design = from_penalty(L1(0.2), T)
    w = jnp.asarray(0.7)
    assert float(design.penalty_at(0.3)(w)) == pytest.approx(3 * float(design.penalty(w)))
    law = design.law(lambda w: 0.5 * w**2, 0.3)
    ratio = law.log_density(0.7) - law.log_density(0.2)
    assert float(ratio) == pytest.approx(-0.5 * (0.49 - 0.04) / 0.3 - 0.2 * 0.5 / T, abs=1e-9)
    assert "R T'/0.1" in design.holds_at


def test_a_sum_over_entries_may_be_written_as_one():
    design = from_penalty(lambda w: jnp.sum(0.1 * w**2), T, shape=(3,))
    assert float(design.penalty(jnp.ones(3))) == pytest.approx(0.3)


def bad(*args, **kwargs):
    return lambda: from_penalty(*args, **kwargs)


REFUSED = {
    "temperature 0": (
        bad(L1(), 0.0),
        "`temperature` must be positive, but is 0: .*`from_potential`",
    ),
    "negative": (bad(L1(), -1.0), "`temperature` must be positive, but is -1"),
    "nan temperature": (bad(L1(), np.nan), "`temperature` must be finite"),
    "log too heavy": (
        bad(Log(0.12), T),
        r"not normalisable at w = 0: .*\|\^-1.2 .*a weight below 0.8333",
    ),
    "wall": (bad(Barrier(-1.0, 1.0, -0.1), T), "not normalisable at w = -1"),
    "nan": (bad(lambda w: jnp.sqrt(w), T), "`penalty` is nan at w = .*Penalty\\(fn, lower"),
    "falls": (bad(lambda w: -(w**4), T), "falls so far .* bounded interval"),
    "vector": (bad(lambda w: w * jnp.ones(3), T), "one real number for one entry"),
    "sum": (
        bad(lambda w: w[0], T),
        "`penalty` cannot be evaluated at one entry .*`Linear`.*`Norm`.*`fit_family`",
    ),
    "norm of all": (
        bad(lambda w: jnp.sqrt(jnp.sum(w**2)), T, shape=(3,)),
        "does not separate, and would be taken entry by entry.*`fit_family`",
    ),
    "no function": (bad(3.0, T), "`penalty` must be a function"),
    "form": (bad(L1(), T, form="x"), "`form` must be"),
    "norm form": (bad(Group(), T, shape=(2, 2), form="product"), "the radial map of the norm"),
    "norm shape": (bad(Nuclear(), T, shape=(2,)), "`shape` must have at least 2 axes"),
    "not a norm": (bad(Norm(L1(), lambda x: jnp.sum(x**2)), T, shape=(2,)), r"norm\(c w\) = c"),
    "shape": (bad(TotalVariation(1.0, 3), T, shape=(2,)), r"`shape` must be \(3,\)"),
    "scale": (bad(L1(), T, scale=-1.0), "`scale` must be positive"),
    "rank": (lambda: Linear(L1(), np.ones((2, 3))), "`analysis` has 2 rows of rank 1"),
    "p": (lambda: Lp(0.0), "`p` must lie in .*becomes `Log"),
    "box": (lambda: Barrier(1.0, 1.0), "`lower` must be below `upper`"),
    "interval": (lambda: Penalty(jnp.abs, 1.0, 0.0), "`lower` must be below"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_one_sentence_with_a_way_out(case):
    call, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        call()


def test_a_law_that_cannot_be_normalised_is_refused():
    design = from_penalty(Log(0.05), T)
    with pytest.raises(gb.laws.NotNormalisable, match="infinity"):
        design.law(lambda w: 0.0 * w).log_density(1.0)
    with pytest.raises(ValueError, match="beyond the reach"):
        from_penalty(Lp(1.0, 0.5, 0.0), T, scale=1.0).law(lambda w: 0.5 * (w - 40.0) ** 2)


def test_penalties_that_fall_are_solved_as_far_as_u_has_numbers():
    """`du/dw = exp(|w|)`: `u = sign(w) (e^|w| - 1)`, up to exp(80)."""
    design = from_penalty(L1(-0.1), 0.1)
    w = jnp.asarray([-50.0, -0.3, 1e-6, 2.0])
    np.testing.assert_allclose(design.lift(w), jnp.sign(w) * jnp.expm1(jnp.abs(w)), rtol=1e-8)
    np.testing.assert_allclose(design(design.lift(w)), w, rtol=1e-8)
    assert design.reach is not None and 75.0 < design.reach[1] < 85.0
    from_penalty(Nuclear(L1(-0.1)), 0.1, shape=(2, 2))


def test_what_lies_between_nodes_is_seen():
    """A step is in the stated error; a spike that the table would miss is refused."""
    step = from_penalty(Penalty(lambda w: jnp.where(w > 1.3, 0.3, 0.0)), 0.1)
    u = 1.3 + np.exp(-3.0)
    error = abs(float(step.lift(jnp.asarray(2.3))) - u) / u
    assert 1e-5 < error < step.parametrisation.map.accuracy  # pyright: ignore
    with pytest.raises(ValueError, match="near w = 1.3.*u would be off by"):
        from_penalty(Penalty(lambda w: -0.5 * jnp.exp(-(((w - 1.37) / 3e-3) ** 2))), 0.1)


def test_own_functions_that_fail_and_walls_of_transformed_coordinates():
    def fails(w):
        raise RuntimeError("boom")

    with pytest.raises(ValueError, match=r"RuntimeError: boom"):
        from_penalty(fails, 0.1)
    with pytest.raises(ValueError, match="has walls, and after a linear transform"):
        from_penalty(Linear(Barrier(-1.0, 1.0, 0.05), [[1.0, -1.0], [1.0, 1.0]]), 0.1)


def test_a_design_prints_as_what_it_says():
    design = gb.design.from_penalty(L1(0.1), 0.1)
    said = str(design).splitlines()
    assert said[:2] == ["R = 0.1 |w|", "w = -sign(u) log(1 - |u|), |u| < 1"]
    assert "at T = 0.1" in said[2] and tuple(said[3:]) == design.notes
