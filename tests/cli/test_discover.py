"""`gaugebias discover`: a model in a file."""

import json

import pytest

from gaugebias.cli import main

MODEL = """
import jax
import jax.numpy as jnp

def predict(p, x):
    return (x @ p["w1"]) @ p["w2"]

def plain(p, x):
    return x @ p["w1"] @ jnp.ones(2) + jnp.sum(p["w2"] ** 3)

number = 3.0
params = {"w1": jnp.eye(3, 2), "w2": jnp.eye(2)}

def inputs():
    return jax.random.normal(jax.random.key(0), (32, 3))
"""


@pytest.fixture
def model(tmp_path):
    (tmp_path / "model.py").write_text(MODEL)
    return str(tmp_path / "model.py")


def test_the_group_of_a_linear_network_is_found_and_named(model, capsys):
    assert main(["discover", model]) == 0
    assert "GL(2)" in capsys.readouterr().out
    assert main(["discover", model, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["dimension"] == 4 and said["residual"] < 1e-9 and said["gap"] > 1e3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["none.py"], "does not exist"),
        (["--predict", "predct"], "did you mean 'predict'"),
        (["--predict", "number"], "is no function"),
        (["--seed", "-1"], "`seed` is -1"),
    ],
)
def test_bad_input_is_one_sentence(model, words, said, capsys):
    file = [] if words[0].endswith(".py") else [model]
    assert main(["discover", *file, *words]) == 2
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1


def test_a_folder_is_no_file(tmp_path, capsys):
    assert main(["discover", str(tmp_path)]) == 2
    err = capsys.readouterr().err
    assert "is a folder: give the Python file in it" in err and err.count("\n") == 1
