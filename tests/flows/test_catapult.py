"""The catapult recursion."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaugebias import flows

RNG = np.random.default_rng(0)
U, V = jnp.asarray(RNG.standard_normal(1000)), jnp.asarray(RNG.standard_normal(1000))
F, LAM = flows.catapult_start(U, V)


@pytest.mark.parametrize(
    ("product", "most", "when", "final"),
    [(2.1, 0.0042, 8, 1.858), (3.0, 0.185, 4, 0.19), (3.9, 0.466, 3, 1.14)],
)
def test_table(product, most, when, final):
    rate = product / float(LAM)
    path = flows.catapult(F, LAM, rate, width=1000, steps=300)
    loss = np.asarray(path.loss) / 1000
    assert loss.max() == pytest.approx(most, rel=0.02) and loss.argmax() == when
    assert rate * float(path.curvature[-1]) == pytest.approx(final, rel=0.02)
    assert loss[-1] < 1e-20 and flows.catapult_regime(rate, float(LAM)) == "catapult"


def test_lazy_and_divergent():
    lazy = flows.catapult(F, LAM, 1.9 / LAM, width=1000, steps=300)
    assert int(jnp.argmax(lazy.loss)) == 0 and float(lazy.loss[-1]) < 1e-9
    wild = flows.catapult(F, LAM, 4.1 / LAM, width=1000, steps=300)
    assert not bool(jnp.isfinite(wild.output[-1]))
    assert flows.catapult_regime(1.9, 1.0) == "lazy"
    assert flows.catapult_regime(4.1, 1.0) == "divergent"


def test_recursion_is_exact_for_the_weights():
    u, v = U[:7], V[:7]
    f, lam = flows.catapult_start(u, v)
    rate = 2.5 / float(lam)
    path = flows.catapult(f, lam, rate, width=7, steps=30)

    def loss(p):
        return 0.5 * (jnp.sum(p[0] * p[1]) / 7**0.5) ** 2

    step = jax.jit(lambda p: jax.tree.map(lambda w, g: w - rate * g, p, jax.grad(loss)(p)))
    params = (u, v)
    for _ in range(30):
        params = step(params)
    end = flows.catapult_start(*params)
    np.testing.assert_allclose(end[1], path.curvature[-1], rtol=1e-12)
    np.testing.assert_allclose(end[0], path.output[-1], atol=1e-12)
    gap = params[0] ** 2 - params[1] ** 2
    np.testing.assert_allclose(gap, path.imbalance_factor[-1] * (u**2 - v**2), atol=1e-12)


def test_what_bad_input_says():
    with pytest.raises(ValueError, match="`output` is above"):
        flows.catapult(10.0, 1.0, 0.1, width=4, steps=2)
    with pytest.raises(ValueError, match="`learning_rate` must be positive"):
        flows.catapult(0.1, 1.0, 0.0, width=4, steps=2)
    with pytest.raises(ValueError, match="`width` and `steps`"):
        flows.catapult(0.1, 1.0, 0.1, width=4, steps=0)
    with pytest.raises(ValueError, match="must be positive"):
        flows.catapult_regime(-1.0, 1.0)
    with pytest.raises(ValueError, match="vectors of one length"):
        flows.catapult_start(U, V[:3])
