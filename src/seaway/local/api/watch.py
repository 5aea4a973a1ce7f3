"""Watches: the current state or the changes since a version, then every change as it comes."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import dataclass

import orjson

from seaway.local.api.kinds import Kind
from seaway.local.api.selectors import Matches
from seaway.local.api.status import ApiError, Object
from seaway.local.api.store import Change, Store
from seaway.local.api.tables import table

BOOKMARK_S = 30.0
QUEUE_LIMIT = 20_000
"""Changes that wait for a slow client before its watch is ended with 410."""


@dataclass(kw_only=True)
class Watch:
    """What a client asks to be told."""

    kind: Kind
    namespace: str | None
    matches: Matches
    version: str = ""
    """Empty or 0: the current state first, as ADDED."""
    timeout_s: float | None = None
    bookmarks: bool = False
    initial: bool = False
    """sendInitialEvents: the current state first, ended by an annotated bookmark."""
    as_table: bool = False
    include: str = "Metadata"


async def stream(store: Store, watch: Watch, stopping: asyncio.Event) -> AsyncGenerator[bytes, None]:
    """Lines of JSON, one an event."""
    queue: deque[Change] = deque()
    news = asyncio.Event()
    resource = watch.kind.resource

    def tell(change: Change) -> None:
        if change.resource == resource:
            queue.append(change)
            news.set()

    end_listening = store.listen(tell)
    ending = asyncio.ensure_future(_relay(stopping, news))
    lines = _Lines(watch)
    try:
        try:
            for line in _beginning(store, watch, lines):
                yield line
        except ApiError as error:
            yield lines.error(error)
            return
        clock = asyncio.get_running_loop().time
        deadline = None if watch.timeout_s is None else clock() + watch.timeout_s
        while not stopping.is_set():
            while queue:
                if len(queue) > QUEUE_LIMIT:
                    yield lines.error(ApiError(410, "the client read too slowly", reason="Expired"))
                    return
                line = lines.change(queue.popleft())
                if line:
                    yield line
            news.clear()
            left = BOOKMARK_S if deadline is None else min(BOOKMARK_S, deadline - clock())
            if left <= 0:
                return
            try:
                async with asyncio.timeout(left):
                    await news.wait()
            except TimeoutError:
                if watch.bookmarks:
                    yield lines.bookmark(store.version)
    finally:
        end_listening()
        ending.cancel()


async def _relay(stopping: asyncio.Event, news: asyncio.Event) -> None:
    await stopping.wait()
    news.set()


def _beginning(store: Store, watch: Watch, lines: _Lines) -> list[bytes]:
    resource = watch.kind.resource
    if watch.initial or watch.version in ("", "0"):
        found = [line for one in store.items(resource, watch.namespace) if (line := lines.item("ADDED", one))]
        if watch.initial:
            found.append(lines.bookmark(store.version, initial_end=True))
        return found
    try:
        version = int(watch.version)
    except ValueError:
        raise ApiError(400, f"Invalid value: {watch.version!r}: resourceVersion must be a number") from None
    changes = [change for change in store.since(version) if change.resource == resource]
    return [line for change in changes if (line := lines.change(change))]


class _Lines:
    """Writes events; in tables only the first carries the column definitions."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._header = True

    def item(self, type_: str, item: Object) -> bytes:
        if not self._selects(item):
            return b""
        return self._line(type_, item)

    def change(self, change: Change) -> bytes:
        """An object that a selector no longer matches is DELETED for this client, one that it now matches ADDED."""
        before = change.previous is not None and self._selects(change.previous)
        after = change.type != "DELETED" and self._selects(change.object)
        if not before and not after:
            return b""
        type_ = "MODIFIED" if before and after else "ADDED" if after else "DELETED"
        return self._line(type_, change.object)

    def bookmark(self, version: int, *, initial_end: bool = False) -> bytes:
        kind = self._watch.kind
        metadata: Object = {"resourceVersion": str(version), "creationTimestamp": None}
        if initial_end:
            metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
        item = {"kind": kind.kind, "apiVersion": kind.api_version, "metadata": metadata}
        return orjson.dumps({"type": "BOOKMARK", "object": item}) + b"\n"

    def error(self, error: ApiError) -> bytes:
        return orjson.dumps({"type": "ERROR", "object": error.status()}) + b"\n"

    def _selects(self, item: Object) -> bool:
        namespace = self._watch.namespace
        inside = namespace is None or item["metadata"].get("namespace", "") == namespace
        return inside and self._watch.matches(item)

    def _line(self, type_: str, item: Object) -> bytes:
        found = item
        if self._watch.as_table:
            resource, version = self._watch.kind.resource, item["metadata"]["resourceVersion"]
            found = table(resource, [item], version=version, include=self._watch.include, header=self._header)
            self._header = False
        return orjson.dumps({"type": type_, "object": found}) + b"\n"
