"""The chain axis over several devices."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree

from .._checks import count

_AXIS = "chains"


class Layout(eqx.Module):
    """How chains are laid out: how many, how many with padding, and over which devices."""

    chains: int = eqx.field(static=True)
    total: int = eqx.field(static=True)
    mesh: Mesh | None = eqx.field(static=True)

    def __init__(self, devices: Any, chains: int):
        self.chains = chains
        self.mesh = None if devices is None else _mesh(devices)
        many = self.devices
        self.total = -(-chains // many) * many

    @property
    def devices(self) -> int:
        return 1 if self.mesh is None else self.mesh.size

    @property
    def padding(self) -> int:
        """Chains that are simulated to fill the devices and thrown away."""
        return self.total - self.chains

    def padded(self, tree: PyTree) -> PyTree:
        """`tree`, chains first, with copies of the first chain at the end."""

        def one(x):
            more = jnp.broadcast_to(x[:1], (self.padding, *x.shape[1:]))
            return jnp.concatenate([x, more])

        return jax.tree.map(one, tree) if self.padding else tree

    def _sharding(self, x, axis: int) -> NamedSharding:
        names: list[str | None] = [None] * x.ndim
        names[axis] = _AXIS
        assert self.mesh is not None
        return NamedSharding(self.mesh, PartitionSpec(*names))

    def place(self, tree: PyTree, axis: int) -> PyTree:
        """The arrays of `tree` on their devices, cut along the chain axis."""
        if self.mesh is None:
            return tree
        return jax.tree.map(lambda x: jax.device_put(x, self._sharding(x, axis)), tree)

    def constrain(self, tree: PyTree, axis: int) -> PyTree:
        """`place` within a compiled function: nothing else may be made of the arrays."""
        if self.mesh is None:
            return tree
        return jax.tree.map(
            lambda x: jax.lax.with_sharding_constraint(x, self._sharding(x, axis)), tree
        )

    def everywhere(self, tree: PyTree) -> PyTree:
        """The arrays of `tree` whole on every device."""
        if self.mesh is None:
            return tree
        whole = NamedSharding(self.mesh, PartitionSpec())
        arrays, rest = eqx.partition(tree, eqx.is_array)
        return eqx.combine(jax.tree.map(lambda x: jax.device_put(x, whole), arrays), rest)


def _mesh(devices: Any) -> Mesh:
    """A mesh of one axis; `ValueError` naming what is wrong with `devices`."""
    if isinstance(devices, Mesh):
        if devices.devices.ndim != 1:
            raise ValueError(
                f"`devices` is a mesh of {devices.devices.ndim} axes {devices.axis_names}, but "
                "chains go along one: pass `jax.sharding.Mesh(mesh.devices.reshape(-1), "
                "('chains',))`."
            )
        found = list(devices.devices)
    elif isinstance(devices, int) and not isinstance(devices, bool):
        number, there = count(devices, "devices", least=1), jax.devices()
        if number > len(there):
            raise ValueError(
                f"`devices` is {number}, but there are {len(there)} ({there[0].platform}): ask for "
                "fewer. CPU devices are simulated by the environment variable "
                f"`XLA_FLAGS=--xla_force_host_platform_device_count={number}`."
            )
        found = there[:number]
    else:
        found = list(devices) if isinstance(devices, Sequence) else []
        if not found or not all(isinstance(d, jax.Device) for d in found):
            raise ValueError(
                "`devices` must be a number, a list of jax devices, or a `jax.sharding.Mesh` of "
                f"one axis, but is {devices!r}."
            )
        if len(set(found)) < len(found):
            raise ValueError("`devices` names a device twice.")
    return Mesh(np.asarray(found), (_AXIS,), axis_types=(AxisType.Auto,))


def padding_message(layout: Layout) -> str:
    """What is said where chains do not divide among the devices."""
    return (
        f"`chains` ({layout.chains}) is not a multiple of the {layout.devices} devices: "
        f"{layout.padding} more are simulated and thrown away. {layout.total} would cost the same."
    )
