"""Writes the field trees of the built-in kinds from the official client's models.

    python -m tests.support.kube_schemas      rewrites src/seaway/local/api/schemas_core.json

The laptop reads the committed file, so that it starts without importing the client; a test compares the two.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

TARGET = Path(__file__).parents[2] / "src/seaway/local/api/schemas_core.json"
ROOTS = (
    "V1Namespace", "V1Pod", "V1ConfigMap", "V1Secret", "CoreV1Event", "V1ServiceAccount", "V1Service", "V1Job",
)  # fmt: skip
QUANTITIES = {"limits", "requests", "capacity", "overhead", "hard", "allocatedResources"}
"""Maps whose values the models call str and the API reads from numbers too."""

NEWER = {
    "V1PodSpec": {"resources": "V1ResourceRequirements"},
    "V1PodResourceClaim": {"resourceClaimName": "str", "resourceClaimTemplateName": "str"},
    "V1PodSecurityContext": {"seLinuxChangePolicy": "str", "supplementalGroupsPolicy": "str"},
    "V1ResourceClaim": {"request": "str"},
    "V1Volume": {"image": "object"},
}
"""Fields of Kubernetes 1.31 and 1.32 that the models of client 30 do not know yet."""


def field_trees() -> dict[str, dict[str, str]]:
    """Type name to field name to type, for every type that the roots reach."""
    from kubernetes.client import models

    found: dict[str, dict[str, str]] = {}
    waiting = list(ROOTS)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        model = getattr(models, name)
        fields = {}
        for attribute, written in model.openapi_types.items():
            field = model.attribute_map[attribute]
            if written == "dict(str, str)" and field in QUANTITIES:
                written = "dict(str, object)"
            if field == "sizeLimit":
                written = "object"
            fields[field] = written
            waiting += re.findall(r"\b(?:V\d|Core|Events|Discovery|Storage)\w*", written)
        found[name] = dict(sorted((fields | NEWER.get(name, {})).items()))
    return dict(sorted(found.items()))


def text() -> str:
    """The file, one type a line."""
    return dumped(field_trees())


def dumped(trees: dict[str, dict[str, str]]) -> str:
    """Field trees as JSON, one type a line."""
    lines = [f" {json.dumps(name)}: {json.dumps(fields)}" for name, fields in trees.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    TARGET.write_text(text())
