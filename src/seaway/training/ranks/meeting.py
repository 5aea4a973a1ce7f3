"""How the ranks find each other before TensorFlow starts, which by itself hangs where one is missing.

In: where rank 0 is. Out: on rank 0 two connections to each other rank, on these two to rank 0, and the address of every
rank's TensorFlow server. Rank 0 listens at its own server's port, and leaves it before TensorFlow takes it: connections
that are there stay. So no other port is needed than the one that a TFJob names.
"""

from __future__ import annotations

import contextlib
import logging
import platform
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from seaway.errors import DeadlineError, InputError, PeerLostError
from seaway.observe import logs
from seaway.training.ranks.wire import Line
from seaway.training.world import TF_PORT, World, is_loopback

KINDS = ("talk", "pulse")
"""What the two connections of a pair of ranks are for."""
_EVERY_S = 0.05
_TELL_S = 15.0
"""How often a rank that waits says so."""
_CONNECT_S = 5.0
_HELLO_S = 3.0
"""For whoever connected to say who it is."""
_PORT_S = 10.0
"""For a port to become free."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Met:
    """All ranks are there."""

    talk: dict[int, Line]
    """By rank: all others on rank 0, rank 0 alone on these."""
    pulse: dict[int, Line]
    servers: tuple[str, ...]
    """``host:port`` of each rank's TensorFlow server."""

    def close(self) -> None:
        """Let go of all connections."""
        for line in (*self.talk.values(), *self.pulse.values()):
            line.close()


def meet(world: World, *, timeout_s: float) -> Met:
    """Wait until all ranks are there.

    Args:
        world: this rank's.
        timeout_s: for the last one to come.

    Raises:
        InputError: the ranks were told different world sizes.
        DeadlineError: a rank did not come in time, or another process has the port.
        PeerLostError: rank 0 came and went.
    """
    deadline = time.monotonic() + timeout_s
    return _welcome(world, deadline) if world.place.leads else _attend(world, deadline)


def _welcome(world: World, deadline: float) -> Met:
    """Rank 0: hear all others, then tell each where all are."""
    began = told = time.monotonic()
    size = world.place.world_size
    lines: dict[tuple[int, str], Line] = {}
    servers = {0: _server_of(world.hosts[0]) if world.hosts else _address(world.host, world.port)}
    with _listening(world.host, world.port, deadline) as server:
        while len(lines) < (size - 1) * len(KINDS):
            now = time.monotonic()
            missing = ", ".join(str(r) for r in range(1, size) if (r, KINDS[-1]) not in lines)
            if now > deadline:
                text = (
                    f"rank {missing} of {size} did not arrive at {world.address} within {now - began:.0f} s: see "
                    f"whether that replica runs, and was told of {size} ranks and this address"
                )
                _dismiss(lines, {"late": text})
                raise DeadlineError(text)
            if now > told + _TELL_S:
                logs.info(_logger, "waiting for other ranks", missing=missing, address=world.address)
                told = now
            with contextlib.suppress(TimeoutError):
                sock, _ = server.accept()
                line = Line(sock)
                line.set_timeout(min(_HELLO_S, max(deadline - now, 0.1)))
                try:
                    hello = line.greeted()
                    rank, kind, theirs = int(hello["rank"]), str(hello["kind"]), int(hello["world_size"])
                except (OSError, ValueError, KeyError, TypeError):
                    line.close()  # not one of us
                    continue
                if (before := lines.pop((rank, kind), None)) is not None:
                    before.close()
                lines[rank, kind] = line
                servers[rank] = hello["server"]
                if theirs != size or not 0 < rank < size:
                    text = (
                        f"all ranks must be told the same: rank {rank} ({hello['host']}) has world_size {theirs} and "
                        f"rank 0 has {size}: start every replica with one image, one spec and one world size"
                    )
                    _dismiss(lines, {"error": text})
                    raise InputError(text)
    everywhere = tuple(servers[r] for r in range(size))
    for line in lines.values():
        with contextlib.suppress(OSError):  # whoever is gone is missed later, by name
            line.greet({"servers": everywhere})
    talk, pulse = ({r: lines[r, kind] for r in range(1, size)} for kind in KINDS)
    return Met(talk=talk, pulse=pulse, servers=everywhere)


