"""serving.kserve.io/v1alpha1 InferenceGraph: several models behind one endpoint, run by KServe's router.

Source: https://kserve.github.io/website/docs/reference/crd-api and KServe's cmd/router/main.go, v0.21. A Sequence runs
its steps in order: a step gets the request, or with ``data="$response"`` the former step's answer, and is taken only if
the former answer meets its condition, else the Sequence ends with that answer (up to KServe 0.15.0 with status 500,
then mended by its pull request 4429). A Splitter takes one of its steps by chance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NotRequired, TypedDict

from seaway.errors import InputError

Data = Literal["", "$request", "$response"]

RESPONSE: Data = "$response"
"""A step's ``data``: the former step's answer, not the node's own input."""
ROOT = "root"
"""Name of the node that a request enters by."""


class Step(TypedDict):
    """A step as the CRD has it."""

    name: NotRequired[str]
    serviceName: NotRequired[str]
    serviceUrl: NotRequired[str]
    nodeName: NotRequired[str]
    weight: NotRequired[int]
    condition: NotRequired[str]
    data: NotRequired[str]
    dependency: NotRequired[str]


class Node(TypedDict):
    """A node as the CRD has it."""

    routerType: str
    steps: list[Step]


class InferenceGraph(TypedDict):
    """An InferenceGraph as plain dictionaries."""

    apiVersion: str
    kind: str
    metadata: dict[str, Any]
    spec: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class RouterTimeouts:
    """Of the router, in seconds; None for its own: 60, 60, 180, none."""

    server_read: int | None = None
    """For a whole request to come in."""
    server_write: int | None = None
    """For the whole answer; after it the connection is closed without one."""
    server_idle: int | None = None
    """For a connection's next request."""
    service_client: int | None = None
    """For one step's answer; after it the graph answers 500."""

    def to_dict(self) -> dict[str, int]:
        """As the CRD has them."""
        found = {
            "serverRead": self.server_read,
            "serverWrite": self.server_write,
            "serverIdle": self.server_idle,
            "serviceClient": self.service_client,
        }
        return {k: v for k, v in found.items() if v is not None}


def step(
    *,
    service: str = "",
    url: str = "",
    node: str = "",
    name: str = "",
    weight: int | None = None,
    condition: str = "",
    data: Data = "",
    dependency: Literal["", "Soft", "Hard"] = "",
) -> Step:
    """One step of a node: an InferenceService, any URL, or another node of the graph.

    Args:
        service: name of an InferenceService of the same namespace; KServe asks its :predict or /infer.
        url: that is sent a POST as it stands.
        node: name of a node of the same graph.
        name: of the step; empty for none.
        weight: per cent of the requests, in a Splitter.
        condition: of a Sequence's step, on the former answer, in gjson's syntax; met if it finds anything.
        data: ``$response`` hands the former answer on; else the step gets the node's input.
        dependency: ``Hard`` ends the Sequence with this step's answer if that is not 2xx.

    Raises:
        InputError: not exactly one of ``service``, ``url`` and ``node`` is given.
    """
    targets = {"serviceName": service, "serviceUrl": url, "nodeName": node}
    given = {k: v for k, v in targets.items() if v}
    if len(given) != 1:
        raise InputError(f"a graph's step must have one of service, url and node, found {given or 'none'}")
    texts = {"name": name, **given, "condition": condition, "data": data, "dependency": dependency}
    built: Any = {k: v for k, v in texts.items() if v}
    if weight is not None:
        built["weight"] = weight
    made: Step = built
    return made


def sequence(*, steps: Sequence[Step]) -> Node:
    """A node that runs its steps in order.

    Raises:
        InputError: there is no step, or one has a weight.
    """
    _at_least_one(steps, "Sequence")
    if weighted := [s for s in steps if "weight" in s]:
        raise InputError(f"a Sequence's step must have no weight, found {weighted[0]}: a Splitter has weights")
    return {"routerType": "Sequence", "steps": list(steps)}


