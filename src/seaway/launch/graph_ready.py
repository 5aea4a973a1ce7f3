"""InferenceGraphs: apply one, wait until what was applied is what runs, go back.

KServe's status alone does not say so: in Standard mode the graph is Ready as soon as its Deployment has a condition
Available, whatever its value, and ``observedGeneration`` is the Deployment's (PropagateRawStatus in its raw_ig.go); in
Knative mode there is none. So in Standard mode the Deployment itself is looked at: whether its router was given these
nodes, and whether no older pod is left. Where no Deployment is to be seen, ``observedGeneration`` must be the graph's.
"""

from __future__ import annotations

import json
import logging
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from seaway.errors import DeadlineError, LaunchError
from seaway.launch.api import TRANSIENT, Api, ApiError, Object
from seaway.launch.job import condition
from seaway.launch.restore import put_back, unmet
from seaway.observe import logs

INFERENCE_GRAPH = ("serving.kserve.io/v1alpha1", "InferenceGraph")
DEPLOYMENT = ("apps/v1", "Deployment")
_READINESS = "/readyz"
"""A path that the router answers itself."""
_EVERY_S = 0.5
_UNSEEN_S = 5.0
"""After a change, how long Ready is not believed of a status that names no generation."""
_log = logging.getLogger("seaway.launch")


def apply_graph(api: Api, manifest: Object, *, timeout_s: float) -> tuple[str, Object | None]:
    """Apply a graph and wait until it runs and is reachable; if it does not get there, what was before is put back.

    Returns:
        The URL at which it is reachable from here, and the graph as it was before, None if there was none.

    Raises:
        LaunchError: it was refused or deleted.
        DeadlineError: it does not run in time.
    """
    name = manifest["metadata"]["name"]
    before = api.get(INFERENCE_GRAPH, name)
    applied = api.apply(manifest)
    logs.info(_log, f"InferenceGraph {name} applied", generation=applied["metadata"].get("generation"))
    try:
        return wait_ready(api, applied, timeout_s=timeout_s), before
    except LaunchError:
        put_back(api, INFERENCE_GRAPH, name, before)
        raise


def wait_ready(api: Api, applied: Object, *, timeout_s: float) -> str:
    """Wait until the applied graph is the one that runs, and is reachable; the URL.

    Raises:
        LaunchError: the graph was deleted.
        DeadlineError: it does not run in time; says what is missing.
    """
    name, began = applied["metadata"]["name"], time.monotonic()
    while True:
        url, missing = "", "the Kubernetes API does not answer"
        try:
            graph = api.get(INFERENCE_GRAPH, name)
            if graph is None:
                raise LaunchError(f"InferenceGraph {name} was deleted while this step waited for it")
            missing = _missing(api, graph, applied, waited_s=time.monotonic() - began)
        except ApiError as e:
            if e.status not in TRANSIENT:
                raise
        else:
            if not missing:
                url, missing = _reachable(graph, api.namespace)
        if not missing:
            return url
        if time.monotonic() > began + timeout_s:
            raise DeadlineError(f"InferenceGraph {name} must be ready within {timeout_s:g} s: {missing}")
        time.sleep(_EVERY_S)


def rollout_missing(deployment: Mapping[str, Any], nodes: Mapping[str, Any]) -> str:
    """What a router's Deployment lacks to be done with rolling out these nodes; empty if nothing."""
    spec, status = deployment.get("spec", {}), deployment.get("status", {})
    if not _has(_router_nodes(spec), nodes):
        return "the controller has not yet given the router these nodes"
    generation = int(deployment.get("metadata", {}).get("generation", 1))
    wanted = int(spec.get("replicas", 1))
    updated, available = (int(status.get(k) or 0) for k in ("updatedReplicas", "availableReplicas"))
    total = int(status.get("replicas") or 0)
    if int(status.get("observedGeneration") or 0) < generation or updated < wanted or total > updated:
        return f"{updated} of {wanted} router pods are new, {total - updated} old ones are left"
    if available < updated:
        said = [str(c.get("message", "")) for c in status.get("conditions") or [] if c.get("status") != "True"]
        return f"{available} of {updated} router pods are available: {'; '.join(filter(None, said))}".rstrip(": ")
    return ""


def _missing(api: Api, graph: Object, applied: Object, *, waited_s: float) -> str:
    if condition(graph, "Ready") is None:
        return (
            "; ".join(unmet(graph))
            or "the controller has said nothing yet: is KServe installed, and has it all services?"
        )
    if (deployment := _deployment(api, graph["metadata"]["name"])) is not None:
        return rollout_missing(deployment, applied["spec"]["nodes"])
    observed = graph.get("status", {}).get("observedGeneration")
    wanted = int(applied["metadata"].get("generation", 1))
    if observed is None and wanted > 1 and waited_s < _UNSEEN_S:
        return "the controller does not say which generation it has seen"
    if observed is not None and int(observed) < wanted:
        return f"the controller has seen generation {observed} of {wanted}"
    return ""


def _deployment(api: Api, name: str) -> Object | None:
    """The router's Deployment; None if there is none or this step may not see it."""
    try:
        return api.get(DEPLOYMENT, name)
    except ApiError as e:
        if e.status != 403:
            raise
        return None


def _reachable(graph: Object, namespace: str) -> tuple[str, str]:
    """(URL, "") of the first address that answers, else ("", why none does).

    ``status.url`` is the outside address, which a step in the cluster may not reach; the Service beside the router has
    the graph's name.
    """
    outside = graph.get("status", {}).get("url") or ""
    inside = f"http://{graph['metadata']['name']}.{namespace}.svc.cluster.local"
    said = []
    for url in dict.fromkeys(u.rstrip("/") for u in (outside, inside) if u):
        try:
            with urllib.request.urlopen(url + _READINESS, timeout=5):  # noqa: S310 - of the API's own status
                return url, ""
        except urllib.error.HTTPError as e:
            allow = ": an AuthorizationPolicy must allow this step's service account" if e.code in (401, 403) else ""
            said.append(f"{url}{_READINESS} answered {e.code}{allow}")
        except (OSError, ValueError) as e:
            said.append(f"{url}{_READINESS} must answer, found {getattr(e, 'reason', e)}")
    return "", "; ".join(said)


def _router_nodes(spec: Mapping[str, Any]) -> Any:
    """The nodes in the arguments of the router's container."""
    for container in spec.get("template", {}).get("spec", {}).get("containers") or []:
        arguments = [*(container.get("command") or []), *(container.get("args") or [])]
        if "--graph-json" in arguments[:-1]:
            try:
                return json.loads(arguments[arguments.index("--graph-json") + 1]).get("nodes")
            except (ValueError, AttributeError):
                return None
    return None


def _has(found: Any, wanted: Any) -> bool:
    """Whether all that is wanted is found; the controller adds what it resolves."""
    if isinstance(wanted, Mapping):
        return isinstance(found, Mapping) and all(k in found and _has(found[k], v) for k, v in wanted.items())
    if isinstance(wanted, list):
        return isinstance(found, list) and len(found) == len(wanted) and all(map(_has, found, wanted))
    return bool(found == wanted)
