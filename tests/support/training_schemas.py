"""Writes the field trees of the training operator's kinds from the models of its official client.

    python -m tests.support.training_schemas      rewrites src/seaway/local/api/schemas_training.json

Kubernetes' own types, which the models of kubeflow-training name too, are those of schemas_core.json.
"""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.kube_schemas import dumped

TARGET = Path(__file__).parents[2] / "src/seaway/local/api/schemas_training.json"
ROOTS = ("KubeflowOrgV1PyTorchJob", "KubeflowOrgV1JAXJob", "KubeflowOrgV1TFJob")
_PREFIX = "KubeflowOrgV1"
_ABSENT = {"Quantity": "object", "K8sIoApiAutoscalingV2MetricSpec": "object"}
"""Types that the models name and do not have."""


def field_trees() -> dict[str, dict[str, str]]:
    """Type name, without its prefix, to field name to type, for every type of the operator that the roots reach."""
    from kubeflow.training import models

    found: dict[str, dict[str, str]] = {}
    waiting = list(ROOTS)
    while waiting:
        name = waiting.pop()
        short = name.removeprefix(_PREFIX)
        if short in found:
            continue
        model = getattr(models, name)
        fields = {}
        for attribute, written in model.openapi_types.items():
            waiting += re.findall(rf"{_PREFIX}\w+", written)
            for absent, kind in _ABSENT.items():
                written = written.replace(absent, kind)
            fields[model.attribute_map[attribute]] = written.replace(_PREFIX, "")
        found[short] = dict(sorted(fields.items()))
    return dict(sorted(found.items()))


def text() -> str:
    """The file, one type a line."""
    return dumped(field_trees())


if __name__ == "__main__":
    TARGET.write_text(text())
