"""Who a replica is among its peers, whichever controller started it.

In: the environment. Out: rank, world size and where rank 0 is. Every framework reads every dialect, so one worker runs
under each of them:

- PyTorchJob, torchrun, or by hand: MASTER_ADDR, MASTER_PORT, WORLD_SIZE, RANK
- TrainJob with the runtime torch-distributed: PET_MASTER_ADDR, PET_MASTER_PORT, PET_NNODES, PET_NODE_RANK
- JAXJob: COORDINATOR_ADDRESS, COORDINATOR_PORT, NUM_PROCESSES, PROCESS_ID
- TrainJob with the runtime jax-distributed: JAX_COORDINATOR_ADDRESS (host:port), JAX_NUM_PROCESSES, JAX_PROCESS_ID
- TFJob: TF_CONFIG

Source: pkg/controller.v1 of the training operator 1.9, pkg/runtime/framework/plugins of the trainer 2.3.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from seaway.errors import InputError
from seaway.training.place import Place

TIMEOUT_ENV = "SEAWAY_PEER_TIMEOUT_S"
"""Seconds that a rank waits for another, to come at first and then in each exchange."""
_TIMEOUT_S = 600.0
TF_PORT = 2222
"""Of a TFJob's replica that names none."""

_TORCH = ("MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE", "RANK")
_TORCH_V2 = ("PET_MASTER_ADDR", "PET_MASTER_PORT", "PET_NNODES", "PET_NODE_RANK")
_JAX = ("COORDINATOR_ADDRESS", "COORDINATOR_PORT", "NUM_PROCESSES", "PROCESS_ID")
_JAX_V2 = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")


@dataclass(frozen=True, kw_only=True)
class World:
    """A replica's place, and where the first one is."""

    place: Place = field(default_factory=Place)
    host: str = ""
    """Of rank 0; empty in a world of one."""
    port: int = 0
    """Of rank 0; 0 in a world of one."""
    hosts: tuple[str, ...] = ()
    """``host:port`` of every rank where the environment tells all of them, as TF_CONFIG does."""

    @property
    def address(self) -> str:
        """``host:port`` of rank 0."""
        return f"{self.host}:{self.port}"


def world(environment: Mapping[str, str]) -> World:
    """This replica's world; of one where the environment names no other.

    Raises:
        InputError: some of the variables are missing, do not fit each other, or ask for a launcher such as torchrun.
    """
    for wanted, read in ((_TORCH, _torch), (_JAX_V2, _jax_v2), (_JAX, _jax), (_TORCH_V2, _torch_v2)):
        have = [name for name in wanted if environment.get(name)]
        if len(have) < 2:  # one alone may be somebody else's
            continue
        found = read(environment, wanted)
        return found if found.place.world_size > 1 else World()
    if environment.get("TF_CONFIG"):
        return _tensorflow(environment["TF_CONFIG"])
    if environment.get("PET_RDZV_ENDPOINT"):
        raise InputError(
            "replicas that meet at PET_RDZV_ENDPOINT must be started by torchrun, which tells each its rank: "
            "use the command `torchrun -m MODULE`"
        )
    return World()


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


def is_loopback(host: str) -> bool:
    """Whether an address is this machine's, for itself alone."""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def _torch(environment: Mapping[str, str], wanted: tuple[str, ...]) -> World:
    if _is_one(environment, "WORLD_SIZE", "RANK"):
        return World()
    each = environment.get("PET_NPROC_PER_NODE", "")
    if each.isdecimal() and int(each) > 1 and "LOCAL_RANK" not in environment:
        raise InputError(
            f"a replica of {each} processes must be started by torchrun, which starts them and tells each its rank: "
            "use the command `torchrun -m MODULE`, or one process a replica"
        )
    host, port, size, rank = _all(environment, wanted)
    return _made(rank, size, host, port, wanted)


def _torch_v2(environment: Mapping[str, str], wanted: tuple[str, ...]) -> World:
    each = environment.get("PET_NPROC_PER_NODE", "1")
    if each.isdecimal() and int(each) > 1:
        raise InputError(
            f"a replica of {each} processes must be started by torchrun, which starts them and tells each its rank: "
            "use the command `torchrun -m MODULE`, or numProcPerNode: 1"
        )
    if _is_one(environment, "PET_NNODES", "PET_NODE_RANK"):
        return World()
    host, port, size, rank = _all(environment, wanted)
    return _made(rank, size, host, port, wanted)


def _jax(environment: Mapping[str, str], wanted: tuple[str, ...]) -> World:
    if _is_one(environment, "NUM_PROCESSES", "PROCESS_ID"):
        return World()
    host, port, size, rank = _all(environment, wanted)
    return _made(rank, size, host, port, wanted)


def _jax_v2(environment: Mapping[str, str], wanted: tuple[str, ...]) -> World:
    if _is_one(environment, "JAX_NUM_PROCESSES", "JAX_PROCESS_ID"):
        return World()
    address, size, rank = _all(environment, wanted)
    host, colon, port = address.rpartition(":")
    if not colon:
        raise InputError(f"JAX_COORDINATOR_ADDRESS must be host:port, found {address!r}")
    return _made(rank, size, host, port, wanted)


def _is_one(environment: Mapping[str, str], size: str, rank: str) -> bool:
    return environment.get(size) == "1" and environment.get(rank, "0") == "0"


def _all(environment: Mapping[str, str], wanted: tuple[str, ...]) -> list[str]:
    if missing := [name for name in wanted if not environment.get(name)]:
        raise InputError(f"a rank must be told all of {list(wanted)}, found no {missing}: set all of them, or none")
    return [environment[name] for name in wanted]


def _made(rank: str, size: str, host: str, port: str, wanted: tuple[str, ...]) -> World:
    try:
        numbers = int(rank), int(size), int(port)
    except ValueError as e:
        raise InputError(f"rank, world size and port of {list(wanted)} must be whole numbers: {e}") from None
    return World(place=Place(rank=numbers[0], world_size=numbers[1]), host=host, port=numbers[2])


def _tensorflow(text: str) -> World:
    """Ranks in the order of a TFJob's own rule of success: chief or master, then workers; no parameter servers."""
    try:
        config: Any = json.loads(text)
        cluster, task = config["cluster"], config["task"]
        type_, index = str(task["type"]), int(task["index"])
        hosts = [str(h) for kind in ("chief", "master", "worker") for h in cluster.get(kind) or []]
        first = {"chief": 0, "master": len(cluster.get("chief") or [])}
        first["worker"] = first["master"] + len(cluster.get("master") or [])
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        raise InputError(f"TF_CONFIG must be JSON with cluster and task, as a TFJob sets it: {e!r}") from None
    if type_ not in first or set(cluster) - set(first):
        raise InputError(
            f"TF_CONFIG must name chief, master and workers alone, found task {type_!r} of {sorted(cluster)}: "
            "parameter servers and evaluators take no part in this training"
        )
    if len(hosts) < 2:
        return World()
    host, _, port = hosts[0].partition(":")
    place = Place(rank=first[type_] + index, world_size=len(hosts))
    return World(place=place, host=host, port=int(port or TF_PORT), hosts=tuple(hosts))
