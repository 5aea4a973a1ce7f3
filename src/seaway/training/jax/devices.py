"""What a process computes on, and how a vector is summed over all processes.

In: the devices that JAX sees, after the processes have met. Out: shardings over this process's own devices, which all
share in each batch, and sums over those of all processes.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from seaway.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Devices:
    """Of this process, and of all."""

    def __init__(self, *, connected: bool) -> None:
        """Look at what there is.

        Args:
            connected: whether other processes take part.

        Raises:
            InputError: they have not all the same number of devices.
        """
        own = jax.local_devices()
        self._connected = connected
        self._mesh = Mesh(np.array(own), ("own",))
        self.whole = NamedSharding(self._mesh, P())
        """Of arrays that each of the process's devices has."""
        self.rows = NamedSharding(self._mesh, P("own"))
        """Of arrays whose rows are shared out among the process's devices."""
        self.count = len(own)
        """Devices of this process."""
        if connected:
            self._everyones = Mesh(_by_process(jax.devices()), ("process", "own"))
            self._parts = NamedSharding(self._everyones, P("process"))

    @property
    def accelerated(self) -> bool:
        """Whether they are more than CPUs."""
        return self.name != "cpu"

    @property
    def name(self) -> str:
        """For people: ``cpu``, ``gpu:0``, ``4 x gpu``."""
        first = jax.local_devices()[0]
        if first.platform == "cpu" and self.count == 1:
            return "cpu"
        return f"{first.platform}:{first.local_hardware_id}" if self.count == 1 else f"{self.count} x {first.platform}"

    def connect(self) -> None:
        """Make the connections for sums now, while JAX's coordination service is there to tell where all are."""
        self.total(jax.device_put(np.zeros((1, 1), np.float32), self.whole)).block_until_ready()

    def total(self, vector: jax.Array) -> jax.Array:
        """The sum over all processes of [1, n] vectors, which each has on all its devices; waits for nothing."""
        if not self._connected:
            raise ValueError("a sum over processes needs others")
        shape = (self._everyones.shape["process"], vector.shape[1])
        parts = [shard.data for shard in vector.addressable_shards]
        everyones = self._sum(jax.make_array_from_single_device_arrays(shape, self._parts, parts))
        own = [shard.data for shard in everyones.addressable_shards]
        return jax.make_array_from_single_device_arrays(everyones.shape, self.whole, own)

    @functools.cached_property
    def _sum(self) -> Any:
        return jax.jit(
            lambda parts: parts.sum(axis=0, keepdims=True), out_shardings=NamedSharding(self._everyones, P())
        )


def _by_process(devices: list[Any]) -> NDArray[Any]:
    """[processes, devices of each]."""
    each: dict[int, list[Any]] = {}
    for device in devices:
        each.setdefault(device.process_index, []).append(device)
    counts = {rank: len(own) for rank, own in sorted(each.items())}
    if len(set(counts.values())) != 1:
        raise InputError(f"all replicas must have the same number of devices, found {counts}: give each the same")
    return np.array([each[rank] for rank in counts])
