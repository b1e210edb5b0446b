"""The notebooks run from anywhere, and what is committed shows what they do."""

import os
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
if not (ROOT / "notebooks").is_dir():
    pytest.skip("the notebooks are not part of this distribution", allow_module_level=True)
sys.path.insert(0, str(ROOT))
try:
    from notebooks import render
finally:
    sys.path.remove(str(ROOT))


def committed(name):
    import nbformat

    return nbformat.read(render.FOLDER / f"{name}.ipynb", as_version=4)


def outputs(notebook):
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def test_every_page_has_its_script():
    pages = {path.stem for path in render.FOLDER.glob("*.ipynb")}
    assert pages == set(render.names()) and len(pages) >= 4


@pytest.mark.parametrize("name", render.names())
def test_script_and_page_hold_the_same_cells(name):
    def cells(notebook):
        return [(cell.cell_type, cell.source) for cell in notebook.cells]

    assert cells(render.read(name)) == cells(committed(name)), (
        f"run `python -m notebooks.render {name}`"
    )


@pytest.mark.parametrize("name", render.names())
def test_the_page_shows_figures_and_nothing_of_the_machine(name):
    page = committed(name)
    found = outputs(page)
    assert any("image/png" in output.get("data", {}) for output in found)
    assert all(output.output_type != "error" and output.get("name") != "stderr" for output in found)
    code = [cell for cell in page.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert set(page.metadata) == {"kernelspec", "language_info"}
    assert page.metadata.kernelspec == {
        "display_name": "Python 3",
        "language": "python",
        "name": "python3",
    }
    assert all(not cell.metadata for cell in page.cells)
    assert [cell.id for cell in page.cells] == [f"cell-{n}" for n in range(len(page.cells))]
    text = (render.FOLDER / f"{name}.ipynb").read_text(encoding="utf-8")
    text = re.sub(r'"image/png": "[^"]*"', "", text)
    assert not re.search(r"/(home|root|tmp|work|Users|var)/|\bpickle\b|0x[0-9a-f]{8}", text)
    assert len(text) < 60_000 and Path(render.FOLDER / f"{name}.ipynb").stat().st_size < 500_000


@pytest.mark.parametrize("name", render.names())
def test_a_notebook_runs_from_another_folder(name, tmp_path, monkeypatch):
    if "GAUGEBIAS_TEST_CACHE" in os.environ:
        monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", os.environ["GAUGEBIAS_TEST_CACHE"])
        monkeypatch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    # The kernel is found without files of the user, and writes none.
    for variable in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(variable, str(tmp_path / variable.lower()))
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    done = render.run(render.read(name), folder)
    found = outputs(done)
    assert any("image/png" in output.get("data", {}) for output in found)
    assert all(output.get("name") != "stderr" for output in found), found
    assert not list(folder.iterdir())


def test_an_unknown_name():
    with pytest.raises(ValueError, match="there is no notebook 'zzz': the names are .*first_law"):
        render.read("zzz")


def test_what_fails_in_a_cell_is_raised(tmp_path):
    import nbformat
    from nbclient.exceptions import CellExecutionError

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 / 0")])
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        render.run(notebook, tmp_path)
