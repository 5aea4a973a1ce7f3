"""A sign of life between rank 0 and each other rank, so that one that ends, hangs or vanished is missed in seconds.

TensorFlow's collectives wait for ever for a rank that is gone, or end the process without a word. A connection that
breaks without a farewell is a rank that went away; one that is silent too long is a rank that hangs. Rank 0, which
alone hears all, tells the others who it was.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from seaway.training.place import Place
from seaway.training.ranks.wire import Line
from seaway.training.spec import EXIT_PEER

SILENT_S = 30.0
"""Without a sign after which a rank counts as lost."""
_BEAT_S = 1.0
_GRACE_S = 3.0
"""For the main thread to find out by itself, and to leave in order."""
_OWN_S = 0.3
"""For the main thread, where it is about to leave for the same reason as the other rank did."""
_BEAT, _FAREWELL, _LOST = b"b", b"f", b"l"


def _leave(message: str) -> None:
    """End this process though its main thread waits in native code."""
    sys.stdout.flush()
    sys.stderr.write(f"error: {message}\n")
    sys.stderr.flush()
    os._exit(EXIT_PEER)


class Pulse:
    """Watches the other ranks from a thread of its own."""

    def __init__(self, lines: Mapping[int, Line], place: Place, *, silent_s: float = SILENT_S) -> None:
        self._lines = dict(lines)
        self._place = place
        self._silent_s = silent_s
        self._over = threading.Event()
        self._missed = threading.Event()
        self._why = ""

    def why(self, *, within_s: float = 0.0) -> str:
        """Which rank is lost, in words; empty if none is found to be within that time."""
        self._missed.wait(within_s)
        return self._why

    @contextmanager
    def kept(self, abort: Callable[[str], None], *, leave: Callable[[str], None] = _leave) -> Iterator[None]:
        """Within the block give signs of life and watch for those of the others.

        Args:
            abort: called in the thread with which rank is lost; makes the main thread's waiting end, if it can.
            leave: called in the thread a moment later if the block is not over by then; ends the process.
        """

        def watch() -> None:
            try:
                lost, why = self._watched()
            except (OSError, ValueError):
                if not self._over.is_set():
                    raise
                return  # closed by the main thread, which is done
            if not lost:
                return
            ranks = ", ".join(lost)
            self._why = f"{why} rank {ranks}"
            self._missed.set()
            for other, line in self._lines.items():
                if str(other) not in lost:
                    _say(line, _LOST + ranks.encode())
            if self._over.wait(_OWN_S):
                return
            with contextlib.suppress(Exception):  # the process ends in any case
                abort(self._why)
            if not self._over.wait(_GRACE_S):
                leave(lost_text(self._place, self._why))

        thread = threading.Thread(target=watch, name="pulse", daemon=True)
        thread.start()
        try:
            yield
            for line in self._lines.values():
                _say(line, _FAREWELL)
        finally:
            self._over.set()

    def _watched(self) -> tuple[list[str], str]:
        """Until the block is over, or a rank is lost: which, and how that is known."""
        heard = dict.fromkeys(self._lines, time.monotonic())
        every = min(_BEAT_S, self._silent_s / 4)
        with selectors.DefaultSelector() as selector:
            for other, line in self._lines.items():
                line.set_timeout(self._silent_s)
                selector.register(line, selectors.EVENT_READ, other)
            beat = 0.0
            while not self._over.is_set():
                for key, _ in selector.select(every):
                    other, line = key.data, self._lines[key.data]
                    try:
                        said = line.receive()
                    except (OSError, ValueError):
                        return ([] if self._over.is_set() else [str(other)]), "no word from"
                    heard[other] = time.monotonic()
                    if said == _FAREWELL:
                        selector.unregister(line)
                        del heard[other]
                    elif said.startswith(_LOST):
                        return said[1:].decode().split(", "), "no word from"
                now = time.monotonic()
                if now - beat >= every:
                    beat = now
                    for other in heard:
                        _say(self._lines[other], _BEAT)
                if lost := [str(r) for r, at in heard.items() if now - at > self._silent_s]:
                    return lost, f"no sign of life for {self._silent_s:g} s from"
        return [], ""


def lost_text(place: Place, why: str) -> str:
    """What a survivor says last."""
    return (
        f"rank {place.rank} of {place.world_size} cannot go on: {why}: the log of that replica says why; "
        "all ranks must start anew, from the last checkpoint if the spec names a folder for them"
    )


def _say(line: Line, message: bytes) -> None:
    with contextlib.suppress(OSError):  # whoever cannot be told is missed
        line.send(message)
