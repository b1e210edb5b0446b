"""A loss over two parameters: contours, orbits that are flat in it, the slice across them."""

import jax.numpy as jnp
import numpy as np
import pytest

import gaugebias as gb


def quotient():
    act = gb.symmetry.Rescaling("u", "v", axes=(None, None))
    point = {"u": jnp.asarray(1.0), "v": jnp.asarray(1.0)}
    return gb.Quotient(lambda p: p["u"] * p["v"], act, at=point)


def loss(p):
    return 0.5 * (p["u"] * p["v"] - 1.0) ** 2


def test_orbits_are_hyperbolas_and_the_slice_is_the_diagonals():
    ax = gb.plot.landscape(quotient(), loss, (-2.0, 2.0, -2.0, 2.0), orbits=4)
    orbits = [
        np.asarray(line.get_xydata()) for line in ax.lines if len(np.asarray(line.get_xdata())) > 2
    ]
    assert len(orbits) == 4
    for path in orbits:
        product = path[:, 0] * path[:, 1]
        np.testing.assert_allclose(product, product[0], rtol=1e-9)
    slices = [c for c in ax.collections if np.size(np.asarray(c.get_array())) == 1]
    (zero,) = slices
    (path,) = zero.get_paths()
    corners = np.abs(np.asarray(path.vertices, float))
    np.testing.assert_allclose(corners[:, 0], corners[:, 1], atol=0.04)
    assert ax.get_xlabel() == "u" and ax.get_ylabel() == "v"


def test_bad_input_is_said():
    with pytest.raises(ValueError, match="give left < right"):
        gb.plot.landscape(quotient(), loss, (1.0, 0.0, 0.0, 1.0))
    with pytest.raises(ValueError, match="finite nowhere"):
        gb.plot.landscape(quotient(), lambda p: jnp.nan * p["u"], (0.0, 1.0, 0.0, 1.0))
    act = gb.symmetry.Rescaling("u", "v", axes=(0, 0))
    four = gb.Quotient(lambda p: p["u"] * p["v"], act, at={"u": jnp.ones(2), "v": jnp.ones(2)})
    with pytest.raises(ValueError, match="moves 4 numbers"):
        gb.plot.landscape(four, loss, (0.0, 1.0, 0.0, 1.0))
