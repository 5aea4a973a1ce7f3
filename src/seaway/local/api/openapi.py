"""OpenAPI v3 documents, one a group-version, made from the field trees; what `kubectl apply` and `explain` read."""

from __future__ import annotations

import functools
import hashlib
from typing import Any

import orjson

from seaway.local.api.kinds import GROUP_VERSIONS, KINDS, Kind
from seaway.local.api.schemas import types
from seaway.local.api.status import Object

_SCALARS: dict[str, Object] = {
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "datetime": {"type": "string", "format": "date-time"},
    "object": {"x-kubernetes-preserve-unknown-fields": True},
}


def root() -> Object:
    """The index: path of a group-version to its document's URL, whose hash changes with the content."""
    found = {}
    for group, version in GROUP_VERSIONS:
        path = f"apis/{group}/{version}" if group else f"api/{version}"
        digest = hashlib.sha256(document(path) or b"").hexdigest().upper()
        found[path] = {"serverRelativeURL": f"/openapi/v3/{path}?hash={digest}"}
    return {"paths": found}


@functools.cache
def document(path: str) -> bytes | None:
    """The document of ``api/v1`` or ``apis/GROUP/VERSION``, None when there is no such group-version."""
    kinds = [kind for kind in KINDS if path == (f"apis/{kind.api_version}" if kind.group else f"api/{kind.version}")]
    if not kinds:
        return None
    schemas: Object = {}
    for kind in kinds:
        _add(kind.schema, schemas)
        schemas[_name(kind.schema)]["x-kubernetes-group-version-kind"] = [_gvk(kind)]
    found = {
        "openapi": "3.0.0",
        "info": {"title": "Seaway laptop", "version": "v1.32.0"},
        "paths": {route: operations for kind in kinds for route, operations in _paths(kind).items()},
        "components": {"schemas": schemas},
    }
    return orjson.dumps(found, option=orjson.OPT_SORT_KEYS)


def _gvk(kind: Kind) -> Object:
    return {"group": kind.group, "version": kind.version, "kind": kind.kind}


def _name(schema: str) -> str:
    return f"dev.seaway.{schema}"


def _add(schema: str, schemas: Object) -> None:
    if _name(schema) in schemas:
        return
    properties: Object = {}
    schemas[_name(schema)] = {"type": "object", "properties": properties}
    for field, written in types()[schema].items():
        properties[field] = _property(written, schemas)


def _property(written: str, schemas: Object) -> Any:
    if written in _SCALARS:
        return dict(_SCALARS[written])
    if written.startswith("list["):
        return {"type": "array", "items": _property(written[5:-1], schemas)}
    if written.startswith("dict("):
        inner = written[5:-1].partition(", ")[2]
        return {"type": "object", "additionalProperties": _property(inner, schemas)}
    _add(written, schemas)
    return {"allOf": [{"$ref": f"#/components/schemas/{_name(written)}"}], "default": {}}


def _paths(kind: Kind) -> Object:
    prefix = f"/apis/{kind.api_version}" if kind.group else f"/api/{kind.version}"
    plural = f"{prefix}/namespaces/{{namespace}}/{kind.plural}" if kind.namespaced else f"{prefix}/{kind.plural}"
    body = {"schema": {"$ref": f"#/components/schemas/{_name(kind.schema)}"}}
    answer = {"200": {"description": "OK", "content": {"application/json": body}}}
    query = [
        {"name": name, "in": "query", "schema": {"type": "boolean" if name == "force" else "string"}}
        for name in ("dryRun", "fieldManager", "fieldValidation", "force")
    ]

    def operation(action: str, verb: str) -> Object:
        return {
            "operationId": f"{action}{kind.group}{kind.version}{kind.kind}",
            "x-kubernetes-action": verb,
            "x-kubernetes-group-version-kind": _gvk(kind),
            "responses": answer,
        }

    patch = operation("patch", "patch") | {
        "parameters": query,
        # Not strategic-merge-patch+json: kubectl would compute the patch from this document, which says nothing of
        # merge keys; without it kubectl computes it from its own types and still sends a strategic merge.
        "requestBody": {
            "content": {
                f"application/{media}": {"schema": {"type": "object"}}
                for media in ("apply-patch+yaml", "json-patch+json", "merge-patch+json")
            }
        },
    }
    create = operation("create", "post") | {"parameters": query, "requestBody": {"content": {"application/json": body}}}
    return {
        plural: {"get": operation("list", "list"), "post": create},
        plural + "/{name}": {"get": operation("read", "get"), "patch": patch},
    }
