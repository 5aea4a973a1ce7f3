"""Weights that are parted among the ranks (FSDP2), for networks that do not fit into one's memory."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def shard(network: nn.Module, where: torch.device) -> None:
    """Part each layer's weights among all ranks; a layer is whole only while it is computed."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(where.type, (torch.distributed.get_world_size(),))
    for layer in network.layers:
        fully_shard(layer, mesh=mesh)
    # True also for the outermost part: who asks for weights between two steps finds shards
    fully_shard(network, mesh=mesh, reshard_after_forward=True)


def whole(value: Tensor) -> Tensor:
    """A tensor that may be parted, as it is; called by all ranks."""
    full: Tensor = value.full_tensor() if hasattr(value, "full_tensor") else value
    return full


def alike(value: Tensor, other: Tensor) -> Tensor:
    """A whole tensor where and as ``other`` is; every rank has the same."""
    if not hasattr(other, "device_mesh"):
        return value.to(other.device)
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(value.to(other.device), other.device_mesh, other.placements)
