"""serving.kserve.io/v1alpha1 InferenceGraph: revisions of a router behind one URL that never changes.

The router is `python -m seaway.serving.router`. It listens on a port of its pod's own, for the readiness probe, and
with SO_REUSEPORT on the graph's port, so that an old and a new revision overlap without a gap. A graph that KServe's
router would break on, or that the laptop does not run yet, is stored, as a cluster would, and its Ready condition says
why it is not. Source of the conditions: pkg/controller/v1alpha1/inferencegraph of KServe.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from seaway.graphs.lint import errors, lint
from seaway.graphs.spec import ROUTER_TYPES
from seaway.local.api.status import Object
from seaway.local.controllers.base import Observed, is_true, owner_reference, set_condition
from seaway.local.controllers.graphservices import GRAPHS, Find, Problem, Resolved, resolve
from seaway.local.controllers.predictor import PORT_ANNOTATION
from seaway.local.controllers.revisions import (
    HASH_ANNOTATION,
    NUMBER_ANNOTATION,
    REVISION_LABEL,
    Ended,
    ended,
    numbered,
    rolled,
    split,
)
from seaway.serving.router.headers import VARIABLE
from seaway.serving.router.nodes import NODES

GRAPH_LABEL = "serving.kserve.io/inferencegraph"
STOP_ANNOTATION = "serving.kserve.io/stop"
PROPAGATED = "^Traceparent$,^Tracestate$,^X-Request-Id$"
"""Headers that go on to every step: what a request is traced by."""
SIZE_LIMIT = 100_000
"""Characters of the graph as JSON: it is an argument of the router's command, as on a cluster."""
_POD_FIELDS = ("serviceAccountName", "nodeSelector", "tolerations", "affinity")


class InferenceGraphController:
    """Keeps a graph's newest router running, and the one before until the newest is ready.

    Args:
        find: looks up the services that a graph names, and the configuration of KServe.
    """

    resource = GRAPHS
    children: tuple[str, ...] = ("pods",)

    def __init__(self, find: Find) -> None:
        self._find = find

    def desired(self, manifest: Object, observed: Observed) -> list[Object]:
        """Pods of the newest revision, and ready ones of an older while the newest is not ready."""
        if is_stopped(manifest):
            return []
        port = ((manifest.get("status") or {}).get("annotations") or {}).get(PORT_ANNOTATION)
        if port is None:
            return list(observed.children)
        resolved = resolve(manifest, self._find)
        problem = _problem(resolved)
        name = revision_name(manifest, self._revision(manifest, resolved)[0])
        new, old = split(observed.children, name)
        kept, missing = rolled(new, old, replicas(manifest))
        if problem is not None:
            return kept
        made = [
            router_pod(manifest, resolved.spec, name, int(port), observed.free_port, self._propagated())
            for _ in range(missing)
        ]
        return kept + made

    def status(self, manifest: Object, observed: Observed) -> Object:
        """Conditions and URL."""
        before, now = manifest.get("status") or {}, observed.now
        annotations = dict(before.get("annotations") or {})
        if PORT_ANNOTATION not in annotations:
            annotations[PORT_ANNOTATION] = str(observed.free_port())
        resolved = resolve(manifest, self._find)
        number, digest = self._revision(manifest, resolved)
        if number:
            annotations |= {NUMBER_ANNOTATION: str(number), HASH_ANNOTATION: digest}
        new, old = split(observed.children, revision_name(manifest, number))
        ready = sum(is_true(pod, "Ready") for pod in new)
        stopped, problem, wanted = is_stopped(manifest), _problem(resolved), replicas(manifest)
        good = not stopped and problem is None and ready >= wanted and not old
        state, reason, message = _state(good, stopped, problem, ended(new), ready, wanted, old)
        known = before.get("conditions") or []
        conditions = set_condition(known, "Ready", state, now, reason=reason, message=message)
        conditions = set_condition(conditions, "Stopped", stopped, now)
        found: Object = {
            "observedGeneration": manifest["metadata"].get("generation", 1),
            "conditions": conditions,
            "annotations": annotations,
            "deploymentMode": "Standard",
        }
        if not stopped and (good or before.get("url")):
            found["url"] = f"http://127.0.0.1:{annotations[PORT_ANNOTATION]}"
        return found

    def due_s(self, manifest: Object, observed: Observed) -> float | None:
        """Nothing changes by time alone."""
        return None

    def _revision(self, manifest: Object, resolved: Resolved) -> tuple[int, str]:
        """Number and hash of the newest revision; those before while its services are not known."""
        known = (manifest.get("status") or {}).get("annotations") or {}
        if not resolved.whole or _mistakes(resolved) is not None:
            return int(known.get(NUMBER_ANNOTATION, 0)), known.get(HASH_ANNOTATION, "")
        pod = {field: manifest["spec"].get(field) for field in (*_POD_FIELDS, "resources")}
        return numbered(manifest, [resolved.spec, pod])

    def _propagated(self) -> str:
        """The expressions of KServe's own configuration, where somebody put that here."""
        config = self._find("configmaps", "kserve", "inferenceservice-config") or {}
        try:
            given = json.loads((config.get("data") or {}).get("router", "{}"))["headers"]["propagate"]
            return ",".join(given)
        except (ValueError, LookupError, TypeError):
            return PROPAGATED


