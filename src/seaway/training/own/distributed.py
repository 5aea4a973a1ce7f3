"""init_distributed: the group of all ranks for a user's own script, whoever started the replicas.

In: the environment in any dialect that `world` reads. Out: a group of the framework's own, and this rank's place. Traps
that are closed: JAX reads neither the training operator's variables nor all of the trainer's, and asks the cluster when
told not to is forgotten; gloo and JAX's coordinator would listen to the network where all ranks are on one machine;
TensorFlow takes a cluster of one for one of many.
"""

from __future__ import annotations

import datetime as dt
import os
from typing import Literal

from seaway.errors import InputError
from seaway.training.place import Place
from seaway.training.world import World, is_loopback, timeout_s, world

DistributedFramework = Literal["pytorch", "jax", "tensorflow"]


def init_distributed(framework: DistributedFramework = "pytorch") -> Place:
    """Form the group of all ranks in the framework's own way; call it once, before anything is computed.

    ``pytorch`` makes the default process group (gloo, and NCCL where there are GPUs), also of one rank alone; ``jax``
    calls jax.distributed.initialize where there are several ranks; ``tensorflow`` sees to it that
    tf.distribute.MultiWorkerMirroredStrategy() finds a TF_CONFIG that fits, which then forms the group.

    Returns:
        This rank's place.

    Raises:
        InputError: the framework is none of these, or the environment does not hold.
    """
    known = {"pytorch": _pytorch, "jax": _jax, "tensorflow": _tensorflow}
    if framework not in known:
        raise InputError(f"framework must be one of {sorted(known)}, found {framework!r}")
    found = world(os.environ)
    known[framework](found)
    return found.place


def _pytorch(found: World) -> None:
    import torch
    import torch.distributed as dist

    from seaway.training.pytorch.group import stay_on_this_machine

    if dist.is_initialized():
        return
    timeout = dt.timedelta(seconds=timeout_s(os.environ))
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    place = found.place
    if place.world_size == 1:
        stay_on_this_machine("127.0.0.1")
        dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1, timeout=timeout)
        return
    stay_on_this_machine(found.host)
    os.environ |= {
        "MASTER_ADDR": found.host,
        "MASTER_PORT": str(found.port),
        "WORLD_SIZE": str(place.world_size),
        "RANK": str(place.rank),
    }
    dist.init_process_group(backend, init_method="env://", timeout=timeout)


def _jax(found: World) -> None:
    import jax

    place = found.place
    if place.world_size == 1 or jax.distributed.is_initialized():
        return
    jax.distributed.initialize(
        coordinator_address=found.address,
        num_processes=place.world_size,
        process_id=place.rank,
        cluster_detection_method="deactivate",
        initialization_timeout=int(timeout_s(os.environ)),
        # by itself the coordinator listens on all of the machine's addresses
        coordinator_bind_address=found.address if is_loopback(found.host) and place.leads else None,
    )


def _tensorflow(found: World) -> None:
    if found.place.world_size == 1:
        os.environ.pop("TF_CONFIG", None)
    elif not os.environ.get("TF_CONFIG"):
        raise InputError(
            "TensorFlow must be told the address of every rank by TF_CONFIG, found none for "
            f"{found.place.world_size} ranks: start the replicas by a TFJob (framework=tensorflow), or set it"
        )
