"""What the pods of a job say: how a replica ended, why it cannot start, how often it was restarted. Pure.

Source of the reasons: pkg/kubelet/images and pkg/kubelet/kuberuntime of Kubernetes.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from seaway.launch.api import Object
from seaway.training.spec import EXIT_PEER

BLOCKED = frozenset({
    "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError",
    "RegistryUnavailable", "CreateContainerConfigError", "CreateContainerError", "RunContainerError",
})  # fmt: skip
"""Reasons for which a container waits until somebody changes something."""

STARTED = ("Running", "Succeeded", "Failed")
_UNBORN = ("StartError", "ContainerCannotRun")
"""Reasons of containers that ended before their program began."""
ABORTED = 134
"""SIGABRT: how JAX and TensorFlow themselves end a process whose peer is gone, and also how C++ ends one in error."""
CONSEQUENCES = (ABORTED, EXIT_PEER)
"""Exit codes of replicas that may only have lost another."""
_CONSEQUENCE_S = (-5.0, 900.0)
"""An abort is another's consequence if it came so long after that; clocks of nodes differ by some seconds."""
_NEVER = "9999"


@dataclass(frozen=True, kw_only=True)
class Failure:
    """How a replica ended that failed."""

    replica: str
    uid: str
    exit_code: int | None
    """None if it is not known: the pod was evicted, or deleted while it ran."""
    reason: str
    finished: str
    """RFC 3339."""
    container: str = ""
    """Empty where it was not one container that failed."""
    run: int | None = None
    """How often the container had been restarted in place before; None where it was not one container that failed."""

    def __str__(self) -> str:
        how = "it is not known how" if self.exit_code is None else f"exit code {self.exit_code}"
        said = f"{self.replica} ({', '.join(filter(None, (self.reason, how)))})"
        if self.reason == "OOMKilled":
            said += ": it used more than its memory limit, raise `memory` or let it hold fewer rows at a time"
        return said


def failures(pods: Iterable[Object]) -> list[Failure]:
    """Every failure that the pods tell of, the likely cause first: replicas that only lost a peer come last."""
    return by_cause([failure for pod in pods for failure in _of_pod(pod)])


def by_cause(found: Sequence[Failure]) -> list[Failure]:
    """The failures in their order, the consequences of others last."""
    return sorted(found, key=lambda f: (follows(f, found), f.finished or _NEVER, f.replica))


def follows(failure: Failure, among: Iterable[Failure]) -> int:
    """How surely a failure is but the loss of another replica: 0 not, 1 aborted after another failed, 2 it says so."""
    if failure.exit_code == EXIT_PEER:
        return 2
    return int(failure.exit_code == ABORTED and any(_after(failure, other) for other in among))


def _after(abort: Failure, other: Failure) -> bool:
    if other.uid == abort.uid or other.exit_code in CONSEQUENCES:
        return False
    if not other.finished or not abort.finished:
        return True
    return _CONSEQUENCE_S[0] <= epoch(abort.finished) - epoch(other.finished) <= _CONSEQUENCE_S[1]


def _of_pod(pod: Object) -> list[Failure]:
    metadata, status = pod["metadata"], pod.get("status", {})
    ends = []
    for one in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        # of a container that was restarted in place its last run is all that is known
        ends += [
            (s["terminated"], one.get("name", ""), _run(one, key))
            for key in ("lastState", "state")
            if (s := one.get(key) or {}).get("terminated")
        ]
    found = [
        Failure(
            replica=metadata["name"],
            uid=metadata.get("uid", ""),
            exit_code=end["exitCode"],
            reason=_reason(end),
            finished=end.get("finishedAt") or "",
            container=container,
            run=run,
        )
        for end, container, run in ends
        if end.get("exitCode")
    ]
    if not found and status.get("phase") == "Failed":
        reason = " ".join(filter(None, (status.get("reason"), status.get("message"))))
        found = [
            Failure(replica=metadata["name"], uid=metadata.get("uid", ""), exit_code=None, reason=reason, finished="")
        ]
    return found


def _run(container: Object, key: str) -> int:
    """Which run a container's status tells of; while the next one is waited for, it is the last that is the former."""
    over = key == "state" or "waiting" in (container.get("state") or {})
    return int(container.get("restartCount", 0)) - (not over)


def _reason(end: Object) -> str:
    """Why a container ended; a message where it says more than the log does, as when there is none."""
    reason = str(end.get("reason", ""))
    return f"{reason}: {end['message']}" if reason in _UNBORN and end.get("message") else reason


def blocked(pod: Object) -> str:
    """Why a pod cannot start until somebody changes something; empty if nothing is known to bar it."""
    status = pod.get("status", {})
    for one in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        waiting = (one.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") in BLOCKED:
            image = one.get("image") or ""
            said = f"{waiting['reason']}: {waiting.get('message', '')}".rstrip(": ")
            return f"{said} (image {image})" if image and image not in said else said
    return ""


def unschedulable(pod: Object) -> str:
    """The scheduler's words on a pod that no node takes; empty if one does."""
    for one in pod.get("status", {}).get("conditions") or []:
        if one["type"] == "PodScheduled" and one["status"] == "False" and one.get("reason") == "Unschedulable":
            return str(one.get("message") or "no node takes it")
    return ""


def restarts(pod: Object) -> int:
    """How often containers of a pod were restarted in place."""
    return sum(int(one.get("restartCount", 0)) for one in pod.get("status", {}).get("containerStatuses") or [])


def active(pods: Iterable[Object]) -> list[str]:
    """Names of the pods that still run, or may yet, and that nobody has told to end."""
    going = (p for p in pods if p.get("status", {}).get("phase") not in ("Succeeded", "Failed"))
    return [p["metadata"]["name"] for p in going if not p["metadata"].get("deletionTimestamp")]


def in_words(pods: Sequence[Object]) -> str:
    """Where each replica stands, for a message."""
    if not pods:
        return "it has no replica"
    alike: dict[str, list[str]] = {}
    for pod in sorted(pods, key=lambda p: str(p["metadata"]["name"])):
        state = blocked(pod) or unschedulable(pod) or str(pod.get("status", {}).get("phase", "Pending"))
        alike.setdefault(state, []).append(pod["metadata"]["name"])
    return ", ".join(f"{_few(names)} {'is' if len(names) == 1 else 'are'} {state}" for state, names in alike.items())


def _few(names: Sequence[str]) -> str:
    """Names for a message, of many the first."""
    return " and ".join(names) if len(names) <= 2 else f"{', '.join(names[:2])} and {len(names) - 2} more"


def epoch(stamp: str) -> float:
    """Seconds since 1970 of an RFC 3339 time."""
    return dt.datetime.fromisoformat(stamp).timestamp()
