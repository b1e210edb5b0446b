"""The bias without noise: every number of `gaugebias.flows` that has to come out.

    python -m benchmarks.deterministic_bias            # all, a few minutes
    python -m benchmarks.deterministic_bias --only catapult

Each row has a name, what is expected, what was measured, and whether it is so: two numbers agree to
2% unless a bound is printed. The exit code is 0 where every row came out as it should.
"""

import argparse
import sys
import time

import jax


def sections():
    """Name to function, each without arguments, returning rows."""
    from . import _bias_dynamic as dynamic, _bias_regimes as regimes, _bias_static as static

    return {
        "kernel-rich": static.kernel_rich,
        "newton-time": static.newton_time,
        "powers": static.powers,
        "regimes": regimes.regimes,
        "wide": regimes.wide,
        "completion": regimes.completion,
        "catalogue": dynamic.catalogue,
        "links": dynamic.links,
        "initialisation": dynamic.initialisation,
        "decay": dynamic.decay,
        "commuting-decay": regimes.commuting_decay,
        "masks": regimes.masks,
        "natural": dynamic.natural,
        "lambda-balanced": dynamic.lambda_balanced,
        "neuron": dynamic.neuron,
        "catapult": dynamic.catapult,
    }


def main(argv=None):
    jax.config.update("jax_enable_x64", True)
    parts = sections()
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", choices=tuple(parts), help="one section")
    options = parser.parse_args(argv)
    passed = True
    for name, part in parts.items():
        if options.only not in (None, name):
            continue
        begin = time.perf_counter()
        rows = part()
        title = f"{name} ({time.perf_counter() - begin:.0f} s): expected, measured"
        print(rows.text(title), flush=True)
        passed &= rows.ok
    print("\nall as expected" if passed else "\nNOT all as expected")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
