import jax.numpy as jnp
import pytest

from gaugebias.design import load_function, named


def test_names_and_numbers():
    penalty, shape = named("lp(p=0.5, weight=2, scale=0)")
    assert shape == () and float(penalty(jnp.asarray(4.0))) == pytest.approx(4.0)
    penalty, shape = named("nuclear(rows=3, columns=2, weight=2)")
    assert shape == (3, 2) and float(penalty(2.0 * jnp.eye(3, 2))) == pytest.approx(8.0)
    penalty, shape = named("tv(length=3, weight=1, scale=0)")
    assert float(penalty(jnp.asarray([0.0, 1.0, -1.0]))) == pytest.approx(3.0)
    penalty, shape = named("group(size=2, groups=2, weight=1)")
    assert shape == (2, 2)
    assert float(penalty(jnp.asarray([[3.0, 4.0], [0.0, 1.0]]))) == pytest.approx(6.0)


def test_a_function_of_a_file(tmp_path):
    file = tmp_path / "own.py"
    file.write_text("def cube(w):\n    return abs(w) ** 3\n")
    penalty, shape = named(f"{file}:cube")
    assert shape == () and float(penalty(jnp.asarray(-2.0))) == pytest.approx(8.0)
    assert load_function(file, "cube")(2.0) == 8.0


def test_a_penalty_made_in_a_file(tmp_path):
    file = tmp_path / "own.py"
    file.write_text(
        "import gaugebias as gb\n"
        "box = gb.design.Penalty(lambda w: 0.1 * w**2, lower=-2.0, upper=3.0)\n"
        "steps = gb.design.TotalVariation(0.2, 4)\n"
        "group = gb.design.Group()\n"
    )
    penalty, shape = named(f"{file}:box")
    assert (penalty.lower, penalty.upper, shape) == (-2.0, 3.0, ())  # pyright: ignore
    assert named(f"{file}:steps")[1] == (4,)
    with pytest.raises(ValueError, match="is of a norm, and has no shape"):
        named(f"{file}:group")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("l2(", "cannot be read: write a name"),
        ("nuclea", "there is no penalty 'nuclea': did you mean 'nuclear'"),
        ("l1(heavy=1)", "l1 takes weight, scale, not heavy"),
        ("l1(weight=x)", "`weight` is no number"),
        ("l1(3)", "cannot be read"),
        ("tv(length=1.5)", "`length` must be a positive integer"),
        ("none.py:f", "the file 'none.py' does not exist"),
        ("none.py", "names a file and no function: write `none.py:function`"),
    ],
)
def test_bad_words_are_one_sentence(text, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        named(text)


def test_bad_files(tmp_path):
    file = tmp_path / "own.py"
    file.write_text("def cube(w):\n    return w\n")
    with pytest.raises(ValueError, match="no function 'cubes': did you mean 'cube'"):
        named(f"{file}:cubes")
    file.write_text("1 / 0\n")
    with pytest.raises(ValueError, match="fails when it is run .ZeroDivisionError"):
        named(f"{file}:cube")


def test_counts_that_are_not_finite():
    with pytest.raises(ValueError, match="`length` must be a positive integer, but is inf"):
        named("tv(length=1e999)")
