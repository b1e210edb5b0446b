"""Where gradient noise drives conserved quantities: three experiments, measured and predicted.

    python -m benchmarks.noise_balance --out FOLDER

1. `digits`: `d(|w_j|^2 + b_j^2 - |u_j|^2)/dt` of a ReLU network on scikit-learn's digits with
   minibatches, the part of the noise and that of the finite step apart, and the full batch at the
   same learning rate.
2. `labels`: a factorisation with anisotropic label noise settles at the noise-balanced point, not
   at equal norms; three learning rates, extrapolated to zero.
3. `sphere`: `|theta|^2` of a scale-invariant network, with weight decay and without.

A right prediction agrees where Student's t gives `p > 1e-3`, a wrong one is rejected where
`p < 1e-6`; rows without an error are numbers that must agree to rounding, or, in brackets, numbers
that nothing is concluded from. The exit code is 0 where every row came out as it should.
"""

import argparse
import sys
import time
from pathlib import Path

import jax


def main(argv=None):
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("noise_balance"))
    parser.add_argument("--only", choices=("digits", "labels", "sphere"))
    options = parser.parse_args(argv)
    jax.config.update("jax_enable_x64", True)
    import matplotlib

    matplotlib.use("Agg")
    from . import _balance_digits, _balance_labels, _balance_sphere

    options.out.mkdir(parents=True, exist_ok=True)
    parts = {"digits": _balance_digits, "labels": _balance_labels, "sphere": _balance_sphere}
    passed = True
    for name, part in parts.items():
        if options.only not in (None, name):
            continue
        begin = time.perf_counter()
        figure = options.out / f"{name}.png"
        report = part.experiment(figure)
        print(report.text())
        print(f"{figure}, {time.perf_counter() - begin:.0f} s")
        passed &= report.passed
    print("\nall as predicted" if passed else "\nNOT all as predicted")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
