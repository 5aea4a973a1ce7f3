"""JSON lines must be what google-cloud-logging's own handler writes, and more."""

from __future__ import annotations

import io
import json
import logging

import pytest

from seaway.observe import logs, trace


def emit(monkeypatch: pytest.MonkeyPatch, **extra: object) -> dict[str, object]:
    monkeypatch.setenv("SEAWAY_RUN_ID", "run-1")
    record = logging.getLogger("seaway.test").makeRecord(
        "seaway.test", logging.WARNING, __file__, 7, "rows %s", ("é",), None, func="f", extra=extra
    )
    found: dict[str, object] = json.loads(logs.JsonFormatter(step="01-ingest", component="ingest").format(record))
    return found


def test_every_field_of_the_google_handler_is_there_with_the_same_value(monkeypatch: pytest.MonkeyPatch) -> None:
    handlers = pytest.importorskip("google.cloud.logging_v2.handlers")
    stream = io.StringIO()
    handler = handlers.StructuredLogHandler(stream=stream, labels={"run_id": "run-1"})
    monkeypatch.setenv("SEAWAY_RUN_ID", "run-1")
    record = logging.getLogger("seaway.test").makeRecord(
        "seaway.test", logging.WARNING, __file__, 7, "rows %s", ("é",), None, func="f"
    )
    handler.handle(record)
    theirs = json.loads(stream.getvalue().splitlines()[-1])  # the first names the library
    ours = json.loads(logs.JsonFormatter(step="", component="").format(record))
    assert ours["message"] == theirs["message"] == "rows é"
    assert ours["severity"] == theirs["severity"] == "WARNING"
    for key in ("logging.googleapis.com/sourceLocation", "logging.googleapis.com/labels"):
        assert ours[key] == theirs[key], key
    unset = {k for k, v in theirs.items() if v in ("", False, None, {})}
    assert theirs.keys() - unset <= ours.keys()


def test_a_line_carries_trace_span_labels_and_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    line = emit(monkeypatch, fields={"rows": 3}, labels={"replica": "pod-0"})
    assert line["rows"] == 3
    assert line["logging.googleapis.com/trace"] == trace.trace_id("run-1")
    assert line["logging.googleapis.com/spanId"] == trace.span_id("run-1", "01-ingest")
    labels = line["logging.googleapis.com/labels"]
    assert isinstance(labels, dict)
    assert labels["run_id"] == "run-1"
    assert labels["step"] == "01-ingest"
    assert labels["component"] == "ingest"
    assert labels["replica"] == "pod-0"


def test_an_exception_joins_the_message() -> None:
    try:
        raise ValueError("broken")
    except ValueError as e:
        record = logging.makeLogRecord({"msg": "step failed", "exc_info": (type(e), e, e.__traceback__)})
    message = json.loads(logs.JsonFormatter().format(record))["message"]
    assert message.startswith("step failed\nTraceback")
    assert message.endswith("ValueError: broken")


def test_setting_up_twice_does_not_log_twice() -> None:
    stream = io.StringIO()
    before = logging.getLogger().handlers[:]
    try:
        logs.setup(stream=stream)
        logs.setup(stream=stream)
        logs.info(logging.getLogger("seaway.test"), "once", rows=1)
    finally:
        logging.getLogger().handlers[:] = before
    assert stream.getvalue().count("once") == 1


@pytest.mark.parametrize(
    "header",
    ["", "00-" + "0" * 32 + "-" + "1" * 16 + "-01", "00-" + "a" * 32 + "-" + "0" * 16 + "-01", "00-xyz", "a" * 99],
)
def test_a_header_that_is_no_traceparent_is_none(header: str) -> None:
    assert trace.parse_traceparent(header) is None


def test_a_traceparent_of_ours_parses_back() -> None:
    assert trace.parse_traceparent(trace.traceparent("r", "s")) == (trace.trace_id("r"), trace.span_id("r", "s"))
