"""The process: one uvicorn server on several sockets, which ends without losing a request.

On SIGTERM or SIGINT: not ready from now on; no new connection begins; every response closes its connection, so that a
busy client moves to another process by itself; connections that stay idle are closed; what is in flight is finished.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
from collections.abc import Generator, Sequence

import uvicorn

from seaway.observe import logs
from seaway.serving.access import AccessLog
from seaway.serving.app import App
from seaway.serving.connection import Connection
from seaway.serving.listeners import refuse_new

logger = logging.getLogger(__name__)

IDLE_GRACE_S = 1.0
"""How long a connection may stay open for its next request, whose response closes it."""


class Server(uvicorn.Server):
    """Serves an application until it is told to end.

    Args:
        app: the application.
        access: its access log.
        grace_s: how long requests in flight may take to finish.
        lame_duck_s: how long new connections are still taken after the signal, while readiness already says no; for
            clusters, where the signal and the end of traffic are not in step.
    """

    def __init__(self, app: App, access: AccessLog, *, grace_s: float = 20.0, lame_duck_s: float = 0.0) -> None:
        config = uvicorn.Config(
            app,
            loop="uvloop",
            http=Connection,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=75,  # over the 60 s of most proxies: they, not we, should end an idle connection
        )
        super().__init__(config)
        logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
        self._app = app
        self._access = access
        self._grace_s = grace_s
        self._lame_duck_s = lame_duck_s
        self._told = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen, and say so."""
        await super().startup(sockets)
        models = {m.name: m.version for m in self._app.models.values()}
        ports = [s.getsockname()[1] for s in sockets or []]
        logs.info(
            logger,
            f"serving {', '.join(models)} on port {', '.join(map(str, ports))}",
            models=models,
            ports=ports,
            pid=os.getpid(),
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """The signals end the server, and the process then exits with 0."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._tell, number)
        yield

    def _tell(self, number: int) -> None:
        if self._told.is_set() and number == signal.SIGINT:
            self.force_exit = True
        self._told.set()

    async def main_loop(self) -> None:
        """Until told: nothing to do at all, requests are callbacks."""
        await self.on_tick(0)
        await self._told.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End without losing a request."""
        self._app.draining = True
        logs.info(logger, "told to end: finishing what is in flight", requests=len(self.server_state.tasks))
        await asyncio.sleep(self._lame_duck_s)
        refuse_new(sockets or [])
        await asyncio.sleep(0.01)  # the loop accepts what waits in the sockets' queues
        for server in self.servers:
            server.close()
        await self._until_closed(IDLE_GRACE_S)
        for connection in list(self.server_state.connections):
            connection.shutdown()
        if not await self._until_closed(self._grace_s):
            logger.error("ending with %d requests unfinished after %g s", len(self.server_state.tasks), self._grace_s)
            for connection in list(self.server_state.connections):
                connection.transport.abort()
        self._access.write()
        logs.info(logger, "ended")

    async def _until_closed(self, seconds: float) -> bool:
        """Whether every connection and request ends within that time."""
        deadline = asyncio.get_running_loop().time() + seconds
        while self.server_state.connections or self.server_state.tasks:
            if self.force_exit or asyncio.get_running_loop().time() > deadline:
                return False
            await asyncio.sleep(0.005)
        return True


def serve(server: Server, sockets: Sequence[socket.socket]) -> None:
    """Run the server on bound sockets until a signal ends it."""
    gc.collect()
    gc.freeze()  # what is loaded by now stays: the collector need not walk over it between requests
    server.run(sockets=list(sockets))
