"""Load for a server where wrk is missing: slower than wrk, but no server here is fast enough to notice."""

from __future__ import annotations

import asyncio
import os
import re
import time


def load(port: int, request: bytes, *, seconds: int, connections: int, core: int) -> int:
    """Send one HTTP/1.1 request again and again, from one core; how many were answered with 200."""
    mine = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        return asyncio.run(_load(port, request, seconds, connections))
    finally:
        os.sched_setaffinity(0, mine)


async def _load(port: int, request: bytes, seconds: int, connections: int) -> int:
    answered, deadline = 0, time.monotonic() + seconds

    async def one() -> None:
        nonlocal answered
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.monotonic() < deadline:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise SystemExit(head.decode())
            length = re.search(rb"(?i)content-length: (\d+)", head)
            await reader.readexactly(int(length[1]) if length else 0)
            answered += 1
        writer.close()

    await asyncio.gather(*(one() for _ in range(connections)))
    return answered
