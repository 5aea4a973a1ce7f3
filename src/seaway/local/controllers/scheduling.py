"""Whether a pod finds the devices and the cores that it asks for. Pure.

Source: the scheduler's NodeResourcesFit plugin, and coscheduling: the pods of one training job are all placed or none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from seaway.local.api.status import Object
from seaway.local.api.trainingkinds import TRAINING_KINDS
from seaway.local.controllers.base import controller_uid
from seaway.local.processes.quantity import quantity

REASON = "Unschedulable"
_GANGS = frozenset(kind.kind for kind in TRAINING_KINDS)
_SET_LABEL = "jobset.sigs.k8s.io/jobset-name"


def insufficient(pod: Object, capacity: Mapping[str, int]) -> str:
    """Why a machine with ``capacity`` devices cannot run a pod, in the scheduler's words; empty when it can."""
    wanted = _total(pod, _devices)
    return _words(name for name, count in sorted(wanted.items()) if count > capacity.get(name, 0))


def crowded(pod: Object, pods: Iterable[Object], begun: Callable[[str], bool], cores: int) -> str:
    """Why a pod has to wait for cores, in the scheduler's words; empty when it need not.

    Args:
        pod: that has not begun.
        pods: all that there are.
        begun: whether something of the pod with a uid runs or ran.
        cores: of the machine.
    """
    if cpu_request(pod) <= 0:
        return ""
    gang, wanted = _gang(pod), 0.0
    placed, others = set[str](), dict[str, float]()
    for one in pods:
        if (one.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
            continue
        key, started = _gang(one), begun(one["metadata"]["uid"])
        if started:
            placed.add(key)
        if not started and one["metadata"].get("deletionTimestamp"):
            continue
        if key == gang:
            wanted += cpu_request(one)
        else:
            others[key] = others.get(key, 0.0) + cpu_request(one)
    used = sum(request for key, request in others.items() if key in placed)
    # Sums of tenths are no exact numbers.
    return _words(["cpu"]) if used + wanted > cores + 1e-6 else ""


def cpu_request(pod: Object) -> float:
    """Cores that a pod asks for."""
    return _total(pod, lambda container: {"cpu": container_cpu(container)}).get("cpu", 0.0)


def container_cpu(container: Object) -> float:
    """Cores that a container asks for: its limit where it has no request."""
    resources = container.get("resources") or {}
    asked = (resources.get("limits") or {}) | (resources.get("requests") or {})
    return quantity(asked.get("cpu", 0))


def _total(pod: Object, of: Callable[[Object], Mapping[str, float]]) -> dict[str, float]:
    """What a pod needs: its containers all at once, its init containers one after the other."""
    wanted: dict[str, float] = {}
    for container in pod["spec"]["containers"]:
        for name, count in of(container).items():
            wanted[name] = wanted.get(name, 0) + count
    for container in pod["spec"].get("initContainers") or []:
        for name, count in of(container).items():
            wanted[name] = max(wanted.get(name, 0), count)
    return wanted


def _gang(pod: Object) -> str:
    """What a pod is placed together with: the replicas of its training job, or itself alone."""
    metadata = pod["metadata"]
    owner = controller_uid(pod)
    kinds = {one["kind"] for one in metadata.get("ownerReferences") or [] if one["uid"] == owner}
    trains = bool(kinds & _GANGS) or _SET_LABEL in (metadata.get("labels") or {})
    return owner if owner and trains else str(metadata["uid"])


def _words(names: Iterable[str]) -> str:
    lacking = [f"1 Insufficient {name}" for name in names]
    return f"0/1 nodes are available: {', '.join(lacking)}." if lacking else ""


def _devices(container: Object) -> dict[str, float]:
    resources = container.get("resources") or {}
    asked = (resources.get("requests") or {}) | (resources.get("limits") or {})
    return {name: quantity(text) for name, text in asked.items() if "/" in name and "kubernetes.io/" not in name}
