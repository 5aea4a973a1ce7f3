"""The access log: a share of the answered requests as structured logs, written off the event loop."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from typing import Any

logger = logging.getLogger(__name__)

KEPT = 10_000
"""Requests noted between two writes; more than that are lost, oldest first, rather than slow the answers."""


class AccessLog:
    """Notes requests and writes them every now and then.

    Args:
        fraction: of the requests that are noted, 0 to 1.
        level: at which they are logged.
    """

    def __init__(self, fraction: float, *, level: int = logging.INFO) -> None:
        self.fraction = fraction
        self._level = level
        self._noted: deque[dict[str, Any]] = deque(maxlen=KEPT)

    def note(self, *, trace: str, **fields: Any) -> None:
        """Remember one request, if its lot falls."""
        if self.fraction >= 1 or random.random() < self.fraction:  # noqa: S311
            self._noted.append({**fields, "logging.googleapis.com/trace": trace})

    def write(self) -> None:
        """Log what was noted."""
        while self._noted:
            fields = self._noted.popleft()
            logger.log(self._level, "%s answered %d", fields["model"], fields["status"], extra={"fields": fields})

    async def keep_writing(self, *, every_s: float = 0.25) -> None:
        """Log what was noted, in a thread, again and again."""
        while True:
            await asyncio.sleep(every_s)
            if self._noted:
                await asyncio.to_thread(self.write)
