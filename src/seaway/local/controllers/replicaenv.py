"""The environment that the training operator gives a replica: one row a kind, of pure functions.

Source: pkg/controller.v1/{pytorch,jax,tensorflow} of the training operator 1.9.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from seaway.local.api.status import Object
from seaway.local.controllers import jaxenv, tfconfig, torchenv
from seaway.local.controllers.replicagroups import Group, Ports, groups


@dataclass(frozen=True, kw_only=True)
class Environment:
    """What one kind tells its replicas."""

    before: Callable[[Object, int], list[Object]]
    """Of a job and a replica's port: the variables before the manifest's own, which win."""
    after: Callable[[Object, Group, int, Ports], list[Object]]
    """Of a job, a replica's group and index, and all ports: the variables after the manifest's own."""
    everywhere: bool
    """Variables are for every container; else for the one that trains."""


def of(job: Object) -> Environment:
    """The row of a job's kind."""
    return _ENVIRONMENTS[job["kind"]]


def _tf_after(job: Object, group: Group, index: int, ports: Ports) -> list[Object]:
    dynamic = bool(job["spec"].get("enableDynamicWorker"))
    return tfconfig.environment(groups(job), group.label, index, ports, dynamic=dynamic)


_ENVIRONMENTS = {
    "PyTorchJob": Environment(
        before=lambda job, port: torchenv.loopback(job["spec"]),
        after=lambda job, group, index, ports: torchenv.environment(job, group.type, index, ports[group.label, index]),
        everywhere=True,
    ),
    "JAXJob": Environment(
        before=lambda job, port: jaxenv.loopback(port),
        after=lambda job, group, index, ports: jaxenv.environment(group.count, index, ports[group.label, index]),
        everywhere=True,
    ),
    "TFJob": Environment(before=lambda job, port: [], after=_tf_after, everywhere=False),
}
