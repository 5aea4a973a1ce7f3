"""What the ranks of one training tell each other, whatever the framework that carries it.

In: arrays and bytes. Out: the same on every rank. Each framework's ``group`` module implements `Peers` with its own
collectives; a world of one needs none.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from seaway._version import __version__
from seaway.errors import InputError
from seaway.training.place import ALONE, Place

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from seaway.training.spec import TrainSpec


_BOOT = Path("/proc/sys/kernel/random/boot_id")


class Peers(Protocol):
    """The ranks of a training; every method is called by all of them, in the same order."""

    @property
    def place(self) -> Place:
        """Of this rank."""
        ...

    @property
    def connected(self) -> bool:
        """Whether other ranks are there: not in a world of one, nor where only a package is left to be written."""
        ...

    def gather(self, array: NDArray[np.float64]) -> NDArray[np.float64]:
        """The arrays of all ranks, all of one shape, stacked: [ranks, ...]; every rank gets the same."""
        ...

    def share(self, content: bytes) -> bytes:
        """What rank 0 gives, on every rank."""
        ...

    def barrier(self) -> None:
        """Return when every rank has come."""
        ...


class Alone:
    """No other rank."""

    connected = False

    def __init__(self, place: Place = ALONE) -> None:
        self._place = place

    @property
    def place(self) -> Place:
        """Of this rank."""
        return self._place

    def gather(self, array: NDArray[np.float64]) -> NDArray[np.float64]:
        """[1, ...]."""
        return np.asarray(array, np.float64)[None]

    def share(self, content: bytes) -> bytes:
        """The content."""
        return content

    def barrier(self) -> None:
        """Nobody to wait for."""


def alone(place: Place = ALONE) -> AbstractContextManager[Peers]:
    """No other rank, as a context like those of the frameworks' groups."""
    peers: Peers = Alone(place)
    return nullcontext(peers)


def total(peers: Peers, array: NDArray[Any]) -> NDArray[np.float64]:
    """The sum over all ranks, added up in their order, so that every rank gets the same to the last bit."""
    summed: NDArray[np.float64] = peers.gather(np.asarray(array, np.float64)).sum(axis=0)
    return summed


def agree(peers: Peers, spec: TrainSpec, **libraries: str) -> None:
    """Make sure that all ranks were told the same and have the same software, before any learns from another.

    Args:
        peers: of this rank.
        spec: what it was told.
        libraries: versions, or anything else that must be alike, by name.

    Raises:
        InputError: they differ; which rank and in what is said.
    """
    said = {"spec": spec.to_json(), "seaway": __version__, **libraries}
    # 48 bits of each digest: whole numbers that float64 holds
    own = np.array([int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") for text in said.values()], float)
    everyones = peers.gather(own)
    for rank, column in _differing(everyones):
        name = list(said)[column]
        raise InputError(
            f"all ranks must be told the same: rank {rank} has another {name} than rank 0 (here, on rank "
            f"{peers.place.rank}: {said[name][:200]}): start every replica with one image and one spec"
        )


def neighbours(peers: Peers) -> int:
    """Ranks on this machine, this one among them; called by all ranks."""
    name = _BOOT.read_text() if _BOOT.exists() else platform.node()
    own = float(int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "big"))
    return int((peers.gather(np.array(own)) == own).sum())


def _differing(rows: NDArray[np.float64]) -> Iterator[tuple[int, int]]:
    for rank, row in enumerate(rows):
        for column in np.flatnonzero(row != rows[0]):
            yield rank, int(column)
