"""InferenceServices: find the one that serves, apply a new version, wait until it is the one that answers, go back.

On the way out: the service's URL; an error says what KServe says of the model.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Any

from seaway.errors import DeadlineError, LaunchError
from seaway.launch.api import TRANSIENT, Api, ApiError, Object
from seaway.launch.job import condition
from seaway.launch.restore import put_back, unmet
from seaway.launch.settings import Settings
from seaway.observe import logs

INFERENCE_SERVICE = ("serving.kserve.io/v1beta1", "InferenceService")
VERSION_ANNOTATION = "seaway.dev/model-version"
PREVIOUS_ANNOTATION = "seaway.dev/previous-storage-uri"
_BLOCKED = ("BlockedByFailedLoad", "InvalidSpec")
_log = logging.getLogger("seaway.launch")


@dataclass(frozen=True, kw_only=True)
class Served:
    """A service as it stands."""

    name: str
    url: str
    storage_uri: str
    version: str
    ready: bool


def served(api: Api, name: str) -> Served | None:
    """The service of that name, or None."""
    found = api.get(INFERENCE_SERVICE, name)
    return None if found is None else view(found)


def view(resource: Object) -> Served:
    """What a launcher needs of an InferenceService."""
    status, metadata = resource.get("status", {}), resource["metadata"]
    # the address inside the cluster is reachable from steps, the external URL may not be
    address = status.get("address", {}).get("url") or status.get("url") or ""
    url = Settings.from_env().reached_at(metadata["name"], metadata.get("namespace", ""), address) if address else ""
    return Served(
        name=metadata["name"],
        url=url,
        storage_uri=resource["spec"]["predictor"].get("model", {}).get("storageUri", ""),
        version=metadata.get("annotations", {}).get(VERSION_ANNOTATION, ""),
        ready=condition(resource, "Ready") is not None and _observed(resource),
    )


def deploy(api: Api, manifest: Object, *, timeout_s: float) -> Served:
    """Apply a service and wait until it is ready; if it does not get ready, what served before is put back.

    Raises:
        LaunchError: it cannot load its model; the message is KServe's.
        DeadlineError: it is not ready in time.
    """
    name = manifest["metadata"]["name"]
    before = api.get(INFERENCE_SERVICE, name)
    if before is not None:
        annotations = {**manifest["metadata"].get("annotations", {}), PREVIOUS_ANNOTATION: view(before).storage_uri}
        manifest = {**manifest, "metadata": {**manifest["metadata"], "annotations": annotations}}
    applied = api.apply(manifest)
    logs.info(_log, f"InferenceService {name} applied", generation=applied["metadata"].get("generation"))
    try:
        return wait_ready(api, name, generation=int(applied["metadata"].get("generation", 1)), timeout_s=timeout_s)
    except LaunchError:
        was = "nothing" if before is None else view(before).storage_uri
        put_back(api, INFERENCE_SERVICE, name, before, was=was)
        raise


def wait_ready(api: Api, name: str, *, generation: int, timeout_s: float) -> Served:
    """Wait until the controller has seen this generation and the service is ready.

    Raises:
        LaunchError: the model cannot be loaded, or the service was deleted.
        DeadlineError: not ready in time.
    """
    ends = time.monotonic() + timeout_s
    resource = api.get(INFERENCE_SERVICE, name)
    while True:
        if resource is None or resource.get("_deleted"):
            raise LaunchError(f"InferenceService {name} was deleted while this step waited for it")
        if _observed(resource, generation):
            if condition(resource, "Ready") and _latest(resource):
                return view(resource)
            if resource.get("status", {}).get("modelStatus", {}).get("transitionStatus") in _BLOCKED:
                raise LaunchError(f"InferenceService {name} cannot serve its model: {_why(resource)}")
        left = ends - time.monotonic()
        if left <= 0:
            raise DeadlineError(f"InferenceService {name} must be ready within {timeout_s:g} s: {_why(resource)}")
        resource = _next(api, name, resource, max(1, round(min(left, 30))))


def _next(api: Api, name: str, resource: Object, timeout_s: int) -> Object | None:
    try:
        since = resource["metadata"]["resourceVersion"]
        for changed in api.watch(INFERENCE_SERVICE, name, since=since, timeout_s=timeout_s):
            return changed
        return api.get(INFERENCE_SERVICE, name)
    except ApiError as e:
        if e.status not in TRANSIENT:
            raise
        time.sleep(0.5)
        return resource if e.status != 410 else api.get(INFERENCE_SERVICE, name)


def _observed(resource: Object, generation: int | None = None) -> bool:
    wanted = generation or int(resource["metadata"].get("generation", 1))
    return int(resource.get("status", {}).get("observedGeneration", 0)) >= wanted


def _latest(resource: Object) -> bool:
    """Whether the newest revision is the one that is ready (Knative keeps the old one ready until then)."""
    predictor = resource.get("status", {}).get("components", {}).get("predictor", {})
    created = predictor.get("latestCreatedRevision")
    return not created or created == predictor.get("latestReadyRevision")


def _why(resource: Object) -> str:
    status: dict[str, Any] = resource.get("status", {})
    failure = status.get("modelStatus", {}).get("lastFailureInfo") or {}
    text = " ".join(str(failure.get(k, "")) for k in ("reason", "message")).strip()
    return (
        "; ".join(filter(None, [text, *unmet(resource)])) or "the controller has said nothing yet: is KServe installed?"
    )
