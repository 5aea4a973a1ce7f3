"""Gradients of all ranks, added up.

In: a network's parameters, each rank's gradients. Out: their sum on every rank. Gradients lie side by side in buckets
whose layout follows from the parameters alone, so a sum of more than two ranks is added up in one order always: before
and after a restart, and whether a bucket was sent during the backward pass or after it. DistributedDataParallel lays
its buckets out anew after a process's first step, so its sums may differ in their last digits after a restart.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

BUCKET_BYTES = 25 * 2**20
"""Of DistributedDataParallel: large enough to be worth a message, small enough to leave during the backward pass."""


class _Bucket:
    """Neighbouring gradients."""

    def __init__(self, parameters: list[nn.Parameter]) -> None:
        self.parameters = parameters
        first = parameters[0]
        self.flat = torch.zeros(sum(p.numel() for p in parameters), dtype=first.dtype, device=first.device)
        self.waits_for = 0
        self.sent: Any = None
        at = 0
        for parameter in parameters:
            parameter.grad = self.flat[at : at + parameter.numel()].view_as(parameter)
            at += parameter.numel()

    def send(self) -> None:
        self.sent = dist.all_reduce(self.flat, async_op=True)


class Gradients:
    """Of one network. They are views of the buckets: an optimizer must not drop them."""

    def __init__(self, network: nn.Module, *, bucket_bytes: int = BUCKET_BYTES) -> None:
        self._buckets: list[_Bucket] = []
        self._sends = False
        held: list[nn.Parameter] = []
        for parameter in reversed(list(network.parameters())):  # about the order in which gradients are there
            if held and sum(p.nbytes for p in held) + parameter.nbytes > bucket_bytes:
                self._buckets.append(_Bucket(held))
                held = []
            held.append(parameter)
        self._buckets.append(_Bucket(held))
        if len(self._buckets) > 1:  # a single one is whole only at the end
            for number, bucket in enumerate(self._buckets):
                for parameter in bucket.parameters:
                    parameter.register_post_accumulate_grad_hook(self._came(number))

    def clear(self) -> None:
        """Begin a step."""
        for bucket in self._buckets:
            bucket.flat.zero_()

    @contextmanager
    def sent_early(self) -> Iterator[None]:
        """Within the block a bucket is sent as soon as its gradients, and the buckets before it, are there."""
        for bucket in self._buckets:
            bucket.waits_for = len(bucket.parameters)
        self._sends = len(self._buckets) > 1
        try:
            yield
        finally:
            self._sends = False

    def add_up(self) -> None:
        """Send what was not sent, and wait for the sums."""
        for bucket in self._buckets:
            if bucket.sent is None:
                bucket.send()
        for bucket in self._buckets:
            bucket.sent.wait()
            bucket.sent = None

    def _came(self, number: int) -> Any:
        def hook(parameter: Tensor) -> None:
            if not self._sends:
                return
            self._buckets[number].waits_for -= 1
            for bucket in self._buckets:  # in one order on all ranks
                if bucket.waits_for:
                    return
                if bucket.sent is None:
                    bucket.send()

        return hook
