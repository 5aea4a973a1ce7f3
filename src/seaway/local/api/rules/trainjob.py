"""trainer.kubeflow.org/v1alpha1 TrainJob, after its CustomResourceDefinition and the webhook of the trainer 2.3.

Source of the texts: pkg/webhooks/trainjob_webhook.go, pkg/runtime/core and the plugins Torch and JobSet of the trainer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from seaway.local.api.rules import pod
from seaway.local.api.status import Cause, Object, invalid_value, required

WEBHOOK = "validator.trainjob.trainer.kubeflow.org"
GROUP = "trainer.kubeflow.org"
CONTROLLER = f"{GROUP}/trainjob-controller"
RESERVED = frozenset({"PET_NNODES", "PET_NPROC_PER_NODE", "PET_NODE_RANK", "PET_MASTER_ADDR", "PET_MASTER_PORT"})
"""Variables of torchrun that the trainer sets itself."""
LIMIT = 110
"""Nodes: what a kubelet takes as pods on one node by default."""
_MANAGERS = (CONTROLLER, "kueue.x-k8s.io/multikueue")
_KINDS = {"ClusterTrainingRuntime": "clustertrainingruntimes", "TrainingRuntime": "trainingruntimes"}
_IMMUTABLE = ("runtimeRef", "initializer", "trainer", "activeDeadlineSeconds", "managedBy")
_INITIALIZERS = (("dataset", "dataset-initializer", "datasetConfig"), ("model", "model-initializer", "modelConfig"))
_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://.+")
Find = Callable[[str, str, str], Object | None]


def default(manifest: Object) -> Object:
    """What the definition's schema fills in."""
    spec = manifest.get("spec")
    if spec is None:
        return manifest
    found: Object = {"suspend": False, "managedBy": CONTROLLER} | spec
    if spec.get("runtimeRef") is not None:
        found["runtimeRef"] = {"apiGroup": GROUP, "kind": "ClusterTrainingRuntime"} | spec["runtimeRef"]
    return manifest | {"spec": found}


def check(manifest: Object) -> list[Cause]:
    """What the definition's schema and its rules ask for."""
    name, spec, causes = manifest["metadata"]["name"], manifest.get("spec"), []
    # The API server writes the value of a rule of the whole object so.
    if not _NAME.fullmatch(name):
        causes.append(invalid_value("<nil>", "object", "metadata.name must match RFC 1035 DNS label format"))
    if len(name) > 63:
        causes.append(invalid_value("<nil>", "object", "metadata.name must be no more than 63 characters"))
    if spec is None:
        return [*causes, required("spec.runtimeRef")]
    if spec.get("runtimeRef") is None:
        causes.append(required("spec.runtimeRef"))
    elif not spec["runtimeRef"].get("name"):
        causes.append(required("spec.runtimeRef.name"))
    causes += _at_least(spec, "spec", "activeDeadlineSeconds", 1)
    if spec.get("managedBy", CONTROLLER) not in _MANAGERS:
        why = f"ManagedBy must be {' or '.join(_MANAGERS)} if set"
        causes.append(invalid_value("spec.managedBy", spec["managedBy"], why))
    for asset, given in (spec.get("initializer") or {}).items():
        uri = given.get("storageUri") or ""
        if uri and not _URI.fullmatch(uri):
            why = "storageUri may be empty, or it must be a valid URI (scheme://...)"
            causes.append(invalid_value(f"spec.initializer.{asset}.storageUri", uri, why))
    return causes + _check_trainer(spec.get("trainer") or {})


def check_update(before: Object, after: Object) -> list[Cause]:
    """What of a job may not change."""
    old, new = before.get("spec") or {}, after.get("spec") or {}
    return [
        invalid_value(f"spec.{field}", new[field], "field is immutable")
        for field in _IMMUTABLE
        if field in old and field in new and old[field] != new[field]
    ]


