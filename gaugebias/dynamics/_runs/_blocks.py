"""Blocks of chains, one after the other on each of several CPU devices."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr
from jaxtyping import PyTree

from .._processes._langevin import Langevin
from .._processes._sde import AbstractSDE
from ._devices import Layout

_CHAINS = 64  # of a block, or a multiple: XLA's products of matrices add alike from here on
_BYTES = 262_144  # that a step of a block touches at most: XLA compiles it as one function
_BESIDE = 3  # times that a step touches the state, beside once for each of its leaves
_KEYS = 28  # bytes of a chain's keys that it touches
_PARTS = 4  # of the largest block that fits, a block is more than one
_STEPS = 32  # between two draws at least: starting a block costs about one step of it
_EQUATIONS = 64  # of a gradient at most: longer ones fall into several loops
_ALONE = {"add", "sub", "mul", "div", "neg", "integer_pow", "pow", "square", "sqrt", "rsqrt", "exp"}
_ALONE |= {"log", "log1p", "expm1", "tanh", "logistic", "sin", "cos", "abs", "sign", "max", "min"}
_ALONE |= {"lt", "le", "gt", "ge", "eq", "ne", "select_n", "convert_element_type", "add_any"}
_ALONE |= {"reshape", "squeeze", "expand_dims", "broadcast_in_dim", "reduce_sum", "copy"}


class Blocks(eqx.Module):
    """How the chains of each device are cut into `count` blocks, whose steps are made in turn.

    CPU devices of one process share its threads: a step over all chains is cut into tasks for them,
    and devices disturb each other (two of them made steps of a 128-parameter model at 0.7 of their
    speed). The steps of a small block are one function, which each device runs by itself, in its
    core's cache. So it is for isotropic noise and gradients of each number by itself; what calls
    for products of matrices is as fast uncut.
    """

    count: int = eqx.field(static=True)
    layout: Layout

    def __init__(
        self, layout: Layout, sde: AbstractSDE, y: PyTree, still: PyTree, steps: int, backend: str
    ):
        """`y`: the moving leaves of one chain. `steps`: between two draws."""
        self.layout, self.count = layout, 1
        if backend != "cpu" or steps < _STEPS or self.devices == 1:
            return
        leaves = jax.tree.leaves(y)
        touched = (len(leaves) + _BESIDE) * sum(x.nbytes for x in leaves) + _KEYS
        each = layout.here // self.devices
        most = min(each, _BYTES // touched) // _CHAINS * _CHAINS
        fits = (n for n in range(most, most // _PARTS, -_CHAINS) if each % n == 0)
        chains = next(fits, each)
        if chains < each and _is_elementwise(sde, y, still):
            self.count = each // chains

    @property
    def devices(self) -> int:
        mesh = self.layout.mesh
        return 1 if mesh is None else mesh.size

    def apart(self, tree: PyTree, axis: int) -> PyTree:
        """Arrays with a leading axis of blocks; in a block, `axis` holds chains of all devices."""

        def one(x):
            x = jnp.moveaxis(x, axis, 0)
            rest = x.shape[1:]
            x = x.reshape(self.devices, self.count, -1, *rest)
            x = jnp.moveaxis(x, 1, 0).reshape(self.count, -1, *rest)
            return jnp.moveaxis(x, 1, _within(axis))

        return self.layout.constrain(jax.tree.map(one, tree), _within(axis))

    def together(self, tree: PyTree, axis: int) -> PyTree:
        """The arrays that `apart` cut, chains in their order."""

        def one(x):
            x = jnp.moveaxis(x, _within(axis), 1)
            rest = x.shape[2:]
            x = x.reshape(self.count, self.devices, -1, *rest)
            x = jnp.moveaxis(x, 0, 1).reshape(-1, *rest)
            return jnp.moveaxis(x, 0, axis)

        return self.layout.constrain(jax.tree.map(one, tree), axis)


def _within(axis: int) -> int:
    """Where an axis goes when a leading one is added."""
    return axis + 1 if axis >= 0 else axis


def _is_elementwise(sde: AbstractSDE, y: PyTree, still: PyTree) -> bool:
    """Whether a step is arithmetic of single numbers and their sums, and little of it."""
    if type(sde) is not Langevin:
        return False
    closed = jax.make_jaxpr(lambda p: sde.drift(eqx.combine(p, still)))(y)
    names = _primitives(closed.jaxpr)
    return len(names) <= _EQUATIONS and set(names) <= _ALONE


def _primitives(jaxpr: Jaxpr) -> list[str]:
    """Names of all equations' primitives; of those called, their own equations'."""
    names = []
    for equation in jaxpr.eqns:
        inner = equation.params.get("jaxpr", equation.params.get("call_jaxpr"))
        if isinstance(inner, ClosedJaxpr) and equation.primitive.name != "scan":
            names += _primitives(inner.jaxpr)
        else:
            names.append(equation.primitive.name)
    return names