def replicas(manifest: Object) -> int:
    """How many pods a revision has: minReplicas, at least one."""
    return max(1, int(manifest["spec"].get("minReplicas") or 1))


def revision_name(manifest: Object, number: int) -> str:
    """``NAME-router-00002``."""
    return f"{manifest['metadata']['name']}-router-{number:05d}"


def is_stopped(manifest: Object) -> bool:
    """Whether its annotation asks for no router at all."""
    return str((manifest["metadata"].get("annotations") or {}).get(STOP_ANNOTATION, "")).lower() == "true"


def router_pod(
    manifest: Object, spec: Object, revision: str, port: int, free_port: Callable[[], int], propagated: str
) -> Object:
    """A pod that routes on a port of its own and on the graph's."""
    name, own, given = manifest["metadata"]["name"], free_port(), manifest["spec"]
    # A dollar in a command is the first of a variable's name, unless it is doubled.
    written = json.dumps(spec, separators=(",", ":")).replace("$", "$$")
    command = ["python", "-m", "seaway.serving.router", "--graph", name, "--graph-json", written]
    command += ["--host", "127.0.0.1", "--port", str(own), "--port", str(port)]
    container = {
        "name": name[:63].rstrip("-"),
        "image": "seaway-server",
        "command": command,
        "env": [{"name": VARIABLE, "value": propagated}],
        "ports": [{"containerPort": own}],
        "resources": given.get("resources") or {},
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": own}, "periodSeconds": 5, "timeoutSeconds": 5},
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    labels = (manifest["metadata"].get("labels") or {}) | {GRAPH_LABEL: name[:63].rstrip("-"), REVISION_LABEL: revision}
    return {
        "metadata": {
            "generateName": f"{revision}-",
            "labels": labels,
            "annotations": {PORT_ANNOTATION: str(own)},
            "ownerReferences": [owner_reference(manifest)],
        },
        "spec": {field: given[field] for field in _POD_FIELDS if field in given}
        | {"containers": [container], "restartPolicy": "Always"},
    }


def _problem(resolved: Resolved) -> Problem | None:
    return _mistakes(resolved) or resolved.problem


def _mistakes(resolved: Resolved) -> Problem | None:
    """What keeps this graph from ever being routed here."""
    size = len(json.dumps(resolved.spec))
    if size > SIZE_LIMIT:
        return Problem("InvalidGraph", f"a graph must have at most {SIZE_LIMIT} characters as JSON, found {size}")
    found = errors(lint(resolved.spec, router_types=tuple(NODES), resolved=True))
    if not found:
        return None
    types = {node.get("routerType") for node in resolved.spec["nodes"].values()}
    later = types & set(ROUTER_TYPES) - set(NODES)
    return Problem("RouterTypeNotSupported" if later else "InvalidGraph", "\n".join(found))


def _state(
    good: bool,
    stopped: bool,
    problem: Problem | None,
    failure: Ended | None,
    ready: int,
    wanted: int,
    old: Sequence[Object],
) -> tuple[bool | None, str, str]:
    """Status, reason and message of the Ready condition."""
    if good:
        return True, "", ""
    if stopped:
        return False, "Stopped", f"the graph has the annotation {STOP_ANNOTATION}"
    goes_on = "\nThe revision before goes on routing." if any(is_true(pod, "Ready") for pod in old) else ""
    if problem is not None:
        return False, problem.reason, problem.message + goes_on
    if failure is not None and ready < wanted:
        text = f"{failure.reason}: {failure.message}" if failure.reason else failure.message
        return False, "RouterFailed", text + goes_on
    if ready < wanted:
        text = f"{ready} of {wanted} routers of the newest revision are ready"
        return (None if goes_on else False), "RouterLoading", text
    return None, "RouterEnding", f"{len(old)} routers of the revision before finish what they have"
