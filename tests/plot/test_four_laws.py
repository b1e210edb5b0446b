import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.figure import Figure

import gaugebias as gb
from gaugebias import plot
from gaugebias.plot._four_laws import _curves


def test_all_four_are_drawn_and_the_formal_one_is_dotted():
    ax = plot.four_laws(ax=Figure().subplots())
    styles = {str(line.get_label()): line.get_linestyle() for line in ax.lines}
    solid = ("isotropic, ridge", "horizontal", "conditioned, w ≥ 0.1")
    assert all(styles[name] == "-" for name in solid)
    assert styles["projected (formal)"] != "-"


def test_densities_are_normalised_and_agree_with_the_laws():
    temperature = 0.3
    curves = _curves(temperature, 0.2, 0.1, 1.0 + 9.0 * temperature**0.5)

    def phi(params):
        return params["u"] * params["v"]

    def lift(w):
        return {"u": jnp.sqrt(w), "v": jnp.sqrt(w)}

    action = gb.symmetry.Rescaling("u", "v", axes=(None, None))

    def law(build, lower):
        domain = gb.quotient.Domain.line(lower=lower)
        quotient = gb.Quotient(phi, action, at=lift(jnp.asarray(1.0)), lift=lift, domain=domain)
        return build(quotient, lambda w: 0.5 * (w - 1.0) ** 2, temperature)

    for name, build, lower in (
        ("horizontal", gb.laws.horizontal, 0.0),
        ("conditioned, w ≥ 0.1", gb.laws.conditioned, 0.1),
    ):
        x, density, _ = curves[name]
        assert np.all(np.diff(x) >= 0)
        points = np.linspace(400, len(x) - 1, 50).astype(int)
        expected = np.exp(np.asarray(law(build, lower).log_density(x[points])))
        np.testing.assert_allclose(density[points], expected, rtol=2e-5)


@pytest.mark.parametrize("name", ["temperature", "ridge", "cut"])
@pytest.mark.parametrize("value", [0.0, -1.0, np.inf, np.nan])
def test_bad_numbers(name, value):
    with pytest.raises(ValueError, match=f"`{name}` is"):
        plot.four_laws(**{name: value}, ax=Figure().subplots())
