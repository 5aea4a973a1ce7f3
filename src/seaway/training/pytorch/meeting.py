"""How ranks find each other, and make sure that they were told the same before any waits for another's numbers.

In: an address and what each rank was told. Out: a store that all ranks reach. Each rank other than 0 says who it is;
rank 0 compares and says to all how it ended. So whoever is missing, or was told something else, is named, where
torch.distributed by itself hangs or counts.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import importlib.metadata
import json
import logging
import os
import platform
import socket
import time
from collections.abc import Mapping
from typing import Any

import torch
import torch.distributed as dist

from seaway._version import __version__
from seaway.errors import DeadlineError, InputError, PeerLostError
from seaway.observe import logs
from seaway.training.place import Place
from seaway.training.spec import TrainSpec
from seaway.training.world import World, is_loopback

_AGREE = ("world_size", "spec", "seaway", "torch", "device")
"""What all ranks must have alike."""
_EVERY_S = 0.05
_TELL_S = 15.0
"""How often a rank that waits says so."""
_CONNECT_S = 5.0
_PORT_S = 10.0
"""For a port to become free."""
_FAREWELL_S = 3.0
"""For the others to read why it cannot go on."""

_logger = logging.getLogger(__name__)


def meet(spec: TrainSpec, own: World, *, timeout_s: float) -> dist.Store:
    """Wait until all ranks are there and agree.

    Args:
        spec: what this rank was told.
        own: who it is, and where rank 0 is.
        timeout_s: for the last one to come.

    Raises:
        InputError: the ranks disagree.
        DeadlineError: a rank did not come in time, or another process has the port.
        PeerLostError: rank 0 came and went.
    """
    deadline = time.monotonic() + timeout_s
    place, host, port, address = own.place, own.host, own.port, own.address
    identity = {
        "rank": place.rank,
        "host": platform.node(),
        "world_size": place.world_size,
        "spec": hashlib.sha256(spec.to_json().encode()).hexdigest()[:12],
        "seaway": __version__,
        "torch": importlib.metadata.version("torch"),
        "device": "cuda" if torch.cuda.is_available() else "cpu",
    }
    while True:
        store = dist.PrefixStore("meeting", _store(place, host, port, deadline))
        if place.leads:
            _welcome(store, identity, address, deadline)
            return store
        if _attend(store, identity, address, deadline):
            return store


def _store(place: Place, host: str, port: int, deadline: float) -> dist.Store:
    """The store that rank 0 keeps, or torchrun's agent in its place."""
    keeps = place.leads and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"
    if not keeps:
        _reach(place, host, port, deadline)
    store = dist.TCPStore(
        host,
        port,
        world_size=place.world_size,
        is_master=keeps,
        timeout=dt.timedelta(seconds=max(deadline - time.monotonic(), 1.0)),
        wait_for_workers=False,
        master_listen_fd=_listen(host, port, deadline) if keeps else None,
    )
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return store  # new with each attempt; a replica that joins an elastic training later counts attempts otherwise
    return dist.PrefixStore(f"attempt-{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)


def _listen(host: str, port: int, deadline: float) -> int:
    """A listening socket of rank 0: on this machine alone if all ranks are on it. A port may be free again soon."""
    deadline = min(deadline, time.monotonic() + _PORT_S)
    while True:
        try:
            if is_loopback(host):
                return socket.create_server((host, port)).detach()
            if socket.has_dualstack_ipv6():
                return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True).detach()
            return socket.create_server(("", port)).detach()
        except OSError as e:
            if time.monotonic() > deadline:
                raise DeadlineError(
                    f"port {port} must be free for rank 0 and is not ({e.strerror}): another process of this machine "
                    "has it, give another MASTER_PORT"
                ) from None
        time.sleep(_EVERY_S)


def _reach(place: Place, host: str, port: int, deadline: float) -> None:
    """Wait until something listens where rank 0 shall be: torch's own client says it in a hundred lines."""
    began = told = time.monotonic()
    while True:
        try:
            socket.create_connection((host, port), timeout=_CONNECT_S).close()
            return
        except OSError as e:
            now = time.monotonic()
            if now > deadline:
                raise DeadlineError(
                    f"rank {place.rank} of {place.world_size} must reach rank 0 at {host}:{port} and did not within "
                    f"{now - began:.0f} s ({e.strerror or e}): see whether that replica runs, and that nothing bars "
                    "the port"
                ) from None
        if now > told + _TELL_S:
            logs.info(_logger, "waiting for rank 0", address=f"{host}:{port}", rank=place.rank)
            told = now
        time.sleep(_EVERY_S)


