"""How much memory this process may use: what the machine has, and what its container is given."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Of control groups of version 2 and 1."""


def memory() -> int:
    """Bytes."""
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in _LIMITS:
        with contextlib.suppress(OSError, ValueError):  # not there, or "max"
            found.append(int(path.read_text()))
    return min(found)
