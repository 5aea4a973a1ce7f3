"""The training operator's jobs, after their CustomResourceDefinitions and the webhooks of the operator 1.9.

What only the operator's controller would stumble over (a policy that does not exist) is refused here in words. Source:
pkg/webhooks of the operator.
"""

from __future__ import annotations

import re

from seaway.local.api.rules import pod, pytorchjob, tfjob
from seaway.local.api.status import Cause, Object, forbidden, invalid_value, required, unsupported
from seaway.local.api.trainingkinds import OPERATOR, TrainingKind, of

RESTART_POLICIES = ["Always", "OnFailure", "Never", "ExitCode"]
CLEAN_POLICIES = ["None", "Running", "All"]
LIMIT = 110
"""Replicas of a type: what a kubelet takes on one node by default."""
_MANAGERS = ["kueue.x-k8s.io/multikueue", OPERATOR]
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
    spec, kind = manifest.get("spec"), of(manifest)
    if spec is None:
        return []
    if spec.get(kind.specs) is None:
        return [required(f"spec.{kind.specs}")]
    causes = _check_own(kind, spec)
    policy = (spec.get("runPolicy") or {}).get("cleanPodPolicy")
    if policy and policy not in CLEAN_POLICIES:
        causes.append(unsupported("spec.runPolicy.cleanPodPolicy", policy, CLEAN_POLICIES))
    for type_, replica in spec[kind.specs].items():
        path = f"spec.{kind.specs}.{type_}"
        if not kind.only_types and type_.lower() not in {one.lower() for one in kind.types}:
            causes.append(unsupported(path, type_, list(kind.types)))
        if (count := replica.get("replicas") or 0) > LIMIT:
            why = f"the laptop runs at most {LIMIT} replicas of a type, as one node takes {LIMIT} pods"
            causes.append(invalid_value(f"{path}.replicas", count, why))
        elif count < 0:
            causes.append(invalid_value(f"{path}.replicas", count, "must be greater than or equal to 0"))
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
    name, spec, kind = after["metadata"]["name"], after.get("spec") or {}, of(after)
    causes = []
    wrong = ["must be no more than 63 characters"] if len(name) > 63 else []
    wrong += [] if _NAME.fullmatch(name) else [_NAME_RULE]
    if wrong:
        causes.append(invalid_value("metadata.name", name, f"should match: {','.join(wrong)}"))
    if kind.checks_run_policy:
        causes += _admit_manager(before, after)
    path, replicas = f"spec.{kind.specs}", spec.get(kind.specs)
    if kind.kind == "PyTorchJob":
        causes += pytorchjob.admit(spec)
    if not replicas:
        return [*causes, required(path, "must be required")]
    for type_, replica in replicas.items():
        causes += _admit_replica(kind, f"{path}[{type_}]", type_, replica)
    return causes + (tfjob.admit(spec) if kind.kind == "TFJob" else [])


def warn(manifest: Object) -> list[str]:
    """What the webhook warns of."""
    return pytorchjob.warn(manifest.get("spec") or {}) if manifest["kind"] == "PyTorchJob" else []


def _check_own(kind: TrainingKind, spec: Object) -> list[Cause]:
    if kind.kind == "PyTorchJob":
        return pytorchjob.check(spec)
    return tfjob.check(spec) if kind.kind == "TFJob" else []


def _admit_manager(before: Object | None, after: Object) -> list[Cause]:
    causes, path = [], "spec.runPolicy.managedBy"
    manager = _get(after, "runPolicy", "managedBy")
    if before is not None and _get(before, "runPolicy", "managedBy") != manager:
        causes.append(invalid_value(path, manager or "", "field is immutable"))
    if manager is not None and manager not in _MANAGERS:
        causes.append(unsupported(path, manager, _MANAGERS))
    return causes


def _admit_replica(kind: TrainingKind, path: str, type_: str, replica: Object) -> list[Cause]:
    where, causes = f"{path}.template.spec.containers", []
    if kind.only_types and type_ not in kind.types:
        causes.append(unsupported(path, type_, list(kind.types)))
    containers = ((replica.get("template") or {}).get("spec") or {}).get("containers") or []
    if not containers:
        causes.append(required(where, "must be specified"))
    for number, container in enumerate(containers):
        if not container.get("image"):
            causes.append(required(f"{where}[{number}].image", "must be required"))
    if not any(container.get("name") == kind.container for container in containers):
        causes.append(required(where, f"must have at least one container with name {kind.container}"))
    if kind.kind == "PyTorchJob":
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
