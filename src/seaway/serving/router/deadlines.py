"""Deadlines of many connections, looked at together: one timer, and none while nothing is watched."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

EVERY_S = 0.1
"""How late a deadline may be noticed."""
NEVER = math.inf


class Watched(Protocol):
    """What has a deadline."""

    deadline: float
    """In the event loop's time; NEVER for none."""

    def expire(self) -> None:
        """The deadline is over. It must set another."""
        ...


W = TypeVar("W", bound=Watched)


class Deadlines(Generic[W]):
    """Lets what it watches expire."""

    def __init__(self) -> None:
        self._watched: set[W] = set()
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._watched)

    def __iter__(self) -> Iterator[W]:
        return iter(tuple(self._watched))

    def add(self, one: W) -> None:
        """Watch it."""
        self._watched.add(one)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(EVERY_S, self._look)

    def discard(self, one: W) -> None:
        """Watch it no more."""
        self._watched.discard(one)

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for one in self:
            if one.deadline <= now:
                one.expire()
        self._timer = loop.call_later(EVERY_S, self._look) if self._watched else None
