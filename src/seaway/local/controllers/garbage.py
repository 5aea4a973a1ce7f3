"""What goes when something else went: children of deleted owners, contents of deleted namespaces, old finished jobs."""

from __future__ import annotations

from seaway.local.api.kinds import BY_RESOURCE
from seaway.local.api.objects import FOREGROUND, Deletion, Objects
from seaway.local.api.status import ApiError, Object
from seaway.local.api.store import Change
from seaway.local.api.times import now, parse
from seaway.local.api.trainingkinds import of
from seaway.local.controllers.base import condition, is_true


class Collector:
    """Deletes what no living owner holds. The same at start-up and after every deletion."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        objects.store.listen(self._changed)

    def collect(self) -> None:
        """Look at everything once: an owner may have gone while the laptop was ending."""
        living = {item["metadata"]["uid"] for resource in self._objects.store.resources()
                  for item in self._objects.store.items(resource)}  # fmt: skip
        for resource in self._objects.store.resources():
            for item in self._objects.store.items(resource):
                owners = item["metadata"].get("ownerReferences") or []
                if owners and not any(owner["uid"] in living for owner in owners):
                    self._delete(resource, item)
                if item["metadata"].get("deletionTimestamp"):
                    self._foreground(resource, item)

    def _changed(self, change: Change) -> None:
        metadata = change.object["metadata"]
        if change.type == "DELETED":
            for resource, child in self._objects.store.owned(metadata["uid"]):
                others = [one["uid"] for one in child["metadata"]["ownerReferences"] if one["uid"] != metadata["uid"]]
                if not any(self._lives(uid) for uid in others):
                    self._delete(resource, child)
            for owner in metadata.get("ownerReferences") or ():
                for resource in self._objects.store.resources():
                    found = self._objects.store.find(resource, metadata.get("namespace", ""), owner["name"])
                    if found is not None and found["metadata"]["uid"] == owner["uid"]:
                        self._foreground(resource, found)
        elif metadata.get("deletionTimestamp"):
            self._foreground(change.resource, change.object)

    def _foreground(self, resource: str, item: Object) -> None:
        """An object deleted in the foreground waits for its children, then goes."""
        metadata = item["metadata"]
        if not metadata.get("deletionTimestamp") or FOREGROUND not in (metadata.get("finalizers") or ()):
            return
        children = self._objects.store.owned(metadata["uid"])
        for child_resource, child in children:
            if not child["metadata"].get("deletionTimestamp"):
                self._delete(child_resource, child, propagation="Foreground")
        current = self._objects.store.find(resource, metadata.get("namespace", ""), metadata["name"])
        if current is None or current["metadata"]["uid"] != metadata["uid"]:
            return
        left = [one for one in current["metadata"].get("finalizers") or () if one != FOREGROUND]
        if not self._objects.store.owned(metadata["uid"]) and len(left) < len(
            current["metadata"].get("finalizers") or ()
        ):
            self._objects.set_metadata(BY_RESOURCE[resource], current, lambda found: found | {"finalizers": left})

    def _lives(self, uid: str) -> bool:
        return any(
            item["metadata"]["uid"] == uid
            for resource in self._objects.store.resources()
            for item in self._objects.store.items(resource)
        )

    def _delete(self, resource: str, item: Object, *, propagation: str = "Background") -> None:
        metadata = item["metadata"]
        if metadata.get("deletionTimestamp"):
            return
        how = Deletion(propagation=propagation, uid=metadata["uid"])
        try:
            self._objects.delete(BY_RESOURCE[resource], metadata.get("namespace", ""), metadata["name"], how)
        except ApiError as error:
            if error.code not in (404, 409):
                raise


class Namespaces:
    """Empties a namespace that is being deleted, then lets it go."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def reconcile(self, item: Object) -> float | None:
        """One look at one namespace."""
        metadata = item["metadata"]
        if not metadata.get("deletionTimestamp"):
            return None
        left = 0
        for resource in self._objects.store.resources():
            kind = BY_RESOURCE[resource]
            if not kind.namespaced:
                continue
            for found in self._objects.store.items(resource, metadata["name"]):
                if not found["metadata"].get("deletionTimestamp"):
                    self._objects.delete(kind, metadata["name"], found["metadata"]["name"])
            left += len(self._objects.store.items(resource, metadata["name"]))
        if left:
            return 0.1
        self._objects.finish(BY_RESOURCE["namespaces"], item)
        return None


def expire_job(objects: Objects, job: Object) -> float | None:
    """Delete a finished job ttlSecondsAfterFinished after its end; returns the seconds until then."""
    finished = next((condition(job, one) for one in ("Complete", "Failed") if is_true(job, one)), {})
    ttl = job["spec"].get("ttlSecondsAfterFinished")
    return _expire(objects, "jobs.batch", job, ttl, finished.get("lastTransitionTime"), "Foreground")


def expire_training_job(objects: Objects, job: Object) -> float | None:
    """Delete a training operator's job ttlSecondsAfterFinished after its end; returns the seconds until then."""
    policy, ended = job["spec"].get("runPolicy") or {}, (job.get("status") or {}).get("completionTime")
    ttl = None if policy.get("suspend") else policy.get("ttlSecondsAfterFinished")
    return _expire(objects, of(job).resource, job, ttl, ended, "Background")


def _expire(
    objects: Objects, resource: str, item: Object, ttl: int | None, ended: str | None, propagation: str
) -> float | None:
    if ttl is None or ended is None:
        return None
    left = float(ttl) - (now() - parse(ended)).total_seconds()
    if left > 0:
        return left + 0.01
    metadata = item["metadata"]
    how = Deletion(propagation=propagation, uid=metadata["uid"])
    objects.delete(BY_RESOURCE[resource], metadata["namespace"], metadata["name"], how)
    return None
