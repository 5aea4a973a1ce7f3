"""Reads containers' logs: whole, from the end, since a moment, with stamps, or as they grow."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from pathlib import Path

from seaway.local.api.times import nano_stamp

BLOCK = 65536
ENTRY = 16
"""Bytes of one entry of the index, see shim.py."""
FASTEST_S, SLOWEST_S = 0.01, 0.15
"""How often a growing log is looked at: soon after it grew, seldom while it is quiet."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What part of a log, and how."""

    follow: bool = False
    timestamps: bool = False
    tail_lines: int | None = None
    since_ns: int | None = None
    """Nanoseconds since 1970."""
    limit_bytes: int | None = None


async def read(folder: Path, how: Reading, ended: Callable[[], bool]) -> AsyncGenerator[bytes, None]:
    """Pieces of the log in ``folder``; with ``follow`` until ``ended`` says that nothing more will be written."""
    log = os.open(folder / "log", os.O_RDONLY)
    try:
        index = os.open(folder / "index", os.O_RDONLY)
        try:
            stamps = _Stamps(index)
            start = max(_tail_start(log, how.tail_lines), stamps.since(log, how.since_ns))
            async for part in _pieces(log, start, how, stamps, ended):
                yield part
        finally:
            os.close(index)
    finally:
        os.close(log)


async def _pieces(
    log: int, at: int, how: Reading, stamps: _Stamps, ended: Callable[[], bool]
) -> AsyncGenerator[bytes, None]:
    left = how.limit_bytes
    pause, new_line = FASTEST_S, True
    while True:
        done = ended() or not how.follow
        data = os.pread(log, BLOCK, at)
        if not data:
            if done:
                return
            await asyncio.sleep(pause)
            pause = min(SLOWEST_S, pause * 1.3)
            continue
        pause = FASTEST_S
        part = data
        if how.timestamps:
            part, new_line = stamps.stamped(data, at, new_line)
        at += len(data)
        if left is not None:
            part = part[:left]
            left -= len(part)
        yield part
        if left == 0:
            return
        # One busy log must not keep the others waiting.
        await asyncio.sleep(0)


def _tail_start(log: int, lines: int | None) -> int:
    """Offset where the last ``lines`` lines begin."""
    size = os.fstat(log).st_size
    if lines is None or size == 0:
        return 0
    if lines <= 0:
        return size
    end, wanted = size, lines
    if os.pread(log, 1, size - 1) == b"\n":
        wanted += 1
    while end > 0:
        begin = max(0, end - BLOCK)
        block = os.pread(log, end - begin, begin)
        found = block.count(b"\n")
        if found >= wanted:
            where = len(block)
            for _ in range(wanted):
                where = block.rindex(b"\n", 0, where)
            return begin + where + 1
        wanted -= found
        end = begin
    return 0


class _Stamps:
    """When each byte of a log was written."""

    def __init__(self, index: int) -> None:
        self._index = index
        self._entry = 0
        self._last = (0, 0)

    def since(self, log: int, moment_ns: int | None) -> int:
        """Offset of the first line written at or after a moment."""
        if moment_ns is None:
            return 0
        low, high = 0, os.fstat(self._index).st_size // ENTRY
        while low < high:
            middle = (low + high) // 2
            if self._read(middle)[1] < moment_ns:
                low = middle + 1
            else:
                high = middle
        start = self._read(low - 1)[0] if low else 0
        if start and os.pread(log, 1, start - 1) != b"\n":
            rest = os.pread(log, BLOCK, start)
            start += rest.find(b"\n") + 1 if b"\n" in rest else len(rest)
        return start

    def stamped(self, data: bytes, at: int, new_line: bool) -> tuple[bytes, bool]:
        """``data``, which begins at offset ``at``, with a stamp before each line that begins in it."""
        parts = []
        for line in _lines(data):
            if new_line:
                parts.append(nano_stamp(self._at(at)).encode() + b" ")
            parts.append(line)
            at += len(line)
            new_line = line.endswith(b"\n")
        return b"".join(parts), new_line

    def _at(self, offset: int) -> int:
        if self._entry == 0 and offset:
            low, high = 0, os.fstat(self._index).st_size // ENTRY
            while low < high:
                middle = (low + high) // 2
                low, high = (middle + 1, high) if self._read(middle)[0] <= offset else (low, middle)
            self._entry = low
        while self._last[0] <= offset:
            found = self._read(self._entry)
            if found == (0, 0):
                break
            self._last = found
            self._entry += 1
        return self._last[1]

    def _read(self, entry: int) -> tuple[int, int]:
        data = os.pread(self._index, ENTRY, entry * ENTRY)
        if len(data) < ENTRY:
            return 0, 0
        return int.from_bytes(data[:8], "little"), int.from_bytes(data[8:], "little")


def _lines(data: bytes) -> list[bytes]:
    """Lines that end in a line feed alone; bytes.splitlines would also part at carriage returns."""
    parts = data.split(b"\n")
    found = [part + b"\n" for part in parts[:-1]]
    return [*found, parts[-1]] if parts[-1] else found
