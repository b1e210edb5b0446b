"""What discovery refuses, and what it says."""

import contextlib
import itertools

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

import gaugebias as gb
from gaugebias.symmetry._discover._null_space import Triangle, null_space


def normal(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)


@contextlib.contextmanager
def jaxtyping_off():
    """The run-time type checker of the tests out of the way, as for users."""
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)


PARAMS = {"w1": normal(1, 3, 2), "b1": normal(2, 3), "w2": normal(3, 2, 3)}
X = normal(5, 20, 2)


def relu(p, x):
    return jax.nn.relu(x @ p["w1"].T + p["b1"][None]) @ p["w2"].T


def linear(p, x):
    return x @ p["w1"].T @ p["w2"].T


def test_a_predictor_that_is_not_deterministic():
    counter = itertools.count()
    with pytest.raises(ValueError, match="`predict` is not deterministic"):
        gb.discover(lambda p, x: relu(p, x) + next(counter), PARAMS, X)


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"w": jnp.arange(3), "name": "linear"}, "`params` holds no floating array"),
        ({"w": jnp.ones(3, complex)}, "complex"),
        ({"w": jnp.array([1.0, jnp.nan])}, "`params` holds values that are not finite"),
    ],
)
def test_leaves_that_do_not_move(params, says):
    with pytest.raises(ValueError, match=says):
        gb.discover(lambda p: p["w"], params)


@pytest.mark.parametrize(
    ("predict", "says"),
    [
        (lambda p, x: jnp.log(-jnp.sum(p["w1"] ** 2)) + x, "`predict` is not finite at `params`"),
        (
            lambda p, x: relu(p, x) + jnp.sqrt(p["b1"][0] * PARAMS["b1"][0]),
            "not finite at .* sampled",
        ),
        (lambda p, x: jnp.argmax(relu(p, x), axis=1), "floating arrays"),
        (lambda p, x: relu(p, x).T, "the batch must be the first axis"),
        (
            lambda p, x: relu(p, x) - jnp.mean(relu(p, x), axis=0, keepdims=True),
            "independent samples",
        ),
        (lambda p, x: p["w1"] @ x, "`predict` fails on `inputs` of shapes .*`jax.vmap`"),
    ],
)
def test_wrong_predictors(predict, says):
    with pytest.raises(ValueError, match=says):
        gb.discover(predict, PARAMS, X)


def test_wrong_arguments():
    """As users may mix them up; the types are checked by run-time checkers in these tests only."""
    with pytest.raises(ValueError, match="`predict` fails on `params` alone.*give `inputs`"):
        gb.discover(relu, PARAMS)
    with jaxtyping_off():
        with pytest.raises(ValueError, match="`predict` must be a function .* type dict"):
            gb.discover(PARAMS, relu, X)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="`key` must be a random key"):
            gb.discover(relu, PARAMS, X, key=3)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="`samples` is 100.5"):
            gb.discover(relu, PARAMS, X, samples=100.5)  # type: ignore[arg-type]


def test_leaves_without_entries_do_not_count():
    found = gb.discover(relu, PARAMS | {"none": jnp.zeros((0, 3))}, X)
    assert found.dimension == 3


def test_wrong_batch_axes():
    """Columns are samples: `X.T` has a batch of 2 and the model takes rows."""
    with pytest.raises(ValueError, match="`predict` fails on `inputs`.*first axis"):
        gb.discover(relu, PARAMS, normal(5, 2, 20))
    with pytest.raises(ValueError, match="`inputs` must be arrays with one common batch axis"):
        gb.discover(relu, PARAMS, (X, X[:4]))
    with pytest.raises(ValueError, match="`inputs` holds 2 different samples"):
        gb.discover(relu, PARAMS, X[:2])
    with pytest.raises(ValueError, match="`inputs` holds 1 different samples"):
        gb.discover(relu, PARAMS, jnp.ones((20, 2)))


def test_too_few_evaluations_say_how_many_are_needed():
    # w1: 4 + 9, w2: 9 + 4, less the identities that act alike on either side: 24. Translations:
    # w1: 2 + 3, w2: 2 + 3, less one constant each: 8.
    params = {k: PARAMS[k] for k in ("w1", "w2")}
    with pytest.raises(ValueError, match="10 evaluations for 32 candidates.*at least 32"):
        gb.discover(linear, params, X, samples=10)


def test_too_few_inputs():
    """Four inputs in six dimensions: w1 B with B = 0 on the three that are fitted."""
    params = {"w1": normal(1, 2, 6), "w2": normal(3, 2, 2)}
    with pytest.raises(ValueError, match="`inputs` or `samples` are too few.*give at least"):
        gb.discover(linear, params, normal(5, 4, 6))
    assert gb.discover(linear, params, normal(5, 12, 6)).dimension == 4


def test_features_that_hardly_ever_show():
    """A pixel that one picture in forty shows; with noise the architecture is seen."""
    inputs = normal(5, 40, 2)
    inputs = jnp.concatenate([inputs, jnp.zeros((40, 1)).at[3].set(1.0)], axis=1)
    params = PARAMS | {"w1": normal(1, 3, 3)}
    with pytest.raises(ValueError, match=r"`inputs` show 3 entries of leaf 'w1'.*noise"):
        gb.discover(relu, params, inputs)
    assert gb.discover(relu, params, inputs + 0.1 * normal(6, 40, 3)).dimension == 3


