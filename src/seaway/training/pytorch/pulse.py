"""A sign of life from every rank, so that one that hangs or vanished is missed in seconds.

A connection that breaks ends a collective at once, mostly; a rank that hangs, a machine that loses its power or a break
in the wrong moment only ends it when it times out, which must be long enough for a rank that is merely slow.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch.distributed as dist

from seaway.training.place import Place
from seaway.training.spec import EXIT_PEER

SILENT_S = 30.0
"""Without a sign after which a rank counts as lost."""
_GRACE_S = 5.0
"""For the main thread to find out by itself, and to say more."""


def _leave(message: str) -> None:
    """End this process though its main thread waits in native code."""
    sys.stdout.flush()
    sys.stderr.write(f"error: {message}\n")
    sys.stderr.flush()
    os._exit(EXIT_PEER)


@contextmanager
def kept(
    store: dist.Store, place: Place, *, silent_s: float = SILENT_S, leave: Callable[[str], None] = _leave
) -> Iterator[None]:
    """Within the block give signs of life and watch for those of the others.

    Args:
        store: that all ranks reach.
        place: of this rank.
        silent_s: seconds without a sign after which a rank is lost.
        leave: called in a thread with what is wrong; ends the process.
    """
    over = threading.Event()
    own = store.clone()  # a connection of its own: the main thread may wait on the other
    others = [r for r in range(place.world_size) if r != place.rank]

    def beat() -> None:
        counts, heard = dict.fromkeys(others, -1), dict.fromkeys(others, time.monotonic())
        while not over.wait(min(1.0, silent_s / 4)):
            try:
                own.add(f"beat-{place.rank}", 1)
                found = {r: own.add(f"beat-{r}", 0) for r in others}
            except RuntimeError:
                if not over.wait(min(_GRACE_S, silent_s)):
                    leave(f"rank {place.rank} of {place.world_size} cannot go on: rank 0 went away, its log says why")
                return
            now = time.monotonic()
            heard |= {r: now for r in others if found[r] != counts[r]}
            counts = found
            if lost := [r for r in others if now - heard[r] > silent_s]:
                leave(
                    f"rank {place.rank} of {place.world_size} cannot go on: no sign of life from rank "
                    f"{', '.join(map(str, lost))} for {silent_s:g} s: see whether that replica hangs; all ranks must "
                    "start anew, from the last checkpoint if the spec names a folder for them"
                )
                return

    thread = threading.Thread(target=beat, name="pulse", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
