"""Kinds that hold data: Namespace, ConfigMap, Secret, Service, Event, ServiceAccount."""

from __future__ import annotations

import base64
import binascii
import re

from seaway.local.api.status import Cause, Object, invalid_value

_DATA_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")
SIZE_LIMIT = 1024 * 1024
"""Bytes that a ConfigMap or a Secret may hold."""


def default_namespace(manifest: Object) -> Object:
    """Labelled with its name and held by the finalizer that empties it."""
    metadata = manifest["metadata"]
    labels = {"kubernetes.io/metadata.name": metadata["name"]} | (metadata.get("labels") or {})
    spec = manifest.get("spec") or {"finalizers": ["kubernetes"]}
    status = manifest.get("status") or {"phase": "Active"}
    return manifest | {"metadata": metadata | {"labels": labels}, "spec": spec, "status": status}


def default_secret(manifest: Object) -> Object:
    """StringData becomes data."""
    found: Object = {"type": "Opaque"} | manifest
    written = found.pop("stringData", None)
    if written:
        encoded = {key: base64.b64encode(value.encode()).decode() for key, value in written.items()}
        found["data"] = (found.get("data") or {}) | encoded
    return found


def default_service(manifest: Object) -> Object:
    """Stored only: nothing listens for a Service here."""
    spec = {"type": "ClusterIP", "clusterIP": "None", "sessionAffinity": "None"} | (manifest.get("spec") or {})
    spec["ports"] = [{"protocol": "TCP", "targetPort": one.get("port")} | one for one in spec.get("ports") or []]
    return manifest | {"spec": spec, "status": manifest.get("status") or {"loadBalancer": {}}}


def check_data(manifest: Object) -> list[Cause]:
    """Keys, encoding and size of a ConfigMap or Secret."""
    causes, size = [], 0
    secret = manifest["kind"] == "Secret"
    for field in ("data", "binaryData"):
        for key, value in (manifest.get(field) or {}).items():
            if not _DATA_KEY.fullmatch(key):
                why = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
                causes.append(invalid_value(f"{field}[{key}]", key, why))
            size += len(value)
            if secret or field == "binaryData":
                try:
                    base64.b64decode(value, validate=True)
                except (binascii.Error, ValueError):
                    causes.append(invalid_value(f"{field}[{key}]", "", "must be base64"))
    if size > SIZE_LIMIT:
        causes.append(Cause("", f"Too long: must have at most {SIZE_LIMIT} bytes", "FieldValueTooLong"))
    return causes


def check_data_update(before: Object, after: Object) -> list[Cause]:
    """Nothing in an immutable ConfigMap or Secret changes."""
    if not before.get("immutable"):
        return []
    fields = [one for one in ("data", "binaryData", "immutable") if before.get(one) != after.get(one)]
    return [
        Cause(one, "Forbidden: field is immutable when `immutable` is set", "FieldValueForbidden") for one in fields
    ]
