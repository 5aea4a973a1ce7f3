"""The environment by which the replicas of a JAXJob find each other. Pure.

Source: pkg/controller.v1/jax/envvar.go of the training operator 1.9, with 127.0.0.1 and the job's port where that
writes a service's name and port.
"""

from __future__ import annotations

from seaway.local.api.status import Object

ADDRESS = "127.0.0.1"


def environment(workers: int, index: int, port: int) -> list[Object]:
    """What the operator appends to the variables of every container of a replica."""
    found = {
        "PYTHONUNBUFFERED": "1",
        "COORDINATOR_PORT": str(port),
        "COORDINATOR_ADDRESS": ADDRESS,
        "NUM_PROCESSES": str(workers),
        "PROCESS_ID": str(index),
    }
    return [{"name": name, "value": value} for name, value in found.items()]


def loopback(port: int) -> list[Object]:
    """What stands before the manifest's own variables; the coordinator else listens on all addresses."""
    return [{"name": "JAX_COORDINATOR_BIND_ADDRESS", "value": f"{ADDRESS}:{port}"}]
