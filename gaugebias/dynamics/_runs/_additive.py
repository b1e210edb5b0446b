"""Whether the noise of a process is additive, as a step of weak order two needs."""

from collections.abc import Sequence

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
from jax.extend.core import Literal
from jaxtyping import PyTree

from .._processes._sde import AbstractSDE


def reads_parameters(sde: AbstractSDE, params: PyTree) -> bool:
    """Whether the diffusion is computed from the values of the moving leaves.

    Read off the traced program, not off numbers: it holds at every point, and within `jit` too. A
    diffusion that reads the parameters and comes out constant counts as reading them.
    """
    point, still = eqx.partition(params, eqx.is_inexact_array)
    noise = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), sde.noise_like(params))

    def apply(p):
        return sde.diffusion(eqx.combine(p, still), noise)

    program = jax.make_jaxpr(apply)(point).jaxpr
    reached = set(program.invars)
    for equation in program.eqns:
        if any(v in reached for v in _variables(equation.invars)):
            reached.update(equation.outvars)
    return any(v in reached for v in _variables(program.outvars))


def _variables(atoms: Sequence) -> list:
    return [atom for atom in atoms if not isinstance(atom, Literal)]


def check_additive(sde: AbstractSDE, solver: diffrax.AbstractSolver, params: PyTree) -> None:
    """`ValueError` where `solver` is for additive noise only and this noise is not."""
    if isinstance(solver, diffrax.Heun) and reads_parameters(sde, params):
        usual = "diffrax.Euler()" if sde.calculus == "ito" else "diffrax.EulerHeun()"
        raise ValueError(
            f"`solver` Heun is for additive noise, but the diffusion of {type(sde).__name__} reads "
            f"the parameters, and its weak order would be one at most: use `{usual}` or leave "
            "`solver` out, and lower `dt`."
        )
