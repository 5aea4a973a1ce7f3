"""The patches of the Kubernetes API: pure functions from (object, patch) to object.

Sources: RFC 7386 (merge), RFC 6902 (JSON patch), the strategic merge directives of apimachinery
($patch, $retainKeys, $setElementOrder, $deleteFromPrimitiveList), with lists merged by the keys of the core types.
"""

from __future__ import annotations

import copy
from typing import Any

from seaway.local.api.status import ApiError, Object

MERGE_KEYS: dict[str, str] = {
    "containers": "name",
    "initContainers": "name",
    "ephemeralContainers": "name",
    "env": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "imagePullSecrets": "name",
    "secrets": "name",
    "ownerReferences": "uid",
    "conditions": "type",
    "topologySpreadConstraints": "topologyKey",
    "hostAliases": "ip",
}
"""Field name of a list to the key that tells its elements apart (patchMergeKey of the core types)."""

PRIMITIVE_SETS = frozenset({"finalizers"})
"""Lists of plain values that merge as sets."""


def merge(target: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    found = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            found.pop(key, None)
        else:
            found[key] = merge(found.get(key), value)
    return found


def strategic(target: Any, patch: Any) -> Any:
    """Strategic merge of an object: maps merge, lists with a merge key merge by it, other lists are replaced."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    directive = patch.get("$patch")
    if directive == "replace":
        return {key: copy.deepcopy(value) for key, value in patch.items() if key != "$patch"}
    if directive == "delete":
        return {}
    found = dict(target) if isinstance(target, dict) else {}
    retained = patch.get("$retainKeys")
    if isinstance(retained, list):
        found = {key: value for key, value in found.items() if key in retained}
    for key, value in patch.items():
        if key.startswith("$deleteFromPrimitiveList/"):
            name = key.partition("/")[2]
            found[name] = [one for one in found.get(name) or [] if one not in value]
        elif key.startswith("$"):
            continue
        elif value is None:
            found.pop(key, None)
        elif isinstance(value, list):
            merged = _merge_list(key, found.get(key) or [], value)
            found[key] = _ordered(merged, _list_key(key, merged), patch.get(f"$setElementOrder/{key}"))
        elif isinstance(value, dict):
            found[key] = strategic(found.get(key), value)
        else:
            found[key] = value
    return found


def removals(before: Any, after: Any, *, by_key: bool) -> Any:
    """The patch that takes away what ``before`` has and ``after`` does not: how a manager's apply drops its fields.

    With ``by_key``, lists whose elements have merge keys lose single elements; other lists are replaced anyway.
    """
    found: Object = {}
    for field, value in before.items():
        if field not in after:
            found[field] = None
        elif isinstance(value, dict) and isinstance(after[field], dict):
            if inner := removals(value, after[field], by_key=by_key):
                found[field] = inner
        elif by_key and isinstance(value, list) and (key := _list_key(field, value)):
            left = {one.get(key) for one in after[field]}
            if gone := [{key: one[key], "$patch": "delete"} for one in value if one.get(key) not in left]:
                found[field] = gone
    return found


def _list_key(name: str, items: list[Any]) -> str | None:
    if name == "ports" and all(isinstance(one, dict) for one in items):
        return "containerPort" if any("containerPort" in one for one in items) else "port"
    return MERGE_KEYS.get(name)


def _merge_list(name: str, before: list[Any], patch: list[Any]) -> list[Any]:
    if name in PRIMITIVE_SETS:
        return before + [one for one in patch if one not in before]
    key = _list_key(name, patch)
    if key is None or not all(isinstance(one, dict) for one in patch):
        return copy.deepcopy(patch)
    found = [] if any(one.get("$patch") == "replace" for one in patch) else list(before)
    for one in patch:
        if set(one) == {"$patch"}:
            continue
        where = next((i for i, old in enumerate(found) if old.get(key) == one.get(key)), None)
        if one.get("$patch") == "delete":
            if where is not None:
                del found[where]
        elif where is None:
            found.append(strategic({}, one))
        else:
            found[where] = strategic(found[where], one)
    return found


def _ordered(items: list[Any], key: str | None, order: list[Any] | None) -> list[Any]:
    if not order:
        return items
    wanted = [one.get(key) if isinstance(one, dict) and key else one for one in order]
    last = len(wanted)

    def place(item: Any) -> int:
        mark = item.get(key) if isinstance(item, dict) and key else item
        return wanted.index(mark) if mark in wanted else last

    return sorted(items, key=place)


def json_patch(target: Object, operations: Any) -> Object:
    """RFC 6902; what does not apply is 422 as on a cluster."""
    if not isinstance(operations, list):
        raise ApiError(400, "a JSON patch must be a list of operations")
    found: Any = copy.deepcopy(target)
    for operation in operations:
        try:
            found = _operate(found, operation)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise ApiError(422, f"the server rejected our request due to an error in our request: {error}") from error
    if not isinstance(found, dict):
        raise ApiError(422, "a JSON patch must leave an object")
    return found


def _operate(document: Any, operation: Any) -> Any:
    op, path = operation["op"], _pointer(operation["path"])
    if op == "test":
        if _value(document, path) != operation.get("value"):
            raise ValueError(f"testing value {operation['path']} failed")
        return document
    if op == "remove":
        return _edit(document, path, op, None)
    if op in ("add", "replace"):
        return _edit(document, path, op, operation["value"])
    if op in ("move", "copy"):
        source = _pointer(operation["from"])
        value = copy.deepcopy(_value(document, source))
        if op == "move":
            document = _edit(document, source, "remove", None)
        return _edit(document, path, "add", value)
    raise ValueError(f"unknown operation {op!r}")


def _pointer(text: str) -> list[str]:
    if text and not text.startswith("/"):
        raise ValueError(f"a path begins with '/', found {text!r}")
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


def _value(document: Any, path: list[str]) -> Any:
    for part in path:
        document = document[int(part)] if isinstance(document, list) else document[part]
    return document


def _edit(document: Any, path: list[str], op: str, value: Any) -> Any:
    if not path:
        return value
    parent, last = _value(document, path[:-1]), path[-1]
    if isinstance(parent, list):
        index = len(parent) if last == "-" else int(last)
        if op == "add":
            if index > len(parent):
                raise IndexError(f"index {index} is out of the list")
            parent.insert(index, value)
        elif op == "remove":
            del parent[index]
        else:
            parent[index] = value
    elif op == "remove":
        del parent[last]
    elif op == "replace" and last not in parent:
        raise KeyError(f"missing path {last}")
    else:
        parent[last] = value
    return document
