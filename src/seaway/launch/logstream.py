"""Logs of every replica of a job, as they come, in this step's own log.

In: the pods of a job, each time they are looked at. Out: each line once, logged with the label ``replica``; the last
lines of each are kept for the error.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import deque
from collections.abc import Iterable

from seaway.launch.api import Api, ApiError, Object, Stream
from seaway.launch.replicas import STARTED, Failure

_WAITS = "init-pytorch"
"""The training operator's own, which asks for the Master's name over and over."""
_Run = tuple[str, str, int]
"""A pod's uid, the container if there are init containers, and how often that was restarted before."""
_log = logging.getLogger("seaway.replica")


class LogStream:
    """Follows the replicas of a job, one thread for each time that one runs; `close` is safe to call twice.

    Args:
        api: where.
        container: whose log it is, in pods of several.
        tail: how many of the last lines are kept.
    """

    def __init__(self, api: Api, *, container: str = "", tail: int = 20) -> None:
        self._api = api
        self._container = container
        self._tail = tail
        self._tails: dict[_Run, deque[str]] = {}
        self._followers: dict[_Run, threading.Thread] = {}
        self._streams: dict[_Run, Stream[str]] = {}
        self._closed = threading.Event()

    def look(self, pods: Iterable[Object]) -> None:
        """Begin to follow what has started since the last look."""
        for pod in pods:
            uid, spec = pod["metadata"].get("uid", ""), pod.get("spec", {})
            if spec.get("initContainers"):
                for container, number in _begun(pod, self._container):
                    self._begin(pod["metadata"]["name"], (uid, container, number), container)
            elif pod.get("status", {}).get("phase") in STARTED:
                container = self._container if len(spec.get("containers", ())) > 1 else ""
                number = _restarts(pod, container)
                if number:  # the one before may have begun and ended between two looks
                    self._begin(pod["metadata"]["name"], (uid, "", number - 1), container, previous=True)
                self._begin(pod["metadata"]["name"], (uid, "", number), container)

    def _begin(self, pod: str, run: _Run, container: str, *, previous: bool = False) -> None:
        if run in self._followers:
            return
        self._tails[run] = deque(maxlen=self._tail)
        thread = threading.Thread(
            target=self._follow, args=(pod, run, container, previous), name=f"log-{pod}", daemon=True
        )
        self._followers[run] = thread
        thread.start()

    def tail(self, failure: Failure, *, timeout_s: float = 3.0) -> str:
        """The last lines of the run that failed; of all runs of the pod where that one is not known.

        Args:
            failure: of a replica.
            timeout_s: for its last line to be through.
        """
        runs = [run for run in self._followers if run[0] == failure.uid]
        failed = [run for run in runs if run[1] in ("", failure.container) and run[2] == failure.run]
        self._join([self._followers[run] for run in failed], timeout_s)
        lines = [line for run in failed or runs for line in list(self._tails[run])]
        return "\n".join(lines[-self._tail :])

    def drain(self, pods: Iterable[Object], *, timeout_s: float = 10.0) -> None:
        """Wait until the last lines of those pods that have ended are through."""
        over = {p["metadata"].get("uid") for p in pods if p.get("status", {}).get("phase") in ("Succeeded", "Failed")}
        self._join([thread for (uid, _, _), thread in self._followers.items() if uid in over], timeout_s)

    def close(self) -> None:
        """Follow no more."""
        self._closed.set()
        for stream in list(self._streams.values()):
            stream.close()
        self._join(self._followers.values(), 2.0)  # they end at once unless they are about to connect

    @staticmethod
    def _join(threads: Iterable[threading.Thread], timeout_s: float) -> None:
        ends = time.monotonic() + timeout_s
        for thread in threads:
            thread.join(max(0.0, ends - time.monotonic()))

    def _follow(self, pod: str, run: _Run, container: str, previous: bool) -> None:
        seen, idle = 0, 0
        while not self._closed.is_set() and idle < 20:
            try:
                stream = self._streams[run] = self._api.pod_log(
                    pod, container=container, follow=not previous, previous=previous
                )
                if self._closed.is_set():
                    stream.close()
                for number, line in enumerate(stream):
                    if number >= seen:  # after a broken stream the log is read again from its start
                        seen, idle = seen + 1, 0
                        self._emit(pod, run, line)
                return
            except ApiError as e:
                if e.status != 0 and (previous or e.status != 400):
                    return
            idle += 1
            self._closed.wait(0.5)

    def _emit(self, pod: str, run: _Run, line: str) -> None:
        level, message, fields = parse(line)
        self._tails[run].append(message)
        _log.log(level, message, extra={"labels": {"replica": pod}, "fields": fields})


def _restarts(pod: Object, container: str) -> int:
    """How often a container was restarted in place; of the only one if none is named."""
    found = pod.get("status", {}).get("containerStatuses") or []
    return max((int(one.get("restartCount", 0)) for one in found if container in ("", one.get("name"))), default=0)


def _begun(pod: Object, main: str) -> list[tuple[str, int]]:
    """Init containers and the main one, where they have begun, and how often each was restarted."""
    status = pod.get("status", {})
    mains = [one for one in status.get("containerStatuses") or [] if main in ("", one["name"])]
    inits = [one for one in status.get("initContainerStatuses") or [] if one["name"] != _WAITS]
    found = [*inits, *mains]
    begun = [one for one in found if {"running", "terminated"} & (one.get("state") or {}).keys()]
    return [(one["name"], int(one.get("restartCount", 0))) for one in begun]


def parse(line: str) -> tuple[int, str, dict[str, object]]:
    """(level, message, fields) of a replica's line; a line that is not structured is its own message."""
    if line.startswith("{"):
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if isinstance(record, dict) and "message" in record:
            level = logging.getLevelNamesMapping().get(str(record.get("severity")), logging.INFO)
            known = ("message", "severity", "timestamp")
            fields = {k: v for k, v in record.items() if k not in known and not k.startswith("logging.googleapis.com/")}
            return level, str(record["message"]), fields
    return logging.INFO, line, {}
