"""The devices of this machine that pods may ask for."""

from __future__ import annotations

from pathlib import Path

_DRIVER = Path("/proc/driver/nvidia/gpus")
"""Has one folder a GPU where NVIDIA's driver is loaded."""


def devices() -> dict[str, int]:
    """Names of extended resources, as device plugins write them, to how many of each there are."""
    try:
        count = sum(1 for _ in _DRIVER.iterdir())
    except OSError:
        count = 0
    if not count:
        # In a container the driver's folder may be hidden, while the devices are there.
        count = sum(1 for path in Path("/dev").glob("nvidia*") if path.name.removeprefix("nvidia").isdecimal())
    return {"nvidia.com/gpu": count} if count else {}
