"""The documentation: its examples run, its pages are listed, and every public name has a place."""

import re
from pathlib import Path

import pytest

import gaugebias as gb

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
CODE = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
WITH_CODE = [page for page in PAGES if CODE.search(page.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: page.stem)
def test_the_examples_of_a_page_run_in_order(page, tmp_path, monkeypatch):
    """Statistical claims in them are at fixed seeds: their false-alarm rate is paid once."""
    monkeypatch.chdir(tmp_path)
    names = {"__name__": f"docs_{page.stem}"}
    for block in CODE.findall(page.read_text(encoding="utf-8")):
        exec(compile(block, str(page), "exec"), names)


def test_every_page_is_in_the_navigation():
    listed = set(re.findall(r"([\w/-]+\.md)", (DOCS.parent / "mkdocs.yml").read_text()))
    assert listed == {str(page.relative_to(DOCS)) for page in PAGES}


@pytest.mark.parametrize("room", gb._ROOMS)
def test_every_public_name_has_an_entry(room):
    module = getattr(gb, room)
    public = {
        name
        for name in vars(module)
        if not name.startswith("_")
        and getattr(vars(module)[name], "__module__", "").startswith("gaugebias.")
    }
    text = (DOCS / "api" / f"{room}.md").read_text(encoding="utf-8")
    assert set(re.findall(rf"^::: gaugebias\.{room}\.(\w+)$", text, re.MULTILINE)) == public


def test_links_between_pages_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([\w./-]+\.(?:md|png))(?:#[\w-]*)?\)", page.read_text()):
            assert (page.parent / target).is_file(), f"{page.name} links to {target}"
