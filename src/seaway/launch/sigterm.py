"""SIGTERM, noted when it comes and raised where it is safe.

A handler that raises at once would do so within the HTTP client, wherever that happens to be: a connection is then left
half read, or lost without being closed. So the signal only puts a word into an `Inbox`, which is all that the main
thread of a launcher ever waits for.
"""

from __future__ import annotations

import queue
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Generic, TypeVar

T = TypeVar("T")


class TerminatedError(BaseException):
    """This process got SIGTERM; no ``except Exception`` may swallow it."""


class Inbox(Generic[T]):
    """What other threads tell the main thread, and whether SIGTERM came."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[T | None] = queue.SimpleQueue()  # its put may interrupt its own get
        self._terminated = False

    def put(self, item: T) -> None:
        """Tell the main thread; from any thread."""
        self._queue.put(item)

    def get(self, timeout_s: float) -> T | None:
        """What was told next, or None if nothing was within ``timeout_s``.

        Raises:
            TerminatedError: SIGTERM came, now or before.
        """
        self.check()
        try:
            item = self._queue.get(timeout=max(0.0, timeout_s))
        except queue.Empty:
            item = None
        self.check()
        return item

    def wait(self, seconds: float) -> None:
        """Let the time pass, or SIGTERM come; what is told meanwhile is dropped."""
        ends = time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0:
            self.get(left)

    def clear(self) -> None:
        """Drop what was told."""
        while self.get(0.0) is not None:
            pass

    def check(self) -> None:
        """Raise TerminatedError if SIGTERM came."""
        if self._terminated:
            raise TerminatedError("SIGTERM")

    def terminate(self) -> None:
        """What the signal does."""
        self._terminated = True
        self._queue.put(None)


@contextmanager
def noted(inbox: Inbox[T]) -> Iterator[None]:
    """Within the block SIGTERM is noted in the inbox; outside the main thread nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def on_signal(number: int, frame: FrameType | None) -> None:
        inbox.terminate()

    before = signal.signal(signal.SIGTERM, on_signal)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
