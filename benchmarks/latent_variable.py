"""The exact latent-variable model (2401.07085): its phase table, and what a solution costs.

    python -m benchmarks.latent_variable            # half a minute

Every scaling with a name, at widths 10,000 and 1,000,000: the end of the exact solution from one
draw with an output of 0 at the start, against the prediction for infinitely many units. Of one draw
the size of the layers has a relative deviation of `sqrt(2/d)`, or `2/sqrt(d)` where one layer
dominates, and the change of the kernel up to twice that; the bound is `10/sqrt(d)`. Then the
seconds of a compiled solution at width 10,000: all weights at 100 times, and every number of the
flow at 1,000. The exit code is 0 where every row of the table came out as it should and a solution
took less than a second.
"""

import sys

import jax
import jax.numpy as jnp

from gaugebias.flows import LATENT_SCALINGS, LatentVariableFlow, latent_start

from ._report import Report
from ._timing import interleaved, machine

FIELDS = ("kernel_change", "alignment", "learning_time")


def solution(name, width):
    """The flow of one paired draw, and the prediction of its scaling."""
    scaling = LATENT_SCALINGS[name]
    settings = scaling.settings(width)
    sigmas = {key: settings[key] for key in ("sigma_u", "sigma_w")}
    u, w = latent_start(jax.random.key(0), width, paired=True, **sigmas)
    scale, rate_u, rate_w = (settings[key] for key in ("scale", "rate_u", "rate_w"))
    flow = LatentVariableFlow(u, w, scale=scale, rate_u=rate_u, rate_w=rate_w)
    return flow, scaling.at(width)


def table(width):
    report = Report(f"Width {width:,}: the exact end against the wide limit")
    for name in LATENT_SCALINGS:
        flow, expected = solution(name, width)
        found = {
            "kernel_change": flow.kernel_change(jnp.inf),
            "alignment": flow.alignment(jnp.inf),
            "learning_time": flow.learning_time,
        }
        for field in FIELDS:
            measured = float(found[field])
            report.note(f"{name}: {field}", measured, getattr(expected, field), 10 / width**0.5)
    return report


def cost(width):
    """Seconds of a compiled solution."""

    @jax.jit
    def solve(flow):
        ts = jnp.linspace(0.0, 30.0, 1000) * flow.learning_time
        numbers = flow.xi(ts), flow.prediction(ts), flow.kernel(ts), flow.alignment(ts)
        return numbers, flow.weights(ts[::10])

    flows = {name: solution(name, width)[0] for name in ("NTK", "mean-field", "small")}
    return interleaved({name: lambda f=flow: solve(f) for name, flow in flows.items()})


def main():
    jax.config.update("jax_enable_x64", True)
    passed = True
    for width in (10_000, 1_000_000):
        report = table(width)
        print(report.text(), flush=True)
        passed &= report.passed
    print(f"\nSeconds of a compiled solution at width 10,000 on {machine()}")
    for name, seconds in cost(10_000).items():
        print(f"{name:58}{seconds:12.4f}")
        passed &= seconds < 1.0
    print("\nall as expected" if passed else "\nNOT all as expected")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
