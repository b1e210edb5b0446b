# %% [markdown]
# # The first law in five minutes
#
# Two numbers, $u$ and $v$, and a loss that sees only their product $w = uv$. The loss is as simple
# as it gets, and noise still makes something of it that the loss does not say.

# %%
# %matplotlib inline
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import gaugebias as gb

jax.config.update("jax_enable_x64", True)
temperature = 0.1

# %% [markdown]
# ## The model and its symmetry
#
# `phi` is what the loss sees. Rescaling $u \to u e^c$, $v \to v e^{-c}$ leaves it alone:
# `check_invariance` says so, or raises and names the generator that breaks it.


# %%
def phi(params):
    return params["u"] * params["v"]


def potential(w):
    return 0.5 * (w - 1.0) ** 2


def lift(w):  # the balanced parameters of w > 0
    return {"u": jnp.sqrt(w), "v": jnp.sqrt(w)}


start = lift(jnp.asarray(1.0))
act = gb.symmetry.Rescaling("u", "v", axes=(None, None))
print(gb.check_invariance(phi, act, start))

# %% [markdown]
# ## Two kinds of noise, two laws
#
# The law of $w$ depends on the noise, not on the loss alone. Noise of constant strength *across*
# the orbits has a density $e^{-l/T} |w|^{-1/2}$: it prefers small $w$. Noise of the same strength
# in *all* directions, with a little weight decay, has the push-forward of the Gibbs measure.
# Without weight decay that one has no stationary law at all, and the package refuses it.
# (Minibatch noise is across the orbits too, but its strength changes with $w$: it has a law of its
# own, see `which_law_does_my_sgd_follow`.)

# %%
domain = gb.quotient.Domain.line(lower=0.0)  # a balanced start keeps the sign of w
q = gb.Quotient(phi, act, at=start, lift=lift, domain=domain)
horizontal = gb.laws.horizontal(q, potential, temperature)
isotropic = gb.laws.pushforward(q, potential, temperature, ridge=0.2)
for law in (horizontal, isotropic):
    print(f"{law.name}: reference measure {law.reference}")
    for condition in law.conditions:
        print(f"    {condition.name}: {'holds' if condition.holds else 'fails'}")

try:
    gb.laws.pushforward(q, potential, temperature)
except ValueError as error:
    print("refused:", str(error).split(". ")[0])

# %% [markdown]
# ## The process itself
#
# `ProjectedLangevin` with `alpha=1, beta=0` has noise across the orbits only. 2,048 independent
# chains, one draw of each.

# %%
sde = gb.dynamics.ProjectedLangevin(
    lambda p: potential(phi(p)), act, temperature, alpha=1.0, beta=0.0
)
run = {"chains": 2048, "steps": 2000, "dt": 5e-3, "observe": phi, "regauge": q}
ensemble = gb.simulate(sde, start, key=jax.random.key(0), progress=None, **run)
draws = np.asarray(ensemble.values)[:, -1]
print("draws:", draws.shape, "mean", round(float(draws.mean()), 3))

# %% [markdown]
# ## Do they agree?
#
# `compare` tests the draws against every law: the expected one at 1e-3, a rival is rejected below
# 1e-6. What it could not have seen is printed too.

# %%
verdict = gb.compare(ensemble, [horizontal, isotropic], key=jax.random.key(1))
print(verdict.table())

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.2), layout="constrained")
w = np.linspace(0.02, 2.2, 300)
left.hist(draws, bins=60, range=(0.0, 2.2), density=True, color="0.85", label="simulated")
for law, style in ((horizontal, "-"), (isotropic, "--")):
    left.plot(w, np.exp(np.asarray(jax.vmap(law.log_density)(w))), style, label=law.name)
left.set(xlabel="w = uv", ylabel="density")
left.legend(frameon=False)
ax = gb.plot.verdict(verdict, ax=right)

# %% [markdown]
# ## The same loss, four laws
#
# The sign of the correction is a property of the dynamics: isotropic noise favours large orbits,
# horizontal noise is neutral on the quotient, conditioning favours small orbits. The dotted line is
# the formula for isometric actions; rescaling is not isometric, and no process is claimed to follow
# it here.

# %%
figure, ax = plt.subplots(figsize=(6, 3.4), layout="constrained")
ax = gb.plot.four_laws(ax=ax)

# %% [markdown]
# Next: `my_own_model`, where the symmetry is not known, and `design_a_bias`, the other way round.
