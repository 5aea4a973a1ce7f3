"""serving.kserve.io/v1alpha1 InferenceGraph: the enumerations of its CRD, and what KServe's webhook refuses.

Source of the texts and their order: pkg/apis/serving/v1alpha1/inference_graph_validation.go of KServe. Cycles and names
of nodes that are not there pass, as on a cluster; the graph's Ready condition tells them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from seaway.graphs.spec import ROOT, ROUTER_TYPES
from seaway.local.api.status import Cause, Object, required, unsupported

WEBHOOK = "inferencegraph.kserve-webhook-server.validator"
_FORMAT = "[a-z]([-a-z0-9]*[a-z0-9])?"
_DEPENDENCIES = ["Soft", "Hard"]
_METRICS = ["cpu", "memory", "concurrency", "rps"]
_TARGETS = ("nodeName", "serviceName", "serviceUrl")


def check(manifest: Object) -> list[Cause]:
    """What the CRD's schema demands."""
    spec = manifest.get("spec") or {}
    causes: list[Cause] = []
    if spec.get("nodes") is None:
        causes.append(required("spec.nodes"))
    for name, node in (spec.get("nodes") or {}).items():
        where = f"spec.nodes.{name}"
        if node.get("routerType") is None:
            causes.append(required(f"{where}.routerType"))
        elif node["routerType"] not in ROUTER_TYPES:
            causes.append(unsupported(f"{where}.routerType", node["routerType"], list(ROUTER_TYPES)))
        for number, step in enumerate(node.get("steps") or []):
            if step.get("dependency") not in (None, *_DEPENDENCIES):
                field = f"{where}.steps[{number}].dependency"
                causes.append(unsupported(field, step["dependency"], _DEPENDENCIES))
    if spec.get("scaleMetric") not in (None, *_METRICS):
        causes.append(unsupported("spec.scaleMetric", spec["scaleMetric"], _METRICS))
    return causes


def admit(before: Object | None, after: Object) -> list[Cause]:
    """The first thing that KServe's webhook refuses."""
    return [Cause("", text) for text in _refused(after)][:1]


def _refused(manifest: Object) -> Iterator[str]:
    graph, nodes = manifest["metadata"].get("name", ""), manifest["spec"].get("nodes") or {}
    if not re.fullmatch(_FORMAT, graph):
        yield (
            f'The InferenceGraph "{graph}" is invalid: a InferenceGraph name must consist of lower case alphanumeric '
            'characters or \'-\', and must start with alphabetical character. (e.g. "my-name" or "abc-123", regex '
            f"used for validation is '{_FORMAT}')"
        )
    if ROOT not in nodes:
        yield "root node not found, InferenceGraph needs a node with name 'root' as the root node of the graph"
    for name, node in nodes.items():
        names = [step["name"] for step in node.get("steps") or [] if step.get("name")]
        for number, one in enumerate(names):
            if one in names[:number]:
                yield f'Node "{name}" of InferenceGraph "{graph}" contains more than one step with name "{one}"'
    for name, node in nodes.items():
        for number, step in enumerate(node.get("steps") or []):
            given = sum(1 for field in _TARGETS if step.get(field))
            where = f'Step {number} ("{step.get("name", "")}") in node "{name}" of InferenceGraph "{graph}"'
            if given == 0:
                yield f"{where} does not specify an inference target"
            elif given > 1:
                yield f"{where} specifies more than one of nodeName, serviceName, serviceUrl"
    for name, node in nodes.items():
        yield from _weights(graph, name, node)


def _weights(graph: str, name: str, node: Object) -> Iterator[str]:
    if node.get("routerType") != "Splitter":
        return
    steps = node.get("steps") or []
    for step in steps:
        if step.get("weight") is None:
            route = step.get("serviceName", "")
            yield f"InferenceGraph[{graph}] Node[{name}] Route[{route}] missing the 'Weight'"
    if sum(step.get("weight") or 0 for step in steps) != 100:
        yield (
            f"InferenceGraph[{graph}] Node[{name}] splitter node: the sum of traffic weights for all routing targets "
            "should be 100"
        )
