"""The documentation: its examples run, its pages are listed, and every public name has a place."""

import re
import runpy
from pathlib import Path

import pytest

import gaugebias as gb

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
CODE = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
WITH_CODE = [page for page in PAGES if CODE.search(page.read_text(encoding="utf-8"))]
API = runpy.run_path(str(Path(__file__).with_name("api.py")))


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: page.stem)
def test_the_examples_of_a_page_run_in_order(page, tmp_path, monkeypatch):
    """Statistical claims in them are at fixed seeds: their false-alarm rate is paid once."""
    monkeypatch.chdir(tmp_path)
    names = {"__name__": f"docs_{page.stem}"}
    for block in CODE.findall(page.read_text(encoding="utf-8")):
        exec(compile(block, str(page), "exec"), names)


def test_every_page_is_in_the_navigation():
    listed = set(re.findall(r"([\w/-]+\.md)", (ROOT / "mkdocs.yml").read_text()))
    assert listed == {str(page.relative_to(DOCS)) for page in PAGES}


def test_the_pages_of_the_api_are_those_of_the_public_names():
    made = API["pages"]()
    assert set(made) == {"index.md", *(f"{room}.md" for room in gb._ROOMS)}
    kept = {path.name: path.read_text(encoding="utf-8") for path in (DOCS / "api").glob("*.md")}
    for name in {*made, *kept}:
        assert made.get(name) == kept.get(name), f"{name}: run `python tests/docs/api.py`"


def test_references_in_docstrings_lead_to_an_entry():
    """`[name][]` becomes a link to the entry of that name, or of a class and its attribute."""
    entries = {f"gaugebias.{room}.{name}" for room in gb._ROOMS for name in API["public"](room)}
    lost, seen = [], 0
    for path in (ROOT / "gaugebias").rglob("*.py"):
        for target in re.findall(r"\[`([\w.]+)`\]\[\]", path.read_text(encoding="utf-8")):
            seen += 1
            owner, _, attribute = target.rpartition(".")
            if target not in entries and not (owner in entries and _has(owner, attribute)):
                lost.append(f"{path.relative_to(ROOT)}: {target}")
    assert not lost and seen > 200


def _has(owner: str, attribute: str) -> bool:
    _, room, name = owner.split(".")
    cls = getattr(getattr(gb, room), name)
    return hasattr(cls, attribute) or attribute in getattr(cls, "__annotations__", {})


def test_links_between_pages_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([\w./-]+\.(?:md|png))(?:#[\w-]*)?\)", page.read_text()):
            assert (page.parent / target).is_file(), f"{page.name} links to {target}"
