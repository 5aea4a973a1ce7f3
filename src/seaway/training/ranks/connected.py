"""All ranks of a training, connected through rank 0 by plain sockets, whatever carries their gradients.

In: where rank 0 is. Out: `Ranks`, whose numbers are exact and take part in no collective's order, and which knows at
once who is lost; a rank that cannot go on without another ends in `PeerLostError` that names it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from seaway.errors import PeerLostError, SeawayError
from seaway.training import peers
from seaway.training.place import Place
from seaway.training.ranks import meeting, pulse
from seaway.training.signals import heard_in_native_code
from seaway.training.spec import TrainSpec
from seaway.training.world import World, timeout_s

if TYPE_CHECKING:
    from numpy.typing import NDArray

_VERDICT_S = 2.0
"""For the pulse to tell which rank broke a connection."""


class Ranks:
    """All ranks, connected through rank 0."""

    connected = True

    def __init__(self, place: Place, met: meeting.Met) -> None:
        self._place = place
        self._lines = met.talk
        self.servers = met.servers
        """``host:port`` of each rank, where a framework's own server may listen."""

    @property
    def place(self) -> Place:
        """Of this rank."""
        return self._place

    @property
    def own_host(self) -> str:
        """An address of this machine at which another rank's machine reaches it."""
        line = next(iter(self._lines.values()))
        return line.own_host.removeprefix("::ffff:")  # an IPv4 address on a socket for both

    def gather(self, array: NDArray[np.float64]) -> NDArray[np.float64]:
        """The arrays of all ranks, all of one shape, stacked: [ranks, ...]; every rank gets the same."""
        own = np.array(array, np.float64, order="C")
        if not self._place.leads:
            self._lines[0].send(own.tobytes())
            everyones = self._lines[0].receive()
        else:
            parts = [own.tobytes(), *(line.receive() for line in self._lines.values())]
            everyones = b"".join(parts)
            for line in self._lines.values():
                line.send(everyones)
        return np.frombuffer(everyones, np.float64).reshape(self._place.world_size, *own.shape).copy()

    def share(self, content: bytes) -> bytes:
        """What rank 0 gives, on every rank."""
        if not self._place.leads:
            return self._lines[0].receive()
        for line in self._lines.values():
            line.send(content)
        return content

    def barrier(self) -> None:
        """Return when every rank has come."""
        self.gather(np.empty(0))

    def abort(self, why: str) -> None:
        """End what the main thread waits for in native code, where the framework has a way."""


R = TypeVar("R", bound=Ranks)
OfPeers = Callable[[Exception], bool | None]
"""Whether an error of a framework comes from another rank; None where it does only if a rank is known to be lost."""


@contextmanager
def connected(
    found: World,
    spec: TrainSpec,
    ranks_of: Callable[[Place, meeting.Met], R],
    *,
    versions: Callable[[], Mapping[str, str]],
    of_peers: OfPeers,
) -> Iterator[R]:
    """All ranks, from meeting to farewell.

    Args:
        found: more than one rank.
        spec: what this one was told; all must have been told the same.
        ranks_of: makes the ranks, once they have met.
        versions: of what must be alike on all ranks.
        of_peers: tells the errors of a framework's own connections.

    Raises:
        InputError: the ranks were told different things, or have different software.
        DeadlineError: a rank did not come in time.
        PeerLostError: a rank went away.
    """
    timeout = timeout_s(os.environ)
    with heard_in_native_code():
        with found.place.span("meet"):
            met = meeting.meet(found, timeout_s=timeout)
        for line in met.talk.values():
            line.set_timeout(timeout)
        ranks = ranks_of(found.place, met)
        watch = pulse.Pulse(met.pulse, found.place)
        try:
            with watch.kept(ranks.abort), _told_who(watch, found.place, of_peers):
                peers.agree(ranks, spec, **versions())
                yield ranks
                ranks.barrier()
        finally:
            met.close()


@contextmanager
def _told_who(watch: pulse.Pulse, place: Place, of_peers: OfPeers) -> Iterator[None]:
    """Say which rank was lost where a connection to another breaks; while the pulse is kept, for it knows."""
    try:
        yield
    except SeawayError:
        raise
    except Exception as e:
        known = isinstance(e, ConnectionError | TimeoutError) or of_peers(e)
        if known is False:
            raise
        why = watch.why(within_s=_VERDICT_S)
        if not why and known is None:
            raise
        said = (str(e) or type(e).__name__).splitlines()[0][:200]
        raise PeerLostError(pulse.lost_text(place, why or f"a connection to another rank broke ({said})")) from e
