"""The scale subresource: an object's replicas as an autoscaling/v1 Scale, read and written.

Source: the ScaleREST of apiextensions-apiserver, and the paths that a CustomResourceDefinition names.
"""

from __future__ import annotations

from typing import Any

from seaway.local.api import patch as patches
from seaway.local.api.kinds import Kind
from seaway.local.api.status import ApiError, Object

GROUP, VERSION, KIND = "autoscaling", "v1", "Scale"


def read(kind: Kind, item: Object) -> Object:
    """The Scale of an object; 500, as on a cluster, when the object has no replicas to scale."""
    spec, status, selector = kind.scale
    wanted = _at(item, spec)
    if wanted is None:
        message = f'Internal error occurred: the spec replicas field ".{spec}" does not exist'
        raise ApiError(500, message)
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    metadata = {name: item["metadata"][name] for name in kept if name in item["metadata"]}
    found: Object = {"replicas": _at(item, status) or 0}
    if text := _at(item, selector):
        found["selector"] = text
    return {
        "kind": KIND,
        "apiVersion": f"{GROUP}/{VERSION}",
        "metadata": metadata,
        "spec": {"replicas": wanted},
        "status": found,
    }


def patched(scale: Object, media: str, body: Any) -> Object:
    """A Scale changed by a patch of media type ``media``."""
    try:
        if media == "application/json-patch+json":
            return dict(patches.json_patch(scale, body))
        if isinstance(body, dict):
            return dict(patches.merge(scale, body))
    except (TypeError, AttributeError, KeyError, ValueError) as error:
        raise ApiError(400, f"the patch does not fit the object: {error}") from None
    raise ApiError(400, f"a patch of type {media} must be an object")


def scaled(kind: Kind, item: Object, scale: Any) -> Object:
    """The object with the replicas that a Scale asks for; 400 when it asks for no whole number of at least 0."""
    spec = scale.get("spec") if isinstance(scale, dict) else None
    wanted = spec.get("replicas", 0) if isinstance(spec, dict) else 0
    if not isinstance(wanted, int) or isinstance(wanted, bool) or not 0 <= wanted < 1 << 31:
        raise ApiError(400, f"spec.replicas of a Scale must be a whole number of at least 0, found {wanted!r}")
    metadata = dict(item["metadata"])
    given = scale.get("metadata") if isinstance(scale, dict) else None
    if isinstance(given, dict) and given.get("resourceVersion"):
        metadata["resourceVersion"] = given["resourceVersion"]
    return _with(item, kind.scale[0].split("."), wanted) | {"metadata": metadata}


def _at(item: Object, path: str) -> Any:
    found: Any = item
    for part in path.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def _with(item: Object, path: list[str], value: Any) -> Object:
    inner = value if len(path) == 1 else _with(item.get(path[0]) or {}, path[1:], value)
    return item | {path[0]: inner}
