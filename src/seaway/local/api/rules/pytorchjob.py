"""kubeflow.org/v1 PyTorchJob, after its CustomResourceDefinition and the webhook of the training operator 1.9.

What only the operator's controller would stumble over (a policy that does not exist) is refused here in words. Source:
pkg/webhooks/pytorch and pkg/webhooks/utils of the operator.
"""

from __future__ import annotations

import re

from seaway.local.api.rules import pod
from seaway.local.api.status import Cause, Object, forbidden, invalid_value, required, unsupported

WEBHOOK = "validator.pytorchjob.training-operator.kubeflow.org"
CONTAINER = "pytorch"
"""The container that trains; each replica has one of this name."""
OPERATOR = "kubeflow.org/training-operator"
RESTART_POLICIES = ["Always", "OnFailure", "Never", "ExitCode"]
CLEAN_POLICIES = ["None", "Running", "All"]
LIMIT = 110
"""Replicas of a type: what a kubelet takes on one node by default."""
_MANAGERS = ["kueue.x-k8s.io/multikueue", OPERATOR]
_TYPES = ["Master", "Worker"]
_SPECS = "spec.pytorchReplicaSpecs"
_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_NAME_RULE = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is "
    "'[a-z]([-a-z0-9]*[a-z0-9])?')"
)


def default(manifest: Object) -> Object:
    """What the definition's schema fills in; the operator's own defaults are never stored."""
    policy = (manifest.get("spec") or {}).get("runPolicy")
    if policy is None:
        return manifest
    return manifest | {"spec": manifest["spec"] | {"runPolicy": {"suspend": False} | policy}}


def check(manifest: Object) -> list[Cause]:
    """What the definition's schema asks for, and policies that exist."""
    spec = manifest.get("spec")
    if spec is None:
        return []
    if spec.get("pytorchReplicaSpecs") is None:
        return [required(_SPECS)]
    causes = []
    processes = spec.get("nprocPerNode")
    if processes not in (None, "auto", "cpu", "gpu") and not re.fullmatch(r"[1-9]\d{0,5}", processes):
        causes.append(invalid_value("spec.nprocPerNode", processes, "must be auto, cpu, gpu or a whole number"))
    policy = (spec.get("runPolicy") or {}).get("cleanPodPolicy")
    if policy and policy not in CLEAN_POLICIES:
        causes.append(unsupported("spec.runPolicy.cleanPodPolicy", policy, CLEAN_POLICIES))
    for type_, replica in spec["pytorchReplicaSpecs"].items():
        path = f"{_SPECS}.{type_}"
        if (count := replica.get("replicas") or 0) > LIMIT:
            why = f"the laptop runs at most {LIMIT} replicas of a type, as one node takes {LIMIT} pods"
            causes.append(invalid_value(f"{path}.replicas", count, why))
        policy = replica.get("restartPolicy")
        if policy and policy not in RESTART_POLICIES:
            causes.append(unsupported(f"{path}.restartPolicy", policy, RESTART_POLICIES))
        causes += _check_template((replica.get("template") or {}).get("spec"), f"{path}.template.spec")
    return causes


def check_update(before: Object, after: Object) -> list[Cause]:
    """The rule on the queue that the definition itself carries."""
    old, new = (_get(one, "runPolicy", "schedulingPolicy", "queue") for one in (before, after))
    path = "spec.runPolicy.schedulingPolicy.queue"
    return [] if old in (None, new) or new is None else [invalid_value(path, new, f"{path} is immutable")]


def admit(before: Object | None, after: Object) -> list[Cause]:
    """What the operator's webhook refuses."""
    name, spec = after["metadata"]["name"], after.get("spec") or {}
    causes = []
    wrong = ["must be no more than 63 characters"] if len(name) > 63 else []
    wrong += [] if _NAME.fullmatch(name) else [_NAME_RULE]
    if wrong:
        causes.append(invalid_value("metadata.name", name, f"should match: {','.join(wrong)}"))
    manager = _get(after, "runPolicy", "managedBy")
    if before is not None and _get(before, "runPolicy", "managedBy") != manager:
        causes.append(invalid_value("spec.runPolicy.managedBy", manager or "", "field is immutable"))
    if manager is not None and manager not in _MANAGERS:
        causes.append(unsupported("spec.runPolicy.managedBy", manager, _MANAGERS))
    replicas = spec.get("pytorchReplicaSpecs")
    elastic = spec.get("elasticPolicy")
    if elastic is not None and "Worker" not in (replicas or {}):
        causes.append(required(f"{_SPECS}[Worker]", "must be configured if elastic policy is used"))
    if elastic is not None and "nProcPerNode" in elastic and "nprocPerNode" in spec:
        causes.append(forbidden("spec.elasticPolicy.nProcPerNode", "must not be used with spec.nprocPerNode"))
    if not replicas:
        return [*causes, required(_SPECS, "must be required")]
    for type_, replica in replicas.items():
        causes += _admit_replica(type_, replica)
    return causes


def warn(manifest: Object) -> list[str]:
    """What the webhook warns of."""
    if "nProcPerNode" in ((manifest.get("spec") or {}).get("elasticPolicy") or {}):
        return ["spec.elasticPolicy.nProcPerNode is deprecated, use spec.nprocPerNode instead"]
    return []


def _admit_replica(type_: str, replica: Object) -> list[Cause]:
    path, causes = f"{_SPECS}[{type_}]", []
    where = f"{path}.template.spec.containers"
    if type_ not in _TYPES:
        causes.append(unsupported(path, type_, _TYPES))
    containers = ((replica.get("template") or {}).get("spec") or {}).get("containers") or []
    if not containers:
        causes.append(required(where, "must be specified"))
    for number, container in enumerate(containers):
        if not container.get("image"):
            causes.append(required(f"{where}[{number}].image", "must be required"))
    if not any(container.get("name") == CONTAINER for container in containers):
        causes.append(required(where, f"must have at least one container with name {CONTAINER}"))
    count = replica.get("replicas")
    if type_ == "Master" and count != 1:
        causes.append(forbidden(f"{path}.replicas", "must be 1"))
    elif type_ != "Master" and count is not None and count < 1:
        causes.append(forbidden(f"{path}.replicas", "must be at least 1"))
    return causes


def _check_template(spec: Object | None, path: str) -> list[Cause]:
    """A pod's structure; what the webhook says itself of images and missing containers is left to it."""
    if spec is None:
        return []
    if spec.get("containers") is None:
        return [required(f"{path}.containers")]
    found = pod.check_spec(spec, path)
    return [one for one in found if one["field"] != f"{path}.containers" and not one["field"].endswith(".image")]


def _get(manifest: Object, *path: str) -> str | None:
    found: Object = manifest.get("spec") or {}
    for part in path[:-1]:
        found = found.get(part) or {}
    value = found.get(path[-1])
    return None if value is None else str(value)
