"""Ensembles on disk and as datasets."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gaugebias as gb


def flow(x):
    return 0.5 * jnp.sum(x["w"] ** 2)


@pytest.fixture(scope="module")
def ensemble():
    return gb.simulate(
        gb.dynamics.Langevin(flow, 0.1),
        {"w": jnp.ones(3)},
        key=jax.random.key(3),
        chains=4,
        steps=20,
        every=5,
        dt=0.1,
        observe=lambda p: {"w": p["w"], "size": jnp.sum(p["w"] ** 2)},
    )


def test_an_ensemble_survives_a_round_trip(ensemble, tmp_path):
    path = tmp_path / "run.zarr"
    ensemble.save(path)
    back = gb.load(path)
    np.testing.assert_array_equal(back.values["w"], ensemble.values["w"])
    np.testing.assert_array_equal(back.values["size"], ensemble.values["size"])
    np.testing.assert_array_equal(back.final["w"], ensemble.final["w"])
    np.testing.assert_array_equal(back.steps, ensemble.steps)
    np.testing.assert_array_equal(back.key_data, ensemble.key_data)
    assert back.settings == ensemble.settings and back.settings["functions"]["loss"]["name"]
    assert not [p for p in path.rglob("*") if p.suffix in (".pkl", ".pickle")]
    ensemble.save(path)  # over an ensemble of ours
    assert [p.name for p in tmp_path.iterdir()] == ["run.zarr"]


def test_a_single_array_comes_back_as_an_array(tmp_path):
    ens = gb.simulate(
        gb.dynamics.Langevin(lambda x: 0.5 * x**2, 0.1),
        jnp.array(0.0),
        key=jax.random.key(3),
        chains=4,
        steps=4,
        dt=0.1,
    )
    ens.save(tmp_path / "a")
    np.testing.assert_array_equal(gb.load(tmp_path / "a").values, ens.values)


def test_numbers_that_files_have_no_name_for_are_written_in_float32(tmp_path):
    ens = gb.simulate(
        gb.dynamics.Langevin(flow, 0.1),
        {"w": jnp.ones(3)},
        key=jax.random.key(3),
        chains=4,
        steps=4,
        dt=0.1,
        observe=lambda p: p["w"].astype(jnp.bfloat16),
    )
    ens.save(tmp_path / "a")
    back = gb.load(tmp_path / "a").values
    assert ens.values.dtype == jnp.bfloat16 and back.dtype == np.float32
    np.testing.assert_array_equal(back, ens.values.astype(np.float32))


def test_the_dataset_names_its_dimensions(ensemble):
    data = ensemble.to_xarray()
    assert data["values.w"].dims[:2] == ("chain", "draw")
    assert data["step"].values.tolist() == [5, 10, 15, 20]


def test_what_stands_in_the_way_is_left_alone(ensemble, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    with pytest.raises(ValueError, match="is not a saved ensemble: choose another path"):
        ensemble.save(tmp_path / "mine")
    assert (tmp_path / "mine" / "notes.txt").read_text() == "keep"
    with pytest.raises(ValueError, match="does not exist"):
        gb.load(tmp_path / "nothing")
    with pytest.raises(ValueError, match="is not a saved ensemble"):
        gb.load(tmp_path / "mine")
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="cannot be written"):
        ensemble.save(tmp_path / "file" / "run")
