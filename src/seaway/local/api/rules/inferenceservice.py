"""serving.kserve.io/v1beta1 InferenceService, after the checks of KServe's webhook."""

from __future__ import annotations

import re

from seaway.local.api.rules import pod
from seaway.local.api.status import Cause, Object, invalid_value, required

_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
FRAMEWORKS = (
    "sklearn", "xgboost", "tensorflow", "pytorch", "triton", "onnx", "huggingface", "pmml", "lightgbm", "paddle",
)  # fmt: skip
"""Predictor fields from before `model`; each means a modelFormat of that name."""


def check(manifest: Object) -> list[Cause]:
    """Name, one predictor, counts."""
    causes, name = [], manifest["metadata"]["name"]
    if not _NAME.fullmatch(name):
        why = (
            "a InferenceService name must consist of lower case alphanumeric characters or '-', start with an "
            "alphabetic character and end with an alphanumeric character (regex '[a-z]([-a-z0-9]*[a-z0-9])?')"
        )
        causes.append(invalid_value("metadata.name", name, why))
    predictor = (manifest.get("spec") or {}).get("predictor")
    if not predictor:
        return [*causes, required("spec.predictor")]
    given = [one for one in ("model", "containers", *FRAMEWORKS) if predictor.get(one)]
    if not given:
        why = "one of model or containers must be given"
        causes.append(required("spec.predictor", why))
    elif "model" in given and any(one in given for one in FRAMEWORKS):
        why = "exactly one of [model, containers, sklearn, ...] must be specified"
        causes.append(invalid_value("spec.predictor", predictor, why))
    if predictor.get("model") and not (predictor["model"].get("modelFormat") or {}).get("name"):
        causes.append(required("spec.predictor.model.modelFormat.name"))
    low, high = predictor.get("minReplicas", 1), predictor.get("maxReplicas", 0)
    if low < 0:
        causes.append(invalid_value("spec.predictor.minReplicas", low, "MinReplicas cannot be less than 0."))
    if high and low > high:
        causes.append(
            invalid_value("spec.predictor.maxReplicas", high, "MinReplicas cannot be greater than MaxReplicas.")
        )
    for number, container in enumerate(predictor.get("containers") or []):
        causes += pod.check_container(container, f"spec.predictor.containers[{number}]")
    return causes
