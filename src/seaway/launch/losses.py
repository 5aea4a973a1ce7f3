"""Count how often replicas were lost and came back while a job goes on, whoever restarted them. Pure.

The training operator counts nothing under restartPolicy ExitCode and restarts for ever, so the step counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from seaway.launch.api import Object
from seaway.launch.replicas import Failure, by_cause, failures, follows, restarts


class Losses:
    """What was lost of one job; the pods are shown to it at every look."""

    def __init__(self) -> None:
        self._pods: dict[str, Object] = {}
        """The last sight of every pod there ever was, by uid."""
        self._current: dict[str, str] = {}
        """uid of each replica's present pod, by replica."""
        self._shown: set[str] = set()
        """uids at the last look."""
        self._failures: dict[tuple[str, str], Failure] = {}

    def look(self, pods: Sequence[Object]) -> None:
        """Take in the pods that there are now."""
        self._shown = {pod["metadata"].get("uid", "") for pod in pods}
        # a Job keeps the pods that it has replaced: the newest is the replica's
        for pod in sorted(pods, key=lambda p: str(p["metadata"].get("creationTimestamp", ""))):
            uid = pod["metadata"].get("uid", "")
            self._pods[uid] = pod
            self._current[_replica(pod)] = uid
            for failure in failures([_former(pod)]):
                self._failures[uid, failure.finished] = failure
        for uid in self._replaced():
            found = failures([self._pods[uid]])
            # a pod that somebody deleted while it ran is lost as well
            lost = found or [Failure(replica=self._name(uid), uid=uid, exit_code=None, reason="Deleted", finished="")]
            for failure in lost:
                self._failures[uid, failure.finished] = failure

    @property
    def found(self) -> list[Failure]:
        """The failures after which a replica came back, the likely causes first."""
        return by_cause(list(self._failures.values()))

    @property
    def causes(self) -> int:
        """How many of them were not the loss of another replica."""
        found = list(self._failures.values())
        return sum(1 for failure in found if not follows(failure, found))

    @property
    def returns(self) -> int:
        """How often any replica came back, in place or as another pod."""
        return len(list(self._replaced())) + sum(restarts(pod) for pod in self._pods.values())

    def gone(self) -> list[Object]:
        """The last sight of pods that were replaced and are no longer there."""
        return [self._pods[uid] for uid in self._replaced() if uid not in self._shown]

    def _replaced(self) -> Iterable[str]:
        present = set(self._current.values())
        return (uid for uid in self._pods if uid not in present)

    def _name(self, uid: str) -> str:
        return str(self._pods[uid]["metadata"]["name"])


def _replica(pod: Object) -> str:
    """Which replica a pod is: the operator names its pods after that, a Job labels them."""
    labels = pod["metadata"].get("labels") or {}
    job, index = (labels.get(f"batch.kubernetes.io/{key}") for key in ("job-name", "job-completion-index"))
    return str(pod["metadata"]["name"]) if index is None else f"{job}/{index}"


def _former(pod: Object) -> Object:
    """The pod with only those ends of its containers after which they were restarted."""
    status = pod.get("status", {})
    former = [{**one, "state": _waiting(one)} for one in status.get("containerStatuses") or []]
    return {"metadata": pod["metadata"], "status": {"containerStatuses": former}}


def _waiting(container: Object) -> Object:
    """Of a container's state, that it waits for its next run."""
    state = container.get("state") or {}
    return {"waiting": state["waiting"]} if "waiting" in state else {}
