"""Conditions of the training operator's jobs; the last one is a job's state. Source: pkg/util/status.go there."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from seaway.local.api.status import Object
from seaway.local.api.times import stamp

_OTHER = {"Running": "Restarting", "Restarting": "Running"}
"""One takes the other's place."""


def set_job_condition(
    conditions: Sequence[Object], type_: str, status: bool, now: datetime, *, reason: str, message: str
) -> list[Object]:
    """``conditions`` with one set, at the end; as it was when its status and reason are the same."""
    before = next((one for one in conditions if one["type"] == type_), None)
    if before is not None and (before["status"], before.get("reason")) == (str(status), reason):
        return list(conditions)
    moment = stamp(now)
    changed = before is None or before["status"] != str(status)
    found = {
        "type": type_,
        "status": str(status),
        "reason": reason,
        "message": message,
        "lastUpdateTime": moment,
        "lastTransitionTime": moment if changed or before is None else before["lastTransitionTime"],
    }
    kept = [one for one in conditions if one["type"] not in (type_, _OTHER.get(type_))]
    if type_ in ("Succeeded", "Failed"):
        over = {"status": "False", "lastUpdateTime": moment, "lastTransitionTime": moment}
        kept = [one | over if one["type"] == "Running" and one["status"] == "True" else one for one in kept]
    return [*kept, found]
