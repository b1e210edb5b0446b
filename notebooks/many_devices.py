# %% [markdown]
# # On many devices
#
# The same run on one device and on four. This notebook simulates four devices on the CPU, so it
# shows that the numbers are the same; it cannot show the speed. On a machine with accelerators
# leave the first line out.

# %%
# %matplotlib inline
import os

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=4"  # before jax is imported

import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import gaugebias as gb

jax.config.update("jax_enable_x64", True)
print(len(jax.devices()), "devices:", jax.devices()[0].platform)

# %% [markdown]
# ## The same bits
#
# Noise is a function of the key, the number of the chain and the number of the step, and of nothing
# else. `devices=4` cuts the chains into blocks, one a device. Nothing passes between devices while
# steps are made. On CPUs with at least 64 chains a device the states are the same, bit for bit; on
# accelerators they agree to rounding.


# %%
def loss(params):
    u, v = params["u"], params["v"]
    return 0.5 * (u * v - 1.0) ** 2 + 0.1 * (u**2 + v**2)


sde = gb.dynamics.Langevin(loss, temperature=0.1)
start = {"u": jnp.asarray(0.9), "v": jnp.asarray(0.9)}


def phi(params):
    return params["u"] * params["v"]


run = {"key": jax.random.key(0), "chains": 512, "steps": 2000, "dt": 0.01, "observe": phi}
one = gb.simulate(sde, start, every=100, **run)
four = gb.simulate(sde, start, every=100, devices=4, **run)
print("equal bit for bit:", np.array_equal(np.asarray(one.values), np.asarray(four.values)))
print("draws:", four.values.shape)

# %% [markdown]
# ## Statistics instead of draws
#
# A long run of many chains does not fit into memory as draws. `reduce=` keeps statistics as they
# come: memory does not grow with the number of steps, and sums over chains are taken in one order,
# whatever the devices.

# %%
edges = np.linspace(-3.0, 3.0, 121)
reduce = {"moments": gb.dynamics.Moments(), "histogram": gb.dynamics.Histogram(edges)}
kept = [
    gb.simulate(sde, start, burn_in=500, reduce=reduce, devices=devices, **run)
    for devices in (1, 4)
]
means = [float(each.reductions["moments"].mean) for each in kept]
print(f"mean of w {means[1]:.4f}; the same on one device: {means[0] == means[1]}")

# %% [markdown]
# ## Until enough is known, and after a crash
#
# `until_ess=` stops when the effective sample size over all chains is reached. `checkpoint=` writes
# the state of the run to a folder, every minute or every so many steps; the same call after the
# process was killed goes on from there, bit for bit. Here Ctrl-C is played by an exception in the
# progress callback.


# %%
class Killed(Exception):
    pass


def stop_half_way(fraction):
    if fraction >= 0.5:
        raise Killed


with tempfile.TemporaryDirectory() as folder:
    saved = gb.dynamics.Checkpoint(Path(folder) / "run", steps=200)
    try:
        gb.simulate(
            sde, start, every=100, devices=4, checkpoint=saved, progress=stop_half_way, **run
        )
    except Killed:
        print("killed half-way")
    resumed = gb.simulate(sde, start, every=100, devices=4, checkpoint=saved, **run)
print("equal bit for bit:", np.array_equal(np.asarray(resumed.values), np.asarray(one.values)))

enough = gb.simulate(
    sde, start, every=10, burn_in=500, until_ess=20_000, devices=4, **(run | {"steps": 20_000})
)
print("stopped after step", int(enough.steps[-1]), "of at most 20000")

# %% [markdown]
# ## Against its law
#
# Isotropic noise with weight decay has the push-forward of the Gibbs measure. All draws of the
# reduced run, from a histogram that was kept on the devices, against it; and a verdict on the last
# draw of each chain, which are independent.

# %%
act = gb.symmetry.Rescaling("u", "v", axes=(None, None))


def lift(w):  # both signs
    root = jnp.sqrt(jnp.abs(w))
    return {"u": root, "v": jnp.sign(w) * root}


domain = gb.quotient.Domain.line(breaks=(0.0,))  # the density has a logarithm there
q = gb.Quotient(phi, act, at=start, lift=lift, domain=domain)
law = gb.laws.pushforward(q, lambda w: 0.5 * (w - 1.0) ** 2, 0.1, ridge=0.2)
verdict = gb.compare(four, [law], key=jax.random.key(1))
print(verdict.table())

fig, ax = plt.subplots(figsize=(5, 3.2), layout="constrained")
histogram = kept[1].reductions["histogram"]
ax.stairs(histogram.density, histogram.edges, fill=True, color="0.85", label="four devices")
w = np.linspace(-1.0, 2.5, 350)
ax.plot(w, np.exp(np.asarray(jax.vmap(law.log_density)(w))), label=law.name)
ax.set(xlabel="w = uv", ylabel="density", xlim=(-1.0, 2.5))
legend = ax.legend(frameon=False)

# %% [markdown]
# ## On several hosts
#
# Every process runs the same script, and calls `gb.distributed.initialize()` before anything that
# computes. `jax.devices()` are then the devices of all of them, and a run over these gives each
# process the chains of its own devices, and at the end every process the whole ensemble:
#
# ```python
# import gaugebias as gb
#
# gb.distributed.initialize()  # first
#
# import jax
#
# ens = gb.simulate(sde, start, ..., devices=jax.devices(), checkpoint="run")
# if jax.process_index() == 0:
#     ens.save("run.zarr")
# ```
#
# | launcher | what to write |
# |---|---|
# | SLURM | `srun --ntasks-per-node=8 python run.py` on nodes of eight GPUs: one process a GPU |
# | Open MPI, Cloud TPU, Kubernetes | as above: jax finds address, number and id |
# | any other | the variables `JAX_COORDINATOR_ADDRESS`, `JAX_NUM_PROCESSES`, `JAX_PROCESS_ID` |
#
# A process that dies is named by the others, and the same command goes on from the checkpoints. A
# sweep (`gb.sweep.run`) shares its chunks between processes by itself. What it costs, and what
# happens when a host is lost, is in the documentation under "Many devices, many hosts".
