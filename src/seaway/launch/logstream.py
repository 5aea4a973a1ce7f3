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
from seaway.launch.replicas import STARTED, restarts

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
        self._tails: dict[str, deque[str]] = {}
        self._followers: dict[tuple[str, int], threading.Thread] = {}
        self._streams: dict[tuple[str, int], Stream[str]] = {}
        self._closed = threading.Event()

    def look(self, pods: Iterable[Object]) -> None:
        """Begin to follow what has started since the last look."""
        for pod in pods:
            run = (pod["metadata"].get("uid", ""), restarts(pod))
            if pod.get("status", {}).get("phase") in STARTED and run not in self._followers:
                self._tails.setdefault(run[0], deque(maxlen=self._tail))
                name, several = pod["metadata"]["name"], len(pod.get("spec", {}).get("containers", ())) > 1
                arguments = (name, run, self._container if several else "")
                thread = threading.Thread(target=self._follow, args=arguments, name=f"log-{name}", daemon=True)
                self._followers[run] = thread
                thread.start()

    def tail(self, uid: str) -> str:
        """The last lines that a pod wrote."""
        return "\n".join(self._tails.get(uid, ()))

    def drain(self, pods: Iterable[Object], *, timeout_s: float = 10.0) -> None:
        """Wait until the last lines of those pods that have ended are through."""
        over = {p["metadata"].get("uid") for p in pods if p.get("status", {}).get("phase") in ("Succeeded", "Failed")}
        self._join([thread for (uid, _), thread in self._followers.items() if uid in over], timeout_s)

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

    def _follow(self, pod: str, run: tuple[str, int], container: str) -> None:
        seen, idle = 0, 0
        while not self._closed.is_set() and idle < 20:
            try:
                stream = self._streams[run] = self._api.pod_log(pod, container=container)
                if self._closed.is_set():
                    stream.close()
                for number, line in enumerate(stream):
                    if number >= seen:  # after a broken stream the log is read again from its start
                        seen, idle = seen + 1, 0
                        self._emit(pod, run[0], line)
                return
            except ApiError as e:
                if e.status not in (0, 400):
                    return
            idle += 1
            self._closed.wait(0.5)

    def _emit(self, pod: str, uid: str, line: str) -> None:
        level, message, fields = parse(line)
        self._tails[uid].append(message)
        _log.log(level, message, extra={"labels": {"replica": pod}, "fields": fields})


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
