"""The chain axis over several devices, of this process or of several."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree

from .._checks import count

_AXIS = "chains"


class Layout(eqx.Module):
    """How chains are laid out: how many, how many with padding, and over which devices.

    Each process simulates the chains of its own devices, as a program of its own: `first` is the
    number of its first chain, `here` how many it has with padding, `mesh` its devices, and
    `devices` counts those of all processes.
    """

    chains: int = eqx.field(static=True)
    total: int = eqx.field(static=True)
    first: int = eqx.field(static=True)
    here: int = eqx.field(static=True)
    devices: int = eqx.field(static=True)
    processes: int = eqx.field(static=True)
    mesh: Mesh | None = eqx.field(static=True)

    def __init__(self, devices: Any, chains: int):
        self.chains = chains
        if devices is None:
            self.devices, self.processes, self.mesh = 1, 1, None
            self.first, self.here, self.total = 0, chains, chains
            return
        found = sorted(_found(devices), key=lambda d: d.process_index)
        mine = [d for d in found if d.process_index == jax.process_index()]
        each = -(-chains // len(found))
        self.devices, self.total = len(found), each * len(found)
        self.processes = len({d.process_index for d in found})
        if self.processes > 1 or not mine:
            _check_processes(self.processes)
        self.mesh = Mesh(np.asarray(mine), (_AXIS,), axis_types=(AxisType.Auto,))
        self.first, self.here = each * found.index(mine[0]), each * len(mine)

    @property
    def padding(self) -> int:
        """Chains that are simulated to fill the devices and thrown away."""
        return self.total - self.chains

    @property
    def real(self) -> int:
        """How many of this process's chains are not padding."""
        return min(max(self.chains - self.first, 0), self.here)

    @property
    def rows(self) -> np.ndarray | None:
        """The numbers of the chains whose starts this process's chains take; `None`: all.

        Padding starts where the first chain does.
        """
        if self.here == self.chains:
            return None
        numbers = np.arange(self.first, self.first + self.here)
        return np.where(numbers < self.chains, numbers, 0)

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


def _found(devices: Any) -> list[Any]:
    """The devices asked for; `ValueError` naming what is wrong with `devices`."""
    if isinstance(devices, Mesh):
        if devices.devices.ndim != 1:
            raise ValueError(
                f"`devices` is a mesh of {devices.devices.ndim} axes {devices.axis_names}, but "
                "chains go along one: pass `jax.sharding.Mesh(mesh.devices.reshape(-1), "
                "('chains',))`."
            )
        return list(devices.devices)
    if isinstance(devices, int | np.integer) and not isinstance(devices, bool):
        number, there = count(devices, "devices", least=1), jax.devices()
        if number > len(there):
            raise ValueError(
                f"`devices` is {number}, but there are {len(there)} ({there[0].platform}): ask for "
                "fewer. CPU devices are simulated by the environment variable "
                f"`XLA_FLAGS=--xla_force_host_platform_device_count={number}`."
            )
        return there[:number]
    found = list(devices) if isinstance(devices, Sequence) else []
    if not found or not all(isinstance(d, jax.Device) for d in found):
        raise ValueError(
            "`devices` must be a number, a list of jax devices, or a `jax.sharding.Mesh` of "
            f"one axis, but is {devices!r}."
        )
    if len(set(found)) < len(found):
        raise ValueError("`devices` names a device twice.")
    return found


def _check_processes(processes: int) -> None:
    """`ValueError` unless every process has a device in the run: all of them wait for its end."""
    if processes < jax.process_count():
        raise ValueError(
            f"`devices` belong to {processes} of {jax.process_count()} processes: give devices of "
            "each, as `jax.devices()`, or run on each process's own, `jax.local_devices()`."
        )


def padding_message(layout: Layout) -> str:
    """What is said where chains do not divide among the devices."""
    return (
        f"`chains` ({layout.chains}) is not a multiple of the {layout.devices} devices: "
        f"{layout.padding} more are simulated and thrown away. {layout.total} would cost the same."
    )
