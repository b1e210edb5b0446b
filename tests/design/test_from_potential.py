import jax.numpy as jnp
import numpy as np
import pytest

from gaugebias.design import from_potential
from gaugebias.flows import HyperbolicEntropy, SignedDifference

A = jnp.asarray(np.random.default_rng(0).standard_normal((3, 8)))


def entropy(x):
    return jnp.abs(x) * jnp.log(jnp.abs(x)) - jnp.abs(x)


CASES = {
    "ln cosh": (lambda x: jnp.log(jnp.cosh(x)), (-np.inf, np.inf), 0.1, "arctan(tanh(x/2))"),
    "sinh": (
        lambda x: x * jnp.arctan(x) - 0.5 * jnp.log1p(x**2),
        (-np.inf, np.inf),
        0.1,
        "sinh(w)",
    ),
    "-ln": (lambda x: -jnp.log(x), (0.0, np.inf), 1.0, "exp(w)"),
    "tanh": (lambda x: 0.5 * x * jnp.arctanh(x), (-1.0, 1.0), 0.1, "tanh(w)"),
    "entropy": (lambda x: x * jnp.log(x) - x, (0.0, np.inf), 1.0, "(0.5 w)^2"),
    "power": (lambda x: -(x**0.5), (0.0, np.inf), 1.0, None),
    "own": (lambda x: x**4 + x**2, (-np.inf, np.inf), 0.1, None),
}


SLOW = {"-ln", "tanh", "power"}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] if n in SLOW else []) for n in CASES]
)
def test_rho_has_the_derivative_that_makes_the_mirror_flow(name):
    """`rho' = R''^(-1/2)` by finite differences of the table; the catalogue is recognised."""
    fn, domain, base, form = CASES[name]
    design = from_potential(fn, domain)
    x = jnp.asarray(base) + jnp.linspace(-0.05, 0.4, 10)
    w, h = design.lift(x), 1e-6
    slope = (design(w + h) - design(w - h)) / (2 * h)
    np.testing.assert_allclose(slope, design.potential.curvature(x) ** -0.5, rtol=1e-7)
    np.testing.assert_allclose(design(w), x, rtol=1e-9)
    np.testing.assert_allclose(design.parametrisation.gram(w), slope**2, rtol=1e-7)
    text = design.closed_form
    assert form is None or (text is not None and form in text), text


def test_closed_forms_agree_with_the_table():
    design = from_potential(CASES["ln cosh"][0])
    x = jnp.linspace(-3.0, 3.0, 31)
    np.testing.assert_allclose(design.lift(x), 2 * jnp.arctan(jnp.tanh(x / 2)), atol=1e-10)
    design = from_potential(CASES["sinh"][0])
    np.testing.assert_allclose(design(x), jnp.sinh(x), rtol=1e-8, atol=1e-10)


def test_gradient_flow_has_the_bias_of_the_potential():
    """Certificate of the flow's end below 1e-8; that of plain gradient flow is not."""
    design = from_potential(CASES["ln cosh"][0])
    y = A @ jnp.asarray([1.0, 1.0, 0, 0, 0, 0, 0, 0])
    found = design.validate(A, y, design.lift(jnp.zeros(8)))
    assert found.holds and float(found.certificate.residual) < 1e-8
    assert float(found.rival.residual) > 1e-2


@pytest.mark.slow
def test_unbounded_curvature_at_0_becomes_a_signed_difference():
    """Of `|x|^1.5`: its own potential while no weight is 0, which is not far from a small start."""
    design = from_potential(lambda x: jnp.abs(x) ** 1.5)
    assert isinstance(design.parametrisation, SignedDifference)
    assert "rho(u) - rho(v)" in (design.closed_form or "")
    assert any("reach 0 stick there" in note for note in design.notes)
    with pytest.raises(ValueError, match="`scale` must be given for a signed difference"):
        design.lift(jnp.zeros(2))
    own = design.parametrisation.potential(design.lift(jnp.zeros(2), 1e-2))
    # rho = (c w)^(4/3) from u = v: u^(2/3) + v^(2/3) is kept, and doubles u^(2/3) at v = 0.
    np.testing.assert_allclose(own.domain[1], 4.0 * 1e-2, rtol=1e-6)


