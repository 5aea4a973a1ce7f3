"""The end of a worker: SIGTERM, where Python alone does not hear it in time or at the wrong time, and its own."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

GRACE_S = 3.0
"""For the main thread to come back from native code and leave in order."""


def leave_on_sigterm() -> None:
    """Leave by an exception, so that temporary folders go; the exit code is 143."""

    def leave(number: int, frame: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, leave)


def leave_after(work: Callable[[], int]) -> NoReturn:
    """End the process with the exit code of ``work`` as soon as it is done.

    Python's own end would have some frameworks say goodbye to ranks that are gone, or wait for one that hangs.
    """
    code = 1
    try:
        code = work()
    except SystemExit as e:  # SIGTERM
        code = e.code if isinstance(e.code, int) else 1
    except BaseException:
        traceback.print_exc()
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


@contextmanager
def heard_in_native_code() -> Iterator[None]:
    """Within the block SIGTERM ends the process even if the main thread is stuck in native code.

    Python runs its handlers when the main thread comes back from a call, and one that waits for another rank may not
    for minutes. A second thread then ends the process as it is.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    read, write = os.pipe()
    os.set_blocking(write, False)
    over = threading.Event()

    def watch() -> None:
        while numbers := os.read(read, 64):
            if signal.SIGTERM in numbers and not over.wait(GRACE_S):
                os._exit(128 + signal.SIGTERM)

    watcher = threading.Thread(target=watch, name="sigterm", daemon=True)
    before = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        signal.set_wakeup_fd(before)
        os.close(write)
        watcher.join()
        os.close(read)


@contextmanager
def held_back() -> Iterator[None]:
    """Within the block SIGTERM waits: for what must be done whole or not at all.

    Masking it would not do: the kernel gives a signal to any thread of the process that takes it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        if came:
            signal.raise_signal(signal.SIGTERM)
