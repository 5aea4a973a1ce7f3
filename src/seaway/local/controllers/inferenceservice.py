"""serving.kserve.io/v1beta1 InferenceService: revisions of a predictor behind one URL that never changes.

A model of format `seaway` is served by `python -m seaway.serving`, which listens on a port of its pod's own, for the
readiness probe, and with SO_REUSEPORT on the service's port, so that an old and a new revision overlap without a gap.
Any other predictor is a container of the user's; its port is forwarded to from the service's port.
Source of conditions and model status: pkg/apis/serving/v1beta1/inference_service_status.go of KServe.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from seaway.local.api.rules.inferenceservice import FRAMEWORKS
from seaway.local.api.status import Object
from seaway.local.api.times import stamp
from seaway.local.controllers.base import Observed, is_true, set_condition
from seaway.local.controllers.predictor import (
    FORMAT,
    PORT_ANNOTATION,
    container_pod,
    fixed_port,
    model_pod,
)
from seaway.local.controllers.revisions import (
    HASH_ANNOTATION,
    NUMBER_ANNOTATION,
    REVISION_LABEL,
    ended,
    numbered,
    rolled,
    split,
)

_SCALING = ("minReplicas", "maxReplicas", "scaleTarget", "scaleMetric", "scaleMetricType", "autoScaling")
"""Fields of a predictor whose change needs no new revision."""


@dataclass(frozen=True)
class Failure:
    """Why the newest revision does not serve."""

    reason: str
    """A failureReason of KServe: ModelLoadFailed, RuntimeUnhealthy, NoSupportingRuntime or InvalidPredictorSpec."""
    message: str
    exit_code: int = 0


class InferenceServiceController:
    """Keeps a predictor's newest revision running, and the one before until the newest is ready.

    Args:
        exists: whether a local path is there.
        credentials: environment variables by which a service's package is reached.
    """

    resource = "inferenceservices.serving.kserve.io"
    children: tuple[str, ...] = ("pods",)

    def __init__(
        self,
        *,
        exists: Callable[[str], bool] = os.path.exists,
        credentials: Callable[[Object], list[Object]] = lambda manifest: [],
    ) -> None:
        self._exists, self._credentials = exists, credentials

    def desired(self, manifest: Object, observed: Observed) -> list[Object]:
        """Pods of the newest revision, and ready ones of an older while the newest is not ready."""
        port = (manifest.get("status") or {}).get("annotations", {}).get(PORT_ANNOTATION)
        if port is None or self._problem(manifest) is not None:
            return [pod for pod in observed.children if is_true(pod, "Ready")] if port else list(observed.children)
        new, old = self._split(manifest, observed.children)
        kept, missing = rolled(new, old, replicas(manifest), exclusive=fixed_port(manifest) is not None)
        build = container_pod
        if manifest["spec"]["predictor"].get("model"):
            build = partial(model_pod, credentials=self._credentials(manifest))
        name = revision_name(manifest, self._revision(manifest)[0])
        port = int(port)
        return kept + [build(manifest, name, service_port=port, free_port=observed.free_port) for _ in range(missing)]

    def status(self, manifest: Object, observed: Observed) -> Object:
        """Conditions, URL, revisions and the model's state."""
        before, now = manifest.get("status") or {}, observed.now
        annotations = dict(before.get("annotations") or {})
        if PORT_ANNOTATION not in annotations:
            annotations[PORT_ANNOTATION] = str(observed.free_port())
        number, digest = self._revision(manifest)
        annotations |= {NUMBER_ANNOTATION: str(number), HASH_ANNOTATION: digest}
        url = f"http://127.0.0.1:{annotations[PORT_ANNOTATION]}"
        newest = revision_name(manifest, number)
        new, old = self._split(manifest, observed.children)
        ready = [pod for pod in new if is_true(pod, "Ready")]
        serving_old = [pod for pod in old if is_true(pod, "Ready")]
        wanted = replicas(manifest)
        good = len(ready) >= wanted and self._problem(manifest) is None
        was = (before.get("components") or {}).get("predictor") or {}
        failure = None if good else self._failure(manifest, new, was_ready=was.get("latestReadyRevision") == newest)
        predictor = _revisions(was, newest, good=good, url=url, serving_old=serving_old)
        conditions = before.get("conditions") or []
        reason, message = ("", "") if good else _why(failure, wanted, len(ready), serving_old)
        state = True if good else False if failure or not serving_old else None
        serves = bool(ready or serving_old)
        ingress = "" if serves else "NotServing"
        conditions = set_condition(
            conditions, "IngressReady", serves, now, reason=ingress, message="" if serves else "no pod is ready"
        )
        conditions = set_condition(conditions, "PredictorReady", state, now, reason=reason, message=message)
        conditions = set_condition(conditions, "Ready", state, now, reason=reason, message=message)
        return {
            "observedGeneration": manifest["metadata"].get("generation", 1),
            "conditions": conditions,
            "annotations": annotations,
            "url": url,
            "address": {"url": url},
            "deploymentMode": "Standard",
            "components": {"predictor": predictor},
            "modelStatus": _model_status(before, failure, good, newest, wanted, ready, serving_old, stamp(now)),
        }

    def due_s(self, manifest: Object, observed: Observed) -> float | None:
        """Nothing changes by time alone."""
        return None

    def _revision(self, manifest: Object) -> tuple[int, str]:
        """Number and hash of the newest revision: the next number when the predictor is another."""
        predictor = {key: value for key, value in manifest["spec"]["predictor"].items() if key not in _SCALING}
        return numbered(manifest, predictor)

    def _split(self, manifest: Object, pods: Sequence[Object]) -> tuple[list[Object], list[Object]]:
        return split(pods, revision_name(manifest, self._revision(manifest)[0]))

    def _problem(self, manifest: Object) -> Failure | None:
        """What keeps a predictor from ever being started here."""
        spec = manifest["spec"]
        other = [one for one in ("transformer", "explainer", "canary") if spec.get(one)]
        if other:
            text = f"the laptop runs a predictor alone, found {', '.join(other)}; leave that out or use a cluster"
            return Failure("InvalidPredictorSpec", text)
        predictor = spec["predictor"]
        legacy = next((one for one in FRAMEWORKS if predictor.get(one)), "")
        model = predictor.get("model") or {}
        format_ = legacy or (model.get("modelFormat") or {}).get("name", "")
        if (model or legacy) and format_ != FORMAT:
            text = (
                f"the laptop serves models of format {FORMAT!r}, found {format_!r}; package the model with Seaway, "
                "give the server as spec.predictor.containers, or use a cluster"
            )
            return Failure("NoSupportingRuntime", text)
        uri = model.get("storageUri", "")
        if model and not uri:
            return Failure(
                "InvalidPredictorSpec", "spec.predictor.model.storageUri must name the model package, found none"
            )
        path = uri.removeprefix("file://") if uri.startswith(("file://", "/")) else ""
        if path and not self._exists(path):
            text = f"spec.predictor.model.storageUri must name a model package, found nothing at {uri}; write it there"
            return Failure("ModelLoadFailed", text)
        return None

    def _failure(self, manifest: Object, pods: list[Object], *, was_ready: bool) -> Failure | None:
        problem = self._problem(manifest)
        if problem is not None:
            return problem
        found = ended(pods)
        if found is None:
            return None
        if found.reason:
            return Failure("InvalidPredictorSpec", f"{found.reason}: {found.message}")
        return Failure("RuntimeUnhealthy" if was_ready else "ModelLoadFailed", found.message, found.exit_code)