def _welcome(store: dist.Store, own: Mapping[str, Any], address: str, deadline: float) -> None:
    """Rank 0: hear all others, then say how it ended."""
    began = told = time.monotonic()
    world_size = own["world_size"]
    here = {0: 0}  # by rank, the number under which it came
    seen = 0
    store.set("leader", json.dumps(own))
    while len(here) < world_size:
        if (came := store.add("came", 0)) > seen:
            seen += 1
            other = json.loads(store.get(f"rank-{seen}"))
            here[other["rank"]] = seen  # whoever was restarted meanwhile comes again
            if apart := _differences(own, other):
                text = f"all ranks must be told the same: rank {other['rank']} ({other['host']}) has {apart}"
                text += ": start every replica with one image, one spec and one world size"
                _conclude(store, {"error": text}, came)
                raise InputError(text)
            continue
        now = time.monotonic()
        missing = ", ".join(str(r) for r in range(world_size) if r not in here)
        if now > deadline:
            text = (
                f"rank {missing} of {world_size} did not arrive at {address} within {now - began:.0f} s: see whether "
                f"that replica runs, and has WORLD_SIZE={world_size} and this address"
            )
            _conclude(store, {"late": text}, seen)
            raise DeadlineError(text)
        if now > told + _TELL_S:
            logs.info(_logger, "waiting for other ranks", missing=missing, address=address)
            told = now
        time.sleep(_EVERY_S)
    store.set("conclusion", json.dumps({"numbers": list(here.values())}))


def _conclude(store: dist.Store, conclusion: Mapping[str, Any], others: int) -> None:
    """Say why it cannot go on, and keep the store until those who came have read it."""
    store.set("conclusion", json.dumps(conclusion))
    until = time.monotonic() + _FAREWELL_S
    while store.add("read", 0) < others and time.monotonic() < until:
        time.sleep(_EVERY_S)


def _attend(store: dist.Store, own: Mapping[str, Any], address: str, deadline: float) -> bool:
    """Any other rank: say who this is, then do as rank 0 says; False if it went on with one that is lost, and ended.

    A replica may be restarted, and come here, before rank 0 has missed the one that it replaces.
    """
    number = store.add("came", 1)
    store.set(f"rank-{number}", json.dumps(own))
    try:
        while not store.check(["conclusion"]):
            if time.monotonic() > deadline + _FAREWELL_S:
                raise DeadlineError(f"rank 0 at {address} must say that all ranks are there and did not in time")
            time.sleep(_EVERY_S)
        conclusion = json.loads(store.get("conclusion"))
        if "numbers" not in conclusion:
            store.add("read", 1)
    except DeadlineError:
        raise
    except RuntimeError as e:
        raise PeerLostError(
            f"rank 0 went away from {address} while the ranks met: the log of that replica says why"
        ) from e
    if "error" in conclusion:
        raise InputError(conclusion["error"])
    if "late" in conclusion:
        raise DeadlineError(conclusion["late"])
    if number in conclusion["numbers"]:
        return True
    _outlast(store, own["rank"], address, deadline)
    return False


def _outlast(store: dist.Store, rank: int, address: str, deadline: float) -> None:
    """Wait until rank 0 has missed the rank that it went on with, and is gone with its store."""
    logs.info(_logger, "waiting for rank 0 to begin anew: it trains with the rank that this one replaces", rank=rank)
    while time.monotonic() < deadline:
        try:
            store.check(["conclusion"])
        except RuntimeError:  # the connection broke
            return
        time.sleep(_EVERY_S)
    raise DeadlineError(
        f"rank 0 at {address} must begin anew with rank {rank}, which was restarted, and did not in time: start all "
        "ranks anew"
    )


def _differences(first: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """What another rank has otherwise, in words; empty if nothing."""
    return ", ".join(
        f"{key} {other.get(key)!r} and rank {first['rank']} has {first[key]!r}"
        for key in _AGREE
        if other.get(key) != first[key]
    )
