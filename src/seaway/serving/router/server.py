"""The router's process: it listens, and ends without losing a request.

On SIGTERM or SIGINT: ``/readyz`` says no; no new connection begins; every answer closes its connection, so that a busy
client moves to another process by itself; what is in flight is finished; what stays idle is closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import resource
import signal
import socket
from collections.abc import Sequence

from seaway.observe import logs
from seaway.serving.access import AccessLog
from seaway.serving.eventloop import loop_factory
from seaway.serving.listeners import refuse_new
from seaway.serving.router.connection import Connection
from seaway.serving.router.deadlines import Deadlines
from seaway.serving.router.router import Router
from seaway.serving.router.upstream import Upstreams

_log = logging.getLogger(__name__)
IDLE_GRACE_S = 1.0
"""How long a connection may stay open for its next request, whose answer closes it."""
_BACKLOG = 2048


class Server:
    """Serves a router until it is told to end.

    Args:
        router: what answers.
        upstreams: what it asks.
        access: its log.
        grace_s: how long requests in flight may take to finish.
        lame_duck_s: how long new connections are still taken after the signal, while readiness already says no.
    """

    def __init__(
        self,
        router: Router,
        upstreams: Upstreams,
        access: AccessLog,
        *,
        grace_s: float = 20.0,
        lame_duck_s: float = 0.0,
    ) -> None:
        self._router, self._upstreams, self._access = router, upstreams, access
        self._grace_s, self._lame_duck_s = grace_s, lame_duck_s
        self._open: Deadlines[Connection] = Deadlines()

    def run(self, sockets: Sequence[socket.socket]) -> None:
        """Serve on bound sockets until a signal ends it."""
        _more_files()
        gc.collect()
        gc.freeze()  # what is loaded by now stays: the collector need not walk over it between requests
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(self._serve(sockets))

    async def _serve(self, sockets: Sequence[socket.socket]) -> None:
        loop, told = asyncio.get_running_loop(), asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, told.set)
        servers = [
            await loop.create_server(lambda: Connection(self._router, self._open), sock=sock, backlog=_BACKLOG)
            for sock in sockets
        ]
        ports = [sock.getsockname()[1] for sock in sockets]
        logs.info(_log, f"routing on port {', '.join(map(str, ports))}", ports=ports, pid=os.getpid())
        await told.wait()
        await self._end(sockets, servers)

    async def _end(self, sockets: Sequence[socket.socket], servers: Sequence[asyncio.Server]) -> None:
        self._router.draining = True
        busy = sum(one.busy for one in self._open)
        logs.info(_log, "told to end: finishing what is in flight", requests=busy)
        await asyncio.sleep(self._lame_duck_s)
        refuse_new(sockets)
        await asyncio.sleep(0.01)  # the loop accepts what waits in the sockets' queues
        for server in servers:
            server.close()
        await self._until_closed(IDLE_GRACE_S)
        for one in self._open:
            if not one.busy:
                one.close()
        if not await self._until_closed(self._grace_s):
            _log.error("ending with %d connections unfinished after %g s", len(self._open), self._grace_s)
            for one in self._open:
                one.abort()
        self._upstreams.close()
        await asyncio.sleep(0)
        self._access.write()
        logs.info(_log, "ended")

    async def _until_closed(self, seconds: float) -> bool:
        """Whether every connection ends within that time."""
        deadline = asyncio.get_running_loop().time() + seconds
        while len(self._open):
            if asyncio.get_running_loop().time() > deadline:
                return False
            await asyncio.sleep(0.005)
        return True


def _more_files() -> None:
    """As many open files as are allowed: each client's connection has one, and each to a service."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
