"""Pods and pod templates."""

from __future__ import annotations

import re
from typing import Any

from seaway.local.api.rules.names import LABEL_RULE, is_label
from seaway.local.api.status import Cause, Object, invalid_value, required, unsupported

QUANTITY = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+|[KMGTPE]i|[numkMGTPE])?")
RESTART_POLICIES = ["Always", "OnFailure", "Never"]
_UPDATABLE = ("activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds")


def default(manifest: Object) -> Object:
    """Fill in what a pod leaves out."""
    status = {"phase": "Pending", "qosClass": "BestEffort"} | (manifest.get("status") or {})
    return manifest | {"spec": default_spec(manifest.get("spec") or {}), "status": status}


def default_spec(spec: Object) -> Object:
    """Fill in what a pod spec leaves out."""
    found = {
        "restartPolicy": "Always",
        "dnsPolicy": "ClusterFirst",
        "terminationGracePeriodSeconds": 30,
        "schedulerName": "default-scheduler",
        "securityContext": {},
    } | spec
    for field in ("initContainers", "containers"):
        if spec.get(field):
            found[field] = [_default_container(one) for one in spec[field]]
    return found


def check(manifest: Object) -> list[Cause]:
    """A pod."""
    spec = manifest.get("spec") or {}
    causes = check_spec(spec, "spec")
    if spec.get("restartPolicy") not in RESTART_POLICIES:
        causes.append(unsupported("spec.restartPolicy", spec.get("restartPolicy"), RESTART_POLICIES))
    return causes


def check_spec(spec: Object, path: str) -> list[Cause]:
    """The containers of a pod spec."""
    causes: list[Cause] = []
    if not spec.get("containers"):
        causes.append(required(f"{path}.containers"))
    seen: set[str] = set()
    for field in ("initContainers", "containers"):
        for number, container in enumerate(spec.get(field) or []):
            where = f"{path}.{field}[{number}]"
            name = container.get("name", "")
            if not name:
                causes.append(required(f"{where}.name"))
            elif not is_label(name):
                causes.append(invalid_value(f"{where}.name", name, LABEL_RULE))
            elif name in seen:
                causes.append(Cause(f"{where}.name", f'Duplicate value: "{name}"', "FieldValueDuplicate"))
            seen.add(name)
            causes += check_container(container, where)
    return causes


def check_container(container: Object, path: str) -> list[Cause]:
    """One container, but for its name."""
    causes: list[Cause] = []
    if not container.get("image"):
        causes.append(required(f"{path}.image"))
    for index, variable in enumerate(container.get("env") or []):
        if not variable.get("name"):
            causes.append(required(f"{path}.env[{index}].name"))
    for index, port in enumerate(container.get("ports") or []):
        where, number = f"{path}.ports[{index}].containerPort", port.get("containerPort")
        if number is None:
            causes.append(required(where))
        elif not 0 < number < 65536:
            causes.append(invalid_value(where, number, "must be between 1 and 65535, inclusive"))
    return causes + _check_quantities(container.get("resources") or {}, f"{path}.resources")


def check_update(before: Object, after: Object) -> list[Cause]:
    """Of a pod's spec only images and a few other fields may change."""

    def fixed(spec: Object) -> Object:
        kept = {key: value for key, value in spec.items() if key not in _UPDATABLE}
        for field in ("initContainers", "containers"):
            if field in kept:
                kept[field] = [{k: v for k, v in one.items() if k != "image"} for one in kept[field]]
        return kept

    if fixed(before["spec"]) == fixed(after["spec"]):
        return []
    why = (
        "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
        "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
        "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
    )
    return [Cause("spec", f"Forbidden: {why}", "FieldValueForbidden")]


def _default_container(container: Object) -> Object:
    found: dict[str, Any] = {
        "imagePullPolicy": "IfNotPresent",
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "resources": {},
    } | container
    if container.get("ports"):
        found["ports"] = [{"protocol": "TCP"} | port for port in container["ports"]]
    for probe in ("readinessProbe", "livenessProbe", "startupProbe"):
        if container.get(probe):
            found[probe] = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3} | (
                container[probe]
            )
            if "httpGet" in found[probe]:
                found[probe] |= {"httpGet": {"path": "/", "scheme": "HTTP"} | found[probe]["httpGet"]}
    return found


def _check_quantities(resources: Object, path: str) -> list[Cause]:
    causes = []
    for field in ("limits", "requests"):
        for name, value in (resources.get(field) or {}).items():
            if not QUANTITY.fullmatch(str(value)):
                why = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
                causes.append(invalid_value(f"{path}.{field}[{name}]", value, why))
    return causes
