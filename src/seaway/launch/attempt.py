"""Wait for one job, and see what keeps it from ending: replicas that cannot start, a quota, restarts without end.

In: a job that was created. Out: the job as it ended and its pods, or an error that says what must be done.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection
from dataclasses import dataclass

from seaway.errors import DeadlineError, JobFailedError, LaunchError
from seaway.launch.api import TRANSIENT, Api, ApiError, Object
from seaway.launch.jobkinds import JobKind, ended
from seaway.launch.logstream import LogStream
from seaway.launch.losses import Losses
from seaway.launch.replicas import blocked, in_words, unschedulable
from seaway.launch.sigterm import Inbox
from seaway.launch.watcher import Watcher

POD, EVENT = ("v1", "Pod"), ("v1", "Event")
_MEETINGS = 3
"""A loss may cost each replica this many restarts, until all have met again."""
_log = logging.getLogger("seaway.launch")


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long a step waits for what may come right by itself."""

    blocked_s: float = 120.0
    """For an image or a configuration that a replica needs to start."""
    unborn_s: float = 10.0
    """For all replicas to be made, before it is asked why they are not."""
    look_s: float = 15.0
    """Between two looks at the replicas of a job that does not change."""
    gone_s: float = 120.0
    """For a deleted job to be gone with its replicas."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a job may cost."""

    deadline_s: float | None
    """Seconds from the creation of the first job; None for no deadline."""
    restarts: int
    """How often replicas may be lost."""
    hopeless: Collection[int]
    """Exit codes after which no restart helps."""
    patience: Patience