def splitter(*, steps: Sequence[Step]) -> Node:
    """A node that takes one of its steps by chance; their weights are per cent.

    Raises:
        InputError: the weights are not whole numbers from 0 to 100 that sum to 100, or a step has what only a Sequence
            heeds.
    """
    _at_least_one(steps, "Splitter")
    weights: list[Any] = [s.get("weight") for s in steps]
    if any(type(w) is not int or not 0 <= w <= 100 for w in weights) or sum(weights) != 100:
        raise InputError(f"a Splitter's weights must be whole numbers from 0 to 100 that sum to 100, found {weights}")
    if wrong := [s for s in steps if "condition" in s or "data" in s]:
        raise InputError(
            f"a Splitter's step must have no condition and no data, found {wrong[0]}: put them in a Sequence"
        )
    return {"routerType": "Splitter", "steps": list(steps)}


def inference_graph(
    *,
    name: str,
    nodes: Mapping[str, Node],
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    deployment_mode: Literal["", "Standard", "Knative"] = "Standard",
    min_replicas: int = 1,
    max_replicas: int = 1,
    scale_metric: Literal["", "cpu", "memory", "concurrency", "rps"] = "",
    scale_target: int | None = None,
    cpu: str = "",
    memory: str = "",
    timeout_s: int | None = None,
    router_timeouts: RouterTimeouts | None = None,
    service_account: str = "",
) -> InferenceGraph:
    """An InferenceGraph.

    Args:
        name: DNS label.
        nodes: by name; a request enters by the node ``root``.
        labels: of the graph.
        annotations: of the graph.
        deployment_mode: KServe's; empty for the cluster's default. It cannot be changed after the first deployment.
        min_replicas: of the router; 0 scales to zero, Knative only.
        max_replicas: at least ``min_replicas``.
        scale_metric: what replicas are added by: cpu or memory in Standard mode, concurrency or rps in Knative's.
        scale_target: of that metric, for one replica: per cent of the request for cpu and memory.
        cpu: request and limit of a router's replica; empty for KServe's (100m, at most 1).
        memory: request and limit of a router's replica; empty for KServe's (100Mi, at most 1Gi).
        timeout_s: of a request, Knative only.
        router_timeouts: of the router.
        service_account: of the router's pods; empty for the namespace's default.

    Raises:
        InputError: there is no node ``root``, or a number is out of its range.
    """
    if ROOT not in nodes:
        raise InputError(f"a graph must have a node {ROOT!r}, found {sorted(nodes)}")
    if min_replicas < 0 or (min_replicas == 0 and deployment_mode != "Knative"):
        raise InputError(f"a graph's min_replicas must be at least 1 (0 in Knative mode), found {min_replicas}")
    spec: dict[str, Any] = {
        "nodes": {k: {**v, "steps": [dict(s) for s in v["steps"]]} for k, v in nodes.items()},
        "minReplicas": min_replicas,
        "maxReplicas": max(max_replicas, min_replicas, 1),
    }
    resources = {k: v for k, v in (("cpu", cpu), ("memory", memory)) if v}
    timeouts = router_timeouts.to_dict() if router_timeouts is not None else {}
    more = {
        "scaleMetric": scale_metric,
        "scaleTarget": scale_target,
        "resources": {"requests": resources, "limits": dict(resources)} if resources else None,
        "timeout": timeout_s,
        "routerTimeouts": timeouts,
        "serviceAccountName": service_account,
    }
    spec |= {k: v for k, v in more.items() if v}
    mode = {"serving.kserve.io/deploymentMode": deployment_mode} if deployment_mode else {}
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "InferenceGraph",
        "metadata": {"name": name, "labels": dict(labels or {}), "annotations": {**mode, **(annotations or {})}},
        "spec": spec,
    }


def _at_least_one(steps: Sequence[Step], kind: str) -> None:
    if not steps:
        raise InputError(f"a {kind} must have at least one step, found none")
