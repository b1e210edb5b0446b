# %% [markdown]
# # Mixtures near their singular set
#
# Two components of a Gaussian mixture that coincide are one: the difference of their means cannot
# be learnt there, the Fisher matrix loses rank, and gradient descent waits. This notebook looks at
# that place in several charts, and at two neurons of a network, which collide in the same way.
#
# About [2206.08598](https://arxiv.org/abs/2206.08598); its own definition of relative coordinates
# was not available, so charts and protocol are ours. `gaugebias reproduce singular-mixtures` runs
# the whole comparison, with verdicts.

# %%
# %matplotlib inline
import diffrax
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import gaugebias as gb

jax.config.update("jax_enable_x64", True)

w = 0.3  # known weight of the second component
weights = jnp.array([1 - w, w])


def mixture(delta):
    return gb.flows.GaussianMixture(weights, jnp.array([-w * delta, (1 - w) * delta]))


# %% [markdown]
# ## The Fisher matrix
#
# In the centred chart, mean `m` and difference `delta`, it is `diag(1, 2 w^2 (1-w)^2 delta^2)` to
# leading order. The report says which components are to blame.

# %%
chart = gb.flows.CentredChart(weights)
model = gb.flows.MixtureModel(mixture(1.0), chart)
deltas = np.geomspace(0.01, 2.0, 16)
least = []
for delta in deltas:
    report = gb.flows.singularity(model, model.inverse(mixture(delta)))
    least.append(report.eigenvalues[-1])

fig, ax = plt.subplots(figsize=(4.5, 3.2))
ax.loglog(deltas, least, label="least eigenvalue")
ax.loglog(deltas, 2 * (w * (1 - w) * deltas) ** 2, "k--", label="leading order")
ax.set(xlabel="difference of the means", ylabel="Fisher information")
ax.legend(frameon=False)
fig.tight_layout()

near = gb.flows.singularity(model, model.inverse(mixture(0.01)))
print(f"rank {near.rank}, condition {near.condition:.3g}, nearest singular pair {near.nearest}")

# %% [markdown]
# ## A plateau, and none
#
# The population flow reduces to `delta' = -c delta (delta^2 - goal^2)`, `c = w^2 (1-w)^2`. The
# natural gradient has no plateau.

# %%
goal, start = 0.5, 0.03
law = gb.flows.Collision(w, start, goal)
begin = model.inverse(mixture(start))
fig, axes = plt.subplots(1, 2, figsize=(8, 3.2))
for ax, natural in zip(axes, (False, True), strict=True):
    half = law.natural_time() if natural else law.plateau_time()
    times = jnp.linspace(0.0, 2.0 * half, 101)
    path = gb.flows.population_flow(
        model, mixture(goal), begin, times, natural=natural, tolerance=1e-7
    )
    delta = path.x.means[:, 1] - path.x.means[:, 0]
    ax.plot(times, delta, label="exact flow")
    curve = law.natural_flow(times) if natural else law.gradient_flow(times)
    ax.plot(times, curve, "k--", label="reduced law")
    ax.set(
        xlabel="time",
        ylabel="difference",
        title="natural gradient" if natural else "gradient flow",
    )
    ax.legend(frameon=False)
    measured = float(np.interp(goal / 2, np.asarray(delta), np.asarray(times)))
    print(f"natural {natural}: half-time {measured:.4g}, law {float(half):.4g}")
fig.tight_layout()

# %% [markdown]
# ## Two neurons
#
# With equal output weights the difference of two tanh neurons obeys the same law. Its rate is what
# the second derivative of the activation leaves after the mean neuron has adjusted.

# %%
nodes, masses = np.polynomial.hermite_e.hermegauss(60)  # inputs N(0, 1)


def network(delta):
    return gb.flows.ShallowNetwork(jnp.array([0.5 - delta / 2, 0.5 + delta / 2]), jnp.ones(2))


goal, start = 0.3, 0.06
law = gb.flows.neuron_collision(nodes, (1.0, 1.0), 0.5, start=start, target=goal, masses=masses)
neurons = gb.flows.NetworkModel(network(goal), gb.flows.CentredChart(jnp.array([0.5, 0.5])))
loss = gb.flows.NetworkLoss(nodes, network(goal)(nodes), masses)
times = jnp.linspace(0.0, 2.5 * law.plateau_time(), 101)
path = gb.flows.network_flow(
    neurons,
    loss,
    neurons.inverse(network(start)),
    times,
    tolerance=1e-6,
    solver=diffrax.Kvaerno5(),
)
fig, ax = plt.subplots(figsize=(4.5, 3.2))
ax.plot(times, path.x.neurons[:, 1] - path.x.neurons[:, 0], label="network")
ax.plot(times, law.gradient_flow(times), "k--", label="reduced law")
ax.set(xlabel="time", ylabel="difference of the neurons")
ax.legend(frameon=False)
fig.tight_layout()

# %% [markdown]
# ## Floors and EM
#
# A floor under the difference keeps EM off the singular set; its M-step is a weighted isotonic
# regression. From near-coincident means the floor moves the start. From one start above the floor
# the two take the same path.

# %%
rng = np.random.default_rng(0)
data = rng.standard_normal(1000) + 1.5 * (rng.random(1000) < 0.4)


def start_at(low, high):
    return gb.flows.GaussianMixture(np.array([0.5, 0.5]), np.array([low, high]))


floored = gb.flows.FlooredChart(0.5)
fig, ax = plt.subplots(figsize=(4.5, 3.2))
for label, first, use in (
    ("near, no floor", start_at(0.6, 0.61), None),
    ("near, floor 0.5", start_at(0.6, 0.61), floored),
    ("at the floor, no floor", start_at(0.35, 0.86), None),
    ("at the floor, floor 0.5", start_at(0.35, 0.86), floored),
):
    fit = gb.flows.mixture_em(data, first, chart=use, max_steps=200, tol=1e-9)
    gap = np.maximum(fit.traces[0].max() - fit.traces[0], 1e-6) / len(data)
    style = "--" if "at the floor, floor" in label else "-"
    ax.semilogy(gap, style, label=label)
ax.set(xlabel="EM step", ylabel="log-likelihood of a datum below its end", ylim=(1e-6, None))
ax.legend(frameon=False, fontsize=8)
fig.tight_layout()

# %% [markdown]
# A floor above the truth costs likelihood, whatever the number of data; one at or below it is
# knowledge, and can help small samples. Run `gaugebias reproduce singular-mixtures` for the
# ensembles behind this.
