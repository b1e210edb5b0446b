"""Representatives on the slice, invariance of the slice, the quotient and what it refuses."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import gaugebias as gb
from gaugebias import catalogue
from gaugebias.quotient import (
    Domain,
    FunctionGauge,
    check_slice_invariance,
    mean_curvature,
)
from gaugebias.quotient._gauges._gauge import _along_orbit
from gaugebias.symmetry import (
    GeneralLinear,
    LinearFields,
    Orthogonal,
    Product,
    Rescaling,
    Translation,
)


def product(p):
    return p[0] * p[1]


PAIR = Rescaling("0", "1", axes=(None, None))


def chi(q, params):
    return ravel_pytree(q.gauge.chi(q.action, params))[0]


def cases(getkey):
    def normal(*shape):
        return jax.random.normal(getkey(), shape)

    return {
        "pair": (gb.Quotient(product, PAIR), (normal(), normal())),
        "powers": (
            gb.Quotient(
                lambda p: p[0] * p[1] ** 2,
                Rescaling("0", "1", axes=(None, None), powers=(2.0, -1.0)),
            ),
            (normal(), normal()),
        ),
        "depth": (
            gb.Quotient(
                lambda p: p[0] * p[1] * p[2], Product(Rescaling("0", "1"), Rescaling("1", "2"))
            ),
            (normal(3), normal(3), normal(3)),
        ),
        "gl2": (
            gb.Quotient(lambda p: p[0] @ p[1].T, GeneralLinear("0", "1")),
            (normal(3, 2), normal(2, 2)),
        ),
        "gl3": (
            gb.Quotient(lambda p: p[0] @ p[1].T, GeneralLinear("0", "1")),
            (normal(4, 3), normal(3, 3)),
        ),
    }


@pytest.mark.parametrize("name", ["pair", "powers", "depth", "gl2", "gl3"])
def test_closed_forms_reach_the_slice_within_the_orbit(name, getkey):
    q, params = cases(getkey)[name]
    fixed = gb.fix_gauge(q, params)
    np.testing.assert_allclose(chi(q, fixed), 0.0, atol=1e-10)
    np.testing.assert_allclose(q.phi(fixed), q.phi(params), atol=1e-10)
    # Kempf-Ness: the slice holds the points of least norm.
    assert sum(jnp.sum(x**2) for x in fixed) < sum(jnp.sum(x**2) for x in params) + 1e-12
    again = gb.fix_gauge(q, fixed)
    np.testing.assert_allclose(q.phi(again), q.phi(fixed), atol=1e-10)


@pytest.mark.parametrize("name", ["pair", "gl2"])
def test_the_iteration_along_the_orbit_agrees_with_the_closed_form(name, getkey):
    q, params = cases(getkey)[name]
    closed, iterated = gb.fix_gauge(q, params), _along_orbit(q, params, 128)
    np.testing.assert_allclose(chi(q, iterated), 0.0, atol=1e-7)
    np.testing.assert_allclose(q.phi(iterated), q.phi(closed), atol=1e-9)


def test_deep_linear_layers_are_balanced_by_iteration(getkey):
    model = catalogue.DeepLinear(2, 3)
    params = tuple(x + 0.1 for x in model.init(getkey()))
    q = model.quotient()
    fixed = gb.fix_gauge(q, params)
    np.testing.assert_allclose(chi(q, fixed), 0.0, atol=1e-7)
    np.testing.assert_allclose(q.phi(fixed), q.phi(params), atol=1e-8)


def test_an_orbit_that_never_meets_the_slice_is_refused():
    q = gb.Quotient(product, PAIR)
    with pytest.raises(ValueError, match="`params` has no point of its orbit on the slice"):
        gb.fix_gauge(q, (jnp.array(1.0), jnp.array(0.0)))
    with pytest.raises(ValueError, match="`params` holds values that are not finite"):
        gb.fix_gauge(q, (jnp.array(1.0), jnp.array(jnp.nan)))
    with pytest.raises(ValueError, match="`q` must be a `gaugebias.Quotient`"):
        gb.fix_gauge((jnp.array(1.0), jnp.array(1.0)), q)  # type: ignore[arg-type]


def test_a_deep_product_with_one_zero_factor_never_meets_the_slice():
    """The orbit of `(1, 0, 2)` nears the origin only; that of `(0, 0, 0)` is on the slice."""
    q = gb.Quotient(lambda p: p[0] * p[1] * p[2], Product(Rescaling("0", "1"), Rescaling("1", "2")))
    with pytest.raises(ValueError, match="no point of its orbit on the slice"):
        gb.fix_gauge(q, (jnp.array([1.0, 2.0]), jnp.array([0.0, 1.0]), jnp.array([2.0, 1.0])))
    zeros = (jnp.array([0.0, 2.0]), jnp.array([0.0, 1.0]), jnp.array([0.0, 1.0]))
    for x in gb.fix_gauge(q, zeros):
        np.testing.assert_allclose(x, [0.0, 2.0 ** (1 / 3)], atol=1e-12)


def test_a_gauge_function_of_ones_own():
    q = gb.Quotient(product, PAIR, gauge=FunctionGauge(lambda p: p[0] - 2.0 * p[1]))
    fixed = gb.fix_gauge(q, (jnp.array(3.0), jnp.array(1.0)))
    np.testing.assert_allclose(fixed[0], 2.0 * fixed[1], rtol=1e-7)
    np.testing.assert_allclose(fixed[0] * fixed[1], 3.0, rtol=1e-9)


@pytest.mark.parametrize(
    "model, holds",
    [
        (catalogue.HadamardProduct((), 2), True),
        (catalogue.HadamardProduct((2,), 3), True),
        (catalogue.Factorisation(2, 2, 2), True),
        (catalogue.Factorisation(3, 2, 2), False),
        (catalogue.ReLUNeuron(3), False),
        (catalogue.DeepLinear(2, 3), False),
    ],
    ids=lambda x: type(x).__name__ if not isinstance(x, bool) else str(x),
)
def test_which_slices_are_invariant(model, holds, getkey):
    report = check_slice_invariance(model.quotient(), model.init(getkey()), key=getkey())
    assert report.holds is holds
    assert report.drift < 1e-10 if holds else report.drift > 1e-2
    assert report.generator.startswith("coeffs")


def test_the_uneven_product_has_an_invariant_slice(getkey):
    """`u v^2`, `A = diag(2, -1)`: `tr A = 1` and yet `tr(P A) = 0` on the slice."""
    action = Rescaling("0", "1", axes=(None, None), powers=(2.0, -1.0))
    q = gb.Quotient(lambda p: p[0] * p[1] ** 2, action)
    assert check_slice_invariance(q, (jnp.array(1.0), jnp.array(0.7)), key=getkey()).holds


def test_isometric_actions_have_nothing_to_drift(getkey):
    q = gb.Quotient(lambda p: jnp.sum(p[0] ** 2), Orthogonal("0"))
    report = check_slice_invariance(q, (jnp.ones(3),), key=getkey())
    assert report.holds and report.isometric


def test_actions_without_moment_map_are_told_apart(getkey):
    q = gb.Quotient(lambda p: p[0] - jnp.mean(p[0]), Translation("0"))
    report = check_slice_invariance(q, (jnp.ones(3),), key=getkey())
    assert report.isometric  # a translation: no lengths change
    act = gb.symmetry.Generators(
        lambda p, c: (c * p[1], 0.0 * p[1]), jnp.zeros(())
    )  # a shear: closed under bracket, not under transpose
    shear = gb.Quotient(lambda p: p[1], act)
    with pytest.raises(ValueError, match="not closed under transpose"):
        check_slice_invariance(shear, (jnp.array(1.0), jnp.array(2.0)), key=getkey())
    with pytest.raises(ValueError, match="MomentMapGauge"):
        other = gb.Quotient(product, PAIR, gauge=FunctionGauge(lambda p: p[0] - p[1]))
        check_slice_invariance(other, (jnp.array(1.0), jnp.array(2.0)), key=getkey())


def test_mean_curvature_of_spheres_and_its_condition(getkey):
    x = (jax.random.normal(getkey(), (4,)),)
    curvature = mean_curvature(Orthogonal("0"), x)[0]
    np.testing.assert_allclose(curvature, -3.0 * x[0] / jnp.sum(x[0] ** 2), rtol=1e-10)
    with pytest.raises(ValueError, match="`action` must be isometric"):
        mean_curvature(PAIR, (jnp.array(1.0), jnp.array(2.0)))
    # Rotations of space about one axis at twice the rate: no basis that the group keeps.
    basis = np.zeros((3, 3, 3))
    for a, (i, j) in enumerate([(0, 1), (0, 2), (1, 2)]):
        basis[a, i, j], basis[a, j, i] = 1.0, -1.0
    point = jnp.array([1.0, 0.2, 0.3])
    curvature = mean_curvature(LinearFields({("", 0): jnp.asarray(basis)}), point)
    np.testing.assert_allclose(curvature, -2.0 * point / jnp.sum(point**2), atol=1e-12)
    basis[0] *= 2.0
    with pytest.raises(ValueError, match="`action` needs another basis"):
        mean_curvature(LinearFields({("", 0): jnp.asarray(basis)}), point)


def test_representatives_by_newton_agree_with_the_lift():
    model = catalogue.HadamardProduct((), 2)
    at = model.lift(jnp.array(0.5))
    newton = gb.Quotient(model.invariants, model.action, at=at)
    w = jnp.array(0.8)
    np.testing.assert_allclose(jnp.abs(jnp.stack(newton.representative(w))), jnp.sqrt(w), rtol=1e-8)
    np.testing.assert_allclose(newton.predictor_log_det(w), model.log_det_gram(w), atol=1e-8)
    slope = jax.grad(newton.predictor_log_det)(w)
    np.testing.assert_allclose(slope, jax.grad(model.log_det_gram)(w), rtol=1e-6)


def test_what_a_quotient_refuses():
    at = (jnp.array(1.0), jnp.array(0.5))
    with pytest.raises(ValueError, match="does not leave"):
        gb.Quotient(lambda p: p[0] + p[1], PAIR, at=at)
    with pytest.raises(ValueError, match="`lift` must invert `phi`"):
        gb.Quotient(product, PAIR, at=at, lift=lambda w: (w, w))
    with pytest.raises(ValueError, match="neither `lift` nor `at`"):
        gb.Quotient(product, PAIR).representative(jnp.array(1.0))


def test_domains():
    line = Domain.line(breaks=(0.0,))
    assert line.dimension == 1 and line.breaks == ((0.0,),)
    assert Domain.line(lower=0.0, breaks=(0.0,)).breaks == ((),)
    cone = Domain.box([0.0, 0.0], [np.inf, np.inf], ordered=True)
    np.testing.assert_array_equal(cone.contains(np.array([[2.0, 1.0], [1.0, 2.0]])), [True, False])
    with pytest.raises(ValueError, match="`lower` must be below `upper`"):
        Domain.line(1.0, 0.0)
    with pytest.raises(ValueError, match="`breaks` must lie inside"):
        Domain([0.0], [1.0], ((2.0,),))
    with pytest.raises(ValueError, match="coordinates"):
        cone.contains(np.zeros((2, 3)))


def test_singular_points_of_the_slice_stay():
    """A dead unit, and factors without full rank that are balanced already."""
    q = gb.Quotient(lambda p: p[0] * p[1], Rescaling("0", "1"))
    fixed = gb.fix_gauge(q, (jnp.array([0.0, 2.0]), jnp.array([0.0, 0.5])))
    np.testing.assert_allclose(jnp.stack(fixed), [[0.0, 1.0], [0.0, 1.0]])
    factors = gb.Quotient(lambda p: p[0] @ p[1].T, GeneralLinear("0", "1"))
    thin = jnp.array([[1.0, 0.0], [0.5, 0.0]])
    np.testing.assert_allclose(jnp.stack(gb.fix_gauge(factors, (thin, thin))), [thin, thin])


def test_static_leaves_do_not_stop_a_closed_form():
    action = Product(Rescaling("a", "b"), Rescaling("b", "c"))
    q = gb.Quotient(lambda p: p["a"] * p["b"] * p["c"], action)
    params = {"a": jnp.array([8.0]), "b": jnp.array([1.0]), "c": jnp.array([1.0]), "name": "kept"}
    fixed = gb.fix_gauge(q, params)
    np.testing.assert_allclose([fixed[k][0] for k in "abc"], 2.0)
    assert fixed["name"] == "kept"


def test_values_that_are_not_finite_are_not_hidden():
    nan = (jnp.array(jnp.nan), jnp.array(1.0))
    assert jnp.isnan(gb.log_orbit_volume(PAIR, nan))
    factors = (jnp.full((2, 2), jnp.nan), jnp.eye(2))
    assert jnp.isnan(gb.log_orbit_volume(GeneralLinear("0", "1"), factors))
    assert jnp.isnan(gb.quotient.predictor_log_det(lambda p: p[0] * p[1], nan))


@pytest.mark.parametrize("shape", [(2, 2), (4, 3)])
@pytest.mark.parametrize("small", [1e-3, 1e-7])
def test_single_precision_reaches_the_slice_near_rank_one(shape, small, getkey):
    """By the columns themselves: determinants of their Grams err by up to .3 here, or are < 0."""
    n, m = shape
    orthonormal = [jnp.linalg.qr(jr.normal(getkey(), (k, 2)))[0] for k in (n, m, 2)]
    root = jnp.diag(jnp.sqrt(jnp.array([1.0, small]))) @ orthonormal[2]
    moved = jnp.eye(2) + 0.02 * jr.normal(getkey(), (2, 2))
    u = orthonormal[0] @ root @ moved
    v = orthonormal[1] @ root @ jnp.linalg.inv(moved).T
    q = gb.Quotient(lambda p: p[0] @ p[1].T, GeneralLinear("0", "1"))
    u, v = gb.fix_gauge(q, (u.astype(jnp.float32), v.astype(jnp.float32)))
    assert u.dtype == jnp.float32
    np.testing.assert_allclose(u.T @ u, v.T @ v, atol=2e-6)
