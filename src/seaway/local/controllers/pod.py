"""Pods: which containers to start and stop, and what their status says. Pure; `supervisor.py` does it.

Source of the rules: the kubelet (pkg/kubelet/status, kuberuntime) and the Pod lifecycle page of the documentation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from seaway.local.api.status import Object
from seaway.local.api.times import parse, stamp
from seaway.local.controllers.base import set_condition
from seaway.local.controllers.scheduling import REASON

CRASH_DELAY_S, CRASH_DELAY_LIMIT_S = 10.0, 300.0
"""The wait before a container's second restart, doubling up to the limit; the first restart is at once."""
CALM_S = 600.0
"""A run this long clears the delay."""
SHUTDOWN = "NodeShutdown"
"""Reason of runs that the end of the laptop ended: never a success, and no crash either."""
LOST = "ContainerStatusUnknown"
"""Reason of runs whose shim died without a record, as the kubelet names it."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """What is known of one run of a container."""

    number: int
    started: datetime
    finished: datetime | None = None
    exit_code: int = 0
    signal: int = 0
    reason: str = ""
    message: str = ""
    ready: bool = True

    @property
    def succeeded(self) -> bool:
        """Ended with exit code 0, of its own accord."""
        return self.finished is not None and self.exit_code == 0 and self.reason != SHUTDOWN


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What is known of a pod's containers."""

    now: datetime
    runs: Mapping[str, Sequence[Run]] = field(default_factory=dict)
    """The latest runs of each container, oldest first."""
    waiting: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Reason and message for containers that could not be started."""
    lacking: str = ""
    """Why the pod cannot be placed on this machine."""

    def last(self, container: Object) -> Run | None:
        """A container's latest run."""
        runs = self.runs.get(container["name"])
        return runs[-1] if runs else None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to do now."""

    start: tuple[str, ...] = ()
    """Containers to start."""
    stop: bool = False
    """SIGTERM to all that run."""
    kill: bool = False
    """SIGKILL to all that run."""
    gone: bool = False
    """A deleted pod of which nothing runs any more."""
    due_s: float | None = None
    """Seconds until the passing of time alone changes the plan."""


def plan(pod: Object, seen: Seen, *, crash_delay_s: float = CRASH_DELAY_S) -> Plan:
    """What a pod needs done."""
    spec, metadata = pod["spec"], pod["metadata"]
    running = [one for one in _containers(spec) if (run := seen.last(one)) is not None and run.finished is None]
    if unplaced(seen) and not metadata.get("deletionTimestamp"):
        return Plan()
    if metadata.get("deletionTimestamp"):
        left = (parse(metadata["deletionTimestamp"]) - seen.now).total_seconds()
        return Plan(stop=bool(running), kill=bool(running) and left <= 0, gone=not running, due_s=max(0.05, left))
    if past_deadline(pod, seen) or pod.get("status", {}).get("phase") in ("Succeeded", "Failed"):
        # After its deadline a pod has its grace period to end, counted from then.
        grace = spec.get("terminationGracePeriodSeconds", 30)
        late = _seconds_over(pod, seen)
        return Plan(
            stop=bool(running), kill=bool(running) and late > grace, due_s=max(0.1, grace - late) if running else None
        )
    start, due = _to_start(pod, seen, crash_delay_s)
    if spec.get("activeDeadlineSeconds") is not None and pod.get("status", {}).get("startTime"):
        due = [*due, max(0.0, -_seconds_over(pod, seen)) + 0.01]
    return Plan(start=tuple(start), due_s=min(due) if due else None)


def unplaced(seen: Seen) -> bool:
    """Whether a pod waits for a machine that has what it asks for; one that has begun does not."""
    return bool(seen.lacking) and not any(seen.runs.values())


def past_deadline(pod: Object, seen: Seen) -> bool:
    """Whether spec.activeDeadlineSeconds are over."""
    return _seconds_over(pod, seen) >= 0


def crash_delay(run: Run, base_s: float) -> float:
    """Seconds between the end of a run and the next one."""
    if run.number == 0 or run.reason in (SHUTDOWN, LOST):
        return 0.0
    if run.finished is not None and (run.finished - run.started).total_seconds() >= CALM_S:
        return 0.0
    return float(min(CRASH_DELAY_LIMIT_S, base_s * 2 ** (run.number - 1)))


def _seconds_over(pod: Object, seen: Seen) -> float:
    limit, start = pod["spec"].get("activeDeadlineSeconds"), pod.get("status", {}).get("startTime")
    if limit is None or not start:
        return float("-inf")
    return (seen.now - parse(start)).total_seconds() - float(limit)


def _containers(spec: Object) -> list[Object]:
    return [*(spec.get("initContainers") or []), *spec["containers"]]


def _to_start(pod: Object, seen: Seen, crash_delay_s: float) -> tuple[list[str], list[float]]:
    spec = pod["spec"]
    policy = spec["restartPolicy"]
    for container in spec.get("initContainers") or []:
        run = seen.last(container)
        if run is not None and run.succeeded:
            continue
        wait = _wait(run, "Never" if policy == "Never" else "OnFailure", seen, crash_delay_s)
        if wait is None:
            return [], []
        return ([container["name"]], []) if wait <= 0 else ([], [wait])
    start, due = [], []
    for container in spec["containers"]:
        wait = _wait(seen.last(container), policy, seen, crash_delay_s)
        if wait is not None and wait <= 0:
            start.append(container["name"])
        elif wait is not None:
            due.append(wait)
    return start, due


def _wait(run: Run | None, policy: str, seen: Seen, crash_delay_s: float) -> float | None:
    """Seconds until a container should be started; None when it should not."""
    if run is None:
        return 0.0
    if run.finished is None or policy == "Never" or (policy == "OnFailure" and run.succeeded):
        return None
    return crash_delay(run, crash_delay_s) - (seen.now - run.finished).total_seconds()


def status(pod: Object, seen: Seen, *, crash_delay_s: float = CRASH_DELAY_S) -> Object:
    """The pod's status."""
    spec, before = pod["spec"], pod.get("status") or {}
    if unplaced(seen):
        known = before.get("conditions") or []
        waits = set_condition(known, "PodScheduled", False, seen.now, reason=REASON, message=seen.lacking)
        return before | {"phase": "Pending", "conditions": waits}
    names = [one["name"] for one in _containers(spec)]
    begun = any(seen.runs.get(name) for name in names) or any(name in seen.waiting for name in names)
    found = {key: value for key, value in before.items() if key not in ("conditions", "phase")}
    if before.get("reason") not in ("Terminated", "DeadlineExceeded") and past_deadline(pod, seen):
        found |= {
            "reason": "DeadlineExceeded",
            "message": "Pod was active on the node longer than the specified deadline",
        }
    found |= {
        "hostIP": "127.0.0.1",
        "hostIPs": [{"ip": "127.0.0.1"}],
        "podIP": "127.0.0.1",
        "podIPs": [{"ip": "127.0.0.1"}],
    }
    if begun:
        found.setdefault("startTime", stamp(seen.now))
    inits = spec.get("initContainers") or []
    initialized = all((run := seen.last(one)) is not None and run.succeeded for one in inits)
    if inits:
        found["initContainerStatuses"] = [
            _container_status(one, spec, seen, crash_delay_s, before, "PodInitializing") for one in inits
        ]
    hold = "ContainerCreating" if initialized else "PodInitializing"
    containers = [_container_status(one, spec, seen, crash_delay_s, before, hold) for one in spec["containers"]]
    found["containerStatuses"] = containers
    phase = before["phase"] if before.get("phase") in ("Succeeded", "Failed") else _phase(spec, seen, initialized)
    if found.get("reason") == "DeadlineExceeded":
        phase = "Failed"
    ready = phase == "Running" and all(one["ready"] for one in containers)
    ended = "PodCompleted" if phase == "Succeeded" else "PodFailed" if phase == "Failed" else ""
    unready = [one["name"] for one in containers if not one["ready"]]
    reason = "" if ready else ended or "ContainersNotReady"
    message = "" if ready or ended else f"containers with unready status: [{' '.join(unready)}]"
    conditions = set_condition(before.get("conditions") or [], "PodScheduled", True, seen.now)
    conditions = set_condition(conditions, "Initialized", initialized, seen.now)
    for type_ in ("ContainersReady", "Ready"):
        conditions = set_condition(conditions, type_, ready, seen.now, reason=reason, message=message)
    return found | {"phase": phase, "conditions": conditions}


