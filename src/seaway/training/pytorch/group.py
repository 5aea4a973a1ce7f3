"""The ranks of one training: how they meet, agree, and tell each other numbers.

In: the environment, in any dialect of `seaway.training.world`; without one a world of one. Out: a process group of
torch.distributed, gloo on CPUs and NCCL where there are GPUs, or an error that says which rank is missing, lost or was
told something else.
"""

from __future__ import annotations

import datetime as dt
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.distributed as dist

from seaway.errors import PeerLostError
from seaway.training import checkpoints
from seaway.training.peers import Alone, Peers
from seaway.training.place import Place
from seaway.training.pytorch import meeting, pulse
from seaway.training.signals import heard_in_native_code
from seaway.training.spec import TrainSpec
from seaway.training.world import is_loopback, timeout_s, world

if TYPE_CHECKING:
    from numpy.typing import NDArray

_GRACE_S = 2.0
"""For survivors to say that they are there."""


@contextmanager
def joined(spec: TrainSpec) -> Iterator[Peers]:
    """All ranks, in a process group; torch.distributed is left uninitialised in a world of one.

    A training that has ended already, and whose package was not written, needs no other rank either.

    Raises:
        InputError: the environment does not hold, or the ranks were told different things.
        DeadlineError: a rank did not come in time.
        PeerLostError: a rank went away.
    """
    own = world(os.environ)
    place = own.place
    if place.world_size == 1 or checkpoints.has_ended(spec):
        yield Alone(place)
        return
    timeout = timeout_s(os.environ)
    stay_on_this_machine(own.host)
    with heard_in_native_code():
        with place.span("meet"):
            store = meeting.meet(spec, own, timeout_s=timeout)
        try:
            with pulse.kept(store, place):  # gloo would wait for a rank that is lost while they connect
                dist.init_process_group(
                    "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo",
                    store=dist.PrefixStore("group", store),
                    rank=place.rank,
                    world_size=place.world_size,
                    timeout=dt.timedelta(seconds=timeout),
                )
                peers = Group(place)
                yield peers
                peers.barrier()
        except RuntimeError as e:
            if not _of_peers(e):
                raise
            silent = _silent(store, place)
            raise PeerLostError(
                f"rank {place.rank} of {place.world_size} cannot go on: "
                + (f"no word from rank {', '.join(map(str, silent))}" if silent else "a connection broke")
                + f" ({_short(e)}): the log of that replica says why; "
                "all ranks must start anew, from the last checkpoint if the spec names a folder for them"
            ) from e
        dist.destroy_process_group()


def stay_on_this_machine(host: str) -> None:
    """Where all ranks are on one machine, let gloo use its loopback: no name of the host is needed then."""
    names = [name for _, name in socket.if_nameindex() if name in ("lo", "lo0")]
    if is_loopback(host) and names:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", names[0])


class Group:
    """The ranks of the process group."""

    connected = True

    def __init__(self, place: Place) -> None:
        self._place = place

    @property
    def place(self) -> Place:
        """Of this rank."""
        return self._place

    def gather(self, array: NDArray[np.float64]) -> NDArray[np.float64]:
        """The arrays of all ranks, all of one shape, stacked: [ranks, ...]; every rank gets the same."""
        own = torch.from_numpy(np.array(array, np.float64, order="C"))
        all_ = [torch.empty_like(own) for _ in range(self._place.world_size)]
        dist.all_gather(all_, own)
        return np.stack([t.numpy() for t in all_])

    def share(self, content: bytes) -> bytes:
        """What rank 0 gives, on every rank."""
        length = torch.tensor([len(content)])
        dist.broadcast(length, 0)
        buffer = torch.empty(int(length), dtype=torch.uint8)
        if self._place.leads:
            buffer = torch.frombuffer(bytearray(content), dtype=torch.uint8) if content else buffer
        dist.broadcast(buffer, 0)
        shared: bytes = buffer.numpy().tobytes()
        return shared

    def barrier(self) -> None:
        """Return when every rank has come; on CPUs alone, for GPUs have a queue of their own."""
        self.gather(np.zeros(1))


def _of_peers(error: RuntimeError) -> bool:
    """Whether an error of torch comes from a connection to another rank; gloo's have no class of their own."""
    return isinstance(error, dist.DistError) or any(word in str(error) for word in ("gloo", "NCCL", "Gloo"))


def _short(error: RuntimeError) -> str:
    """What broke, without the file of gloo's that noticed, and its advice."""
    first = str(error).splitlines()[0]
    return re.sub(r"^\[\S+\] ", "", first).split(". This is typically")[0][:200]


def _silent(store: Any, place: Place) -> list[int]:
    """Ranks that do not say, within a moment, that they are still there."""
    others = [r for r in range(place.world_size) if r != place.rank]
    try:
        store.set_timeout(dt.timedelta(seconds=_GRACE_S))
        store.set(f"survivor/{place.rank}", "")
        until = time.monotonic() + _GRACE_S
        while others and time.monotonic() < until:
            others = [r for r in others if not store.check([f"survivor/{r}"])]
            time.sleep(0.05)
    except RuntimeError:
        return [0]  # who keeps the store
    return others
