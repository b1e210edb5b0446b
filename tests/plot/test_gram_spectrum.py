"""The spectrum of an orbit's Gram: closed form, and the step down where the orbit is degenerate."""

import jax.numpy as jnp
import numpy as np
import pytest

import gaugebias as gb


def test_eigenvalues_are_those_of_the_closed_form_and_degenerate_directions_show():
    act = gb.symmetry.GeneralLinear("u", "v", axes=(1, 1))
    u = jnp.diag(jnp.asarray([2.0, 1.0]))
    points = {"generic": {"u": u, "v": u}, "degenerate": {"u": u.at[1, 1].set(0.0), "v": u * 0.0}}
    ax = gb.plot.gram_spectrum(act, points)
    generic, degenerate = [np.asarray(line.get_ydata()) for line in ax.lines]
    s = np.asarray([4.0, 1.0])
    np.testing.assert_allclose(generic, np.sort((s[:, None] + s).ravel())[::-1], rtol=1e-12)
    assert degenerate[1] > 1.0 and degenerate[2] < 1e-20
    assert ax.get_yscale() == "log"
    with pytest.raises(ValueError, match="`points` must be a dictionary"):
        gb.plot.gram_spectrum(act, {})


def test_more_generators_than_parameters():
    ax = gb.plot.gram_spectrum(gb.symmetry.Orthogonal(lambda x: x, axis=0), {"vector": jnp.ones(4)})
    found = np.asarray(ax.lines[0].get_ydata())
    assert len(found) == 6  # of SO(4): the orbit of a vector is a sphere of dimension 3
    np.testing.assert_allclose(found[:3], 4.0)
    assert np.all(found[3:] < 1e-20)
