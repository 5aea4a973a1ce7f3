"""The environment by which the replicas of a PyTorchJob find each other. Pure.

Source: pkg/controller.v1/pytorch/{envvar,master,elastic}.go of the training operator 1.9. Where that writes the name of
a replica's service stands 127.0.0.1, and for its port the one that the job was given: the laptop has no DNS, and jobs
side by side share one network.
"""

from __future__ import annotations

import re

from seaway.local.api.status import Object

ADDRESS = "127.0.0.1"
PORT = 23456
"""The port of a replica that names none."""
LOOPBACK = {"GLOO_SOCKET_IFNAME": "lo", "NCCL_SOCKET_IFNAME": "lo", "TP_SOCKET_IFNAME": "lo"}
"""Keeps collectives off the machine's other networks, whatever its name resolves to; a manifest may say otherwise."""


def environment(job: Object, type_: str, index: int, port: int) -> list[Object]:
    """What the operator appends to the variables of every container of a replica.

    Args:
        job: the PyTorchJob.
        type_: Master or Worker.
        index: the replica's number among those of its type.
        port: the job's port of 127.0.0.1.
    """
    spec = job["spec"]
    replicas = spec["pytorchReplicaSpecs"]
    total = sum(int(one.get("replicas", 1)) for one in replicas.values())
    elastic, processes = spec.get("elasticPolicy"), spec.get("nprocPerNode")
    if processes is None and (elastic or {}).get("nProcPerNode") is None:
        processes = "auto"
    found = {"PYTHONUNBUFFERED": "1"}
    if "Master" in replicas:
        rank = str(index if type_ == "Master" else index + 1)
        each = int(processes) if str(processes).isdecimal() else 1
        found |= {"MASTER_PORT": str(port), "PET_MASTER_PORT": str(port)}
        found |= {"MASTER_ADDR": ADDRESS, "PET_MASTER_ADDR": ADDRESS}
        found |= {"WORLD_SIZE": str(total * each), "RANK": rank, "PET_NODE_RANK": rank}
    if processes is not None:
        found["PET_NPROC_PER_NODE"] = processes
    found["PET_NNODES"] = str(total)
    if elastic is not None:
        found["PET_RDZV_ENDPOINT"] = _endpoint(elastic, job["metadata"]["name"], port)
        found |= _elastic(elastic, int((replicas.get("Worker") or {}).get("replicas", 1)))
    return [{"name": name, "value": value} for name, value in found.items()]


def loopback(spec: Object) -> list[Object]:
    """What stands before the manifest's own variables, which win."""
    found = dict(LOOPBACK)
    if spec.get("elasticPolicy") is not None:
        # torchrun's agents of an elastic job else tell each other the machine's full name.
        found["PET_LOCAL_ADDR"] = ADDRESS
    return [{"name": name, "value": value} for name, value in found.items()]


def _endpoint(policy: Object, job: str, port: int) -> str:
    """Where the elastic agents meet: at the job's port, unless the manifest has a place of its own, such as an etcd."""
    host = str(policy.get("rdzvHost") or "")
    if not host or re.fullmatch(rf"{re.escape(job)}-(master|worker)-\d+(\..*)?", host):
        return f"{ADDRESS}:{port}"
    return f"{host}:{policy.get('rdzvPort', PORT)}"


def _elastic(policy: Object, workers: int) -> dict[str, str]:
    low, high = policy.get("minReplicas"), policy.get("maxReplicas")
    low, high = (high if low is None else low), (low if high is None else high)
    found = {
        "PET_RDZV_BACKEND": policy.get("rdzvBackend") or "c10d",
        "PET_NNODES": f"{workers}:{workers}" if low is None else f"{low}:{high}",
    }
    if policy.get("maxRestarts") is not None:
        found["PET_MAX_RESTARTS"] = str(policy["maxRestarts"])
    if policy.get("nProcPerNode") is not None:
        found["PET_NPROC_PER_NODE"] = str(policy["nProcPerNode"])
    if policy.get("rdzvId") is not None:
        found["PET_RDZV_ID"] = policy["rdzvId"]
    if policy.get("rdzvConf"):
        pairs = (f"{one.get('key', '')}={one.get('value', '')}" for one in policy["rdzvConf"])
        found["PET_RDZV_CONF"] = ",".join(pairs)
    if policy.get("standalone"):
        # The operator writes it empty, which torchrun cannot read.
        found["PET_STANDALONE"] = "1"
    return found
