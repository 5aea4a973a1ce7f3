"""Logs of every replica of a job, as they come, in this step's own log.

In: a label selector. Out: each line once, logged with the label ``replica``; the last lines of each are kept for the
error.
"""

from __future__ import annotations

import json
import logging
import threading
from collections import deque
from collections.abc import Callable

from seaway.errors import LaunchError
from seaway.launch.api import Api, ApiError

_log = logging.getLogger("seaway.replica")
_STARTED = ("Running", "Succeeded", "Failed")


class LogStream:
    """Follows the pods that a selector matches, one thread a pod; `close` is safe to call twice."""

    def __init__(self, connect: Callable[[], Api], selector: str, *, tail: int = 20) -> None:
        self._connect = connect
        self._selector = selector
        self._tail = tail
        self._tails: dict[str, deque[str]] = {}
        self._followers: dict[str, threading.Thread] = {}
        self._closed = threading.Event()

    def look(self, api: Api) -> None:
        """Begin to follow the pods that have started since the last look."""
        for pod in api.list(("v1", "Pod"), labels=self._selector):
            name = pod["metadata"]["name"]
            if pod.get("status", {}).get("phase") in _STARTED and name not in self._followers:
                self._tails[name] = deque(maxlen=self._tail)
                thread = threading.Thread(target=self._follow, args=(name,), name=f"log-{name}", daemon=True)
                self._followers[name] = thread
                thread.start()

    def tail(self, pod: str) -> str:
        """The last lines that a pod wrote."""
        return "\n".join(self._tails.get(pod, ()))

    def drain(self, *, timeout_s: float = 10.0) -> None:
        """Wait until the last lines of pods that have ended are through."""
        for thread in self._followers.values():
            thread.join(timeout_s)

    def close(self) -> None:
        """Follow no more; does not wait."""
        self._closed.set()

    def _follow(self, pod: str) -> None:
        seen, idle = 0, 0
        while not self._closed.is_set() and idle < 20:
            try:
                for number, line in enumerate(self._connect().pod_log(pod)):
                    if number >= seen:  # after a broken stream the log is read again from its start
                        seen, idle = seen + 1, 0
                        self._emit(pod, line)
                return
            except ApiError as e:
                if e.status not in (0, 400):
                    return
            except LaunchError:
                return
            idle += 1
            self._closed.wait(0.5)

    def _emit(self, pod: str, line: str) -> None:
        level, message, fields = parse(line)
        self._tails[pod].append(message)
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
