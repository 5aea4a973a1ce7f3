"""Kubernetes' protobuf request bodies, as `kubectl create namespace|configmap|secret|job|...` sends them.

The field numbers are those of the generated.proto files of Kubernetes. What a body holds beyond them is refused, not
dropped.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

from seaway.local.api.status import ApiError, Object

MAGIC = b"k8s\0"

# Message to field number to (name, what it holds): a message of this table, or str, bytes, int, bool, [..] for repeated
# ones, {..} for maps.
_MESSAGES: dict[str, dict[int, tuple[str, str]]] = {
    "ObjectMeta": {1: ("name", "str"), 2: ("generateName", "str"), 3: ("namespace", "str"), 11: ("labels", "{str}"),
                   12: ("annotations", "{str}")},
    "Namespace": {1: ("metadata", "ObjectMeta")},
    "ServiceAccount": {1: ("metadata", "ObjectMeta")},
    "ConfigMap": {1: ("metadata", "ObjectMeta"), 2: ("data", "{str}"), 3: ("binaryData", "{bytes}"),
                  4: ("immutable", "bool")},
    "Secret": {1: ("metadata", "ObjectMeta"), 2: ("data", "{bytes}"), 3: ("type", "str"), 4: ("stringData", "{str}"),
               5: ("immutable", "bool")},
    "Job": {1: ("metadata", "ObjectMeta"), 2: ("spec", "JobSpec")},
    "JobSpec": {1: ("parallelism", "int"), 2: ("completions", "int"), 3: ("activeDeadlineSeconds", "int"),
                5: ("manualSelector", "bool"), 6: ("template", "PodTemplateSpec"), 7: ("backoffLimit", "int"),
                8: ("ttlSecondsAfterFinished", "int"), 9: ("completionMode", "str"), 10: ("suspend", "bool")},
    "PodTemplateSpec": {1: ("metadata", "ObjectMeta"), 2: ("spec", "PodSpec")},
    "PodSpec": {2: ("containers", "[Container]"), 3: ("restartPolicy", "str"),
                4: ("terminationGracePeriodSeconds", "int")},
    "Container": {1: ("name", "str"), 2: ("image", "str"), 3: ("command", "[str]"), 4: ("args", "[str]"),
                  5: ("workingDir", "str"), 7: ("env", "[EnvVar]"), 14: ("imagePullPolicy", "str")},
    "EnvVar": {1: ("name", "str"), 2: ("value", "str")},
}  # fmt: skip


def decode(body: bytes) -> Object:
    """The object in a body that begins with MAGIC; 415 for a kind or field that is not read."""
    kind, version, raw = "", "", b""
    try:
        for number, value in _fields(body[len(MAGIC) :]):
            if number == 1:
                named = dict(_fields(_bytes(value)))
                version, kind = _bytes(named.get(1, b"")).decode(), _bytes(named.get(2, b"")).decode()
            elif number == 2:
                raw = _bytes(value)
        if kind not in ("Namespace", "ServiceAccount", "ConfigMap", "Secret", "Job"):
            raise ApiError(415, f"a protobuf body of kind {kind} is not read; send JSON: `kubectl create -f` or apply")
        return {"apiVersion": version, "kind": kind} | _message(kind, raw)
    except (IndexError, ValueError) as error:
        raise ApiError(400, f"the protobuf body cannot be read: {error}") from None


def _message(name: str, data: bytes) -> Object:
    found: Object = {}
    known = _MESSAGES[name]
    for number, value in _fields(data):
        if number not in known:
            if _says_nothing(value):
                continue
            raise ApiError(
                415, f"field {number} of {name} is not read from protobuf; send JSON: `kubectl create -f` or apply"
            )
        field, holds = known[number]
        if holds.startswith("["):
            found.setdefault(field, []).append(_value(holds[1:-1], value))
        elif holds.startswith("{"):
            entry = dict(_fields(_bytes(value)))
            key = _bytes(entry.get(1, b"")).decode()
            found.setdefault(field, {})[key] = _value(holds[1:-1], entry.get(2, b""))
        else:
            found[field] = _value(holds, value)
    # Go writes empty strings and messages where JSON has nothing.
    return {field: value for field, value in found.items() if value not in ("", {})}


def _value(holds: str, value: bytes | int) -> Any:
    if holds == "int":
        number = int(value) if isinstance(value, int) else 0
        return number - (1 << 64) if number >> 63 else number
    if holds == "bool":
        return bool(value)
    if holds == "bytes":
        return base64.b64encode(_bytes(value)).decode()
    return _bytes(value).decode() if holds == "str" else _message(holds, _bytes(value))


def _says_nothing(value: bytes | int) -> bool:
    """Zero, or a message in which nothing is set."""
    if isinstance(value, int):
        return value == 0
    try:
        return all(_says_nothing(inner) for _, inner in _fields(value))
    except (IndexError, ValueError):
        return False


def _bytes(value: bytes | int) -> bytes:
    if isinstance(value, int):
        raise ValueError(f"expected bytes, found the number {value}")
    return value


def _fields(data: bytes) -> Iterator[tuple[int, bytes | int]]:
    """Number and value of each field of a message."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind == 0:
            number, at = _varint(data, at)
            yield tag >> 3, number
            continue
        size = {1: 8, 5: 4}.get(kind, -1)
        if kind == 2:
            size, at = _varint(data, at)
        if size < 0 or at + size > len(data):
            raise ValueError(f"a field of wire type {kind} does not fit")
        yield tag >> 3, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    found, shift = 0, 0
    while True:
        byte = data[at]
        found |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return found, at
