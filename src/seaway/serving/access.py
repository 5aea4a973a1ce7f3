"""What is logged of requests: a share of them all, and a span of each whose caller records its trace.

Both are noted on the event loop and written in a thread, some time later.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import deque
from typing import Any

from seaway.observe import spans

logger = logging.getLogger(__name__)
_span_logger = logging.getLogger("seaway.span")

KEPT = 10_000
"""Requests noted between two writes; more than that are lost, oldest first, rather than slow the answers."""
EVERY_S = 0.25
"""From the first note to the write."""
SPANS = 250
"""Spans between two writes: who sets the sampled flag must not be able to fill the disk with log lines."""


class AccessLog:
    """Notes requests and writes them a moment later; when nothing is noted, nothing runs.

    Args:
        fraction: of the requests that are noted, 0 to 1.
        level: at which they are logged.
    """

    def __init__(self, fraction: float, *, level: int = logging.INFO) -> None:
        self.fraction = fraction
        self._level = level
        self._noted: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._spans: deque[tuple[str, dict[str, Any]]] = deque()
        self._lost = 0
        self._due = False

    def note(self, *, trace: str, **fields: Any) -> None:
        """Remember one request, if its lot falls."""
        if self.fraction >= 1 or random.random() < self.fraction:  # noqa: S311
            self._noted.append({**fields, "logging.googleapis.com/trace": trace})
            self._write_soon()

    def span(self, name: str, *, seconds: float, trace: str, parent: str, **attributes: Any) -> None:
        """Remember a request that was answered just now as a span of its caller's trace.

        Args:
            name: what was asked.
            seconds: it took.
            trace: the caller's.
            parent: the caller's span.
            attributes: what is worth knowing of it.
        """
        if len(self._spans) >= SPANS:
            self._lost += 1
            return
        end = time.time()
        given = {"start": end - seconds, "end": end, "trace_id": trace, "parent": parent, "attributes": attributes}
        self._spans.append((name, given))
        self._write_soon()

    def write(self) -> None:
        """Log what was noted; safe to call from several threads."""
        for fields in _taken(self._noted):
            logger.log(self._level, "%s answered %d", fields["model"], fields["status"], extra={"fields": fields})
        for name, given in _taken(self._spans):
            fields = spans.line(name, kind=spans.REQUEST, **given)
            took = given["end"] - given["start"]
            _span_logger.info("%s took %.6f s", name, took, extra={"fields": fields})
        if self._lost:
            lost, self._lost = self._lost, 0
            logger.warning("%d more requests were to be traced: at most %d in %g s are", lost, SPANS, EVERY_S)

    def _write_soon(self) -> None:
        if not self._due:
            self._due = True
            asyncio.get_running_loop().call_later(EVERY_S, self._write_now)

    def _write_now(self) -> None:
        self._due = False
        asyncio.get_running_loop().run_in_executor(None, self.write)


def _taken(noted: deque[Any]) -> list[Any]:
    """What is in a queue now, taken out."""
    taken = []
    try:
        for _ in range(len(noted)):
            taken.append(noted.popleft())
    except IndexError:  # another thread took the rest
        pass
    return taken
