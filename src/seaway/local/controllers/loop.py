"""The reconcile loop: takes what the controllers' pure functions want and makes it so."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Protocol

from seaway.local.api.kinds import BY_KIND, BY_RESOURCE, Kind
from seaway.local.api.objects import Deletion, Objects
from seaway.local.api.status import ApiError, Object
from seaway.local.api.store import Change
from seaway.local.api.times import now
from seaway.local.controllers.base import Controller, Observed, controller_uid
from seaway.local.controllers.events import Recorder

_log = logging.getLogger(__name__)
Key = tuple[str, str, str]
"""Resource, namespace and name of an object to look at."""
RETRY_S, RETRY_LIMIT_S = 0.1, 30.0


class Reconciler(Protocol):
    """Brings the world one step nearer to what an object asks for. Idempotent: it may be called at any time."""

    def reconcile(self, item: Object) -> float | None:
        """Act; returns the seconds after which to look again though nothing changed, None for never."""
        ...


class Loop:
    """Looks at every object whose kind has a reconciler whenever it or one of its children changes."""

    def __init__(self, objects: Objects, reconcilers: Mapping[str, Reconciler]) -> None:
        self._objects = objects
        self._reconcilers = dict(reconcilers)
        self._waiting: dict[Key, None] = {}
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._failures: dict[Key, int] = {}
        self._news = asyncio.Event()
        self._end_listening = objects.store.listen(self._changed)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Look at everything once, then at what changes."""
        for resource in self._reconcilers:
            for item in self._objects.store.items(resource):
                self.look(resource, item)
        self._task = asyncio.ensure_future(self._run())

    async def stop(self) -> None:
        """Look at nothing any more."""
        self._end_listening()
        for timer in self._timers.values():
            timer.cancel()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def look(self, resource: str, item: Object) -> None:
        """Put an object on the list of those to look at."""
        self._enqueue((resource, item["metadata"].get("namespace", ""), item["metadata"]["name"]))

    def _enqueue(self, key: Key) -> None:
        self._waiting[key] = None
        self._news.set()

    def _changed(self, change: Change) -> None:
        if change.resource in self._reconcilers:
            self.look(change.resource, change.object)
        metadata = change.object["metadata"]
        for owner in metadata.get("ownerReferences") or ():
            kind = BY_KIND.get((owner["apiVersion"], owner["kind"]))
            if kind is not None and kind.resource in self._reconcilers:
                self._enqueue((kind.resource, metadata.get("namespace", ""), owner["name"]))

    async def _run(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            while self._waiting:
                key = next(iter(self._waiting))
                del self._waiting[key]
                self._one(key)
                # Requests are answered between two objects.
                await asyncio.sleep(0)

    def _one(self, key: Key) -> None:
        if timer := self._timers.pop(key, None):
            timer.cancel()
        item = self._objects.store.find(*key)
        if item is None:
            self._failures.pop(key, None)
            return
        try:
            due = self._reconcilers[key[0]].reconcile(item)
            self._failures.pop(key, None)
        except Exception as error:
            failures = self._failures[key] = self._failures.get(key, 0) + 1
            due = min(RETRY_LIMIT_S, RETRY_S * 2 ** (failures - 1))
            if not isinstance(error, ApiError) or error.code >= 500:
                _log.exception("%s %s/%s could not be reconciled; again in %.1f s", *key, due)
            elif error.code != 409:
                # The object asks for what the API refuses; an event says so to its owner.
                _log.warning("%s %s/%s could not be reconciled; again in %.1f s: %s", *key, due, error.message)
        if due is not None:
            self._timers[key] = asyncio.get_running_loop().call_later(max(0.0, due), self._enqueue, key)


Tell = Callable[[Object, Object | None, Object], list[tuple[str, str, str]]]
"""Of an object, a child of it before a change (None: it is new) and after: what of the change is worth telling of the
object, as events of type, reason and message."""


class Controlled:
    """Reconciles the objects of one pure controller: children first, then the status.

    Args:
        free_port: draws a free port of 127.0.0.1.
        in_use: whether a program listens on a port of 127.0.0.1.
        after: called with every object once it is as it should be; returns the seconds until it must be called again.
        tell: the events that changes of children make.
    """

    def __init__(
        self,
        controller: Controller,
        objects: Objects,
        recorder: Recorder,
        *,
        free_port: Callable[[], int] = lambda: 0,
        in_use: Callable[[int], bool] = lambda port: False,
        after: Callable[[Object], float | None] = lambda item: None,
        tell: Tell | None = None,
    ) -> None:
        self._controller, self._objects, self._recorder = controller, objects, recorder
        self._free_port, self._in_use, self._after = free_port, in_use, after
        self._kind = BY_RESOURCE[controller.resource]
        self._children = {kind.kind: kind for kind in (BY_RESOURCE[one] for one in controller.children)}
        self._tell = tell
        if tell is not None:
            objects.store.listen(self._changed)

    def reconcile(self, item: Object) -> float | None:
        """One look at one object."""
        if item["metadata"].get("deletionTimestamp"):
            return None
        observed = self._observe(item)
        wanted = self._controller.desired(item, observed)
        self._write_status(item, observed)
        kept = {one["metadata"].get("uid") for one in wanted}
        for child in observed.children:
            if child["metadata"]["uid"] not in kept and not child["metadata"].get("deletionTimestamp"):
                self._delete(item, child)
        for child in wanted:
            if "uid" not in child["metadata"]:
                self._create(item, child)
        found = self._write_status(self._current(item), self._observe(item))
        # As of the moment of `desired`: a wait that has ended since then must still be found due.
        due = self._controller.due_s(found, replace(self._observe(found), now=observed.now))
        again = [due, self._after(found)]
        return min((one for one in again if one is not None), default=None)

    def _current(self, item: Object) -> Object:
        metadata = item["metadata"]
        found = self._objects.store.find(self._kind.resource, metadata.get("namespace", ""), metadata["name"])
        return found if found is not None and found["metadata"]["uid"] == metadata["uid"] else item

    def _observe(self, item: Object) -> Observed:
        uid = item["metadata"]["uid"]
        found = [
            child
            for resource, child in self._objects.store.owned(uid)
            if resource in self._controller.children and controller_uid(child) == uid
        ]
        found.sort(key=lambda child: (int(child["metadata"].get("creationTimestamp") is None),
                                      child["metadata"]["creationTimestamp"], child["metadata"]["name"]))  # fmt: skip
        return Observed(now=now(), children=tuple(found), free_port=self._free_port, in_use=self._in_use)

    def _write_status(self, item: Object, observed: Observed) -> Object:
        before = item.get("status") or {}
        after = self._controller.status(item, observed)
        if after == before:
            return item
        found = self._objects.set_status(self._kind, item, after)
        self._recorder.transitions(found, before, after)
        return found

    def _create(self, item: Object, child: Object) -> None:
        namespace, kind = item["metadata"].get("namespace", ""), self._kind_of(child)
        try:
            made = self._objects.create(kind, namespace, child)
        except ApiError as error:
            text = f"Error creating: {error.message}"
            self._recorder.record(item, "Warning", self._reason("FailedCreate", kind), text)
            raise
        text = f"Created {kind.singular}: {made['metadata']['name']}"
        self._recorder.record(item, "Normal", self._reason("SuccessfulCreate", kind), text)

    def _delete(self, item: Object, child: Object) -> None:
        metadata, kind = child["metadata"], self._kind_of(child)
        how = Deletion(uid=metadata["uid"])
        self._objects.delete(kind, metadata.get("namespace", ""), metadata["name"], how)
        text = f"Deleted {kind.singular}: {metadata['name']}"
        self._recorder.record(item, "Normal", self._reason("SuccessfulDelete", kind), text)

    def _kind_of(self, child: Object) -> Kind:
        first = next(iter(self._children))
        return self._children[child.get("kind", first)]

    def _reason(self, what: str, kind: Kind) -> str:
        """Of children of several kinds the reason names the kind, as the training operator's do."""
        return what + kind.kind if len(self._children) > 1 else what

    def _changed(self, change: Change) -> None:
        """Tell the owner's story; its object is looked up, as a child knows only its name."""
        if self._tell is None or change.type == "DELETED" or change.resource not in self._controller.children:
            return
        uid, metadata = controller_uid(change.object), change.object["metadata"]
        owner = next((one for one in metadata.get("ownerReferences") or () if one["uid"] == uid), None)
        if owner is None or owner["kind"] != self._kind.kind:
            return
        item = self._objects.store.find(self._kind.resource, metadata.get("namespace", ""), owner["name"])
        if item is not None and item["metadata"]["uid"] == uid:
            for event in self._tell(item, change.previous, change.object):
                self._recorder.record(item, *event)
