"""The services that a graph names, turned into the URLs that its router asks. Pure.

Source: GetPredictorEndpoint in pkg/controller/v1beta1/inferenceservice/utils/utils.go of KServe, and the texts of its
InferenceGraph controller. That one resolves a name once; here it is done at every look, so that a graph follows its
services, and gets ready when they do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from seaway.local.api.rules.inferenceservice import FRAMEWORKS
from seaway.local.api.status import Object
from seaway.local.api.store import Change, Store
from seaway.local.controllers.base import is_true

SERVICES = "inferenceservices.serving.kserve.io"
GRAPHS = "inferencegraphs.serving.kserve.io"
Find = Callable[[str, str, str], Object | None]
"""Resource, namespace and name to the object, None when there is none."""
_ROUTER_FIELDS = ("nodes", "routerTimeouts")
_PATHS = {"v1": "/v1/models/{name}:predict", "v2": "/v2/models/{name}/infer"}
_NAME_ARGUMENT = "--model_name"


@dataclass(frozen=True)
class Problem:
    """What keeps a graph from being ready."""

    reason: str
    message: str


@dataclass(frozen=True)
class Resolved:
    """A graph's spec for its router."""

    spec: Object
    """Of what a router reads, with a serviceUrl beside each serviceName that was found."""
    problem: Problem | None
    """Of the first service that is missing or does not serve."""
    whole: bool
    """Whether every service has its URL, if perhaps it does not serve now."""


def resolve(graph: Object, find: Find) -> Resolved:
    """The spec of a graph's router."""
    namespace, problems, whole = graph["metadata"].get("namespace", ""), [], True

    def step(given: Object) -> Object:
        nonlocal whole
        name = given.get("serviceName")
        if not name or given.get("serviceUrl"):
            return given
        url, problem = _resolved(name, find(SERVICES, namespace, name))
        problems.extend([problem] if problem else [])
        whole &= bool(url)
        return given | {"serviceUrl": url} if url else given

    spec = {field: graph["spec"][field] for field in _ROUTER_FIELDS if field in graph["spec"]}
    spec["nodes"] = {
        name: node | {"steps": [step(one) for one in node.get("steps") or []]}
        for name, node in (spec.get("nodes") or {}).items()
    }
    return Resolved(spec, problems[0] if problems else None, whole)


def graphs_of(change: Change, store: Store) -> list[Object]:
    """The graphs that name a service that changed."""
    if change.resource != SERVICES:
        return []
    metadata = change.object["metadata"]
    return [
        graph
        for graph in store.items(GRAPHS)
        if graph["metadata"].get("namespace") == metadata.get("namespace")
        and any(step.get("serviceName") == metadata["name"] for step in _steps(graph))
    ]


def _steps(graph: Object) -> Iterator[Object]:
    for node in ((graph.get("spec") or {}).get("nodes") or {}).values():
        yield from node.get("steps") or []


def _resolved(name: str, service: Object | None) -> tuple[str, Problem | None]:
    if service is None or service["metadata"].get("deletionTimestamp"):
        text = f'Failed to find graph service {name}: {SERVICES} "{name}" not found'
        return "", Problem("ServiceNotFound", text)
    url = ((service.get("status") or {}).get("address") or {}).get("url", "")
    path = _path(service)
    if path is None:
        why = "the runtime does not support a protocol compatible with Inference Graphs"
        return "", Problem("ServiceNotReady", f"service {name} is not ready: {why}")
    if not url or not is_true(service, "IngressReady"):
        return url and url + path, Problem("ServiceNotReady", f"service {name} is not ready")
    return url + path, None


def _path(service: Object) -> str | None:
    """Where a service's model answers; None when it speaks nothing that a graph can."""
    predictor = service["spec"]["predictor"]
    model = predictor.get("model") or next((predictor[one] for one in FRAMEWORKS if predictor.get(one)), None)
    if model is None:
        containers = predictor.get("containers") or [{}]
        return _PATHS["v1"].format(name=_argument(containers[0]) or service["metadata"]["name"])
    # A runtime that is named says what it speaks, whatever protocolVersion says; seaway's lists v1 first.
    protocol = "v1" if model.get("runtime") else model.get("protocolVersion") or "v1"
    path = _PATHS.get(protocol)
    return path and path.format(name=_model_name(service, model))


def _model_name(service: Object, model: Object) -> str:
    for variable in model.get("env") or []:
        if variable.get("name") == "MLSERVER_MODEL_NAME":
            return str(variable.get("value", ""))
    return _argument(model) or str(service["metadata"]["name"])


def _argument(container: Object) -> str:
    """The value of --model_name among a container's arguments, empty if there is none."""
    args: list[Any] = container.get("args") or []
    for number, one in enumerate(args):
        if one.startswith(f"{_NAME_ARGUMENT}="):
            return str(one.partition("=")[2])
        if one == _NAME_ARGUMENT and number + 1 < len(args) and not args[number + 1].startswith("--"):
            return str(args[number + 1])
    return ""
