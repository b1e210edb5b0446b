"""Balancing layers that share leaves, and the report of it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gaugebias as gb
from gaugebias.quotient import FunctionGauge, balance_report
from gaugebias.quotient._gauges._closed_gauge import balanced
from gaugebias.symmetry import GeneralLinear, Orthogonal, Product, Rescaling, Scale

WIDTHS = (3, 20, 12, 2)


def network(dtype=float):
    keys = jax.random.split(jax.random.key(0), 3)
    return {
        f"{kind}{i}": jax.random.normal(jax.random.fold_in(k, j), shape, dtype) * (1.0 + 2.0 * i)
        for i, k in enumerate(keys)
        for j, (kind, shape) in enumerate(
            [("w", (WIDTHS[i + 1], WIDTHS[i])), ("b", (WIDTHS[i + 1],))]
        )
    }


def predict(p, x):
    for i in range(3):
        x = x @ p[f"w{i}"].T + p[f"b{i}"][None]
        x = jax.nn.relu(x) if i < 2 else x
    return x


GROUP = Product(*(Rescaling((f"w{i}", f"b{i}"), f"w{i + 1}", axes=((0, 0), 1)) for i in range(2)))
X = jax.random.normal(jax.random.key(5), (30, 3))


def norm(params):
    return float(jnp.sqrt(sum(jnp.sum(x**2) for x in jax.tree.leaves(params))))


@pytest.fixture(scope="module")
def report():
    return balance_report(gb.Quotient(lambda p: predict(p, X), GROUP), network())


def test_layers_that_share_leaves_are_balanced_to_rounding(report):
    assert report.relative_change < 1e-13
    assert all(layer.imbalance > 1e-2 for layer in report.layers)
    assert all(layer.imbalance_after < 1e-14 for layer in report.layers)
    for i in range(2):
        up = jnp.sum(report.balanced[f"w{i}"] ** 2, 1) + report.balanced[f"b{i}"] ** 2
        np.testing.assert_allclose(up, jnp.sum(report.balanced[f"w{i + 1}"] ** 2, 0), rtol=1e-12)


def test_the_norm_is_the_least_of_the_orbit(report):
    """Kempf-Ness: it is convex along the orbit, so a stationary point is the minimum."""
    assert report.norm_after < 0.95 * report.norm
    rng = np.random.default_rng(0)
    for size in (1e-3, 0.3):
        coeffs = tuple(jnp.asarray(size * rng.standard_normal(w)) for w in WIDTHS[1:3])
        assert norm(GROUP.flow(report.balanced, coeffs)) > report.norm_after


def test_ratios_are_those_of_the_given_parameters(report):
    p = network()
    up = jnp.sqrt(jnp.sum(p["w0"] ** 2, 1) + p["b0"] ** 2)
    expected = up / jnp.sqrt(jnp.sum(p["w1"] ** 2, 0))
    np.testing.assert_allclose(report.layers[0].ratios, expected, rtol=1e-12)
    assert report.layers[1].leaves == ("b1", "w1", "w2")
    text = report.table()
    assert "20" in text and "b1, w1, w2" in text and "% less" in text


@pytest.mark.slow  # the example on digits asserts the same on a trained network
def test_float32_costs_rounding_only():
    p = network(jnp.float32)
    got = balance_report(gb.Quotient(lambda p: predict(p, X.astype(jnp.float32)), GROUP), p)
    assert got.relative_change < 3e-6
    assert all(layer.imbalance_after < 1e-6 for layer in got.layers)


@pytest.mark.slow  # eight seconds
def test_it_can_be_differentiated():
    p = network()
    v = {k: jnp.sin(jnp.arange(x.size, dtype=float)).reshape(x.shape) for k, x in p.items()}

    def entry(t):
        moved = jax.tree.map(lambda x, y: x + t * y, p, v)
        fixed = balanced(GROUP, moved)
        assert fixed is not None
        return fixed["w1"][0, 0]

    slope = jax.jvp(entry, (0.0,), (1.0,))[1]
    np.testing.assert_allclose(slope, (entry(1e-5) - entry(-1e-5)) / 2e-5, rtol=1e-6)


def test_groups_that_share_no_leaf_are_balanced_one_by_one():
    p = {k: jax.random.normal(jax.random.key(i), (4, 2)) for i, k in enumerate("qkuv")}
    act = Product(GeneralLinear("q", "k"), Rescaling("u", "v", axes=1))
    q = gb.Quotient(lambda p: (p["q"] @ p["k"].T, p["u"] @ p["v"].T), act)
    got = balance_report(q, p)
    assert got.relative_change < 1e-12 and got.layers[0].ratios is None
    fixed = got.balanced
    np.testing.assert_allclose(fixed["q"].T @ fixed["q"], fixed["k"].T @ fixed["k"], atol=1e-12)


def test_what_it_refuses():
    p = network()
    p["w2"] = p["w2"].at[:, 0].set(0.0)  # a unit whose orbit is not closed
    q = gb.Quotient(lambda p: predict(p, X), GROUP)
    with pytest.raises(ValueError, match="`params` has no point of its orbit on the slice"):
        balance_report(q, p)
    other = gb.Quotient(lambda p: p[0], Orthogonal("0"), gauge=FunctionGauge(lambda p: p[0]))
    with pytest.raises(ValueError, match="`q` must have the gauge"):
        balance_report(other, (jnp.ones(2),))


@pytest.mark.parametrize(
    "action",
    [
        Scale("u"),
        Rescaling("u", "v", powers=(1.0, 0.5)),
        Product(Scale("w"), Rescaling("u", "v")),
    ],
    ids=["scale", "both up", "product"],
)
def test_a_scaling_is_not_shrunk_to_nothing(action):
    """The least norm of a ray is at the origin: float32 would call a short vector its zero."""
    params = {k: jnp.ones(2, jnp.float32) for k in "uvw"}
    q = gb.Quotient(lambda p: p["u"] / jnp.linalg.norm(p["u"]), action)
    with pytest.raises(ValueError, match="`gauge` has no zero.*FunctionGauge"):
        gb.fix_gauge(q, params)


def test_a_network_of_zeros_has_a_report():
    q = gb.Quotient(lambda p: p[0] * p[1], Rescaling("0", "1"))
    report = gb.quotient.balance_report(q, (jnp.zeros(2), jnp.zeros(2)))
    assert "norm 0 -> 0 (0.00% less)" in report.table()