def _phase(spec: Object, seen: Seen, initialized: bool) -> str:
    policy = spec["restartPolicy"]
    if not initialized:
        failed = any(
            (run := seen.last(one)) is not None and run.finished is not None and not run.succeeded
            for one in spec.get("initContainers") or []
        )
        return "Failed" if failed and policy == "Never" else "Pending"
    runs = [seen.last(one) for one in spec["containers"]]
    known = [run for run in runs if run is not None]
    if not known:
        return "Pending"
    if len(known) < len(runs) or policy == "Always" or any(run.finished is None for run in known):
        return "Running" if len(known) == len(runs) else "Pending"
    if all(run.succeeded for run in known):
        return "Succeeded"
    return "Failed" if policy == "Never" else "Running"


def _container_status(
    container: Object, spec: Object, seen: Seen, crash_delay_s: float, before: Object, hold: str
) -> Object:
    name = container["name"]
    runs = list(seen.runs.get(name) or ())
    found: Object = {
        "name": name,
        "image": container.get("image", ""),
        "imageID": "",
        "restartCount": runs[-1].number if runs else 0,
        "ready": False,
        "started": False,
        "state": {},
        "lastState": {},
    }
    last = runs[-1] if runs else None
    if len(runs) > 1:
        found["lastState"] = {"terminated": _terminated(runs[-2])}
    if name in seen.waiting:
        reason, message = seen.waiting[name]
        found["state"] = {"waiting": {"reason": reason, "message": message}}
        if last is not None:
            found["lastState"] = {"terminated": _terminated(last)}
    elif last is None:
        found["state"] = {"waiting": {"reason": hold}}
    elif last.finished is None:
        found["state"] = {"running": {"startedAt": stamp(last.started)}}
        found |= {"ready": last.ready, "started": True, "containerID": f"process://{name}-{last.number}"}
    else:
        wait = crash_delay(last, crash_delay_s) if spec["restartPolicy"] != "Never" else 0.0
        again = spec["restartPolicy"] == "Always" or not last.succeeded
        if wait > 0 and again:
            message = f"back-off {wait:g}s restarting failed container={name}"
            found["state"] = {"waiting": {"reason": "CrashLoopBackOff", "message": message}}
            found["lastState"] = {"terminated": _terminated(last)}
        else:
            found["state"] = {"terminated": _terminated(last)}
    return found


def _terminated(run: Run) -> Object:
    finished = run.finished or run.started
    found: Object = {
        "exitCode": run.exit_code,
        "reason": run.reason or ("Completed" if run.exit_code == 0 else "Error"),
        "startedAt": stamp(run.started),
        "finishedAt": stamp(finished),
        "containerID": "",
    }
    if run.signal:
        found["signal"] = run.signal
    if run.message:
        found["message"] = run.message
    return found


def moment(nanoseconds: int) -> datetime:
    """A moment from nanoseconds since 1970."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=nanoseconds // 1000)
