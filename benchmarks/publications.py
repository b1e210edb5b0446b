"""The full versions of `gaugebias reproduce`, kept, and the pages that show them.

`python -m benchmarks.publications` runs all publications with their published settings (about half
an hour on two cores) and keeps claims and figures under `benchmarks/results/publications/`;
`--collect FOLDER` keeps what `gaugebias reproduce --out FOLDER` has written instead. Either way
`docs/publications.md` and the table in README.md are written anew; `--page` does that alone.
"""

import argparse
import json
import shutil
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from ._timing import RESULTS, machine, progress

ROOT = Path(__file__).parents[1]
KEPT = RESULTS / "publications"
PAGE = ROOT / "docs" / "publications.md"
FIGURES = ROOT / "docs" / "figures" / "publications"
README = ROOT / "README.md"
MARKS = ("<!-- claims: written by benchmarks.publications -->", "<!-- end of claims -->")
HEAD = """# Publications

What `gaugebias reproduce` finds: each published claim made measurable, with controls that tell the
explanation given from its rivals, and a verdict with its numbers. Intervals are 99% over seeds
unless a row says otherwise. *Supported* means that the whole interval meets the statement, *not
supported* that none of it does, *undecided* anything else. Statements are ours; where a
publication's parameters were not available, so is the protocol, and a verdict is on that protocol
only. In particular the relative coordinates of 2206.08598 are our reading of it.
`gaugebias reproduce --list` names the publications, `--quick` runs smaller versions; the tables are
of the full ones, written by `python -m benchmarks.publications`.
"""


def run(names: list[str]) -> None:
    """Run full versions and keep them."""
    import jax

    from gaugebias import papers

    jax.config.update("jax_enable_x64", True)
    for publication in papers.publications():
        if names and publication.name not in names:
            continue
        progress(publication.name)
        papers.reproduce(publication, out=KEPT)
        _stamp(KEPT / publication.name)


def collect(folder: Path) -> None:
    """Keep what the command has written.

    **Raises:** `ValueError` where there is nothing, or a quick version.
    """
    found = sorted(folder.glob("*/claims.json"))
    if not found:
        raise ValueError(f"`--collect`: {str(folder)!r} holds no NAME/claims.json.")
    for file in found:
        record = json.loads(file.read_text(encoding="utf-8"))
        if record["quick"]:
            raise ValueError(f"`--collect`: {str(file)!r} is of a quick version: run the full one.")
        target = KEPT / file.parent.name
        target.mkdir(parents=True, exist_ok=True)
        for name in ("claims.json", "figure.png"):
            shutil.copyfile(file.parent / name, target / name)
        _stamp(target)


def _stamp(folder: Path) -> None:
    """Write the machine and the command into a record; numbers are as they were."""
    file = folder / "claims.json"
    record = json.loads(file.read_text(encoding="utf-8"))
    record["machine"] = machine()
    record["command"] = f"gaugebias reproduce {folder.name} --seed {record['seed']}"
    file.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def records() -> list[dict[str, Any]]:
    """What is kept, in the order of the list of publications."""
    from gaugebias import papers

    files = [KEPT / name / "claims.json" for name in papers.names()]
    return [json.loads(file.read_text(encoding="utf-8")) for file in files if file.exists()]


def page(kept: list[dict[str, Any]]) -> str:
    """`docs/publications.md`."""
    parts = [HEAD]
    for record in kept:
        about = record["publication"]
        parts.append(f"\n## {about['title']}\n")
        parts.append(
            f"[{about['arxiv']}](https://arxiv.org/abs/{about['arxiv']}). `{record['command']}`, "
            f"{record['seconds']:.0f} s on {record['machine']} with other work, "
            f"jax {record['versions']['jax']}.\n"
        )
        parts.append(f"![Figure](figures/publications/{about['name']}.png)\n")
        parts.append("| claim | kind | statement | measured | verdict |\n|---|---|---|---|---|")
        for row in record["claims"] + record["controls"]:
            cells = [row["name"], row["kind"], row["statement"], row["measured"], row["verdict"]]
            parts.append("| " + " | ".join(_cell(text) for text in cells) + " |")
    return "\n".join(parts) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*").replace("_", "\\_")


def table(kept: list[dict[str, Any]]) -> str:
    """The table of the README: published claims by verdict, and how the controls came out."""
    lines = ["| publication | published claims supported | not supported | controls, derivations |"]
    lines.append("|---|---|---|---|")
    for record in kept:
        about = record["publication"]
        rows = record["claims"] + record["controls"]
        published = [row for row in rows if row["kind"] == "published"]
        others = Counter(row["verdict"] for row in rows if row["kind"] != "published")
        by = {
            verdict: ", ".join(r["name"] for r in published if r["verdict"] == verdict) or "-"
            for verdict in ("supported", "not supported", "undecided")
        }
        failed = by["not supported"]
        if by["undecided"] != "-":
            failed += f"; undecided: {by['undecided']}"
        said = ", ".join(f"{number} {verdict}" for verdict, number in others.most_common())
        link = f"[{about['arxiv']}](https://arxiv.org/abs/{about['arxiv']})"
        lines.append(f"| {link} | {by['supported']} | {failed} | {said} |")
    return "\n".join(lines)


def write(kept: list[dict[str, Any]]) -> None:
    """The page, its figures and the table in the README."""
    PAGE.write_text(page(kept), encoding="utf-8")
    FIGURES.mkdir(parents=True, exist_ok=True)
    for record in kept:
        name = record["publication"]["name"]
        shutil.copyfile(KEPT / name / "figure.png", FIGURES / f"{name}.png")
    text = README.read_text(encoding="utf-8")
    before, rest = text.split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    README.write_text(f"{before}{MARKS[0]}\n{table(kept)}\n{MARKS[1]}{after}", encoding="utf-8")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.publications", description=__doc__)
    parser.add_argument("names", nargs="*", help="publications to run; all by default")
    parser.add_argument("--collect", metavar="FOLDER", type=Path, help="keep what is there")
    parser.add_argument("--page", action="store_true", help="write the pages alone")
    options = parser.parse_args(argv)
    try:
        if options.collect is not None:
            collect(options.collect)
        elif not options.page:
            run(options.names)
    except ValueError as error:
        print(f"benchmarks.publications: {error}", file=sys.stderr)
        return 2
    kept = records()
    write(kept)
    wrong = [
        row["name"]
        for record in kept
        for row in record["claims"] + record["controls"]
        if row["verdict"] != row["expected"]
    ]
    print(f"{len(kept)} publications; not as expected: {', '.join(wrong) or 'none'}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
