# %% [markdown]
# # One factorisation under five names, and whether it is the only one
#
# Latent budget analysis, end-member analysis, PLSA, latent class analysis and non-negative matrix
# factorisation write a table of counts as a mixture of a few components. They are one model
# ([2512.22282](https://arxiv.org/abs/2512.22282)), and they share one question: is the solution
# unique, or does another one fit the same table equally well?

# %%
# %matplotlib inline
import jax
import matplotlib.pyplot as plt
import numpy as np

import gaugebias as gb
from gaugebias import factor

jax.config.update("jax_enable_x64", True)

# %% [markdown]
# ## A table of two columns: everything in closed form
#
# Self-assessed health of men and women (Greenacre, *Biplots in Practice*, Exhibit 16.1). Two
# components fit it exactly, from every start.

# %%
health = factor.CountTable(
    [[448, 369], [1789, 1753], [636, 859], [177, 237], [39, 64]],
    rows=("very good", "good", "regular", "bad", "very bad"),
    columns=("male", "female"),
)
fit = factor.expectation_maximisation(health, 2, key=jax.random.key(0), starts=6, tol=1e-11)
print("G^2", np.abs(fit.objectives).round(6))
print("share of men in each component, by start")
print(fit.basis[:, :, 0].round(3))

# %% [markdown]
# The same fit, and different components. What acts here is a group: with an invertible $T$ whose
# rows sum to 1, $A \to A T^{-1}$ and $G \to T G$ leave the table $A G$ alone. `MixingAction` is
# that group, and the package checks it as it checks any other symmetry of a model.

# %%
found = fit.factorisation
report = gb.check_invariance(
    lambda p: p[0] @ p[1], factor.MixingAction(), (found.mixing, found.basis)
)
print("dimension of the group:", report.dimension)

# %% [markdown]
# Shares must not be negative, which cuts a piece out of the orbit. For two components its ends are
# known: one component runs from the healthiest group's share of men, 448/817, to all men; the
# other from none to 39/103.

# %%
moves = factor.movement(found)
for k in range(2):
    low, high = moves.basis_low[k, 0], moves.basis_high[k, 0]
    print(f"component {k + 1}: men from {low:.4f} to {high:.4f}")
print(f"448/817 = {448 / 817:.4f}, 39/103 = {39 / 103:.4f}")

# %% [markdown]
# A rule picks one of the solutions. The inner one has the components as near to each other as the
# rows allow, the outer one as far apart as the columns allow.

# %%
for rule in ("inner", "outer"):
    chosen = factor.identify(found, rule)
    print(rule, chosen.factorisation.basis.round(3).tolist(), "exact" if chosen.exact else "")

# %% [markdown]
# ## Five views of one solution
#
# All converters are lossless: what comes back through any other model is the same to rounding.

# %%
for name in factor.MODELS:
    view = found.view(name)
    back = factor.Factorisation.of(view)
    error = np.abs(back.fitted - found.fitted).max() / found.fitted.max()
    shapes = ", ".join(f"{field} {np.shape(x)}" for field, x in view._asdict().items())
    print(f"{name:5} {error:.0e}  {shapes}")

# %% [markdown]
# ## Three components
#
# A table of counts, drawn from three components. EM reaches one deviance from all starts. The
# determinant of $G G^T$, the squared volume that the components span, says that they are not the
# same solution.

# %%
rng = np.random.default_rng(1)
mixing = 0.9 * rng.dirichlet([0.5] * 3, 20) + 0.1 / 3
basis = 0.9 * rng.dirichlet([0.4] * 10, 3) + 0.1 / 10
counts = np.stack([rng.multinomial(2000, p) for p in mixing @ basis])
fit = factor.expectation_maximisation(counts, 3, key=jax.random.key(0), starts=8, tol=1e-8)
same = [fit.start(s) for s in np.flatnonzero(fit.agreeing)]
print("G^2", sorted({round(float(x), 3) for x in fit.objectives[fit.agreeing]}))
print("det", [f"{each.determinant:.2e}" for each in same])

# %% [markdown]
# `uniqueness` says what is proved and by what.

# %%
answer = factor.uniqueness(fit.factorisation, fit, effort=10)
print(f"{answer.verdict}: {answer.reason}")
for check in answer.checks:
    print(f"  {check.name} ({check.kind}): {check.holds}, {check.detail}")

# %% [markdown]
# The picture behind it: solutions are triangles between two polygons. The inner one is the hull
# of the rows, the outer one bounds non-negative shares. Coloured are all places where some
# solution has a component. On the right the same as ranges of shares.

# %%
inner = factor.identify(fit.factorisation, "inner", effort=10).factorisation
region = factor.component_region(inner)
ranges = factor.movement(inner, effort=10)
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4.2), layout="constrained")
gb.plot.ternary(inner, region=region, ax=left)
ax = gb.plot.components(inner, movement=ranges, ax=right)

# %% [markdown]
# Identified by the inner rule, all starts are one solution.

# %%
identified = [factor.identify(each, "inner", effort=10).factorisation for each in same]
for label, group in (("as found", same), ("inner", identified)):
    bases = np.stack([each.matched(group[0]).basis for each in group])
    print(f"{label}: shares differ by {np.ptp(bases, axis=0).max():.1e}")

# %% [markdown]
# ## When it is unique without a rule
#
# If each component has a row and a column of its own (separability), or more generally if both
# factors are sufficiently scattered, there is one solution, and every start finds it.

# %%
pure_rows = np.concatenate([np.eye(3), mixing[3:]])
own_columns = np.concatenate([0.4 * np.eye(3), 0.6 * rng.dirichlet(np.ones(7), 3)], axis=1)
truth = factor.Factorisation(pure_rows, own_columns, np.full(20, 2000.0))
fit = factor.expectation_maximisation(truth.fitted, 3, key=jax.random.key(0), starts=8)
error = np.abs(fit.factorisation.matched(truth).basis - truth.basis).max()
answer = factor.uniqueness(truth, effort=10)
print(f"{answer.verdict}: {answer.reason}")
print(f"EM is off by {error:.0e}")

# %% [markdown]
# For a table of your own: `factor.load_counts("table.csv")`, or from the shell
# `gaugebias factorise table.csv --components 3`.
