"""Whether a pod finds the devices that it asks for. Pure.

Source: the scheduler's NodeResourcesFit plugin; of a pod's requests only those for devices (extended resources, such as
``nvidia.com/gpu``) are looked at.
"""

from __future__ import annotations

from collections.abc import Mapping

from seaway.local.api.status import Object
from seaway.local.processes.quantity import quantity

REASON = "Unschedulable"


def insufficient(pod: Object, capacity: Mapping[str, int]) -> str:
    """Why a machine with ``capacity`` devices cannot run a pod, in the scheduler's words; empty when it can."""
    spec = pod["spec"]
    wanted: dict[str, float] = {}
    for container in spec["containers"]:
        for name, count in _devices(container).items():
            wanted[name] = wanted.get(name, 0) + count
    for container in spec.get("initContainers") or []:
        for name, count in _devices(container).items():
            wanted[name] = max(wanted.get(name, 0), count)
    lacking = [name for name, count in sorted(wanted.items()) if count > capacity.get(name, 0)]
    if not lacking:
        return ""
    return f"0/1 nodes are available: {', '.join(f'1 Insufficient {name}' for name in lacking)}."


def _devices(container: Object) -> dict[str, float]:
    resources = container.get("resources") or {}
    asked = (resources.get("requests") or {}) | (resources.get("limits") or {})
    return {name: quantity(text) for name, text in asked.items() if "/" in name and "kubernetes.io/" not in name}
