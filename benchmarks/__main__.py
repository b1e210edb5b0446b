"""All benchmarks as one suite: `python -m benchmarks`, with `--only`, `--quick` and `--json`.

Exit code 1 where a target is missed, or where a ratio is worse than stored by more than both runs
scatter and by a quarter at least. Timings mean little on a machine with other work: compare the
ratios, which come from paths that took turns in one process.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jax

from . import (
    _regression,
    engines,
    gauge_correction,
    long_run,
    orbit_gram,
    orbit_structures,
    roofline,
    sweep_overhead,
    train,
)
from ._table import text
from ._timing import RESULTS, machine, progress, versions

Measured = tuple[list[dict[str, Any]], list[tuple[str, bool]]]


def _memory(quick: bool) -> Measured:
    # In a process of its own: the peak is that of a process's whole life.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "found.json")
        asked = ["--chain-steps", "1e7" if quick else "1e8", "--json", str(path)]
        subprocess.run([sys.executable, "-m", f"{__package__}.long_run", *asked], check=False)
        found = json.loads(path.read_text(encoding="utf-8"))["rows"]
    checks = long_run.verdicts(found)
    rows = []
    for row in found:
        problem = f"{row['chain_steps']:.0e} steps"
        for path, key, unit in (("peak memory", "peak_mib", "MiB"), ("time", "seconds", "s")):
            rows.append({"problem": problem, "path": path, "value": row[key], "unit": unit})
    return rows, checks


def _orbit_gram(quick: bool) -> Measured:
    largest, found = 16 if quick else 32, []
    with jax.enable_x64(True):
        for r in orbit_gram.RANKS:
            progress(f"GL({r})")
            found += orbit_gram.measure(r, r <= largest, 5 if quick else orbit_gram.REPEATS)
        rows, checks = orbit_structures.measure(quick)
    own = []
    for row in found:
        shown = {"problem": f"GL({row['r']})", "path": row["what"]}
        shown |= {"value": row["structured_us"], "unit": "us"}
        if "ratio" in row:
            shown |= {key: row[key] for key in ("ratio", "ratio_low", "ratio_high", "difference")}
            shown |= {"of": "dense, times faster", "better": "more"}
        own.append(shown)
    return own + rows, orbit_gram.verdicts(found, orbit_gram.RANKS) + checks


def _scaling(quick: bool) -> Measured:
    name, cores = f"{__package__}.scaling", getattr(os, "sched_getaffinity", None)
    two = len(cores(0)) >= 2 if cores else (os.cpu_count() or 1) >= 2
    if find_spec(name) is None or not two:
        return [{"problem": "devices", "path": "two cores or processes", "absent": True}], []
    scaling = import_module(name)
    found = scaling.measure(list(scaling.STEPS), quick, 3 if quick else 9)
    return [_efficiency(row) for row in found], scaling.verdicts(found)


def _efficiency(row: dict[str, Any]) -> dict[str, Any]:
    low, high = row["quartiles"]
    shown = {"problem": row["problem"], "path": row["what"], "value": row["seconds"], "unit": "s"}
    shown |= {"ratio": row["efficiency"], "ratio_low": low, "ratio_high": high}
    # What two independent processes reach is the machine's, not ours.
    return shown | {"of": "linear", "better": "more", "peer": row["what"] == "two alone"}


SUITE = {
    "engines": engines.measure,
    "roofline": roofline.measure,
    "train": train.measure,
    "gauge_correction": gauge_correction.measure,
    "orbit_gram": _orbit_gram,
    "memory": _memory,
    "scaling": _scaling,
    "sweep": sweep_overhead.measure,
}


def stored_at(quick: bool) -> Path:
    """Where `--save` writes, and what a run is held against: by kind of machine and length."""
    return RESULTS / f"suite-{machine()}{'-quick' if quick else ''}.json"


def _stored(path: Path | None, quick: bool, fail) -> tuple[Path | None, dict[str, Any]]:
    """The record to compare with, read before anything is measured."""
    default = stored_at(quick)
    if path is None and not default.exists():
        return None, {}
    found = path or default
    try:
        record = json.loads(found.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        fail(f"`--against` cannot be read ({error}): give a file that `--json` wrote.")
    why = _regression.not_comparable({"quick": quick}, record if isinstance(record, dict) else {})
    if why is not None:
        fail(f"`--against {found}` cannot be compared with: {why}")
    return found, record


def _compare(record: dict[str, Any], path: Path | None, then: dict[str, Any]) -> int:
    """Prints what slowed; how many ratios did."""
    if path is None:
        print(f"\nno stored results of this kind of machine ({record['machine']}) to compare with")
        return 0
    print(f"\nagainst {path.name}")
    if then.get("machine") != record["machine"]:
        print(f"made on {then.get('machine')}, this is {record['machine']}: ratios may differ")
    changed = [
        f"{name} {old} -> {record['versions'].get(name, 'absent')}"
        for name, old in then.get("versions", {}).items()
        if record["versions"].get(name) != old
    ]
    if changed:
        print("other versions:", ", ".join(changed))
    gone = _regression.missing(record, then)
    if gone:
        print("not measured now:", "; ".join(gone))
    found = _regression.slower(record, then)
    for each in found:
        print("SLOWER", each)
    if not found:
        print("nothing slowed")
    return len(found)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=SUITE, metavar="NAME", help=", ".join(SUITE))
    parser.add_argument("--quick", action="store_true", help="shorter runs, fewer repeats")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument(
        "--save",
        action="store_true",
        help="write them to benchmarks/results/; with `--only`, sections that did not run stay",
    )
    parser.add_argument(
        "--against",
        type=Path,
        metavar="FILE",
        help="compare ratios with these (default: those stored of this kind of machine)",
    )
    options = parser.parse_args(argv)
    if options.json is not None and not options.json.absolute().parent.is_dir():
        parser.error(f"`--json {options.json}`: there is no folder {options.json.parent}.")
    path, then = _stored(options.against, options.quick, parser.error)
    record = {"machine": machine(), "versions": versions(), "quick": options.quick, "sections": {}}
    missed = []
    for name in options.only or SUITE:
        print(f"\n{name}", file=sys.stderr, flush=True)
        began = time.perf_counter()
        rows, checks = SUITE[name](options.quick)
        taken = time.perf_counter() - began
        print("\n" + text(name, rows))
        for line, met in checks:
            print("met   " if met else "MISSED", line, flush=True)
            if not met:
                missed.append(f"{name}: {line}")
        print(f"({taken:.0f} s)", flush=True)
        targets = [{"text": line, "met": met} for line, met in checks]
        record["sections"][name] = {"rows": rows, "targets": targets, "seconds": round(taken, 1)}
        if options.json:  # after every section: a run that is stopped keeps what it measured
            options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    slowed = _compare(record, path, then)
    if missed:
        print("\ntargets missed:\n  " + "\n  ".join(missed))
    if options.save:
        target = stored_at(options.quick)
        if target.exists() and options.only:
            old = json.loads(target.read_text(encoding="utf-8"))
            record["sections"] = old.get("sections", {}) | record["sections"]
        target.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        print(f"\nwritten to benchmarks/results/{target.name}")
    return 1 if missed or slowed else 0


if __name__ == "__main__":
    sys.exit(main())
