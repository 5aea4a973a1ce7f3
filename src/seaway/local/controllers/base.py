"""What a controller is: pure functions over a manifest and what was observed of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from seaway.local.api.status import Object
from seaway.local.api.times import stamp


@dataclass(frozen=True, kw_only=True)
class Observed:
    """The world as a controller sees it when it looks at one object."""

    now: datetime
    children: Sequence[Object] = field(default_factory=tuple)
    """Objects whose controlling owner is this object, by uid, ordered by creation and name."""
    free_port: Callable[[], int] = lambda: 0
    """Draws a free port of 127.0.0.1."""
    in_use: Callable[[int], bool] = lambda port: False
    """Whether a program listens on a port of 127.0.0.1."""


class Controller(Protocol):
    """One kind's controller. All its functions are pure: the same arguments, the same answer, nothing done."""

    resource: str
    """The kind it is for, for instance ``jobs.batch``."""
    children: tuple[str, ...]
    """The resources of what it makes, for instance ``("pods", "services")``."""

    def desired(self, manifest: Object, observed: Observed) -> list[Object]:
        """The children that should be there: observed ones to keep as they are, new ones without a uid.

        What is observed and not among them is deleted, before the new ones are made in the order given. A new child of
        another kind than the first of ``children`` says its apiVersion and kind.
        """
        ...

    def status(self, manifest: Object, observed: Observed) -> Object:
        """The status that says what was observed."""
        ...

    def due_s(self, manifest: Object, observed: Observed) -> float | None:
        """Seconds until the passing of time alone changes an answer; None when it does not."""
        ...


def set_condition(
    conditions: Sequence[Object],
    type_: str,
    status: bool | None,
    now: datetime,
    *,
    reason: str = "",
    message: str = "",
    probe_time: bool = False,
) -> list[Object]:
    """``conditions`` with one set; its lastTransitionTime moves only when its status does. None means Unknown."""
    text = "Unknown" if status is None else str(status)
    before = next((one for one in conditions if one["type"] == type_), None)
    changed = before is None or before["status"] != text
    moment = stamp(now) if changed or before is None else before["lastTransitionTime"]
    found: Object = {"type": type_, "status": text, "lastTransitionTime": moment}
    if probe_time:
        found["lastProbeTime"] = before["lastProbeTime"] if before and not changed else stamp(now)
    if reason:
        found["reason"] = reason
    if message:
        found["message"] = message
    kept = [one for one in conditions if one["type"] != type_]
    where = next((i for i, one in enumerate(conditions) if one["type"] == type_), len(kept))
    return [*kept[:where], found, *kept[where:]]


def condition(item: Object, type_: str) -> Object:
    """One condition of an object, empty when it has none of that type."""
    conditions = (item.get("status") or {}).get("conditions") or []
    return next((one for one in conditions if one["type"] == type_), {})


def is_true(item: Object, type_: str) -> bool:
    """Whether a condition is True."""
    return condition(item, type_).get("status") == "True"


def owner_reference(manifest: Object) -> Object:
    """What a child says of the object that controls it."""
    return {
        "apiVersion": manifest["apiVersion"],
        "kind": manifest["kind"],
        "name": manifest["metadata"]["name"],
        "uid": manifest["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def controller_uid(item: Object) -> str:
    """The uid of an object's controlling owner, empty when it has none."""
    owners = item["metadata"].get("ownerReferences") or []
    return next((one["uid"] for one in owners if one.get("controller")), "")
