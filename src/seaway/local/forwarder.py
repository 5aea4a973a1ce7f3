"""Forwards the ports of services whose containers cannot share one: TCP, to whichever pods are ready."""

from __future__ import annotations

import asyncio
import itertools
import logging

from seaway.local.api.status import Object
from seaway.local.api.store import Change, Store
from seaway.local.controllers.base import controller_uid, is_true
from seaway.local.controllers.predictor import PORT_ANNOTATION

_log = logging.getLogger(__name__)
BLOCK = 65536


class Forwarder:
    """One listening port a service with containers of its own."""

    def __init__(self, store: Store) -> None:
        self._store = store
        store.listen(self._removed)
        self._targets: dict[str, list[int]] = {}
        self._servers: dict[str, asyncio.Task[None]] = {}
        self._turn = itertools.count()
        self._connections: dict[str, set[asyncio.Task[None]]] = {}

    def follow(self, item: Object) -> float | None:
        """Forward to the pods of ``item`` that are ready now; returns None, as nothing changes by time alone."""
        uid, port = item["metadata"]["uid"], (item.get("status") or {}).get("annotations", {}).get(PORT_ANNOTATION)
        if not item["spec"]["predictor"].get("containers") or port is None:
            self.forget(uid)
            return None
        self._targets[uid] = [
            int(pod["metadata"]["annotations"][PORT_ANNOTATION])
            for resource, pod in self._store.owned(uid)
            if resource == "pods" and controller_uid(pod) == uid and is_true(pod, "Ready")
            and not pod["metadata"].get("deletionTimestamp")
        ]  # fmt: skip
        if uid not in self._servers:
            self._servers[uid] = asyncio.ensure_future(self._serve(uid, int(port)))
        return None

    def _removed(self, change: Change) -> None:
        if change.type == "DELETED":
            self.forget(change.object["metadata"]["uid"])

    def forget(self, uid: str) -> None:
        """Forward for a service no more."""
        self._targets.pop(uid, None)
        if task := self._servers.pop(uid, None):
            task.cancel()
        for connection in self._connections.pop(uid, set()):
            connection.cancel()

    def stop(self) -> None:
        """Forward nothing any more."""
        for uid in list(self._servers):
            self.forget(uid)

    async def _serve(self, uid: str, port: int) -> None:
        while True:
            try:
                server = await asyncio.start_server(lambda r, w: self._accept(uid, r, w), "127.0.0.1", port)
                break
            except OSError as error:
                _log.warning("port %d of service %s cannot be listened on: %s", port, uid, error)
                await asyncio.sleep(1)
        async with server:
            await server.serve_forever()

    def _accept(self, uid: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Held here, as the event loop itself holds tasks only weakly."""
        task = asyncio.ensure_future(self._connect(uid, reader, writer))
        held = self._connections.setdefault(uid, set())
        held.add(task)
        task.add_done_callback(held.discard)

    async def _connect(self, uid: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        targets = self._targets.get(uid, [])
        start = next(self._turn)
        try:
            for number in range(len(targets)):
                port = targets[(start + number) % len(targets)]
                try:
                    there, back = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    continue
                try:
                    await asyncio.gather(_pump(reader, back), _pump(there, writer))
                finally:
                    back.close()
                break
        finally:
            writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(BLOCK):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except OSError:
        writer.close()