def _dismiss(lines: dict[tuple[int, str], Line], conclusion: dict[str, str]) -> None:
    """Say why it cannot go on, to all who came."""
    for line in lines.values():
        with contextlib.suppress(OSError):
            line.greet(conclusion)
        line.close()


def _attend(world: World, deadline: float) -> Met:
    """Any other rank: say who this is, then hear where all are."""
    began = told = time.monotonic()
    rank, size = world.place.rank, world.place.world_size
    while True:
        try:
            return _visited(world, deadline)
        except (DeadlineError, PeerLostError, InputError):
            raise
        except OSError as e:
            now = time.monotonic()
            if now > deadline:
                raise DeadlineError(
                    f"rank {rank} of {size} must reach rank 0 at {world.address} and did not within "
                    f"{now - began:.0f} s ({e.strerror or e}): see whether that replica runs, and that nothing bars "
                    "the port"
                ) from None
        if now > told + _TELL_S:
            logs.info(_logger, "waiting for rank 0", address=world.address, rank=rank)
            told = now
        time.sleep(_EVERY_S)


def _visited(world: World, deadline: float) -> Met:
    """One try; raises OSError where nobody listens yet, or somebody else does."""
    rank, size = world.place.rank, world.place.world_size
    lines: dict[str, Line] = {}
    server = _server_of(world.hosts[rank]) if world.hosts else ""
    try:
        try:
            for kind in KINDS:
                lines[kind] = line = Line(socket.create_connection((world.host, world.port), timeout=_CONNECT_S))
                server = server or _address(line.own_host, _free_port())
                line.greet({"rank": rank, "world_size": size, "kind": kind, "server": server, "host": platform.node()})
        except ConnectionError:
            if lines:  # rank 0 may have said by now why it listens no more
                _conclusion(world, list(lines.values()), deadline)
            raise
        conclusion = _conclusion(world, list(lines.values()), deadline)
    except BaseException:
        for line in lines.values():
            line.close()
        raise
    return Met(talk={0: lines["talk"]}, pulse={0: lines["pulse"]}, servers=tuple(conclusion["servers"]))


def _conclusion(world: World, lines: list[Line], deadline: float) -> dict[str, Any]:
    """What rank 0 says once all are there."""
    conclusion: dict[str, Any] = {}
    try:
        for line in lines:
            line.set_timeout(deadline - time.monotonic() + _HELLO_S)
            conclusion = line.greeted()
            if "error" in conclusion:
                raise InputError(conclusion["error"])
            if "late" in conclusion:
                raise DeadlineError(conclusion["late"])
    except DeadlineError:
        raise
    except TimeoutError:
        raise DeadlineError(
            f"rank 0 at {world.address} must say that all ranks are there and did not in time: see whether it runs"
        ) from None
    except ConnectionResetError as e:
        raise PeerLostError(
            f"rank 0 went away from {world.address} while the ranks met: the log of that replica says why"
        ) from e
    return conclusion


@contextlib.contextmanager
def _listening(host: str, port: int, deadline: float) -> Iterator[socket.socket]:
    """A listening socket of rank 0: on this machine alone if all ranks are on it. A port may be free again soon."""
    deadline = min(deadline, time.monotonic() + _PORT_S)
    while True:
        try:
            server = _server(host, port)
            break
        except OSError as e:
            if time.monotonic() > deadline:
                raise DeadlineError(
                    f"port {port} must be free for rank 0 and is not ({e.strerror}): another process of this machine "
                    "has it, give another port"
                ) from None
        time.sleep(_EVERY_S)
    with server:
        server.settimeout(_EVERY_S)
        yield server


def _server(host: str, port: int) -> socket.socket:
    if is_loopback(host):
        return socket.create_server((host, port))
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _server_of(host: str) -> str:
    """An entry of TF_CONFIG with its port."""
    return host if host.rpartition(":")[2].isdecimal() else f"{host}:{TF_PORT}"


def _free_port() -> int:
    """For this rank's TensorFlow server, where nothing names one."""
    with socket.create_server(("", 0)) as server:
        port: int = server.getsockname()[1]
        return port
