"""All benchmarks as one suite: `python -m benchmarks`, with `--only`, `--quick` and `--json`.

Exit code 1 where a target is missed. Timings mean little on a machine with other work: compare the
ratios, which come from paths that took turns in one process.
"""

import argparse
import json
import sys

import jax

from . import engines, long_run, orbit_gram
from ._timing import machine, versions


def _engines(quick: bool):
    rows, checks = engines.measure(quick)
    engines.show(rows)
    return rows, checks


def _memory(quick: bool):
    rows, checks = long_run.measure(1e7 if quick else 1e8)
    return rows, checks


def _orbit_gram(quick: bool):
    largest, rows = 16 if quick else 32, []
    with jax.enable_x64(True):
        for r in orbit_gram.RANKS:
            rows += orbit_gram.measure(r, r <= largest, 5 if quick else 9)
    for row in rows:
        ratio = f"{row['ratio']:8.1f} times" if "ratio" in row else ""
        print(f"r = {row['r']:2} {row['what']:12} {row['structured_us']:10.1f} us {ratio}")
    return rows, orbit_gram.verdicts(rows, orbit_gram.RANKS)


SUITE = {"engines": _engines, "memory": _memory, "orbit_gram": _orbit_gram}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=SUITE, metavar="NAME", help=", ".join(SUITE))
    parser.add_argument("--quick", action="store_true", help="shorter runs, fewer repeats")
    parser.add_argument("--json", metavar="FILE", help="write the figures there")
    options = parser.parse_args(argv)
    record = {"machine": machine(), "versions": versions(), "quick": options.quick}
    missed = 0
    for name in options.only or SUITE:
        print(f"\n{name}", flush=True)
        rows, checks = SUITE[name](options.quick)
        for text, met in checks:
            print("met   " if met else "MISSED", text, flush=True)
            missed += not met
        record[name] = {"rows": rows, "targets": [{"text": t, "met": m} for t, m in checks]}
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(record, file, indent=1)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
