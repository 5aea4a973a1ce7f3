"""Structured logs: JSON lines as google-cloud-logging's StructuredLogHandler writes them; readable lines on a terminal.

Cloud Logging's agent on GKE parses them from stdout (source: cloud.google.com/logging/docs/structured-logging). Set
SEAWAY_LOG_FORMAT to ``json`` or ``text`` to choose; by default a terminal gets text and all else JSON.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import math
import os
import sys
import time
from typing import Any, TextIO

from seaway.observe import trace

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "labels", "fields"}

_GOOGLE = "logging.googleapis.com/"
_SPAN_ID = f"{_GOOGLE}spanId"


class JsonFormatter(logging.Formatter):
    """A record as one JSON line with severity, message, timestamp, trace, spanId, sourceLocation, labels and fields."""

    def __init__(self, *, step: str = "", component: str = "", span_id: str = "") -> None:
        super().__init__()
        run = trace.run_id()
        self._base: dict[str, Any] = {}
        labels = {"run_id": run, "step": step, "component": component}
        self._labels = {k: v for k, v in labels.items() if v}
        if run:
            given = None if step else trace.parse_traceparent(os.environ.get("TRACEPARENT", ""))
            identity = trace.trace_id(run)
            own = span_id or (given[1] if given and given[0] == identity else trace.span_id(run, step or component))
            self._base["logging.googleapis.com/trace"] = trace.resource(identity)
            self._base["logging.googleapis.com/spanId"] = own
            self._base["logging.googleapis.com/trace_sampled"] = True

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON; an exception's traceback joins the message, as Error Reporting expects."""
        message = record.getMessage()
        if record.exc_info:
            message += "\n" + self.formatException(record.exc_info)
        stamp = dt.datetime.fromtimestamp(record.created, dt.UTC)
        out: dict[str, Any] = {
            "message": message,
            "severity": "WARNING" if record.levelname == "WARN" else record.levelname,
            "timestamp": stamp.isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "logging.googleapis.com/labels": {**self._labels, "python_logger": record.name, **_labels(record)},
            "logging.googleapis.com/sourceLocation": {
                "file": record.pathname,
                "line": record.lineno,
                "function": record.funcName,
            },
            **self._base,
            **({_SPAN_ID: span} if (span := trace.SPAN.get()) and self._base else {}),
            **{k: v for k, v in vars(record).items() if k not in _STANDARD},
            **(getattr(record, "fields", None) or {}),
        }
        try:
            return json.dumps(out, ensure_ascii=False, default=str, allow_nan=False)
        except ValueError:  # JSON has no NaN, and Cloud Logging would take the line for plain text
            return json.dumps(_finite(out), ensure_ascii=False, default=str)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _labels(record: logging.LogRecord) -> dict[str, str]:
    return {str(k): str(v) for k, v in (getattr(record, "labels", None) or {}).items()}


class TextFormatter(logging.Formatter):
    """A record as a line for people: time, level where it matters, message, fields."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as text."""
        stamp = time.strftime("%H:%M:%S", time.localtime(record.created))
        level = "" if record.levelno == logging.INFO else f" {record.levelname}"
        fields = getattr(record, "fields", None) or {}
        shown = {k: v for k, v in fields.items() if not isinstance(v, dict | list) and not k.startswith(_GOOGLE)}
        extra = " ".join(f"{k}={v}" for k, v in shown.items())
        text = f"{stamp}{level} {record.getMessage()}" + (f"  {extra}" if extra else "")
        return text + ("\n" + self.formatException(record.exc_info) if record.exc_info else "")


def setup(*, step: str = "", component: str = "", span_id: str = "", stream: TextIO | None = None) -> None:
    """Send this process's logs to ``stream`` (stdout) in the format that fits it; safe to call twice.

    Args:
        step: of the run, if this process is one.
        component: what this process is.
        span_id: that its lines belong to; by default the step's, else that of TRACEPARENT.
        stream: where to.
    """
    stream = stream or sys.stdout
    wanted = os.environ.get("SEAWAY_LOG_FORMAT", "")
    as_text = wanted == "text" or (wanted != "json" and stream.isatty())
    handler = logging.StreamHandler(stream)
    handler.setFormatter(TextFormatter() if as_text else JsonFormatter(step=step, component=component, span_id=span_id))
    handler.set_name("seaway")
    root = logging.getLogger()
    for old in [h for h in root.handlers if h.get_name() == "seaway"]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(os.environ.get("SEAWAY_LOG_LEVEL", "INFO").upper())


def info(logger: logging.Logger, message: str, /, **fields: Any) -> None:
    """Log a message with fields that a query can select on."""
    logger.info(message, extra={"fields": fields}, stacklevel=2)
