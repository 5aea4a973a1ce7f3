"""batch/v1 Job.

Source of the rules: pkg/controller/job/job_controller.go of Kubernetes and the Job page of its documentation.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import islice

from seaway.local.api.status import Object
from seaway.local.api.times import parse, stamp
from seaway.local.controllers.base import Observed, condition, is_true, owner_reference, set_condition
from seaway.local.controllers.podfailure import fails_job

BACKOFF_S, BACKOFF_LIMIT_S = 10.0, 600.0
"""Wait after the first failed pod, doubling with each more, up to the limit."""
ACTIVE_LIMIT = 110
"""Pods that a job runs at a time, whatever its parallelism: what a kubelet takes on one node by default."""
INDEX_KEY = "batch.kubernetes.io/job-completion-index"


class JobController:
    """Runs pods until enough have succeeded, or too many have failed, or it has taken too long.

    Args:
        backoff_s: wait after the first failure; the real controller's 10 s unless set.
    """

    resource = "jobs.batch"
    children: tuple[str, ...] = ("pods",)

    def __init__(self, *, backoff_s: float = BACKOFF_S) -> None:
        self._backoff_s = backoff_s

    def desired(self, manifest: Object, observed: Observed) -> list[Object]:
        """All finished pods, and as many running ones as parallelism and the missing completions ask for."""
        pods = list(observed.children)
        done = [pod for pod in pods if _phase(pod) in ("Succeeded", "Failed")]
        active = [pod for pod in pods if pod not in done and not pod["metadata"].get("deletionTimestamp")]
        leaving = [pod for pod in pods if pod not in done and pod not in active]
        if manifest["spec"].get("suspend") or self._verdict(manifest, observed) is not None:
            return done + leaving
        wanted = _wanted_active(manifest, pods)
        if len(active) > wanted:
            # The youngest first, as they have done least.
            return done + leaving + active[:wanted]
        if self._backoff_left_s(manifest, observed) > 0:
            return pods
        missing = max(0, wanted - len(active) - len(leaving))
        if manifest["spec"]["completionMode"] == "Indexed":
            return pods + [_pod(manifest, index) for index in _free_indexes(manifest, active + leaving, pods, missing)]
        return pods + [_pod(manifest, None) for _ in range(missing)]

    def status(self, manifest: Object, observed: Observed) -> Object:
        """Counts, times and conditions."""
        before, now = manifest.get("status") or {}, observed.now
        if is_true(manifest, "Complete") or is_true(manifest, "Failed"):
            return dict(before)
        pods, spec = observed.children, manifest["spec"]
        active = [
            pod
            for pod in pods
            if _phase(pod) in ("Pending", "Running") and not pod["metadata"].get("deletionTimestamp")
        ]
        # Kept at least where it was: a finished pod may have been deleted since.
        succeeded, failed = _succeeded(manifest, pods), _failed(manifest, pods)
        ready = sum(1 for pod in active if is_true(pod, "Ready"))
        terminating = sum(1 for pod in pods if pod["metadata"].get("deletionTimestamp") and pod not in active)
        found: Object = {
            "active": len(active), "ready": ready, "terminating": terminating, "succeeded": succeeded, "failed": failed,
            "uncountedTerminatedPods": {},
        }  # fmt: skip
        if spec["completionMode"] == "Indexed":
            found["completedIndexes"] = _ranges(_completed_indexes(manifest, pods))
        conditions = list(before.get("conditions") or [])
        suspended = bool(spec.get("suspend"))
        if not suspended:
            found["startTime"] = before.get("startTime") or stamp(now)
        if suspended:
            conditions = set_condition(
                conditions, "Suspended", True, now, reason="JobSuspended", message="Job suspended", probe_time=True
            )
        elif condition(manifest, "Suspended"):
            conditions = set_condition(
                conditions, "Suspended", False, now, reason="JobResumed", message="Job resumed", probe_time=True
            )
            if is_true(manifest, "Suspended"):
                found["startTime"] = stamp(now)
        verdict = self._verdict(manifest, observed)
        if verdict is not None:
            good, reason, message = verdict
            first, last = ("SuccessCriteriaMet", "Complete") if good else ("FailureTarget", "Failed")
            conditions = set_condition(conditions, first, True, now, reason=reason, message=message, probe_time=True)
            # The last word waits until nothing of the job runs any more.
            if not active and not terminating:
                conditions = set_condition(conditions, last, True, now, reason=reason, message=message, probe_time=True)
                if good:
                    found["completionTime"] = stamp(now)
        if conditions:
            found["conditions"] = conditions
        return {key: value for key, value in found.items() if value not in (0, "") or key in ("ready", "terminating")}

    def due_s(self, manifest: Object, observed: Observed) -> float | None:
        """The next retry or the deadline."""
        if is_true(manifest, "Complete") or is_true(manifest, "Failed"):
            return None
        due = []
        left = self._backoff_left_s(manifest, observed)
        if left > 0:
            due.append(left)
        limit, start = manifest["spec"].get("activeDeadlineSeconds"), (manifest.get("status") or {}).get("startTime")
        if limit is not None and start and not manifest["spec"].get("suspend"):
            due.append(max(0.01, limit - (observed.now - parse(start)).total_seconds() + 0.01))
        return min(due) if due else None

    def _verdict(self, manifest: Object, observed: Observed) -> tuple[bool, str, str] | None:
        """Whether the job has succeeded or failed, and why; None while it goes on."""
        for type_, good in (
            ("SuccessCriteriaMet", True),
            ("Complete", True),
            ("FailureTarget", False),
            ("Failed", False),
        ):
            if is_true(manifest, type_):
                said = condition(manifest, type_)
                return good, said.get("reason", ""), said.get("message", "")
        spec, pods = manifest["spec"], observed.children
        if hopeless := fails_job(manifest, pods):
            return False, "PodFailurePolicy", hopeless
        if _failed_for_backoff(manifest, pods) > spec["backoffLimit"]:
            return False, "BackoffLimitExceeded", "Job has reached the specified backoff limit"
        start, limit = (manifest.get("status") or {}).get("startTime"), spec.get("activeDeadlineSeconds")
        counting = limit is not None and not spec.get("suspend")
        if start and counting and (observed.now - parse(start)).total_seconds() >= limit:
            return False, "DeadlineExceeded", "Job was active longer than specified deadline"
        if spec.get("suspend"):
            return None
        completions, done = spec.get("completions"), _succeeded(manifest, pods)
        if completions is None:
            # A work queue: one success says that the work is done, then the others are awaited.
            waiting = any(_phase(pod) in ("Pending", "Running") for pod in pods)
            complete = done > 0 and not waiting
        else:
            complete = done >= completions
        return (True, "CompletionsReached", "Reached expected number of succeeded pods") if complete else None

    def _backoff_left_s(self, manifest: Object, observed: Observed) -> float:
        failures = sorted(ended for pod in observed.children if _phase(pod) == "Failed" and (ended := _finished(pod)))
        successes = [ended for pod in observed.children if _phase(pod) == "Succeeded" and (ended := _finished(pod))]
        since = max(successes, default=None)
        recent = [one for one in failures if since is None or one > since]
        if not recent:
            return 0.0
        delay = min(BACKOFF_LIMIT_S, self._backoff_s * 2 ** (len(recent) - 1))
        return float(delay - (observed.now - recent[-1]).total_seconds())


def _phase(pod: Object) -> str:
    return str((pod.get("status") or {}).get("phase") or "Pending")


def _finished(pod: Object) -> datetime | None:
    ends = [
        parse(one["state"]["terminated"]["finishedAt"])
        for one in (pod.get("status") or {}).get("containerStatuses") or []
        if one.get("state", {}).get("terminated")
    ]
    return max(ends) if ends else parse(pod["metadata"]["creationTimestamp"])


def _count(pods: Sequence[Object], phase: str) -> int:
    return sum(1 for pod in pods if _phase(pod) == phase)


def _succeeded(manifest: Object, pods: Sequence[Object]) -> int:
    if manifest["spec"]["completionMode"] == "Indexed":
        return len(_completed_indexes(manifest, pods))
    return max(_count(pods, "Succeeded"), int((manifest.get("status") or {}).get("succeeded", 0)))


def _failed(manifest: Object, pods: Sequence[Object]) -> int:
    return max(_count(pods, "Failed"), int((manifest.get("status") or {}).get("failed", 0)))


def _failed_for_backoff(manifest: Object, pods: Sequence[Object]) -> int:
    """Failed pods, and for OnFailure the restarts inside pods that still run."""
    restarts = 0
    if manifest["spec"]["template"]["spec"]["restartPolicy"] == "OnFailure":
        for pod in pods:
            for one in (pod.get("status") or {}).get("containerStatuses") or []:
                restarts += one.get("restartCount", 0)
                state = one.get("state", {})
                ended = state.get("terminated") or {}
                # A run that has just failed and is about to be restarted counts already.
                restarts += (
                    1 if ended.get("exitCode") or state.get("waiting", {}).get("reason") == "CrashLoopBackOff" else 0
                )
    return _failed(manifest, pods) + restarts


def _wanted_active(manifest: Object, pods: list[Object]) -> int:
    spec = manifest["spec"]
    completions, done = spec.get("completions"), _succeeded(manifest, pods)
    parallelism = min(ACTIVE_LIMIT, int(spec["parallelism"]))
    if completions is None:
        active = sum(1 for pod in pods if _phase(pod) in ("Pending", "Running"))
        return min(parallelism, active) if done else parallelism
    return max(0, min(parallelism, int(completions) - done))


def _index(pod: Object) -> int:
    return int((pod["metadata"].get("annotations") or {}).get(INDEX_KEY, -1))


def _completed_indexes(manifest: Object, pods: Sequence[Object]) -> set[int]:
    found = {_index(pod) for pod in pods if _phase(pod) == "Succeeded"}
    for part in str((manifest.get("status") or {}).get("completedIndexes", "")).split(","):
        first, _, last = part.partition("-")
        if first:
            found |= set(range(int(first), int(last or first) + 1))
    return {index for index in found if 0 <= index < int(manifest["spec"].get("completions") or 0)}


def _free_indexes(manifest: Object, busy: list[Object], pods: list[Object], count: int) -> list[int]:
    """The first ``count`` indexes that are neither done nor being worked on."""
    taken = {_index(pod) for pod in busy} | _completed_indexes(manifest, pods)
    free = (index for index in range(int(manifest["spec"]["completions"])) if index not in taken)
    return list(islice(free, count))


def _ranges(indexes: set[int]) -> str:
    """{0, 1, 2, 5} as "0-2,5"."""
    parts: list[list[int]] = []
    for index in sorted(indexes):
        if parts and parts[-1][1] == index - 1:
            parts[-1][1] = index
        else:
            parts.append([index, index])
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in parts)


def _pod(manifest: Object, index: int | None) -> Object:
    template, name = manifest["spec"]["template"], manifest["metadata"]["name"]
    metadata = {key: dict(template.get("metadata", {}).get(key) or {}) for key in ("labels", "annotations")}
    spec = dict(template["spec"])
    prefix = name[:57]
    if index is not None:
        metadata["annotations"][INDEX_KEY] = str(index)
        metadata["labels"][INDEX_KEY] = str(index)
        variable = {"name": "JOB_COMPLETION_INDEX", "value": str(index)}
        for field in ("initContainers", "containers"):
            if spec.get(field):
                spec[field] = [one | {"env": [*(one.get("env") or []), variable]} for one in spec[field]]
        prefix = f"{name[:50]}-{index}"
    return {
        "metadata": metadata | {"generateName": f"{prefix}-", "ownerReferences": [owner_reference(manifest)]},
        "spec": spec,
    }
