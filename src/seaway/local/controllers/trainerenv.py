"""The environment by which the nodes of a TrainJob find each other. Pure.

Source: pkg/runtime/framework/plugins/{torch,jax} of the trainer 2.3, with 127.0.0.1 and a port of the job's own where
those write the name of the first pod and a port that is always the same.
"""

from __future__ import annotations

from math import ceil

from seaway.local.api.status import Object
from seaway.local.controllers.jaxenv import loopback as jax_loopback
from seaway.local.controllers.torchenv import ADDRESS, LOOPBACK
from seaway.local.processes.quantity import quantity

INDEX: Object = {"fieldRef": {"fieldPath": "metadata.annotations['batch.kubernetes.io/job-completion-index']"}}
"""Where a pod of an indexed Job finds its number."""
SUPPORTED = ("torch", "jax")


def environment(policy: Object, trainer: Object, nodes: int, port: int) -> tuple[list[Object], list[Object]]:
    """What stands before the manifest's own variables, which win, and what replaces those of the same names.

    Args:
        policy: the runtime's mlPolicy.
        trainer: the job's trainer.
        nodes: of the job.
        port: of 127.0.0.1, where node 0 listens.
    """
    if policy.get("torch") is not None:
        after = {
            "PET_NNODES": str(nodes),
            "PET_NPROC_PER_NODE": processes(policy["torch"], trainer),
            "PET_NODE_RANK": INDEX,
            "PET_MASTER_ADDR": ADDRESS,
            "PET_MASTER_PORT": str(port),
        }
        return _variables(LOOPBACK), _variables(after)
    if policy.get("jax") is not None:
        after = {
            "JAX_NUM_PROCESSES": str(nodes),
            "JAX_PROCESS_ID": INDEX,
            "JAX_COORDINATOR_ADDRESS": f"{ADDRESS}:{port}",
        }
        return jax_loopback(port), _variables(after)
    return [], []


def processes(torch: Object, trainer: Object) -> str:
    """Processes that torchrun starts on each node: of its own choice, unless cores are asked for and no GPU."""
    wanted = str(trainer.get("numProcPerNode") or torch.get("numProcPerNode") or "auto")
    resources = trainer.get("resourcesPerNode")
    if wanted not in ("auto", "cpu") or resources is None:
        return wanted
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    if wanted == "auto" and any("gpu" in name.lower() for name in (*limits, *requests)):
        return wanted
    return str(max(1, ceil(quantity(limits.get("cpu", requests.get("cpu", 0))))))


def _variables(values: dict[str, str] | Object) -> list[Object]:
    return [
        {"name": name} | ({"value": value} if isinstance(value, str) else {"valueFrom": value})
        for name, value in values.items()
    ]
