# %% [markdown]
# # Design a bias
#
# The other way round: you want noise at temperature $T$ to prefer solutions as a penalty $R$ would,
# without writing $R$ into the loss. `from_penalty` finds a parametrisation that has it.

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
# ## The l1 penalty
#
# Langevin noise of $u$ has the density $e^{-l(w(u))/T} du$. With $dw/du = e^{R(w)/T}$ that is
# $e^{-(l + R)/T} dw$: the penalty has become a change of variables. For $R = \lambda |w|$ it has a
# closed form.

# %%
design = gb.design.from_penalty(gb.design.L1(0.2), temperature=temperature)
print("R =", design.formula)
print(design.closed_form)
print("w(0.3) =", float(design(jnp.asarray(0.3))))

# %% [markdown]
# ## Does the process follow it?
#
# Not taken on trust: the parameters are simulated, and the draws of $w$ are held against the law
# with the penalty and against the one without.


# %%
def potential(w):
    return 0.5 * (w - 0.5) ** 2


validation = gb.design.validate(design, potential, chains=2048, key=jax.random.key(0))
print(validation.table())

# %%
axes = gb.plot.design(design, validation)

# %% [markdown]
# ## A penalty of your own
#
# Any function of one coordinate will do. This one pulls to the nearer of 0 and 1, and the loss
# still asks for 1/2.


# %%
def two_places(w):
    return 0.3 * jnp.minimum(jnp.abs(w), jnp.abs(w - 1.0))


own = gb.design.from_penalty(two_places, temperature=temperature)
w = np.linspace(-1.0, 2.0, 400)
law = own.law(potential)
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
u = np.linspace(-0.3, 0.6, 400)
left.plot(u, np.asarray(jax.vmap(own)(jnp.asarray(u))))
left.set(xlabel="u", ylabel="w", title="parametrisation")
right.plot(w, np.exp(np.asarray(jax.vmap(law.log_density)(jnp.asarray(w)))), label="designed")
gibbs = np.exp(-((w - 0.5) ** 2) / (2 * temperature)) / np.sqrt(2 * np.pi * temperature)
right.plot(w, gibbs, "--", label="without the penalty")
right.set(xlabel="w", ylabel="density", title=f"T = {temperature:g}")
legend = right.legend(frameon=False, loc="upper left", fontsize=8)

# %% [markdown]
# ## With a symmetry
#
# `form="product"` designs pairs $(u, v)$ whose rescaling is a symmetry, so that the bias is that of
# noise across the orbits. A logarithmic penalty of weight $T (1 - 1/N)$ is a plain product of $N$
# factors: what depth does by itself.

# %%
product = gb.design.from_penalty(
    gb.design.Log(0.5 * temperature), temperature=temperature, form="product"
)
print(product.closed_form)
print("symmetry:", type(product.action).__name__)
print("notes:", *product.notes, sep="\n  ")

# %% [markdown]
# From the shell: `gaugebias design --penalty "l1(weight=0.2)" --temperature 0.1`.
