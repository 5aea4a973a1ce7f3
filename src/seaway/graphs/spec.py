"""An InferenceGraph's spec, read: nodes of steps, typed and with every absent field at its zero value.

In: ``spec`` of a serving.kserve.io/v1alpha1 InferenceGraph as plain dictionaries. Out: a Graph. Keys are read as Go
reads them, whatever their case, and unknown ones are passed over, as the API server is what refuses them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from seaway.errors import InputError

ROOT = "root"
RESPONSE = "$response"
"""The one value of `data` that means anything: the answer of the step before."""
ROUTER_TYPES = ("Sequence", "Splitter", "Ensemble", "Switch")


@dataclass(frozen=True, kw_only=True)
class Step:
    """One target of a node."""

    name: str = ""
    node: str = ""
    service: str = ""
    url: str = ""
    data: str = ""
    condition: str = ""
    dependency: str = ""
    """Hard, Soft or empty, which is Soft."""
    weight: int | None = None
    maps_predictions: bool = False
    """mapPredictionsToInstances."""


@dataclass(frozen=True, kw_only=True)
class Node:
    """Steps and how they are gone through."""

    router_type: str = ""
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Timeouts:
    """routerTimeouts, in seconds; zero or less is none."""

    server_read: int = 60
    server_write: int = 60
    server_idle: int = 180
    service_client: int = 0


@dataclass(frozen=True, kw_only=True)
class Graph:
    """A whole graph; it begins at the node named root."""

    nodes: Mapping[str, Node] = field(default_factory=dict)
    timeouts: Timeouts = Timeouts()


def read(spec: Mapping[str, Any]) -> Graph:
    """A graph from an InferenceGraph's ``spec``.

    Raises:
        InputError: a field has a value of the wrong type.
    """
    fields = _fields(spec, "spec")
    nodes = _named(fields.get("nodes"), "spec.nodes")
    given = _fields(fields.get("routertimeouts"), "spec.routerTimeouts")
    known = {
        name: _whole(given.get(name.replace("_", "")), f"spec.routerTimeouts, {name}")
        for name in ("server_read", "server_write", "server_idle", "service_client")
    }
    return Graph(
        nodes={name: _node(node, f"spec.nodes.{name}") for name, node in nodes.items()},
        timeouts=Timeouts(**{name: value for name, value in known.items() if value is not None}),
    )


def _node(node: Any, where: str) -> Node:
    fields = _fields(node, where)
    steps = fields.get("steps")
    if not isinstance(steps, list | tuple | None):
        raise InputError(f"{where}.steps must be a list, found {type(steps).__name__}")
    return Node(
        router_type=_text(fields, "routerType", where),
        steps=tuple(_step(one, f"{where}.steps[{number}]") for number, one in enumerate(steps or ())),
    )


def _step(step: Any, where: str) -> Step:
    fields = _fields(step, where)
    maps = fields.get("mappredictionstoinstances")
    if not isinstance(maps, bool | None):
        raise InputError(f"{where}.mapPredictionsToInstances must be true or false, found {maps!r}")
    return Step(
        name=_text(fields, "name", where),
        node=_text(fields, "nodeName", where),
        service=_text(fields, "serviceName", where),
        url=_text(fields, "serviceUrl", where),
        data=_text(fields, "data", where),
        condition=_text(fields, "condition", where),
        dependency=_text(fields, "dependency", where),
        weight=_whole(fields.get("weight"), f"{where}.weight"),
        maps_predictions=bool(maps),
    )


def _named(value: Any, where: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InputError(f"{where} must be an object, found {type(value).__name__}")
    return value


def _fields(value: Any, where: str) -> dict[str, Any]:
    return {str(key).lower(): inner for key, inner in _named(value, where).items()}


def _text(fields: Mapping[str, Any], name: str, where: str) -> str:
    value = fields.get(name.lower())
    if not isinstance(value, str | None):
        raise InputError(f"{where}.{name} must be a text, found {value!r}")
    return value or ""


def _whole(value: Any, where: str) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | None):
        raise InputError(f"{where} must be a whole number, found {value!r}")
    return value
