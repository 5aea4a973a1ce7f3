"""Spans as OTLP JSON, which Jaeger, Tempo and OpenTelemetry's collector take in.

Source: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding; trace.proto of opentelemetry-proto v1. Ids are
hex there, 64-bit integers are texts, enumerations are numbers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from seaway._version import __version__
from seaway.observe.spans import REQUEST
from seaway.observe.spantree import Span

_INTERNAL, _SERVER = 1, 2
_ERROR = 2


def export(spans: Iterable[Span], *, trace_id: str) -> dict[str, Any]:
    """An ExportTraceServiceRequest; spans of one pod share a resource, those of the steps another."""
    by_pod: dict[str, list[Span]] = defaultdict(list)
    for span in spans:
        by_pod[span.where].append(span)
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": _attributes(_resource(pod))},
                "scopeSpans": [
                    {
                        "scope": {"name": "seaway", "version": __version__},
                        "spans": [_span(s, trace_id) for s in found],
                    }
                ],
            }
            for pod, found in by_pod.items()
        ]
    }


def _resource(pod: str) -> dict[str, Any]:
    return {"service.name": pod or "seaway", **({"k8s.pod.name": pod} if pod else {})}


def _span(span: Span, trace_id: str) -> dict[str, Any]:
    out: dict[str, Any] = {
        "traceId": trace_id,
        "spanId": span.id,
        "name": span.name,
        "kind": _SERVER if span.kind == REQUEST else _INTERNAL,
        "startTimeUnixNano": str(round(span.start * 1e9)),
        "endTimeUnixNano": str(round(span.end * 1e9)),
        "attributes": _attributes({"seaway.kind": span.kind, **span.attributes}),
        "status": {"code": _ERROR, "message": span.error} if span.error else {},
    }
    return {**out, "parentSpanId": span.parent} if span.parent else out


def _attributes(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in values.items() if value is not None]


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    return {"stringValue": str(value)}
