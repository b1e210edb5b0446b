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
