"""batch/v1 Job. Source of the rules: pkg/apis/batch/v1/defaults.go and validation/validation.go of Kubernetes."""

from __future__ import annotations

from seaway.local.api.rules import pod
from seaway.local.api.rules.names import check_labels
from seaway.local.api.status import Cause, Object, invalid_value, required, unsupported

_UID_LABELS = ("batch.kubernetes.io/controller-uid", "controller-uid")
_NAME_LABELS = ("batch.kubernetes.io/job-name", "job-name")
_COUNTS = ("parallelism", "completions", "backoffLimit", "activeDeadlineSeconds", "ttlSecondsAfterFinished")
_IMMUTABLE = ("selector", "template", "completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy")


def default(manifest: Object) -> Object:
    """Fill in counts, the selector and the template's labels; the uid must be set."""
    spec = {
        "backoffLimit": 6,
        "completionMode": "NonIndexed",
        "suspend": False,
        "manualSelector": False,
        "podReplacementPolicy": "TerminatingOrFailed",
    } | (manifest.get("spec") or {})
    if "completions" not in spec and "parallelism" not in spec:
        spec["completions"] = 1
    spec.setdefault("parallelism", 1)
    template = dict(spec.get("template") or {})
    metadata = dict(template.get("metadata") or {})
    uid, name = manifest["metadata"]["uid"], manifest["metadata"]["name"]
    if not spec["manualSelector"] and not spec.get("selector"):
        own = dict.fromkeys(_UID_LABELS, uid) | dict.fromkeys(_NAME_LABELS, name)
        metadata["labels"] = (metadata.get("labels") or {}) | own
        spec["selector"] = {"matchLabels": {_UID_LABELS[0]: uid}}
    spec["template"] = template | {"metadata": metadata, "spec": pod.default_spec(template.get("spec") or {})}
    return manifest | {"spec": spec, "status": manifest.get("status") or {}}


def check(manifest: Object) -> list[Cause]:
    """A job."""
    spec, causes = manifest["spec"], []
    for field in _COUNTS:
        value = spec.get(field)
        if isinstance(value, int) and value < 0:
            causes.append(invalid_value(f"spec.{field}", value, "must be greater than or equal to 0"))
    if spec["completionMode"] not in ("NonIndexed", "Indexed"):
        causes.append(unsupported("spec.completionMode", spec["completionMode"], ["NonIndexed", "Indexed"]))
    elif spec["completionMode"] == "Indexed" and spec.get("completions") is None:
        causes.append(required("spec.completions", "when completion mode is Indexed"))
    causes += check_labels(spec["template"]["metadata"].get("labels") or {}, "spec.template.labels")
    template = spec["template"]["spec"]
    causes += pod.check_spec(template, "spec.template.spec")
    policy = template["restartPolicy"]
    if policy == "Always":
        causes.append(required("spec.template.spec.restartPolicy", 'valid values: "OnFailure", "Never"'))
    elif policy not in ("OnFailure", "Never"):
        causes.append(unsupported("spec.template.spec.restartPolicy", policy, ["OnFailure", "Never"]))
    return causes


def check_update(before: Object, after: Object) -> list[Cause]:
    """What of a job may not change."""
    old, new = before["spec"], after["spec"]
    fixed = [field for field in _IMMUTABLE if old.get(field) != new.get(field)]
    if old.get("completions") != new.get("completions") and new["completionMode"] != "Indexed":
        fixed.append("completions")
    return [invalid_value(f"spec.{field}", new.get(field), "field is immutable") for field in fixed]
