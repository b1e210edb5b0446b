"""Write the pages of `docs/api/`: `python tests/docs/api.py`, after a public name came or went.

A room's page is its docstring and an entry for every public name, in the order of its
`__init__.py`; mkdocstrings fills the entries from the docstrings when the documentation is built.
The index follows the table of rooms in CONTRIBUTING.
"""

import re
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "api"
WIDTH = 100


def public(room: str) -> list[str]:
    """The names of a room that the package defines, in the order of its `__init__.py`."""
    import gaugebias as gb

    return [
        name
        for name, value in vars(getattr(gb, room)).items()
        if not name.startswith("_") and getattr(value, "__module__", "").startswith("gaugebias.")
    ]


def rooms() -> dict[str, str]:
    """The importable rooms from the top of the house to the bottom, with their line."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    found = re.findall(r"^\| `(\w+)/` \| (.*) \|$", text, re.MULTILINE)
    return {room: line for room, line in found if room != "cli"}


def pages() -> dict[str, str]:
    """File name -> text, of all pages."""
    import gaugebias as gb

    made = {"index.md": _index()}
    for room in rooms():
        entries = "\n".join(f"::: gaugebias.{room}.{name}\n" for name in public(room))
        made[f"{room}.md"] = f"# `gb.{room}`\n\n{getattr(gb, room).__doc__}\n\n{entries}"
    return made


def _index() -> str:
    import gaugebias as gb

    table = [f"| [`{room}`]({room}.md) | {line} |" for room, line in rooms().items()]
    names = ", ".join(f"`{name}`" for name in sorted(gb._NAMES))
    short = f"These names are also at the top, as `gb.simulate`: {names}."
    return "\n".join(
        [
            "# API",
            "",
            "One page a room. Imports inside the package only point down this list:",
            "",
            "| room | one line |",
            "|---|---|",
            *table,
            "",
            *textwrap.wrap(short, WIDTH, break_long_words=False, break_on_hyphens=False),
            "",
        ]
    )


def main() -> None:
    """Write all pages, and remove those of rooms that are gone."""
    made = pages()
    for path in FOLDER.glob("*.md"):
        if path.name not in made:
            path.unlink()
    for name, text in made.items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
