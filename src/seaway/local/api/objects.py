"""Create, change and delete objects by the rules of the API: one place for clients and controllers alike."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from seaway.local.api import patch as patches
from seaway.local.api import schemas
from seaway.local.api.kinds import BY_RESOURCE, INITIAL_NAMESPACES, Kind
from seaway.local.api.rules.names import check_conditions, check_metadata
from seaway.local.api.rules.table import RULES, Rules
from seaway.local.api.status import ApiError, Cause, Object, conflict, denied, invalid, not_found
from seaway.local.api.store import Store
from seaway.local.api.times import now, stamp

FOREGROUND = "foregroundDeletion"
GRACE_LIMIT_S = 2**31 - 1
"""The longest a pod may take to end; more would be no date."""
_SUFFIX = "bcdfghjklmnpqrstvwxz2456789"
_SERVER_FIELDS = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation")
"""Metadata that clients cannot set."""


@dataclass(kw_only=True)
class Options:
    """What a request says beside the object."""

    validation: str = "Ignore"
    """Of unknown fields: Strict refuses, Warn tells, Ignore drops them silently."""
    dry_run: bool = False
    manager: str = ""
    """Who applies."""
    warnings: list[str] = field(default_factory=list)
    """Filled in with what the client should be told."""


@dataclass(kw_only=True)
class Deletion:
    """How to delete."""

    propagation: str = "Background"
    grace_s: int | None = None
    uid: str = ""
    version: str = ""
    dry_run: bool = False


class Objects:
    """The objects of a store behind the rules of their kinds."""

    def __init__(self, store: Store) -> None:
        self.store = store
        for name in INITIAL_NAMESPACES:
            if store.find("namespaces", "", name) is None:
                manifest = {"metadata": {"name": name}}
                self.create(BY_RESOURCE["namespaces"], "", manifest)

    def create(self, kind: Kind, namespace: str, manifest: Object, options: Options | None = None) -> Object:
        """A new object; 404 without its namespace, 409 when there is one of its name, 422 when it breaks a rule."""
        options = options or Options()
        manifest = self._read(kind, manifest, options)
        metadata = {key: value for key, value in manifest["metadata"].items() if key not in _SERVER_FIELDS}
        metadata.pop("resourceVersion", None)
        self._place(kind, namespace, metadata)
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = metadata["generateName"] + "".join(secrets.choice(_SUFFIX) for _ in range(5))
        metadata |= {"uid": str(uuid.uuid4()), "creationTimestamp": stamp(now())}
        if kind.generation:
            metadata["generation"] = 1
        manifest = manifest | {"metadata": metadata}
        if "status" in kind.subresources:
            manifest.pop("status", None)
        _raise(kind, manifest, check_metadata(manifest))
        rules = RULES.get(kind.resource, Rules())
        manifest = rules.default(manifest)
        _raise(kind, manifest, rules.check(manifest))
        self._admit(rules, None, manifest, options)
        if options.dry_run:
            return manifest
        return self.store.create(kind.resource, manifest)

    def update(
        self, kind: Kind, namespace: str, name: str, manifest: Object, options: Options | None = None, *, sub: str = ""
    ) -> Object:
        """Replace an object, or with ``sub="status"`` its status alone."""
        options = options or Options()
        before = self.store.get(kind.resource, namespace, name)
        return self._replace(kind, before, self._read(kind, manifest, options), options, sub)

    def patch(
        self, kind: Kind, namespace: str, name: str, media: str, body: Any, options: Options, *, sub: str = ""
    ) -> Object:
        """Change an object by a patch of media type ``media``."""
        before = self.store.get(kind.resource, namespace, name)
        try:
            after = self._patched(kind, before, media, body)
        except (TypeError, AttributeError, KeyError, ValueError) as error:
            raise ApiError(400, f"the patch does not fit the object: {error}") from None
        return self._replace(kind, before, self._read(kind, after, options), options, sub)

    def _patched(self, kind: Kind, before: Object, media: str, body: Any) -> Any:
        if media == "application/json-patch+json":
            return patches.json_patch(before, body)
        if not isinstance(body, dict):
            raise ApiError(400, f"a patch of type {media} must be an object")
        if media == "application/merge-patch+json":
            return patches.merge(before, body)
        if media == "application/strategic-merge-patch+json" and not kind.custom:
            return patches.strategic(before, body)
        supported = ["json-patch+json", "merge-patch+json", "apply-patch+yaml"]
        supported += [] if kind.custom else ["strategic-merge-patch+json"]
        listed = ", ".join(f"application/{one}" for one in supported)
        message = f"the body of the request was in an unknown format - accepted media types include: {listed}"
        raise ApiError(415, message)

    def apply(
        self, kind: Kind, namespace: str, name: str, body: Object, options: Options, *, sub: str = ""
    ) -> tuple[int, Object]:
        """Server-side apply: create when there is none (201), else merge (200).

        What the same manager applied before and leaves out now is taken away. Conflicts between managers are not
        looked for: the last one wins.
        """
        before = self.store.find(kind.resource, namespace, name)
        manager = f"{options.manager}/{sub}" if sub else options.manager
        if before is None:
            if sub:
                raise not_found(kind.resource, name)
            code, made = 201, self.create(kind, namespace, patches.merge({}, body), options)
        else:
            code, made = 200, self._merged(kind, before, manager, body, options, sub)
        if not options.dry_run:
            self.store.set_applied(made["metadata"]["uid"], manager, body)
        return code, made

    def _merged(self, kind: Kind, before: Object, manager: str, body: Object, options: Options, sub: str) -> Object:
        patch = patches.merge if kind.custom else patches.strategic
        was = self.store.applied(before["metadata"]["uid"], manager)
        try:
            dropped = patches.removals(was, body, by_key=not kind.custom) if was else {}
            after = patch(patch(before, dropped), body)
        except (TypeError, AttributeError, KeyError, ValueError) as error:
            raise ApiError(400, f"what is applied does not fit the object: {error}") from None
        return self._replace(kind, before, self._read(kind, after, options), options, sub)

    def set_status(self, kind: Kind, before: Object, status: Object) -> Object:
        """Write the status a controller found, if it is another and the object still is that one."""
        current = self.store.find(kind.resource, before["metadata"].get("namespace", ""), before["metadata"]["name"])
        if current is None or current["metadata"]["uid"] != before["metadata"]["uid"]:
            return before
        return self.store.update(kind.resource, current | {"status": status})

    def set_metadata(self, kind: Kind, item: Object, change: Callable[[Object], Object]) -> Object:
        """Change an object's metadata; removes the object when that was what its deletion waited for."""
        after = item | {"metadata": change(dict(item["metadata"]))}
        return self._settle(kind, self.store.update(kind.resource, after))

    def delete(self, kind: Kind, namespace: str, name: str, how: Deletion | None = None) -> Object | None:
        """Delete an object. Returns it while something still holds it back, None when it is gone."""
        how = how or Deletion()
        item = self.store.get(kind.resource, namespace, name)
        metadata = item["metadata"]
        if how.uid and how.uid != metadata["uid"]:
            why = f"Precondition failed: UID in precondition: {how.uid}, UID in object meta: {metadata['uid']}"
            raise conflict(kind.resource, name, why)
        if how.version and how.version != metadata["resourceVersion"]:
            raise conflict(kind.resource, name)
        if kind.resource == "namespaces" and name in INITIAL_NAMESPACES:
            message = f'namespaces "{name}" is forbidden: this namespace may not be deleted'
            raise ApiError(403, message, reason="Forbidden")
        if how.dry_run:
            return item
        children = self.store.owned(metadata["uid"])
        if how.propagation == "Orphan":
            for resource, child in children:
                self.set_metadata(BY_RESOURCE[resource], child, lambda found: _disown(found, metadata["uid"]))
        finalizers = list(metadata.get("finalizers") or [])
        if how.propagation == "Foreground" and children and FOREGROUND not in finalizers:
            finalizers.append(FOREGROUND)
        grace = self._grace_s(kind, item, how)
        held = bool(finalizers) or kind.resource == "namespaces" or (kind.resource == "pods" and grace > 0)
        if not held:
            self.store.remove(kind.resource, namespace, name, uid=metadata["uid"])
            return None
        marked = dict(metadata)
        if finalizers:
            marked["finalizers"] = finalizers
        if kind.resource == "pods" and grace < marked.get("deletionGracePeriodSeconds", grace + 1):
            marked |= {
                "deletionGracePeriodSeconds": grace,
                "deletionTimestamp": stamp(now() + timedelta(seconds=grace)),
            }
        marked.setdefault("deletionTimestamp", stamp(now()))
        after = item | {"metadata": marked}
        if kind.resource == "namespaces":
            after["status"] = {"phase": "Terminating"}
        return self.store.update(kind.resource, after)

    def finish(self, kind: Kind, item: Object) -> None:
        """What a deletion waited for (a pod's processes, a namespace's contents) has ended."""
        metadata = item["metadata"]
        if not metadata.get("finalizers"):
            self.store.remove(kind.resource, metadata.get("namespace", ""), metadata["name"], uid=metadata["uid"])

    def _grace_s(self, kind: Kind, item: Object, how: Deletion) -> int:
        if kind.resource != "pods":
            return 0
        if item.get("status", {}).get("phase") in ("Succeeded", "Failed"):
            return 0
        asked = item["spec"].get("terminationGracePeriodSeconds", 30) if how.grace_s is None else how.grace_s
        return max(0, min(GRACE_LIMIT_S, int(asked)))

    def _read(self, kind: Kind, manifest: Object, options: Options) -> Object:
        """Check type and fields; returns the manifest without what the schema does not know."""
        if not isinstance(manifest, dict):
            raise ApiError(400, f"the body must be a {kind.kind} object, found {type(manifest).__name__}")
        for name, wanted in (("apiVersion", kind.api_version), ("kind", kind.kind)):
            found = manifest.get(name) or wanted
            if found != wanted:
                raise ApiError(400, f"the {name} in the data ({found}) does not match the expected {name} ({wanted})")
        manifest = manifest | {"apiVersion": kind.api_version, "kind": kind.kind}
        metadata = manifest.get("metadata") or {}
        if not isinstance(metadata, dict):
            raise ApiError(400, "metadata must be an object")
        manifest["metadata"] = {
            key: value for key, value in metadata.items() if key not in ("managedFields", "selfLink")
        }
        decoded = schemas.decode(kind.schema, manifest)
        if decoded.wrong:
            text = f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: {decoded.wrong[0]}'
            raise ApiError(400, text)
        if decoded.unknown:
            texts = [f'unknown field "{path}"' for path in decoded.unknown]
            if options.validation == "Strict":
                text = f"strict decoding error: {', '.join(texts)}"
                if not kind.custom:
                    text = f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: {text}'
                raise ApiError(400, text)
            if options.validation == "Warn":
                options.warnings += texts
        return decoded.manifest

    def _place(self, kind: Kind, namespace: str, metadata: Object) -> None:
        if not kind.namespaced:
            metadata.pop("namespace", None)
            return
        if metadata.get("namespace", namespace) != namespace:
            raise ApiError(400, "the namespace of the provided object does not match the namespace sent on the request")
        found = self.store.get("namespaces", "", namespace)
        if found["metadata"].get("deletionTimestamp"):
            name = metadata.get("name", "")
            message = f'{kind.resource} "{name}" is forbidden: unable to create new content in namespace {namespace} ' \
                "because it is being terminated"  # fmt: skip
            raise ApiError(403, message, reason="Forbidden")
        metadata["namespace"] = namespace

    def _replace(self, kind: Kind, before: Object, manifest: Object, options: Options, sub: str) -> Object:
        old, given = before["metadata"], manifest["metadata"]
        for name in ("name", "namespace"):
            if given.get(name, old.get(name)) != old.get(name):
                raise ApiError(
                    400,
                    f"the {name} of the object ({given[name]}) does not match the {name} on the URL",
                )
        version = given.get("resourceVersion") or old["resourceVersion"]
        if version != old["resourceVersion"]:
            raise conflict(kind.resource, old["name"])
        if given.get("uid", old["uid"]) != old["uid"]:
            raise conflict(kind.resource, old["name"], "the UID in the precondition does not match the UID in record")
        if sub == "status":
            after = before | {"status": manifest.get("status") or {}}
            _raise(kind, after, check_conditions(after))
        else:
            kept = {name: old[name] for name in (*_SERVER_FIELDS, "namespace", "name") if name in old}
            metadata = {key: value for key, value in given.items() if key not in _SERVER_FIELDS} | kept
            after = manifest | {"metadata": metadata | {"resourceVersion": version}}
            if "status" in kind.subresources:
                after["status"] = before.get("status") or {}
            after = self._checked(kind, before, after, options)
        if options.dry_run:
            return after
        return self._settle(kind, self.store.update(kind.resource, after))

    def _checked(self, kind: Kind, before: Object, after: Object, options: Options) -> Object:
        rules = RULES.get(kind.resource, Rules())
        after = rules.default(after)
        _raise(kind, after, check_metadata(after) + rules.check(after) + rules.check_update(before, after))
        self._admit(rules, before, after, options)
        body = {key: value for key, value in after.items() if key not in ("metadata", "status")}
        if kind.generation and body != {key: before[key] for key in before if key not in ("metadata", "status")}:
            metadata = after["metadata"]
            after = after | {"metadata": metadata | {"generation": metadata.get("generation", 1) + 1}}
        return after

    def _admit(self, rules: Rules, before: Object | None, after: Object, options: Options) -> None:
        """Ask the kind's webhook, as an API server does once an object is valid."""
        if rules.webhook is None:
            return
        if causes := rules.webhook.check(before, after) + rules.webhook.refers(after, self.store.find):
            raise denied(rules.webhook.name, causes)
        options.warnings += rules.webhook.warn(after)

    def _settle(self, kind: Kind, item: Object) -> Object:
        metadata = item["metadata"]
        waits_for_more = kind.resource in ("pods", "namespaces")
        if metadata.get("deletionTimestamp") and not metadata.get("finalizers") and not waits_for_more:
            namespace = metadata.get("namespace", "")
            return self.store.remove(kind.resource, namespace, metadata["name"], uid=metadata["uid"])
        return item


def _raise(kind: Kind, manifest: Object, causes: list[Cause]) -> None:
    if causes:
        raise invalid(kind.kind, kind.group, manifest["metadata"].get("name", ""), causes)


def _disown(metadata: Object, uid: str) -> Object:
    owners = [one for one in metadata.get("ownerReferences", ()) if one["uid"] != uid]
    return metadata | {"ownerReferences": owners}