def test_a_singular_point_names_the_stabilised_generator():
    """A unit of zeros is fixed by its own rescaling."""
    dead = {
        "w1": PARAMS["w1"].at[1].set(0.0),
        "b1": PARAMS["b1"].at[1].set(0.0),
        "w2": PARAMS["w2"].at[:, 1].set(0.0),
    }
    with pytest.raises(ValueError, match=r"dimension 2, .* nearby 3. Generator coeffs\[1\]"):
        gb.discover(relu, dead, X)
    # Without full rank GL(2) has a stabiliser at this point; its neighbours have none.
    thin = {"w1": jnp.ones((2, 2)), "w2": jnp.ones((2, 2))}
    with pytest.raises(ValueError, match=r"singular stratum.*coeffs\[\d, \d\] .*stabilised"):
        gb.discover(linear, thin, X)


def test_an_unclear_gap_is_not_guessed():
    def nearly(p, x):
        return linear(p, x) + 1e-9 * jnp.sum(p["w1"] ** 2)

    params = {k: PARAMS[k] for k in ("w1", "w2")}
    with pytest.raises(ValueError, match="gap between symmetries and the rest is unclear"):
        gb.discover(nearly, params, X)
    assert gb.discover(nearly, params, X, tolerance=1e-5).dimension == 9
    # As wide a cut as 0.5 lies among the values that are not zero.
    with pytest.raises(ValueError, match="unclear"):
        gb.discover(linear, params, X, tolerance=0.5)


def test_float32_inside_a_predictor_is_noticed():
    """Softmax of float32 hides the invariance under the bias by rounding only: not guessed."""

    def predict(p, x):
        logits = (x @ p["w"].T + p["b"][None] + p["c"]).astype(jnp.float32)
        return jax.nn.softmax(logits)

    params = {"w": normal(1, 3, 2), "b": normal(2, 3), "c": jnp.array(0.5)}
    with pytest.raises(ValueError, match=r"hardly sees leaves c \(.*float32 inside `predict`"):
        gb.discover(predict, params, X)
    found = gb.discover(predict, params, X, tolerance=1e-5)
    assert found.dimension == 4 and "translation of leaf c" in found.identification


def always_on(key, params):
    """All units on: the biases are large."""
    drawn = jax.tree.map(lambda x: jax.random.normal(key, x.shape), params)
    return drawn | {"b1": 100.0 + drawn["b1"]}


def test_too_few_activation_patterns():
    with pytest.raises(ValueError, match="too few activation patterns: 3 of 3 gates"):
        gb.discover(relu, PARAMS, X, sample=always_on)


@pytest.mark.slow  # five seconds
def test_a_domain_of_ones_own():
    def predict(p):
        return p["u"] * jnp.sqrt(p["v"])

    def positive(key, params):
        keys = dict(zip(params, jax.random.split(key), strict=True))
        return {k: jnp.exp(jax.random.normal(keys[k], x.shape)) for k, x in params.items()}

    def copied(key, params):
        return {k: jnp.exp(jax.random.normal(key, x.shape)) for k, x in params.items()}

    params = {"u": jnp.ones(2), "v": jnp.full(2, 3.0)}
    with pytest.raises(ValueError, match="`sample=`"):
        gb.discover(predict, params)
    found = gb.discover(predict, params, sample=positive)
    assert isinstance(found.action, gb.symmetry.Rescaling)
    assert found.dimension == 2 and found.action.powers == (1.0, -2.0)
    with pytest.raises(ValueError, match="not generic"):  # u = v hides half of the fields
        gb.discover(predict, params, sample=copied)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"tolerance": 2.0}, "`tolerance` is 2.0"),
        ({"max_candidates": 5}, "`max_candidates` is 5"),
        ({"max_candidates": 0}, "`max_candidates` is 0: give a positive integer"),
        ({"samples": -5}, "`samples` is -5"),
        ({"memory": 0}, "`memory` is 0"),
        ({"sample": lambda key, p: {"w1": p["w1"]}}, "`sample` must return .* structure"),
        ({"sample": lambda key, p: jax.tree.map(lambda x: jnp.nan * x, p)}, "must draw valid"),
    ],
)
def test_options(options, says):
    with pytest.raises(ValueError, match=says):
        gb.discover(relu, PARAMS, X, **options)
    with pytest.raises(ValueError, match="outside of jit"):
        jax.jit(lambda p: gb.discover(relu, p, X).gap)(PARAMS)


def test_the_triangular_factor_keeps_what_a_gram_matrix_loses():
    """A direction of relative size 1e-10 among exact null directions."""
    rng = np.random.default_rng(0)
    q, _ = np.linalg.qr(rng.standard_normal((8, 8)))
    rows = rng.standard_normal((400, 8)) * np.array([1, 1, 1, 1, 1, 1e-10, 0, 0]) @ q
    triangle = Triangle(np.ones(8))
    for part in np.split(rows, 8):
        triangle.add(part, np.abs(part))
    by_factor = null_space(triangle.r, 1e-13)
    assert by_factor.null.shape[0] == 2 and 1e-11 < by_factor.kept < 1e-9
    roots = np.sqrt(np.abs(np.linalg.eigvalsh(rows.T @ rows)))
    assert np.sort(roots)[1] > 1e-10 * roots.max()  # noise of the null directions hides it