def refers(job: Object, find: Find) -> list[Cause]:
    """What the webhook refuses, with what it makes of the runtime."""
    reference = job["spec"]["runtimeRef"]
    kind, name = f"{reference['kind']}.{reference['apiGroup']}", reference["name"]
    if reference["kind"] not in _KINDS or reference["apiGroup"] != GROUP:
        return [Cause("", f"unsupported runtime: {kind}")]
    namespaced = reference["kind"] == "TrainingRuntime"
    namespace = job["metadata"]["namespace"] if namespaced else ""
    runtime = find(f"{_KINDS[reference['kind']]}.{GROUP}", namespace, name)
    if runtime is None:
        field, text = ("runtimeRef", "trainingRuntime") if namespaced else ("RuntimeRef", "clusterTrainingRuntime")
        why = f'{kind} "{name}" not found: specified {text} must be created before the TrainJob is created'
        return [_refused(f"spec.{field}", _ordered(reference), why)]
    spec = runtime.get("spec") or {}
    causes = _check_torch(job) if (spec.get("mlPolicy") or {}).get("torch") is not None else []
    return causes + _check_initializers(job, spec) + _check_patches(job, spec)


def _check_trainer(trainer: Object) -> list[Cause]:
    path, seen = "spec.trainer", set[str]()
    causes = _at_least(trainer, path, "numNodes", 0)
    if (nodes := trainer.get("numNodes") or 0) > LIMIT:
        why = f"the laptop runs at most {LIMIT} nodes of a job, as one node takes {LIMIT} pods"
        causes.append(invalid_value(f"{path}.numNodes", nodes, why))
    if trainer.get("numProcPerNode", 1) < 1:
        why = "numProcPerNode must be greater than or equal to 1"
        causes.append(invalid_value(f"{path}.numProcPerNode", trainer["numProcPerNode"], why))
    for number, variable in enumerate(trainer.get("env") or []):
        name = variable.get("name", "")
        if name and name in seen:
            text = f'Duplicate value: {{"name":"{name}"}}'
            causes.append(Cause(f"{path}.env[{number}]", text, "FieldValueDuplicate"))
        seen.add(name)
    container = {"image": "image", "env": trainer.get("env"), "resources": trainer.get("resourcesPerNode")}
    for cause in pod.check_container(container, path):
        cause["field"] = cause["field"].replace(f"{path}.resources", f"{path}.resourcesPerNode")
        causes.append(cause)
    return causes


def _check_torch(job: Object) -> list[Cause]:
    variables = (job["spec"].get("trainer") or {}).get("env") or []
    reserved = sorted({one["name"] for one in variables} & RESERVED)
    if not reserved:
        return []
    why = f"must not have reserved envs, invalid envs configured: [{' '.join(reserved)}]"
    return [_refused("spec.trainer.env", variables, why)]


def _check_initializers(job: Object, runtime: Object) -> list[Cause]:
    names = {one.get("name") for one in _jobs(runtime)}
    given, causes = job["spec"].get("initializer") or {}, []
    for asset, wanted, config in _INITIALIZERS:
        if asset in given and wanted not in names:
            why = f"must have {wanted} job when trainJob is configured with input {config}"
            causes.append(_refused("spec.runtimeRef", _ordered(job["spec"]["runtimeRef"]), why))
    return causes


def _check_patches(job: Object, runtime: Object) -> list[Cause]:
    names = {one.get("name") for one in _jobs(runtime)}
    patches, why = job["spec"].get("runtimePatches") or [], ""
    for one in patches:
        inner = ((one.get("trainingRuntimeSpec") or {}).get("template") or {}).get("spec") or {}
        if any(patch.get("name") not in names for patch in inner.get("replicatedJobs") or []):
            why = "must not have targetJob that doesn't exist in the runtime job template"
    return [_refused("spec.runtimePatches", patches, why)] if why else []


def _jobs(runtime: Object) -> list[Object]:
    return list((((runtime.get("template") or {}).get("spec")) or {}).get("replicatedJobs") or [])


def _at_least(holder: Object, path: str, field: str, least: int) -> list[Cause]:
    value = holder.get(field)
    if value is None or value >= least:
        return []
    why = f"{path}.{field} in body should be greater than or equal to {least}"
    return [invalid_value(f"{path}.{field}", value, why)]


def _ordered(reference: Object) -> Object:
    return {field: reference[field] for field in ("name", "apiGroup", "kind")}


def _refused(field: str, value: Any, why: str) -> Cause:
    """As Go writes a value that is no scalar: as JSON."""
    return Cause(field, f"Invalid value: {json.dumps(value, separators=(',', ':'))}: {why}", "FieldValueInvalid")
