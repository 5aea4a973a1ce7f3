"""Events: what controllers tell people about an object."""

from __future__ import annotations

from seaway.local.api.kinds import BY_RESOURCE
from seaway.local.api.objects import Objects
from seaway.local.api.status import ApiError, Object
from seaway.local.api.times import now, parse, stamp

KEPT_S = 3600
"""Seconds an Event is kept, as on a cluster."""
_GOOD = frozenset({"Complete", "Ready", "SuccessCriteriaMet", "PredictorReady", "IngressReady", "Succeeded"})
_NEITHER = frozenset({"Stopped", "Suspended"})
"""Conditions that are no trouble either way."""
_SILENT = frozenset({"SuccessCriteriaMet", "FailureTarget", "PredictorReady", "IngressReady", "Created", "Running"})
"""Conditions that another condition or event says better."""


class Recorder:
    """Writes Events; the same event again only counts up."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._known: dict[tuple[str, str, str], str] = {}

    def record(self, item: Object, type_: str, reason: str, message: str, *, component: str = "seaway") -> None:
        """Tell something of ``item``; type_ is Normal or Warning."""
        metadata, kind = item["metadata"], BY_RESOURCE["events"]
        namespace, moment = metadata.get("namespace") or "default", stamp(now())
        key = (metadata["uid"], reason, message)
        before = self._objects.store.find("events", namespace, self._known.get(key, ""))
        if before is not None:
            again = before | {"count": before["count"] + 1, "lastTimestamp": moment}
            self._objects.store.update("events", again)
            return
        involved = {key: metadata.get(key, "") for key in ("name", "uid", "namespace", "resourceVersion")}
        involved |= {"kind": item["kind"], "apiVersion": item["apiVersion"]}
        event = {
            "metadata": {"generateName": f"{metadata['name'][:200]}."},
            "involvedObject": involved,
            "type": type_,
            "reason": reason,
            "message": message[:1024],
            "source": {"component": component},
            "reportingComponent": component,
            "reportingInstance": "",
            "firstTimestamp": moment,
            "lastTimestamp": moment,
            "count": 1,
        }
        try:
            self._known[key] = self._objects.create(kind, namespace, event)["metadata"]["name"]
        except ApiError:
            # An event about an object in a namespace that is going away has nowhere to be.
            return

    def transitions(self, item: Object, before: Object, after: Object) -> None:
        """Tell the conditions that changed between two statuses."""
        old = {one["type"]: one for one in before.get("conditions") or []}
        for one in after.get("conditions") or []:
            was = old.get(one["type"], {})
            if one["type"] in _SILENT or (was.get("status"), was.get("reason")) == (one["status"], one.get("reason")):
                continue
            if one["status"] == "Unknown" or (one["status"] == "False" and not was):
                continue
            bad = one["type"] not in _NEITHER and (one["status"] == "True") != (one["type"] in _GOOD)
            reason, text = one.get("reason") or one["type"], one.get("message") or f"{item['kind']} is {one['type']}"
            if one["type"] == "Complete":
                reason, text = "Completed", f"{item['kind']} completed"
            self.record(item, "Warning" if bad else "Normal", reason, text)

    def forget_old(self) -> None:
        """Remove events that are older than KEPT_S."""
        at = now()
        for event in self._objects.store.items("events"):
            last = event.get("lastTimestamp") or event["metadata"]["creationTimestamp"]
            if (at - parse(last)).total_seconds() > KEPT_S:
                metadata = event["metadata"]
                self._objects.store.remove("events", metadata["namespace"], metadata["name"])
        names = {event["metadata"]["name"] for event in self._objects.store.items("events")}
        self._known = {key: name for key, name in self._known.items() if name in names}
