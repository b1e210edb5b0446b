# %% [markdown]
# # My own model: declare its symmetry, or discover it
#
# Any pytree of arrays and any function of it will do: a dict, an Equinox module, a Flax state. Here
# a head of attention without values, whose queries and keys enter as $x^\top Q K^\top x'$.

# %%
# %matplotlib inline
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import gaugebias as gb

jax.config.update("jax_enable_x64", True)


def predict(params, x):  # x: (n, tokens, width)
    logits = jnp.einsum("nte,ed,fd,nsf->nts", x, params["q"], params["k"], x)
    return jax.nn.softmax(logits) @ x


keys = jax.random.split(jax.random.key(0), 3)
params = {
    "q": jax.random.normal(keys[0], (4, 2)),
    "k": 0.3 * jax.random.normal(keys[1], (4, 2)),
}
inputs = jax.random.normal(keys[2], (12, 3, 4))

# %% [markdown]
# ## Declared
#
# `GeneralLinear` on the hidden axis of both leaves: $Q A$, $K A^{-T}$.

# %%
declared = gb.symmetry.GeneralLinear("q", "k", axes=(1, 1))
print(gb.check_invariance(predict, declared, params, inputs))

# %% [markdown]
# A wrong declaration is refused, with the generator that breaks it.

# %%
try:
    gb.check_invariance(predict, gb.symmetry.GeneralLinear("q", "k", axes=(0, 0)), params, inputs)
except ValueError as error:
    print(error)

# %% [markdown]
# ## Discovered
#
# `gb.discover` looks for all linear and affine fields that leave the outputs alone, at generic
# parameters, and names the group. It rests on a gap between singular values, and refuses to guess
# where there is none.

# %%
found = gb.discover(predict, params, inputs)
print(found.table())

# %% [markdown]
# ## Where to stand on the orbit
#
# The balanced point of an orbit has $Q^\top Q = K^\top K$. Two networks that differ by a group
# element arrive at the same one, up to a rotation.

# %%
q = gb.Quotient(lambda p: p["q"] @ p["k"].T, found.action, at=params)
shape = jax.tree.leaves(found.action.algebra(params))[0].shape
element = 0.5 * jax.random.normal(jax.random.key(5), shape)
elsewhere = found.action.flow(params, element)
for label, point in (("given", params), ("elsewhere", elsewhere)):
    fixed = gb.fix_gauge(q, point)
    gap = jnp.abs(fixed["q"].T @ fixed["q"] - fixed["k"].T @ fixed["k"]).max()
    change = jnp.abs(predict(fixed, inputs) - predict(point, inputs)).max()
    print(f"{label}: Q^T Q - K^T K is {gap:.0e} when balanced, outputs change by {change:.0e}")
distance = gb.distance_modulo(found.action, elsewhere, params)
print(f"distance {float(distance.plain):.2f}, modulo the group {float(distance.distance):.0e}")

# %% [markdown]
# ## What gradient flow keeps
#
# Every symmetry with a moment map gives a conserved quantity of gradient flow: here the matrix
# $Q^\top Q - K^\top K$. Gradient descent keeps it up to an
# error in proportion to the learning rate.

# %%
target = jax.nn.softmax(jax.random.normal(jax.random.key(7), (12, 3, 3)) * 2.0) @ inputs


@jax.jit
def loss(p):
    return 0.5 * jnp.mean((predict(p, inputs) - target) ** 2)


def imbalance(p):
    return p["q"].T @ p["q"] - p["k"].T @ p["k"]


figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
for rate in (0.1, 0.025):

    def step(p, _, rate=rate):
        new = jax.tree.map(lambda x, g: x - rate * g, p, jax.grad(loss)(p))
        return new, (loss(new), jnp.abs(imbalance(new) - imbalance(params)).max())

    steps = int(200 / rate)
    _, (losses, drifts) = jax.lax.scan(step, params, None, length=steps)
    times = rate * np.arange(1, steps + 1)
    left.plot(times, losses, label=f"learning rate {rate:g}")
    right.plot(times, drifts, label=f"learning rate {rate:g}")
left.set(xlabel="time (rate x steps)", ylabel="loss")
right.set(xlabel="time (rate x steps)", ylabel="drift of $Q^T Q - K^T K$", yscale="log")
for ax in (left, right):
    ax.legend(frameon=False)

# %% [markdown]
# With noise the quantity is no longer kept, and what becomes of it is the subject of the laws: see
# `first_law`.
