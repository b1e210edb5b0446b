"""diffrax as its manual shows it: Euler over a virtual Brownian tree, under `vmap`."""

from collections.abc import Callable
from functools import partial

import diffrax
import jax
import jax.numpy as jnp
import jax.random as jr

from ._langevin import Problem


def run(problem: Problem) -> Callable:
    shape = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), problem.start)
    size, dt, steps = jnp.float32(problem.size), problem.dt, problem.steps

    def one(y, key):
        end = steps * dt
        path = diffrax.VirtualBrownianTree(0.0, end, tol=dt / 2, shape=shape, key=key)

        def drift(t, y, args):
            return jax.tree.map(jnp.negative, jax.grad(problem.loss)(y))

        class Noise(diffrax.AbstractTerm):
            def vf(self, t, y, args):
                return y

            def contr(self, t0, t1, **kwargs):
                return path.evaluate(t0, t1)

            def prod(self, vf, control):
                return jax.tree.map(lambda z: size * z, control)

        terms = diffrax.MultiTerm(diffrax.ODETerm(drift), Noise())
        found = diffrax.diffeqsolve(
            terms, diffrax.Euler(), 0.0, end, dt, y, max_steps=steps + 8, throw=False
        )
        return found.ys

    program = jax.jit(jax.vmap(one))
    return partial(program, problem.repeated(), jr.split(jr.key(problem.seed), problem.chains))
