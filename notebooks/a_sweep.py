# %% [markdown]
# # A sweep, from the store to the figure
#
# Gradient descent on a two-layer linear network and one datum, at learning rates that theory calls
# too large: the *catapult* ([2003.02218](https://arxiv.org/abs/2003.02218)). The loss first grows,
# then descent lands where the curvature is smaller. We sweep the learning rate and the curvature of
# the start, keep the results in a store, and hold the picture against the predicted borders.

# %%
# %matplotlib inline
import dataclasses
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import gaugebias as gb

jax.config.update("jax_enable_x64", True)

# %% [markdown]
# ## An experiment
#
# Settings are a dataclass, an experiment is a pure function of settings and key that returns
# numbers by name. Here $f = v\cdot u/\sqrt n$, the loss is $f^2/2$ and its curvature
# $\lambda = (|u|^2 + |v|^2)/n$.


# %%
@dataclasses.dataclass(frozen=True)
class Settings:
    learning_rate: float = 1.0
    curvature: float = 1.0
    width: int = 256
    steps: int = 400


traces = []


def experiment(settings, key):
    traces.append(settings)  # runs when jax traces, not when it computes
    n, eta = settings.width, settings.learning_rate
    start = jax.random.normal(key, (2, n))
    start = start * jnp.sqrt(settings.curvature * n / jnp.sum(start**2))

    def step(weights, _):
        u, v = weights
        f = u @ v / jnp.sqrt(n)
        return jnp.stack([u - eta * f * v / jnp.sqrt(n), v - eta * f * u / jnp.sqrt(n)]), f**2 / 2

    end, losses = jax.lax.scan(step, start, length=settings.steps)
    return {
        "kept": jnp.sum(end**2) / n / settings.curvature,  # of the curvature
        "peak": jnp.max(losses) / losses[0],
        "loss": losses[-1],
    }


# %% [markdown]
# ## Run, and run again
#
# Cells that differ in numbers alone are compiled once and computed in chunks; each finished chunk
# is written at once. Where descent diverges the weights overflow: such cells get the status "not
# finite", or "failed" with the reason where the experiment raises, and the others go on. The same
# call again finds everything done: it traces, to see that the code still computes the same, and
# computes nothing.

# %%
over = {
    "learning_rate": np.geomspace(0.25, 8.0, 21).tolist(),
    "curvature": np.geomspace(0.25, 4.0, 17).tolist(),
}
folder = tempfile.TemporaryDirectory()
path = Path(folder.name) / "catapult.zarr"
run = {"path": path, "key": jax.random.key(0), "seeds": 3, "progress": False}
found = gb.sweep.run(experiment, Settings(), over, source="2003.02218", **run)
print({name: found.attrs[name] for name in ("finished", "failed")}, "traced:", len(traces))

again = gb.sweep.run(experiment, Settings(), over, source="2003.02218", **run)
print("again, same numbers:", again.identical(found), "traced:", len(traces))

# %% [markdown]
# Another sweep on the same path is refused, saying what differs.

# %%
try:
    gb.sweep.run(experiment, Settings(width=128), over, source="2003.02218", **run)
except ValueError as error:
    print(str(error).replace(str(path), "catapult.zarr"))

# %% [markdown]
# ## Reopened
#
# The store is Zarr: xarray reads it, while the sweep runs too. `gb.sweep.load` gives the results as
# a Dataset with one axis for each swept setting.

# %%
data = gb.sweep.load(path)
print(dict(data.sizes))
kinds, counts = np.unique(data.status.values, return_counts=True)
print({str(kind): int(count) for kind, count in zip(kinds, counts, strict=True)})

# %% [markdown]
# ## The phase diagram
#
# Up to $\eta = 2/\lambda$ descent is lazy and keeps its curvature. From there to $4/\lambda$ it is
# catapulted, and beyond it diverges (grey: nothing finite to show). Both borders hold as the width
# grows.

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
axes = {"x": "learning_rate", "y": "curvature"}
for ax, variable, options in (
    (left, "kept", {"level": 0.9, "limits": (0.0, 1.0)}),
    (right, "peak", {"log": True}),
):
    gb.plot.phase_diagram(
        data, variable, **axes, boundary=lambda eta: 2 / eta, label="2 / rate", ax=ax, **options
    )
    eta = np.geomspace(0.2, 10.0, 50)
    limits = ax.get_xlim(), ax.get_ylim()
    ax.plot(eta, 4 / eta, color="#D55E00", ls=":", lw=1.6, label="4 / rate")
    ax.set(xlim=limits[0], ylim=limits[1])
    ax.legend(fontsize=7, framealpha=0.9, loc="lower left")

# %% [markdown]
# ## Against the prediction, in numbers
#
# `catapult_regime` says what should happen in each cell. Cells within 15% of a border are left out,
# where a finite width and finitely many steps may decide otherwise.

# %%
product = data.learning_rate * data.curvature
kept, status = data.kept, data.status
clear = (abs(product / 2 - 1) > 0.15) & (abs(product / 4 - 1) > 0.15)
seen = {
    "lazy": (status == "done") & (kept > 0.9),
    "catapult": (status == "done") & (kept <= 0.9),
    "divergent": status == "not finite",
}
for regime, cells in seen.items():
    inside = np.array(
        [
            [gb.flows.catapult_regime(float(e), float(c)) == regime for c in data.curvature]
            for e in data.learning_rate
        ]
    )
    inside = clear.transpose("learning_rate", "curvature").values & inside
    right_ones = cells.transpose("learning_rate", "curvature", "seed").values[inside]
    print(f"{regime}: {right_ones.sum()} of {right_ones.size} cells as predicted")
folder.cleanup()

# %% [markdown]
# The same from a file and a shell: `gaugebias sweep phase.toml`. `devices=` cuts chunks over local
# devices, and several processes share one sweep under `jax.distributed`: see `many_devices`.