def replicas(manifest: Object) -> int:
    """How many pods a revision has: minReplicas, at least one, and one when the container's port is fixed."""
    if fixed_port(manifest) is not None:
        return 1
    return max(1, int(manifest["spec"]["predictor"].get("minReplicas", 1)))


def revision_name(manifest: Object, number: int) -> str:
    """``NAME-predictor-00002``."""
    return f"{manifest['metadata']['name']}-predictor-{number:05d}"


def _why(failure: Failure | None, wanted: int, ready: int, serving_old: list[Object]) -> tuple[str, str]:
    """Reason and message of PredictorReady while it is not True."""
    if failure is not None:
        goes_on = "\nThe revision before goes on serving." if serving_old else ""
        return failure.reason, failure.message + goes_on
    return "RevisionLoading", f"{ready} of {wanted} pods of the newest revision are ready"


def _revisions(was: Object, newest: str, *, good: bool, url: str, serving_old: list[Object]) -> Object:
    found: Object = {"latestCreatedRevision": newest, "url": url}
    before = was.get("latestReadyRevision")
    if good:
        found |= {"latestReadyRevision": newest, "latestRolledoutRevision": newest}
        previous = before if before != newest else was.get("previousRolledoutRevision")
        if previous:
            found["previousRolledoutRevision"] = previous
        found["traffic"] = [{"revisionName": newest, "latestRevision": True, "percent": 100}]
        return found
    found |= {
        key: was[key]
        for key in ("latestReadyRevision", "latestRolledoutRevision", "previousRolledoutRevision")
        if key in was
    }
    if serving_old:
        name = serving_old[-1]["metadata"]["labels"][REVISION_LABEL]
        found["traffic"] = [{"revisionName": name, "latestRevision": False, "percent": 100}]
    else:
        found["traffic"] = []
    return found


def _model_status(
    before: Object,
    failure: Failure | None,
    good: bool,
    newest: str,
    wanted: int,
    ready: list[Object],
    serving_old: list[Object],
    moment: str,
) -> Object:
    target = "Loaded" if good else "FailedToLoad" if failure else "Loading"
    active = "Loaded" if good or serving_old else "FailedToLoad" if failure else "Loading" if before else "Pending"
    blocked = {"InvalidPredictorSpec": "InvalidSpec", "NoSupportingRuntime": "InvalidSpec"}
    transition = "UpToDate" if good else "InProgress"
    if failure is not None:
        transition = blocked.get(failure.reason, "BlockedByFailedLoad")
    found: Object = {
        "transitionStatus": transition,
        "states": {"activeModelState": active, "targetModelState": target},
        "copies": {"failedCopies": wanted - len(ready) if failure else 0, "totalCopies": wanted},
    }
    if failure is not None:
        info: Object = {"reason": failure.reason, "message": failure.message, "modelRevisionName": newest}
        if failure.exit_code:
            info["exitCode"] = failure.exit_code
        was = (before.get("modelStatus") or {}).get("lastFailureInfo") or {}
        same = {key: value for key, value in was.items() if key != "time"} == info
        found["lastFailureInfo"] = info | {"time": was["time"] if same else moment}
    return found
