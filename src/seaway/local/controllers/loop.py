"""The reconcile loop: takes what the controllers' pure functions want and makes it so."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Protocol

from seaway.local.api.kinds import BY_KIND, BY_RESOURCE
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
            if not isinstance(error, ApiError) or error.code != 409:
                _log.exception("%s %s/%s could not be reconciled; again in %.1f s", *key, due)
        if due is not None:
            self._timers[key] = asyncio.get_running_loop().call_later(max(0.0, due), self._enqueue, key)


class Controlled:
    """Reconciles the objects of one pure controller: children first, then the status."""

    def __init__(
        self,
        controller: Controller,
        objects: Objects,
        recorder: Recorder,
        *,
        free_port: Callable[[], int] = lambda: 0,
        after: Callable[[Object], float | None] = lambda item: None,
    ) -> None:
        self._controller, self._objects, self._recorder = controller, objects, recorder
        self._free_port, self._after = free_port, after
        self._kind = BY_RESOURCE[controller.resource]
        self._child = BY_RESOURCE[controller.child]

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
            if resource == self._child.resource and controller_uid(child) == uid
        ]
        found.sort(key=lambda child: (int(child["metadata"].get("creationTimestamp") is None),
                                      child["metadata"]["creationTimestamp"], child["metadata"]["name"]))  # fmt: skip
        return Observed(now=now(), children=tuple(found), free_port=self._free_port)

    def _write_status(self, item: Object, observed: Observed) -> Object:
        before = item.get("status") or {}
        after = self._controller.status(item, observed)
        if after == before:
            return item
        found = self._objects.set_status(self._kind, item, after)
        self._recorder.transitions(found, before, after)
        return found

    def _create(self, item: Object, child: Object) -> None:
        namespace = item["metadata"].get("namespace", "")
        try:
            made = self._objects.create(self._child, namespace, child)
        except ApiError as error:
            self._recorder.record(item, "Warning", "FailedCreate", f"Error creating: {error.message}")
            raise
        text = f"Created {self._child.singular}: {made['metadata']['name']}"
        self._recorder.record(item, "Normal", "SuccessfulCreate", text)

    def _delete(self, item: Object, child: Object) -> None:
        metadata = child["metadata"]
        how = Deletion(uid=metadata["uid"])
        self._objects.delete(self._child, metadata.get("namespace", ""), metadata["name"], how)
        text = f"Deleted {self._child.singular}: {metadata['name']}"
        self._recorder.record(item, "Normal", "SuccessfulDelete", text)
