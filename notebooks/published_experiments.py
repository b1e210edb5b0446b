# %% [markdown]
# # The published experiments, examined again
#
# `gb.papers` holds publications as settings, a run, claims made measurable, and controls that say
# what a rival explanation would show. This notebook runs a small version of *Gradient descent for
# deep matrix factorization: dynamics and implicit bias towards low rank*
# ([2011.13772](https://arxiv.org/abs/2011.13772)).

# %%
# %matplotlib inline
import dataclasses

import jax
import matplotlib.pyplot as plt

import gaugebias as gb

jax.config.update("jax_enable_x64", True)
for each in gb.papers.publications():
    print(f"{each.name}: {each.arxiv}")

# %% [markdown]
# ## Smaller settings
#
# Protocol and numbers are our own where those of the publication were not available. `quick()` is
# the smaller version of the whole; `with_options` changes single settings by words, as `--set` of
# the command does, and refuses what is none.

# %%
paper = gb.papers.load("deep-matrix-factorisation")
words = [
    "depths=2,3",
    "alphas=0.01,0.1",
    "compared_depths=1,2,3",
    "matrix_steps=500",
    "random_seeds=8",
    "sensing_depths=1,3",
    "sensing_alphas=0.0,0.1",
    "sensing_seeds=16",
    "sensing_steps=6000",
]
settings = gb.papers.with_options(paper.quick(), words)
changed = {
    field.name: getattr(settings, field.name)
    for field in dataclasses.fields(settings)
    if getattr(settings, field.name) != getattr(paper.Settings(), field.name)
}
print(*(f"{name} = {value}" for name, value in changed.items()), sep="\n")
try:
    gb.papers.with_options(settings, ["sensing_seed=3"])
except ValueError as error:
    print(str(error).split(" The names")[0])

# %% [markdown]
# ## The claims
#
# A *published* claim is one of the publication; a *derived* one follows from our derivation; a
# *control* is what should be seen if the explanation is right, and not otherwise. `expected` is the
# verdict of a correct program: a published claim may fail as stated.

# %%
result = paper.run(settings, jax.random.key(0))
rows = [*paper.claims(result), *paper.controls(result)]
for row in rows:
    mark = "" if row.as_expected else " (!)"
    print(f"{row.name:<20} {row.kind:<10} {row.verdict}{mark}")
print("all as expected:", all(row.as_expected for row in rows))

# %% [markdown]
# What a claim says, and the numbers behind the verdict:

# %%
for row in rows[:4]:
    print(f"{row.name}: {row.statement}\n    measured: {row.measured}")

# %% [markdown]
# ## Effective rank and its windows
#
# From a small start the larger eigenvalues come first, and between two of them the effective rank
# (nuclear over spectral norm) is that of the best approximation of that rank. `stopping_window`
# predicts for how long, before anything is run: the shaded steps. At depth 2 there is no window for
# rank 1 with these eigenvalues, at depth 3 there is.

# %%
fig, axes = plt.subplots(1, 2, figsize=(9.5, 3.4), layout="constrained")
for ax, each in zip(axes, result.estimation, strict=False):
    path = gb.flows.spectral_descent(
        settings.spectrum, each.depth, settings.learning_rate, each.alpha, steps=settings.steps
    )
    gb.plot.effective_rank(path, each.windows, ax=ax)
    ax.set(title=f"depth {each.depth}", ylim=(0.9, 2.2), xlim=(20, settings.steps))
    print(f"depth {each.depth}: windows for ranks {[w.rank for w in each.windows if not w.empty]}")

# %% [markdown]
# ## Depth separates the eigenvalues
#
# The panels of the publication's figure are data, and drawn one by one. This one compares depths at
# one scale of the product: above 1 the second eigenvalue starts when the first has arrived.
# Depth 1, the control, learns both at once.

# %%
fig, ax = plt.subplots(figsize=(5, 3.4), layout="constrained")
panels = {panel.title: panel for panel in paper.figures(result)}
ax = gb.plot.curve_figure(panels["Depth separates the first two"], ax=ax)

# %% [markdown]
# The whole, with figure and record, is `gaugebias reproduce deep-matrix-factorisation`; `--quick`
# is the smaller version, `--set NAME=VALUE` changes a setting, `--json` prints the record.
