"""SIGTERM as an exception in the main thread, so that ``finally`` blocks run."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class TerminatedError(BaseException):
    """This process got SIGTERM; no ``except Exception`` may swallow it."""


@contextmanager
def raised() -> Iterator[None]:
    """Within the block SIGTERM raises `TerminatedError`; outside the main thread nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def on_signal(number: int, frame: FrameType | None) -> None:
        raise TerminatedError("SIGTERM")

    before = signal.signal(signal.SIGTERM, on_signal)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
