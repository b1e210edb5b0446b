import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import gaugebias as gb
from gaugebias.dynamics._runs._path import _kept_words, chain_keys
from gaugebias.dynamics._runs._threefry import fastest, folded_words, unrolled


@pytest.mark.parametrize("seed", [0, 7, 2**63 - 1])
def test_the_unrolled_generator_has_the_stock_bits(seed):
    stock = jr.key(seed)
    ours = unrolled(stock)
    for width in (jnp.uint8, jnp.uint16, jnp.uint32, jnp.uint64):
        np.testing.assert_array_equal(jr.bits(stock, (3, 5), width), jr.bits(ours, (3, 5), width))
    for dtype in (jnp.float32, jnp.float64):
        np.testing.assert_array_equal(jr.normal(stock, (7,), dtype), jr.normal(ours, (7,), dtype))
    pairs = [(jr.split(stock, (2, 3)), jr.split(ours, (2, 3)))]
    pairs += [(jr.fold_in(stock, n), jr.fold_in(ours, n)) for n in (0, 1, 2**31 - 1, 2**32 - 1)]
    for a, b in pairs:
        np.testing.assert_array_equal(jr.key_data(a), jr.key_data(b))
    assert not np.array_equal(jr.bits(stock, (4,)), jr.bits(unrolled(jr.key(seed // 2 + 1)), (4,)))


def test_the_choice_follows_the_backend_and_can_be_overridden(monkeypatch):
    key, other = jr.key(0), jr.key(0, impl="rbg")
    assert jr.key_impl(fastest(other)) == jr.key_impl(other)
    monkeypatch.setenv("GAUGEBIAS_GENERATOR", "stock")
    assert jr.key_impl(fastest(key)) == jr.key_impl(key)
    monkeypatch.setenv("GAUGEBIAS_GENERATOR", "unrolled")
    assert jr.key_impl(fastest(key)) != jr.key_impl(key)
    monkeypatch.setenv("GAUGEBIAS_GENERATOR", "fast")
    with pytest.raises(ValueError, match="GAUGEBIAS_GENERATOR.*'stock'"):
        fastest(key)


def test_words_that_are_kept_have_all_their_bits():
    """They pass through memory as floating numbers, of which a few thousand are not numbers."""
    keys = unrolled(chain_keys(jr.key(5), 2**20))
    kept = jax.jit(_kept_words)(keys, jnp.int32(3))
    plain = jax.jit(folded_words)(keys, jnp.int32(3))
    stock = jr.key_data(jax.jit(jax.vmap(lambda key: jr.fold_in(key, 3)))(keys))
    special = 0
    for i in range(2):
        np.testing.assert_array_equal(kept[i], plain[i])
        np.testing.assert_array_equal(kept[i], stock[:, i])
        special += int(np.isnan(np.asarray(kept[i]).view(np.float32)).sum())
    assert special > 1000


@pytest.mark.parametrize("start", [3, -3])
def test_a_path_has_the_same_noise_wherever_its_chains_are(start):
    keys = fastest(chain_keys(jr.key(0), 5))
    first, last = (
        gb.dynamics.CounterPath(keys, start, jax.ShapeDtypeStruct((2,), jnp.float32), axis)
        for axis in (0, -1)
    )
    z = first.evaluate(jnp.float32(1.0), jnp.float32(2.0))
    np.testing.assert_array_equal(last.evaluate(jnp.float32(1.0), jnp.float32(2.0)).T, z)
    assert np.unique(z).size == z.size


def test_a_run_does_not_depend_on_the_generator(monkeypatch, getkey):
    sde = gb.dynamics.Langevin(lambda x: 0.5 * jnp.sum(x**2), 0.1)
    key, finals = getkey(), []
    for choice in ("stock", "unrolled"):
        monkeypatch.setenv("GAUGEBIAS_GENERATOR", choice)
        ens = gb.simulate(sde, jnp.ones(2), key=key, chains=8, steps=16, dt=0.1)
        finals.append(np.asarray(ens.final))
    # The bits are the same; what is fused around them may be rounded differently.
    np.testing.assert_allclose(finals[0], finals[1], rtol=1e-13)
    assert jax.default_backend() != "cpu" or not np.array_equal(finals[0], np.ones((8, 2)))
