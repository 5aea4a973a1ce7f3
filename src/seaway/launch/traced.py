"""What the Kubernetes API still knows of a run's trace: replicas, requests to servers, and on a cluster the steps.

In: a run's id. Out: spans, and in words what could not be had: pods go, and their logs with them.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from seaway.launch.api import Api, ApiError, Object
from seaway.observe import spanlog, trace
from seaway.observe.spans import REQUEST, STEP
from seaway.observe.spantree import Span
from seaway.resources import names

POD = ("v1", "Pod")
KFP_RUN_LABEL = "pipeline/runid"
"""On the pods of a run's steps, on a cluster."""
SERVER_LABELS = ("serving.kserve.io/inferenceservice", "serving.kserve.io/inferencegraph")
"""On the pods that answer requests; the value is the service's name."""
SKEW_S = 60.0
"""So far apart the clocks of machines may be."""


@dataclass(kw_only=True)
class Found:
    """What was found of a run, and what was not."""

    spans: list[Span] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    """In words, why something is not there."""

    def ask(self, *parts: Callable[[], None]) -> None:
        """Do one part after the other; what the API refuses is missing, and after no answer no more is asked."""
        for part in parts:
            try:
                part()
            except ApiError as e:
                self.missing.append(str(e))
                if e.status == 0:
                    return


def replicas(api: Api, run_id: str, found: Found, *, read_logs: bool) -> None:
    """The pods of a run's jobs: when they ran and how they ended, and with their logs the spans in them."""
    for pod in api.list(POD, labels=f"{names.RUN_LABEL}={names.label_value(run_id)}"):
        name = pod["metadata"]["name"]
        began, ended, error, running = _ran(pod)
        given = trace.parse_traceparent(_environment(pod).get("TRACEPARENT", ""))
        parent = given[1] if given else ""
        found.spans.append(spanlog.replica(name, began, ended, parent=parent, error=error, running=running))
        if read_logs:
            lines = _records(api, pod, found, trace_id=trace.trace_id(run_id))
            found.spans += [s for line in lines if (s := spanlog.read(line, where=name)) and s.kind != STEP]


def requests(
    api: Api, run_id: str, found: Found, *, since: float | None, until: float | None, services: Collection[str]
) -> None:
    """What servers answered within a run's trace.

    Args:
        api: where.
        run_id: of the run.
        found: joined by what is found.
        since: when the run began, seconds since 1970; None to read whole logs.
        until: when it ended; None if it has not.
        services: that the run spoke to, as far as is known.
    """
    there: set[str] = set()
    for label in SERVER_LABELS:
        for pod in api.list(POD, labels=label):
            name, service = pod["metadata"]["name"], pod["metadata"]["labels"][label]
            there.add(service)
            if service in services and until is not None and _ran(pod)[0] > until:
                found.missing.append(f"{service}: pod {name} began after the run; what answered before it is gone")
            for line in _records(api, pod, found, trace_id=trace.trace_id(run_id), since=since):
                span = spanlog.read(line, trace=trace.trace_id(run_id), where=name)
                if span is not None:
                    found.spans.append(replace(span, kind=REQUEST))
    for service in sorted(set(services) - there):
        found.missing.append(f"{service}: has no pods now, so what it answered is not shown")


def steps(api: Api, run_id: str, found: Found) -> None:
    """The steps of a run on a cluster, each from its pod, with all that their logs tell."""
    for pod in api.list(POD, labels=f"{KFP_RUN_LABEL}={run_id}"):
        name = pod["metadata"]["name"]
        if "-driver-" in name:  # KFP's own, one before each step
            continue
        began, ended, error, running = _ran(pod)
        spans = spanlog.of_step(_lines(api, pod, found, container="main"), step=name)
        own = [s for s in spans if s.kind == STEP and abs(s.start - began) < 86_400]
        if not own:  # killed, running, or of a component that does not record itself
            own = [
                Span(
                    name=name,
                    id=spanlog.digest(f"step {name}"),
                    start=began,
                    end=ended,
                    kind=STEP,
                    step=name,
                    error=error,
                    running=running,
                )
            ]
        found.spans += [*own, *(s for s in spans if s.kind != STEP)]
    if not any(s.kind == STEP for s in found.spans):
        found.missing.append(f"no step's pod has the label {KFP_RUN_LABEL}={run_id}: is it this namespace?")


def _records(api: Api, pod: Object, found: Found, *, trace_id: str, since: float | None = None) -> Iterator[Any]:
    for line in _lines(api, pod, found, container="kserve-container", since=since):
        if trace_id in line and (parsed := spanlog.record(line)) is not None:
            yield parsed


def _lines(api: Api, pod: Object, found: Found, *, container: str, since: float | None = None) -> Iterator[str]:
    """The log of the container of that name, else of the first; what is gone of it is missing."""
    name, listed = pod["metadata"]["name"], [c["name"] for c in pod["spec"]["containers"]]
    chosen = container if container in listed else listed[0]
    moment = "" if since is None else dt.datetime.fromtimestamp(since - SKEW_S, dt.UTC).isoformat(timespec="seconds")
    statuses: list[Object] = pod.get("status", {}).get("containerStatuses") or []
    status = next((s for s in statuses if s["name"] == chosen), {})
    restarts = int(status.get("restartCount") or 0)
    kept = spanlog.stamp(status.get("lastState", {}).get("terminated", {}).get("startedAt"))
    if restarts > 1 and (since is None or kept is None or kept > since):
        found.missing.append(f"pod {name} was restarted {restarts} times: of its logs only the last two are kept")
    for previous in (True, False)[restarts == 0 :]:
        try:
            yield from api.pod_log(
                name, container=chosen, follow=False, since=moment.replace("+00:00", "Z"), previous=previous
            )
        except ApiError as e:
            if e.status == 0:
                raise
            found.missing.append(f"the {'former ' if previous else ''}log of pod {name}: {e}")


def _environment(pod: Object) -> dict[str, str]:
    return {e["name"]: e.get("value", "") for c in pod["spec"]["containers"] for e in c.get("env") or []}


def _ran(pod: Object) -> tuple[float, float, str, bool]:
    """(start, end, how it failed, whether it goes on) of a pod's containers."""
    status = pod.get("status", {})
    began = spanlog.stamp(status.get("startTime") or pod["metadata"]["creationTimestamp"]) or 0.0
    states = [s.get("state", {}) for s in status.get("containerStatuses") or []]
    ends = [e for s in states if (e := spanlog.stamp(s.get("terminated", {}).get("finishedAt"))) is not None]
    running = status.get("phase") not in ("Succeeded", "Failed")
    error = ""
    for ended in (s["terminated"] for s in states if s.get("terminated")):
        if ended.get("exitCode"):
            error = error or f"{ended.get('reason') or 'Error'}, exit code {ended['exitCode']}"
    if status.get("phase") == "Failed" and not error:
        error = str(status.get("reason") or "Failed")
    end = time.time() if running else max(ends, default=began)
    return began, max(began, end), error, running
