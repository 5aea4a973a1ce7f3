"""The ranks of one training: how they meet, agree, and tell each other numbers.

In: MASTER_ADDR, MASTER_PORT, WORLD_SIZE and RANK, as the training operator and torchrun set them; without them a world
of one. Out: a process group of torch.distributed, gloo on CPUs and NCCL where there are GPUs, or an error that says
which rank is missing, lost or was told something else.
"""

from __future__ import annotations

import datetime as dt
import os
import re
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.distributed as dist

from seaway.errors import InputError, PeerLostError
from seaway.training import checkpoints
from seaway.training.place import Place
from seaway.training.pytorch import meeting, pulse
from seaway.training.signals import heard_in_native_code
from seaway.training.spec import TrainSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

TIMEOUT_ENV = "SEAWAY_PEER_TIMEOUT_S"
"""Seconds that a rank waits for another, to come at first and then in each step."""
_TIMEOUT_S = 600.0
_GRACE_S = 2.0
"""For survivors to say that they are there."""


@contextmanager
def joined(spec: TrainSpec) -> Iterator[Place]:
    """This replica's place, within the process group of all; torch.distributed is left uninitialised in a world of one.

    A training that has ended already, and whose package was not written, needs no other rank either.

    Raises:
        InputError: the environment does not hold, or the ranks were told different things.
        DeadlineError: a rank did not come in time.
        PeerLostError: a rank went away.
    """
    place = from_env(os.environ)
    if place.world_size == 1 or checkpoints.has_ended(spec, place):
        yield place
        return
    timeout = timeout_s(os.environ)
    _stay_on_this_machine(os.environ["MASTER_ADDR"])
    with heard_in_native_code():
        with place.span("meet"):
            store = meeting.meet(spec, place, timeout_s=timeout)
        try:
            dist.init_process_group(
                "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo",
                store=dist.PrefixStore("group", store),
                rank=place.rank,
                world_size=place.world_size,
                timeout=dt.timedelta(seconds=timeout),
            )
            with pulse.kept(store, place):
                yield place
                dist.barrier()
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


def _stay_on_this_machine(host: str) -> None:
    """Where all ranks are on one machine, let gloo use its loopback: no name of the host is needed then."""
    names = [name for _, name in socket.if_nameindex() if name in ("lo", "lo0")]
    if meeting.is_loopback(host) and names:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", names[0])


def from_env(environment: Mapping[str, str]) -> Place:
    """Rank and world size.

    Raises:
        InputError: some of the variables are missing, or not numbers that fit each other.
    """
    wanted = ("MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE", "RANK")
    missing = [name for name in wanted if not environment.get(name)]
    if len(missing) == len(wanted) or (environment.get("WORLD_SIZE") == "1" and environment.get("RANK", "0") == "0"):
        return Place()
    if missing:
        raise InputError(f"a rank must be told all of {list(wanted)}, found no {missing}: set all of them, or none")
    try:
        place = Place(rank=int(environment["RANK"]), world_size=int(environment["WORLD_SIZE"]))
        int(environment["MASTER_PORT"])
    except ValueError as e:
        if isinstance(e, InputError):
            raise
        raise InputError(f"MASTER_PORT, WORLD_SIZE and RANK must be whole numbers: {e}") from None
    return place


def timeout_s(environment: Mapping[str, str]) -> float:
    """How long a rank waits for another.

    Raises:
        InputError: the variable holds no number of seconds.
    """
    text = environment.get(TIMEOUT_ENV) or str(_TIMEOUT_S)
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e6:
        raise InputError(f"{TIMEOUT_ENV} must be a number of seconds over 0, found {text!r}")
    return seconds


def gather(array: NDArray[np.float64]) -> NDArray[np.float64]:
    """The arrays of all ranks, all of one shape, stacked: [ranks, ...]; every rank gets the same."""
    if not dist.is_initialized():
        return array[None]
    own = torch.from_numpy(np.array(array, np.float64, order="C"))
    all_ = [torch.empty_like(own) for _ in range(dist.get_world_size())]
    dist.all_gather(all_, own)
    return np.stack([t.numpy() for t in all_])


def total(array: NDArray[Any]) -> NDArray[np.float64]:
    """The sum over all ranks, added up in their order, so that every rank gets the same to the last bit."""
    summed: NDArray[np.float64] = gather(np.asarray(array, np.float64)).sum(axis=0)
    return summed


def share(content: bytes) -> bytes:
    """What rank 0 gives, on every rank."""
    if not dist.is_initialized():
        return content
    length = torch.tensor([len(content)])
    dist.broadcast(length, 0)
    buffer = torch.empty(int(length), dtype=torch.uint8)
    if dist.get_rank() == 0:
        buffer = torch.frombuffer(bytearray(content), dtype=torch.uint8) if content else buffer
    dist.broadcast(buffer, 0)
    shared: bytes = buffer.numpy().tobytes()
    return shared


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