class Attempt:
    """One job and its replicas.

    Args:
        api: where.
        row: the kind of job.
        job: as created.
        inbox: of this step.
        stream: of the logs.
        limits: what it may cost, together with the attempts before.
        ends: when it must have ended, seconds since 1970; None for never.
        left: how many losses the replicas may still come back from.
    """

    def __init__(
        self,
        api: Api,
        row: JobKind,
        job: Object,
        *,
        inbox: Inbox[Object | ApiError],
        stream: LogStream,
        limits: Limits,
        ends: float | None,
        left: int,
    ) -> None:
        self._api, self._row, self._job, self._inbox, self._stream = api, row, job, inbox, stream
        self._limits, self._patience, self._ends, self._left = limits, limits.patience, ends, left
        self._name = job["metadata"]["name"]
        self._what = f"{row.kind[1]} {self._name}"
        self._count = row.count(job)
        self._pods: list[Object] = []
        self._losses = Losses()
        self._began = time.monotonic()
        self._ask_at = self._began + self._patience.unborn_s
        self._blocked: dict[str, float] = {}
        """When a pod was first seen to be blocked."""
        self._said: set[str] = set()

    def wait(self) -> tuple[Object, list[Object]]:
        """The job as it ended, and its pods.

        Raises:
            DeadlineError: it did not end in time.
            JobFailedError: its replicas were restarted too often.
            LaunchError: its replicas cannot start, or it was deleted by someone.
        """
        watcher: Watcher | None = None
        try:
            while True:
                self._look()
                if ended(self._job, self._row):
                    return self._job, [*self._losses.gone(), *self._pods]
                self._check()
                if watcher is None:
                    since = self._job["metadata"]["resourceVersion"]
                    watcher = Watcher(self._api, self._row.kind, self._name, since=since, inbox=self._inbox)
                self._hear(self._next_s())
        finally:
            if watcher is not None:
                watcher.close()

    def _look(self) -> None:
        try:
            self._pods = pods_of(self._api, self._row, self._name)
        except ApiError as e:  # the watch meets the same, and gives up in time
            if e.status not in TRANSIENT:
                raise
        self._losses.look(self._pods)
        self._stream.look(self._pods)

    def _hear(self, timeout_s: float) -> None:
        told = self._inbox.get(timeout_s)
        while told is not None:
            if isinstance(told, ApiError):
                raise told
            if told.get("_deleted") or told["metadata"]["uid"] != self._job["metadata"]["uid"]:
                raise LaunchError(f"{self._what} was deleted while this step waited for it: run the step again")
            self._job = told
            told = self._inbox.get(0.0)  # of several changes the last one counts

    def _next_s(self) -> float:
        now = time.monotonic()
        due = [self._patience.look_s]
        if self._ends is not None:
            due.append(self._ends - time.time())
        due += [since + self._patience.blocked_s - now for since in self._blocked.values()]
        if len(self._pods) < self._count:
            due.append(self._ask_at - now)
        return max(0.05, min(due))

    def _check(self) -> None:
        if self._ends is not None and time.time() >= self._ends:
            raise DeadlineError(
                f"{self._what} must end within {self._limits.deadline_s:g} s, it still runs: {in_words(self._pods)}; "
                "raise the deadline, or see in their logs what they wait for"
            )
        self._check_losses()
        self._check_blocked()
        for pod in self._pods:
            if said := unschedulable(pod):
                self._warn(f"{pod['metadata']['name']} waits for a node: {said}")
        if len(self._pods) < self._count and time.monotonic() >= self._ask_at:
            self._ask_at = time.monotonic() + self._patience.look_s
            self._check_unborn()

    def _check_losses(self) -> None:
        if not self._row.restarted_by_step:
            return  # its own controller counts
        found = self._losses.found
        hopeless = next((f for f in found if f.exit_code in self._limits.hopeless), None)
        storm = self._losses.returns > (self._left + 1) * self._count * _MEETINGS
        if not (hopeless or storm or self._losses.causes > self._left):
            return
        cause = hopeless or found[0]
        why = "no restart helps" if hopeless else f"more than the {self._limits.restarts} restarts that it may have"
        text = f"{self._what} failed: {why}; first failed replica {cause}"
        tail = self._stream.tail(cause)  # as long as there is a log
        self._api.delete(self._row.kind, self._name)
        raise JobFailedError(text, replica=cause.replica, exit_code=cause.exit_code, tail=tail)

    def _check_blocked(self) -> None:
        now, bars = time.monotonic(), {p["metadata"]["uid"]: why for p in self._pods if (why := blocked(p))}
        self._blocked = {uid: self._blocked.get(uid, now) for uid in bars}
        for pod in self._pods:
            uid, name = pod["metadata"].get("uid", ""), pod["metadata"]["name"]
            if uid not in bars:
                continue
            self._warn(f"{name} cannot start yet: {bars[uid]}")
            if now - self._blocked[uid] >= self._patience.blocked_s:
                raise LaunchError(
                    f"{self._what} must have its replicas start, {name} could not within {self._patience.blocked_s:g} "
                    f"s: {bars[uid]}. Correct the image, its version or what the pod refers to, and run the step again"
                )

    def _check_unborn(self) -> None:
        said = self._warnings()
        if quota := next((text for text in said if "exceeded quota" in text), ""):
            raise LaunchError(
                f"{self._what} must have room for {self._count} replicas in the namespace {self._api.namespace!r}, "
                f"found {len(self._pods)}: {quota}. Ask for fewer replicas, less cpu or memory, or raise the quota"
            )
        if time.monotonic() - self._began >= self._patience.blocked_s and said:
            raise LaunchError(f"{self._what} must have {self._count} replicas, found {len(self._pods)}: {said[-1]}")
        if said:
            self._warn(f"{self._what} has {len(self._pods)} of {self._count} replicas: {said[-1]}")
        elif not self._pods:
            conditions = self._job.get("status", {}).get("conditions") or []
            state = "; ".join(str(c.get("message") or c["type"]) for c in conditions)
            self._warn(f"{self._what} has no replica yet: {state or 'no controller has taken it up, is it installed?'}")

    def _warnings(self) -> list[str]:
        """What the cluster says of this very job."""
        try:
            events = self._api.list(EVENT, fields=f"involvedObject.name={self._name}")
        except ApiError as e:  # they only explain; a namespace may keep them from us
            self._warn(f"the events of {self._what} cannot be read: {e}")
            return []
        about = [e for e in events if e.get("type") == "Warning"]
        uid = self._job["metadata"]["uid"]
        return [str(e.get("message", "")) for e in about if e.get("involvedObject", {}).get("uid") == uid]

    def _warn(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            _log.warning(text)


def pods_of(api: Api, row: JobKind, name: str) -> list[Object]:
    """The replicas of a job."""
    found = api.list(POD, labels=row.selector(name))
    return [p for p in found if (p["metadata"].get("labels") or {}).get(row.label) == name]
