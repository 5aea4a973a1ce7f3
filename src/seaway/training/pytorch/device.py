"""What a rank computes on: a GPU of its own where there is one, else its share of the cores."""

from __future__ import annotations

import os

import torch

from seaway.training.cores import cores
from seaway.training.peers import Peers, neighbours

WORTH_A_THREAD = 4e8
"""Multiplications of a step that pay for one thread more: with fewer, threads mostly wait for each other."""


def choose() -> torch.device:
    """This rank's GPU, all that a replica has or the LOCAL_RANK-th where torchrun starts several; or the CPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    torch.cuda.set_device(device)
    return device


def set_threads(multiplications: float, peers: Peers) -> None:
    """Set how many threads work inside one operator; call it on all ranks. OMP_NUM_THREADS wins.

    Args:
        multiplications: of one step on this rank.
        peers: all ranks.
    """
    share = cores(neighbours=neighbours(peers))
    if not os.environ.get("OMP_NUM_THREADS"):
        torch.set_num_threads(min(share, 1 + int(multiplications / WORTH_A_THREAD)))
