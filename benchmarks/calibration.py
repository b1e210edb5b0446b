"""Are p-values what they say, and what can each test see? `python -m benchmarks.calibration`.

Every test of `gaugebias.stats` and `gaugebias.verdicts.compare` on 2,000 repetitions of cheap
processes under their true law: independent draws, AR(1) chains, w = uv simulated in parameter
space. The fraction of p-values at or below 0.05 must lie within 4 standard errors of 0.05
([.031, .069] at 2,000); tests that are conservative by design must not exceed that; rows marked
"not" use a test outside its conditions, to show that it is not calibrated there. Then the
detection probability of a 5% error of the temperature, and of a power of w off by 0.1.

Exit code 1 where a row is not as it should be. `--quick`: 300 repetitions. `--part calibration`
and `--part power` make one table only; `--save` writes each as soon as it is there.
"""

import argparse
import sys
import time

import jax
import numpy as np
from scipy.stats import binomtest
from threadpoolctl import threadpool_limits

from ._timing import RESULTS, machine, save


def interval(repetitions: int) -> tuple[float, float]:
    """Within 4 standard errors of 0.05."""
    reach = 4.0 * np.sqrt(0.05 * 0.95 / repetitions)
    return max(0.0, 0.05 - reach), 0.05 + reach


def as_row(case) -> dict:
    """One line of the calibration table."""
    n = len(case.p_values)
    low, high = interval(n)
    at = {level: float(np.mean(case.p_values <= level)) for level in (0.05, 0.01)}
    inside = low <= at[0.05] <= high
    # Below 400 repetitions the interval reaches 0: what is not calibrated is so by exact counts.
    chance = binomtest(int(np.sum(case.p_values <= 0.05)), n, 0.05).pvalue
    ok = {"calibrated": inside, "at most": at[0.05] <= high, "not": chance < 1e-4}[case.kind]
    return {
        "test": case.test,
        "process": case.process,
        "kind": case.kind,
        "repetitions": n,
        "below_05": at[0.05],
        "below_01": at[0.01],
        "interval": [low, high],
        "ok": bool(ok),
    }


def show_row(row: dict) -> str:
    """The line as text."""
    low, high = row["interval"]
    return (
        f"{row['test']:30} {row['process']:42} {row['kind']:10} {row['repetitions']:5} "
        f"{row['below_05']:6.4f} {row['below_01']:6.4f} [{low:.3f}, {high:.3f}] "
        f"{'ok' if row['ok'] else 'NOT AS IT SHOULD BE'}"
    )


def calibration(repetitions: int) -> list[dict]:
    """The first table, printed line by line."""
    from ._calibration_cases import chain_cases, exact_cases, simulated_cases

    print(f"{'test':30} {'process':42} {'kind':10} {'reps':>5} {'<=.05':>6} {'<=.01':>6} interval")
    rows = []
    for cases in (exact_cases, chain_cases, simulated_cases):
        for case in cases(repetitions):
            rows.append(as_row(case))
            print(show_row(rows[-1]), flush=True)
    return rows


def power(repetitions: int, largest: int) -> list[dict]:
    """The second table, printed line by line."""
    from ._calibration_power import LEVELS, power_rows

    print(f"\n{'test':20} {'error':22} {'draws':>7} " + " ".join(f"p<={x:g}" for x in LEVELS))
    rows = []
    for found in power_rows(repetitions, largest):
        rows.append(found._asdict())
        seen = "  ".join(f"{x:5.3f}" for x in found.detected)
        print(f"{found.test:20} {found.error:22} {found.draws:7,}  {seen}", flush=True)
    return rows


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="300 repetitions, power up to 3,000")
    parser.add_argument("--repetitions", type=int, default=None, metavar="N")
    parser.add_argument("--part", choices=("calibration", "power"), help="one table only")
    parser.add_argument("--save", action="store_true", help="write them to benchmarks/results/")
    options = parser.parse_args(argv)
    repetitions = options.repetitions or (300 if options.quick else 2000)
    if repetitions < 250:
        parser.error("`--repetitions` must be at least 250: fewer say nothing about 0.05.")
    jax.config.update("jax_enable_x64", True)
    # Thousands of small matrix products: threads of BLAS would only wait for each other.
    threadpool_limits(1, user_api="blas")

    def keep(name: str, rows: list[dict], **settings) -> None:
        if options.save:
            save(RESULTS / f"{name}-{machine()}.json", name, rows, **settings)

    begin = time.perf_counter()
    good = True
    if options.part != "power":
        rows = calibration(repetitions)
        good = all(row["ok"] for row in rows)
        keep("calibration", rows, repetitions=repetitions)
        print("all as they should be" if good else "NOT all as they should be")
    if options.part != "calibration":
        each = 60 if options.quick else 200
        rows = power(each, 3000 if options.quick else 30_000)
        keep("calibration_power", rows, levels=[0.05, 1e-6], repetitions=each)
    print(f"{time.perf_counter() - begin:.0f} s")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
