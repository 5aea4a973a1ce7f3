"""The fields of every kind, and what strict decoding makes of a manifest.

A type is a dict from field name to what it holds, written as the official client's models write it: ``int``, ``str``,
``bool``, ``float``, ``datetime``, ``object`` (anything), ``list[T]``, ``dict(str, T)``, or the name of another type.
schemas_core.json and schemas_training.json are generated from those models and the training operator's;
schemas_serving.json and schemas_trainer.json are written by hand.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from seaway.local.api.status import Object
from seaway.local.api.times import parse

FILES = ("schemas_core.json", "schemas_training.json", "schemas_trainer.json", "schemas_serving.json")
_JSON_NAMES = {str: "string", bool: "bool", int: "number", float: "number", list: "array", dict: "object"}
_GO_NAMES = {"str": "string", "int": "int32", "bool": "bool", "float": "float64", "datetime": "v1.Time"}
_INT64 = frozenset({
    "activeDeadlineSeconds", "canaryTrafficPercent", "containerConcurrency", "deletionGracePeriodSeconds",
    "expirationSeconds", "fsGroup", "generation", "observedGeneration", "runAsGroup", "runAsUser", "seconds",
    "serverIdle", "serverRead", "serverWrite", "serviceClient", "supplementalGroups", "terminationGracePeriodSeconds",
    "timeout", "tolerationSeconds", "trafficPercent", "weight",
})  # fmt: skip
"""Fields whose ``int`` has 64 bits; all others have 32."""
_PYTHON: dict[str, tuple[type, ...]] = {
    "str": (str,), "datetime": (str,), "int": (int,), "bool": (bool,), "float": (int, float),
}  # fmt: skip


@functools.cache
def types() -> dict[str, dict[str, str]]:
    """Type name to fields, with what types extend written out."""
    found: dict[str, dict[str, Any]] = {}
    for file in FILES:
        found |= json.loads(resources.files(__package__).joinpath(file).read_text())

    def fields(name: str) -> dict[str, str]:
        own = dict(found[name])
        merged: dict[str, str] = {}
        for base in own.pop("$extends", []):
            merged |= fields(base)
        return merged | own

    return {name: fields(name) for name in found}


@dataclass
class Decoded:
    """A manifest as its schema reads it."""

    manifest: Object
    """Without the fields that the schema does not know."""
    unknown: list[str] = field(default_factory=list)
    """Paths of the fields left out."""
    wrong: list[str] = field(default_factory=list)
    """What is of the wrong type, in the server's words."""


def decode(schema: str, manifest: Object) -> Decoded:
    """Read ``manifest`` as an object of type ``schema``; nulls count as absent."""
    found = Decoded({})
    found.manifest = _object(schema, manifest, "", found)
    return found


def _object(schema: str, value: Object, path: str, found: Decoded) -> Object:
    fields, kept = types()[schema], {}
    for name, inner in value.items():
        where = f"{path}.{name}" if path else name
        written = fields.get(name)
        if written is None:
            found.unknown.append(where)
        elif inner is not None:
            kept[name] = _value(written, inner, where, schema, found)
    return kept


def _value(written: str, value: Any, path: str, owner: str, found: Decoded) -> Any:
    if written == "object":
        return value
    if written.startswith("list["):
        if not isinstance(value, list):
            return _wrong(value, path, owner, "[]" + written[5:-1], found)
        return [_value(written[5:-1], one, f"{path}[{i}]", owner, found) for i, one in enumerate(value)]
    if written.startswith("dict("):
        if not isinstance(value, dict):
            return _wrong(value, path, owner, "map[string]string", found)
        inner = written[5:-1].partition(", ")[2]
        # A null in a map of strings is read as the empty string, as Go does.
        return {
            key: "" if one is None and inner == "str" else _value(inner, one, f"{path}.{key}", owner, found)
            for key, one in value.items()
        }
    if written in _PYTHON:
        right = isinstance(value, _PYTHON[written]) and (written == "bool") == isinstance(value, bool)
        if written == "int":
            return _whole(value, path, owner, found) if right else _wrong(value, path, owner, "int32", found)
        if written == "datetime" and right:
            return _moment(value, found)
        return value if right else _wrong(value, path, owner, _GO_NAMES[written], found)
    if not isinstance(value, dict):
        return _wrong(value, path, owner, f"v1.{written.removeprefix('V1')}", found)
    return _object(written, value, path, found)


def _whole(value: int, path: str, owner: str, found: Decoded) -> int | None:
    bits = 64 if path.rpartition(".")[2].partition("[")[0] in _INT64 else 32
    if -(1 << bits - 1) <= value < 1 << bits - 1:
        return value
    _wrong(value, path, owner, f"int{bits}", found)
    return None


def _moment(value: str, found: Decoded) -> str | None:
    """A time with an offset; controllers and tables reckon with it later."""
    try:
        if parse(value).tzinfo is not None:
            return value
    except ValueError:
        pass
    found.wrong.append(f'parsing time {json.dumps(value)} as "2006-01-02T15:04:05Z07:00": cannot parse it')
    return None


def _wrong(value: Any, path: str, owner: str, expected: str, found: Decoded) -> None:
    name = _JSON_NAMES.get(type(value), "value")
    if isinstance(value, int) and not isinstance(value, bool) and expected.startswith("int"):
        name = f"number {value}"
    field_path = "".join(part.partition("[")[0] + "." for part in path.split("."))[:-1]
    found.wrong.append(
        f"json: cannot unmarshal {name} into Go struct field {owner.removeprefix('V1')}.{field_path} of type {expected}"
    )
