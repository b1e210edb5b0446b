"""Small matrix products as sums: the same numbers, in a program without them."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
import pytest

import gaugebias as gb
from gaugebias.dynamics._runs._products import TRAINING, TURNED, written_out

# Shapes and axes of both sides: matrix and vector products, outer ones, batches, two summed axes.
CASES = {
    "matrices": ((4, 3), (3, 5), (((1,), (0,)), ((), ()))),
    "transposed": ((3, 4), (5, 3), (((0,), (1,)), ((), ()))),
    "vectors": ((8,), (8,), (((0,), (0,)), ((), ()))),
    "outer": ((3,), (2,), (((), ()), ((), ()))),
    "batch": ((6, 2, 4), (4, 6, 3), (((2,), (0,)), ((0,), (1,)))),
    "batch of 16": ((2, 16), (2, 16, 3), (((1,), (1,)), ((0,), (0,)))),
    "two axes": ((2, 3, 4), (4, 5, 2), (((0, 2), (2, 0)), ((), ()))),
    "two batch axes": ((2, 3, 4), (3, 2, 4), (((2,), (2,)), ((0, 1), (1, 0)))),
}


def operands(shapes, dtype=jnp.float64):
    one, other = jr.split(jr.key(0))
    return jr.normal(one, shapes[0], dtype), jr.normal(other, shapes[1], dtype)


def products(fn, *args) -> int:
    return str(jax.make_jaxpr(fn)(*args)).count("dot_general")


@pytest.mark.parametrize("name", CASES)
def test_the_same_numbers(name):
    left, right, numbers = CASES[name]
    a, b = operands((left, right))

    def product(a, b):
        return jax.lax.dot_general(a, b, numbers)

    ours = written_out(product, backend="cpu")
    assert products(product, a, b) == 1 and products(ours, a, b) == 0
    np.testing.assert_allclose(ours(a, b), product(a, b), rtol=1e-12, atol=1e-13)


def test_long_sums_and_other_kinds_stay_products():
    for length, batch in ((TRAINING.product + 1, ()), (TRAINING.of_batch + 1, (2,))):
        a, b = operands(((*batch, 3, length), (*batch, length, 3)))
        assert products(written_out(jnp.matmul, backend="cpu"), a, b) == 1
    whole = jnp.ones((2, 2), jnp.int32)
    assert products(written_out(jnp.matmul, backend="cpu"), whole, whole) == 1
    a, b = operands(((2, 2), (2, 2)), jnp.float32)

    def wide(a, b):
        numbers = (((1,), (0,)), ((), ()))
        return jax.lax.dot_general(a, b, numbers, preferred_element_type=jnp.float64)

    assert products(written_out(wide, backend="cpu"), a, b) == 1


def test_a_side_that_all_chains_share():
    """A product with data is one product of matrices for all chains, and stays one sooner."""
    data = jnp.ones((5, TRAINING.beside_data + 1))
    x = jnp.ones(data.shape[1])
    assert products(written_out(lambda x: data @ x, backend="cpu"), x) == 1
    assert products(written_out(lambda x: data[:, 1:] @ x[1:], backend="cpu"), x) == 0
    assert products(written_out(lambda data, x: data @ x, backend="cpu"), data, x) == 0
    # Inside a function that is called, a side made of data is data too.
    called = jax.jit(lambda a, x: (2 * a) @ x)
    assert products(written_out(lambda x: called(data, x), backend="cpu"), x) == 1
    assert products(written_out(lambda d, x: called(d, x), backend="cpu"), data, x) == 0


TURNS = {
    "rows by columns": (((1,), (0,)), ((), ())),
    "columns by columns": (((0,), (0,)), ((), ())),
    "rows by rows": (((1,), (1,)), ((), ())),
    "columns by rows": (((0,), (1,)), ((), ())),
}


@pytest.mark.parametrize("name", TURNS)
@pytest.mark.parametrize("size", [20, 40])
def test_matrices_are_turned_unless_they_are_large(name, size):
    numbers = TURNS[name]
    a, b = operands(((size, size), (size, size)))

    def product(a, b):
        return jax.lax.dot_general(a, b, numbers)

    ours = written_out(product, backend="cpu")
    found = str(jax.make_jaxpr(ours)(a, b))
    small = size**2 <= TURNED
    assert ("dimension_numbers=(([1], [0]), ([], []))" in found) == (
        small or name == "rows by columns"
    )
    assert found.count("dot_general") == 1
    np.testing.assert_allclose(ours(a, b), product(a, b), rtol=1e-11, atol=1e-12)
    wrong = product(jnp.swapaxes(a, 0, 1), b)
    assert not np.allclose(ours(a, b), wrong)
    many = jnp.stack([a, 2 * a]), jnp.stack([b, b])
    np.testing.assert_allclose(jax.vmap(ours)(*many)[1], 2 * product(a, b), rtol=1e-11, atol=1e-12)


def test_batches_of_matrices_are_turned_too():
    left, right = operands(((6, 20, 30), (6, 20, 25)))
    back = jax.lax.dot_general(left, right, (((1,), (1,)), ((0,), (0,))))
    ours = written_out(lambda a, b: jnp.einsum("bki,bkj->bij", a, b), backend="cpu")
    assert "(([2], [1]), ([0], [0]))" in str(jax.make_jaxpr(ours)(left, right))
    np.testing.assert_allclose(ours(left, right), back, rtol=1e-12)
    # Sums over two axes, and batch axes that are not in front, are left as they are.
    for text in ("kbi,bkj->bij", "bki,bkj->ij"):
        fn = written_out(lambda a, b, text=text: jnp.einsum(text, a, b), backend="cpu")
        a = jnp.swapaxes(left, 0, 1) if text.startswith("k") else left
        np.testing.assert_allclose(fn(a, right), jnp.einsum(text, a, right), rtol=1e-12)


def test_elsewhere_the_function_itself():
    assert written_out(jnp.matmul, backend="gpu") is jnp.matmul


def test_gradients_batches_and_calls_within_calls():
    w, x = operands(((5, 3), (7, 3)))

    @jax.jit
    def inner(w, x):
        return jax.nn.relu(w @ x), {"norm": jnp.linalg.norm(w)}

    def loss(w, x):
        out, rest = inner(w, x)
        total = jax.lax.fori_loop(0, 3, lambda i, s: s + jnp.sum(w[:3] @ x), 0.0)
        return jnp.sum(out**2) + rest["norm"] + total

    grad = jax.grad(lambda w: jnp.mean(jax.vmap(loss, (None, 0))(w, x)))
    ours = written_out(grad, backend="cpu")
    np.testing.assert_allclose(jax.jit(ours)(w), grad(w), rtol=1e-12)
    both = jax.vmap(ours)(jnp.stack([w, 2 * w]))
    np.testing.assert_allclose(both[1], grad(2 * w), rtol=1e-12)
    # and differentiated once more
    second = jax.jvp(ours, (w,), (jnp.ones_like(w),))[1]
    np.testing.assert_allclose(second, jax.jvp(grad, (w,), (jnp.ones_like(w),))[1], rtol=1e-11)


def test_results_without_arrays_of_their_own():
    """Constants, arguments passed on, numbers of Python and `None` come out as they would."""
    fn = written_out(lambda x: (x["a"], None, x["b"], {"two": jnp.arange(2.0)}), backend="cpu")
    out = fn({"a": jnp.ones(3), "b": 1.5, "name": "kept"})
    assert out[1] is None and float(out[2]) == 1.5
    np.testing.assert_array_equal(out[3]["two"], [0.0, 1.0])


def test_a_training_run_is_that_of_plain_products():
    """Batches are drawn ahead, products are sums: held against a loop in numpy."""
    x, y = operands(((32, 3), (32,)))
    w0 = jnp.array([0.3, -0.2, 0.1])

    def loss(w, sample):
        return 0.5 * (sample[0] @ w - sample[1]) ** 2

    sgd, key = optax.sgd(0.1), jr.key(3)
    run = gb.train(loss, w0, (x, y), optimiser=sgd, batch_size=4, key=key, chains=3, steps=11)
    for chain in range(3):
        w = np.asarray(w0)
        for step in range(11):
            batch = jr.fold_in(jr.fold_in(key, chain), step)
            rows = np.asarray(jr.randint(batch, (4,), 0, 32))
            a, b = np.asarray(x)[rows], np.asarray(y)[rows]
            w = w - 0.1 * a.T @ (a @ w - b) / 4
        np.testing.assert_allclose(run.final[chain], w, rtol=1e-12)
    assert not np.allclose(run.final[0], run.final[1])


def test_numbers_are_those_of_the_function_where_it_was_called():
    """Scalars of the program's text, and what surrounds a part of a function, belong to it."""
    x = operands(((3, 3), (3, 3)))[0]
    key = jax.random.key(0)

    def scalars(x):
        return jax.lax.dot_general(jnp.asarray(2.0), jnp.sum(x), (((), ()), ((), ())))

    def drawn(x):
        with jax.threefry_partitionable(False):
            return x @ jax.random.normal(key, (3, 3))

    for fn in (scalars, drawn):
        ours = written_out(fn, backend="cpu")
        np.testing.assert_allclose(ours(x), fn(x), rtol=1e-12)
    with jax.threefry_partitionable(True):
        assert not np.allclose(drawn(x), x @ jax.random.normal(key, (3, 3)))


def test_64_bits_within_a_program_of_32():
    def fn(x):
        with jax.enable_x64(True):
            wide = 1.5 * x.astype(jnp.float64)
            return jnp.sum(wide @ wide.T - wide @ wide.T * (1 - 1e-12)).astype(jnp.float32)

    with jax.enable_x64(False):
        x = jnp.arange(9, dtype=jnp.float32).reshape(3, 3) / 9
        ours = jax.jit(written_out(fn, backend="cpu"))
        np.testing.assert_allclose(ours(x), fn(x), rtol=1e-3)
        assert 0 < float(ours(x)) < 1e-9  # in 32 bits the two are the same
