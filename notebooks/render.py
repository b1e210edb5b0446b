"""Run the notebooks and write the pages with their figures.

`python -m notebooks.render [NAME ...]` runs NAME.py (all of them by default) from a temporary
folder, as a reader would from anywhere, and writes NAME.ipynb beside it. What depends on the
machine is left out: times, kernel paths and versions, random cell ids.
"""

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
_KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def names() -> list[str]:
    """The notebooks, by the names of their files."""
    scripts = (path.stem for path in FOLDER.glob("*.py"))
    return sorted(name for name in scripts if name not in ("__init__", "render"))


def read(name: str) -> Any:
    """NAME.py as a notebook without outputs."""
    import jupytext

    path = FOLDER / f"{name}.py"
    if not path.exists():
        raise ValueError(f"there is no notebook {name!r}: the names are {', '.join(names())}.")
    return jupytext.read(path, fmt="py:percent")


def run(notebook: Any, cwd: str | Path, *, timeout: int = 300) -> Any:
    """Run all cells in `cwd`, with this checkout first on the path; raises where one fails."""
    from nbclient import NotebookClient

    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(FOLDER.parent), *([before] if before else [])])
    try:
        client = NotebookClient(
            notebook,
            timeout=timeout,
            kernel_name="python3",
            record_timing=False,
            resources={"metadata": {"path": str(cwd)}},
        )
        return client.execute()
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


def clean(notebook: Any) -> Any:
    """`notebook` without what another run or machine would change."""
    notebook.metadata = {"kernelspec": dict(_KERNEL), "language_info": {"name": "python"}}
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"
        cell.metadata = {}
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return notebook


def main(chosen: list[str]) -> None:
    """Run and write the notebooks `chosen`, or all of them."""
    import nbformat

    for name in chosen or names():
        began = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            done = clean(run(read(name), folder))
        nbformat.validate(done)
        nbformat.write(done, FOLDER / f"{name}.ipynb")
        print(f"{name}: {time.perf_counter() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
