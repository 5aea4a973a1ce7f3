"""Follow one object in a thread of its own, through closed watches and a server that is away for a while.

Out: the object, each time it changes, in an `Inbox`; at last a LaunchError when it can be followed no more.
"""

from __future__ import annotations

import threading
import time

from seaway.launch.api import TRANSIENT, Api, ApiError, Object, Stream
from seaway.launch.sigterm import Inbox

OUTAGE_S = 120.0
"""For so long the API server may be away before a step gives up."""


class Watcher:
    """Follows one object until it is closed.

    Args:
        api: where.
        kind: apiVersion and kind.
        name: of the object.
        since: resourceVersion that the reader has seen.
        inbox: told of every change; of a deletion by an object with the key ``_deleted``.
    """

    def __init__(
        self, api: Api, kind: tuple[str, str], name: str, *, since: str, inbox: Inbox[Object | ApiError]
    ) -> None:
        self._api, self._kind, self._name, self._since, self._inbox = api, kind, name, since, inbox
        self._closed = threading.Event()
        self._stream: Stream[Object] | None = None
        self._thread = threading.Thread(target=self._follow, name=f"watch-{name}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Follow no more; safe to call twice."""
        self._closed.set()
        if self._stream is not None:
            self._stream.close()
        self._thread.join(2.0)  # it ends at once unless it is about to connect

    def _follow(self) -> None:
        answered, delay_s = time.monotonic(), 0.1
        while not self._closed.is_set():
            try:
                self._stream = self._api.watch(self._kind, self._name, since=self._since)
                if self._closed.is_set():
                    self._stream.close()
                for changed in self._stream:
                    self._tell(changed)
                    answered = time.monotonic()
                answered, delay_s = time.monotonic(), 0.1
            except ApiError as e:
                if self._closed.is_set():
                    return
                if e.status not in TRANSIENT or time.monotonic() - answered > OUTAGE_S:
                    self._inbox.put(e)
                    return
                self._closed.wait(delay_s)
                delay_s = min(delay_s * 2, 5.0)
                self._look_again()

    def _look_again(self) -> None:
        """What happened between two watches is told too."""
        try:
            found = self._api.get(self._kind, self._name)
        except ApiError:
            return  # the next watch meets the same, and decides
        if found is None:
            self._tell({"metadata": {"name": self._name}, "_deleted": True})
        else:
            self._tell(found)

    def _tell(self, changed: Object) -> None:
        self._since = changed["metadata"].get("resourceVersion", self._since)
        if not self._closed.is_set():
            self._inbox.put(changed)
