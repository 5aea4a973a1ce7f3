"""Rules of names, labels, metadata and conditions that hold for every kind."""

from __future__ import annotations

import re
from collections.abc import Mapping

from seaway.local.api.status import Cause, Object, invalid_value, required

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
_KEY = re.compile(r"([a-z0-9.-]+/)?([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")

SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
LABEL_RULE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    "an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)

ANNOTATIONS_LIMIT = 256 * 1024
"""Bytes of all annotations' keys and values together."""


def is_label(text: str) -> bool:
    """Whether ``text`` is an RFC 1123 label."""
    return len(text) <= 63 and _LABEL.fullmatch(text) is not None


def check_metadata(manifest: Object) -> list[Cause]:
    """Name, labels and annotations."""
    metadata, causes = manifest["metadata"], []
    name = metadata.get("name", "")
    if not name:
        causes.append(required("metadata.name", "name or generateName is required"))
    elif len(name) > 253 or not _SUBDOMAIN.fullmatch(name):
        causes.append(invalid_value("metadata.name", name, SUBDOMAIN_RULE))
    causes += check_labels(metadata.get("labels") or {}, "metadata.labels")
    if sum(len(key) + len(value) for key, value in (metadata.get("annotations") or {}).items()) > ANNOTATIONS_LIMIT:
        causes.append(Cause("metadata.annotations", f"Too long: must have at most {ANNOTATIONS_LIMIT} bytes",
                            "FieldValueTooLong"))  # fmt: skip
    for number, owner in enumerate(metadata.get("ownerReferences") or ()):
        for field in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(field):
                where = f"metadata.ownerReferences[{number}].{field}"
                causes.append(invalid_value(where, "", "must not be empty"))
    return causes


def check_labels(labels: Mapping[str, str], path: str) -> list[Cause]:
    """Keys and values of labels."""
    causes = []
    for key, value in labels.items():
        prefix, _, name = key.rpartition("/")
        if not _KEY.fullmatch(key) or len(name) > 63 or len(prefix) > 253:
            why = "name part must consist of alphanumeric characters, '-', '_' or '.', at most 63 of them, and must " \
                "start and end with an alphanumeric character, after an optional DNS subdomain and '/'"  # fmt: skip
            causes.append(invalid_value(path, key, why))
        if len(value) > 63 or not _VALUE.fullmatch(value):
            why = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', " \
                "at most 63 of them, and must start and end with an alphanumeric character"  # fmt: skip
            causes.append(invalid_value(path, value, why))
    return causes


def check_conditions(manifest: Object) -> list[Cause]:
    """The conditions of a status say of what they are and whether they hold; controllers and tables rely on it."""
    return [
        required(f"status.conditions[{number}].{field}")
        for number, one in enumerate(manifest["status"].get("conditions") or ())
        for field in ("type", "status")
        if not one.get(field)
    ]
