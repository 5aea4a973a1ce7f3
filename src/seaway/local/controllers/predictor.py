"""The pods of an InferenceService's predictor. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from seaway.local.api.status import Object
from seaway.local.controllers.base import owner_reference
from seaway.local.controllers.revisions import REVISION_LABEL

FORMAT = "seaway"
"""The modelFormat of model packages."""
PORT_ANNOTATION = "seaway.dev/port"
"""On a service's status: its port. On a pod: the pod's own port."""
SERVICE_LABEL = "serving.kserve.io/inferenceservice"
CONTAINER = "kserve-container"
"""The name that KServe gives the container that serves."""
_CONTAINER_FIELDS = ("env", "envFrom", "resources", "image", "workingDir", "livenessProbe", "imagePullPolicy")
_POD_FIELDS = (
    "terminationGracePeriodSeconds",
    "serviceAccountName",
    "volumes",
    "initContainers",
    "nodeSelector",
    "tolerations",
)


def model_pod(
    manifest: Object,
    revision: str,
    *,
    service_port: int,
    free_port: Callable[[], int],
    credentials: Sequence[Object] = (),
) -> Object:
    """A pod that serves a model package on a port of its own and on the service's.

    Args:
        manifest: the InferenceService.
        revision: its name.
        service_port: where the service answers.
        free_port: draws a port.
        credentials: environment variables by which the package is reached.
    """
    name, model, port = manifest["metadata"]["name"], manifest["spec"]["predictor"]["model"], free_port()
    command = ["python", "-m", "seaway.serving", "--model", f"{name}={model['storageUri']}", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--port", str(service_port)]
    container = {key: model[key] for key in _CONTAINER_FIELDS if key in model}
    container |= {
        "name": CONTAINER,
        "image": model.get("image") or "seaway-server",
        "command": command,
        "args": list(model.get("args") or []),
        "env": [{"name": "SEAWAY_SERVICE", "value": name}, *credentials, *(model.get("env") or [])],
        "ports": [{"containerPort": port}],
        "readinessProbe": {
            "httpGet": {"path": "/v2/health/ready", "port": port},
            "periodSeconds": 5,
            "timeoutSeconds": 5,
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    return _pod(manifest, revision, port, [container])


def container_pod(manifest: Object, revision: str, *, service_port: int, free_port: Callable[[], int]) -> Object:
    """A pod of the user's own containers; the first, or the one named kserve-container, serves on $PORT."""
    containers = [dict(one) for one in manifest["spec"]["predictor"]["containers"]]
    port = fixed_port(manifest) or free_port()
    serving = _serving(containers)
    env = list(serving.get("env") or [])
    if not any(one["name"] == "PORT" for one in env):
        # First, so that later variables and the command can refer to $(PORT).
        env.insert(0, {"name": "PORT", "value": str(port)})
    serving["env"] = [{"name": "SEAWAY_SERVICE", "value": manifest["metadata"]["name"]}, *env]
    serving.setdefault("readinessProbe", {"tcpSocket": {"port": port}, "periodSeconds": 5})
    for number, one in enumerate(containers):
        one.setdefault("name", CONTAINER if one is serving else f"container-{number}")
        one["terminationMessagePolicy"] = "FallbackToLogsOnError"
    return _pod(manifest, revision, port, containers)


def fixed_port(manifest: Object) -> int | None:
    """The port that a custom container says it listens on; None when it listens on $PORT."""
    containers = manifest["spec"]["predictor"].get("containers")
    if not containers or manifest["spec"]["predictor"].get("model"):
        return None
    ports = _serving(containers).get("ports")
    return int(ports[0]["containerPort"]) if ports else None


def _serving(containers: list[Object]) -> Object:
    return next((one for one in containers if one.get("name") == CONTAINER), containers[0])


def _pod(manifest: Object, revision: str, port: int, containers: list[Object]) -> Object:
    predictor, metadata = manifest["spec"]["predictor"], manifest["metadata"]
    labels = (metadata.get("labels") or {}) | (predictor.get("labels") or {})
    labels |= {SERVICE_LABEL: metadata["name"], "component": "predictor", REVISION_LABEL: revision}
    annotations = (predictor.get("annotations") or {}) | {PORT_ANNOTATION: str(port)}
    return {
        "metadata": {
            "generateName": f"{revision}-",
            "labels": labels,
            "annotations": annotations,
            "ownerReferences": [owner_reference(manifest)],
        },
        "spec": {key: predictor[key] for key in _POD_FIELDS if key in predictor}
        | {"containers": containers, "restartPolicy": "Always"},
    }
