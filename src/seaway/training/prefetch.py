"""Items made ahead in a thread, so that who works on one does not wait while the next is read."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from queue import Empty, Queue
from typing import TypeVar

T = TypeVar("T")
DEPTH = 2
"""Items that wait to be taken."""


@contextmanager
def ahead(items: Iterable[T], *, depth: int = DEPTH) -> Iterator[Iterator[T]]:
    """The same items in the same order, up to ``depth`` of them made before they are asked for.

    What making one raises comes where the item would have come. When the block ends, however it does, the thread ends
    too: after the item that it is at.

    Args:
        items: iterated in the thread, to its end or the block's.
        depth: items in store; one more is being made.
    """
    made: Queue[tuple[T] | BaseException | None] = Queue(depth)
    over = threading.Event()

    def make() -> None:
        end: BaseException | None = None
        try:
            for item in items:
                made.put((item,))
                if over.is_set():
                    return
        except BaseException as e:  # raised again where the item is taken
            end = e
        made.put(end)

    def taken() -> Iterator[T]:
        while isinstance(item := made.get(), tuple):
            yield item[0]
        if item is not None:
            raise item

    thread = threading.Thread(target=make, name="prefetch", daemon=True)
    thread.start()
    try:
        yield taken()
    finally:
        over.set()
        while thread.is_alive():  # it may wait for room: once, for then it sees that it is over
            try:
                made.get(timeout=0.02)
            except Empty:
                continue
        thread.join()
