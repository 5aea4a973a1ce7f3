"""How many cores this process may use: what the scheduler lets it run on, and what its container is given."""

from __future__ import annotations

import contextlib
import math
import os
from pathlib import Path

_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def cores(*, neighbours: int = 1) -> int:
    """Cores for one of ``neighbours`` processes that share this machine; at least 1.

    A container's own quota is not shared, nor are cores that this process alone is held to.
    """
    every = os.cpu_count() or 1
    have = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else every
    limit = float(have)
    with contextlib.suppress(OSError, ValueError):  # no cgroup v2, or "max"
        quota, period = _QUOTA.read_text().split()
        limit = int(quota) / int(period)
    return max(1, min(have // neighbours if have == every else have, math.ceil(limit)))
