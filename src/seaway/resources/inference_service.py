"""serving.kserve.io/v1beta1 InferenceService: a model package behind an HTTP endpoint.

Source: https://kserve.github.io/website/docs/reference/crd-api, v0.21.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict

from seaway.resources.pod import EnvVar

MODEL_FORMAT = "seaway"


class InferenceService(TypedDict):
    """An InferenceService as plain dictionaries."""

    apiVersion: str
    kind: str
    metadata: dict[str, Any]
    spec: dict[str, Any]


def inference_service(
    *,
    name: str,
    storage_uri: str,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    deployment_mode: Literal["", "Standard", "Knative"] = "Standard",
    min_replicas: int = 1,
    max_replicas: int = 1,
    cpu: str = "",
    memory: str = "",
    env: Sequence[EnvVar] = (),
    service_account: str = "",
    timeout_s: int = 60,
) -> InferenceService:
    """An InferenceService that serves one model package.

    Args:
        name: DNS label; also the model's name in requests.
        storage_uri: of the model package.
        labels: of the service.
        annotations: of the service.
        deployment_mode: KServe's; empty for the cluster's default. It cannot be changed after the first deployment.
        min_replicas: 0 scales to zero, Knative only.
        max_replicas: at least ``min_replicas``.
        cpu: request and limit of a replica, for instance ``1``; empty for none.
        memory: request and limit of a replica, for instance ``1Gi``; empty for none.
        env: of the server.
        service_account: whose Secrets give access to ``storage_uri``; empty for the namespace's default.
        timeout_s: of a request.
    """
    model: dict[str, Any] = {
        "modelFormat": {"name": MODEL_FORMAT},
        "protocolVersion": "v2",
        "storageUri": storage_uri,
    }
    resources = {k: v for k, v in (("cpu", cpu), ("memory", memory)) if v}
    if resources:
        model["resources"] = {"requests": dict(resources), "limits": dict(resources)}
    if env:
        model["env"] = list(env)
    predictor: dict[str, Any] = {
        "minReplicas": min_replicas,
        "maxReplicas": max(max_replicas, min_replicas, 1),
        "timeout": timeout_s,
        "model": model,
    }
    if service_account:
        predictor["serviceAccountName"] = service_account
    mode = {"serving.kserve.io/deploymentMode": deployment_mode} if deployment_mode else {}
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": name, "labels": dict(labels or {}), "annotations": {**mode, **(annotations or {})}},
        "spec": {"predictor": predictor},
    }