@pytest.mark.slow
def test_what_a_difference_of_entropy_maps_has():
    """Across 0 the entropy is not convex; the difference of its maps tends to the l1 norm."""
    both = SignedDifference(from_potential(entropy, (0.0, np.inf)).rho)
    w = both.rho.lift(jnp.full(3, 1e-4))
    # u^2/4 - v^2/4 from u = v: the hyperbolic entropy of rate 1 and scale 2 * 1e-4.
    x = jnp.asarray([-0.5, 0.0, 0.3])
    own = both.potential((w, w))
    closed = HyperbolicEntropy(jnp.asarray(2e-4), jnp.asarray(0.0), jnp.asarray(1.0))
    np.testing.assert_allclose(own.gradient(x), closed.gradient(x), atol=1e-6)
    # R' + c sign x, c = -log of the start: not R.
    more = np.sign(x) * (np.log(np.abs(np.where(x == 0, 1, x))) - np.log(1e-4))
    np.testing.assert_allclose(own.gradient(x), more, atol=1e-6)


@pytest.mark.slow
def test_potentials_of_the_flows_room_are_taken():
    design = from_potential(HyperbolicEntropy(jnp.asarray(0.5)))
    w, h = design.lift(jnp.asarray([0.3])), 1e-6
    slope = (design(w + h) - design(w - h)) / (2 * h)
    np.testing.assert_allclose(slope, np.sqrt(4 * np.sqrt(0.3**2 + 0.5**2)), rtol=1e-7)


REFUSED = {
    "not convex": (lambda: from_potential(lambda x: x**4 - x**2), "`potential` must be convex"),
    "flat": (
        lambda: from_potential(lambda x: jnp.maximum(jnp.abs(x) - 1.0, 0.0) ** 2 / 2),
        "second derivative is 0 from",
    ),
    "nan": (lambda: from_potential(lambda x: jnp.log(x)), "not finite at x = .*`domain`"),
    "domain": (lambda: from_potential(lambda x: x**2, (1.0, 0.0)), "`domain` must be"),
    "vector": (
        lambda: from_potential(lambda x: x * jnp.ones(2)),
        "`potential` cannot be .*x = Q rho",
    ),
    "no function": (lambda: from_potential(2.0), "`potential` must be a function"),
    "one-sided": (lambda: from_potential(entropy, (-1.0, np.inf)), "is not symmetric"),
    "cusp": (lambda: from_potential(entropy), r"must be convex, but .*x\|\^-1 at 0.*the l1 norm"),
    "bent down": (
        lambda: from_potential(lambda x: jnp.abs(x) ** 1.5 - jnp.abs(x)),
        "is not convex at 0: its slope jumps by -2,.*Take one side",
    ),
    "kink in a cusp": (
        lambda: from_potential(lambda x: jnp.abs(x) ** 1.5 + 1e-3 * jnp.abs(x)),
        "has a kink at 0: its slope jumps by 0.002,.*Smooth it",
    ),
    "outside": (
        lambda: from_potential(CASES["tanh"][0], (-1.0, 1.0)).lift(jnp.asarray(1.5)),
        r"`x` must lie in the open interval \(-1, 1\)",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_one_sentence(case):
    call, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        call()


def test_poles_off_0_and_kinks_are_refused():
    """Neither a table that goes on as a line beyond a pole, nor `x = w` for `x^2/2 + |x|`."""
    with pytest.raises(ValueError, match="at x = 1: rho is made in one piece"):
        from_potential(lambda x: jnp.abs(x - 1.0) ** 1.5)
    with pytest.raises(ValueError, match="kink at x = .*Smooth it"):
        from_potential(lambda x: 0.5 * x**2 + jnp.abs(x))
