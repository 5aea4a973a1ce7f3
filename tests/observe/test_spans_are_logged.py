"""What takes time is logged as a span, with the parent that W3C Trace Context names."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from seaway.observe import logs, spans, trace
from seaway.observe.step import Record

RUN = "run-1"
PARENT = "c" * 16
Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lines]:
    """The log lines of a replica of `RUN`, as they are so far."""
    monkeypatch.setenv("SEAWAY_RUN_ID", RUN)
    monkeypatch.setenv("TRACEPARENT", f"00-{trace.trace_id(RUN)}-{PARENT}-01")
    monkeypatch.delenv("SEAWAY_RUN_DIR", raising=False)
    stream, root = io.StringIO(), logging.getLogger()
    before, level = root.handlers[:], root.level
    logs.setup(component="train", stream=stream)
    yield lambda: [json.loads(x) for x in stream.getvalue().splitlines()]
    root.handlers[:] = before
    root.setLevel(level)


def test_a_span_belongs_to_the_one_around_it_and_that_to_traceparent(lines: Lines) -> None:
    with spans.span("fit", rank=0) as outer:
        outer["rows"] = 7
        with spans.span("epoch 1"):
            logs.info(logging.getLogger("seaway.test"), "half way")
        spans.record("read", start=1.0, end=2.5)
    half, epoch, read, fit = lines()
    assert fit["span"]["parent"] == PARENT
    assert epoch["span"]["parent"] == read["span"]["parent"] == fit["span"]["id"]
    assert half["logging.googleapis.com/spanId"] == epoch["span"]["id"] == epoch["logging.googleapis.com/spanId"]
    assert fit["span"]["attributes"] == {"rank": 0, "rows": 7}
    assert (read["span"]["start"], read["span"]["end"]) == (1.0, 2.5)
    assert {x["logging.googleapis.com/trace"] for x in lines()} == {trace.trace_id(RUN)}
    assert {x["span"]["trace"] for x in lines()[1:]} == {trace.trace_id(RUN)}


def test_lines_outside_of_spans_belong_to_the_span_of_traceparent(lines: Lines) -> None:
    logs.info(logging.getLogger("seaway.test"), "hello")
    assert lines()[0]["logging.googleapis.com/spanId"] == PARENT


def test_what_is_raised_within_is_told_and_raised(lines: Lines) -> None:
    with pytest.raises(ValueError, match="broken"), spans.span("epoch 1"):
        raise ValueError("broken")
    assert lines()[0]["span"]["attributes"] == {"error": "ValueError: broken"}
    assert trace.SPAN.get() == ""


def test_a_loss_that_is_not_a_number_leaves_the_line_json(lines: Lines) -> None:
    spans.record("epoch 1", start=1.0, end=2.0, loss=float("nan"), rate=float("inf"), deep={"x": [float("nan")]})
    assert lines()[0]["span"]["attributes"] == {"loss": "nan", "rate": "inf", "deep": {"x": ["nan"]}}


def test_a_process_that_works_for_many_names_the_trace(lines: Lines) -> None:
    given = {"trace_id": "a" * 32, "parent": "b" * 16, "span_id": "d" * 16}
    spans.record("POST late:predict", start=1.0, end=2.0, kind=spans.REQUEST, **given)
    line = lines()[0]
    assert {k: line["span"][k] for k in ("trace", "parent", "id", "kind")} == {
        "trace": "a" * 32,
        "parent": "b" * 16,
        "id": "d" * 16,
        "kind": "request",
    }
    assert line["logging.googleapis.com/trace"] == "a" * 32
    assert line["logging.googleapis.com/spanId"] == "d" * 16


def test_a_trace_of_others_has_no_parent_of_this_run(lines: Lines) -> None:
    spans.record("GET /", start=1.0, end=2.0, trace_id="a" * 32)
    assert lines()[0]["span"]["parent"] == ""


def test_cloud_logging_is_told_the_project(lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "harbour")
    spans.record("read", start=1.0, end=2.0)
    assert lines()[0]["logging.googleapis.com/trace"] == f"projects/harbour/traces/{trace.trace_id(RUN)}"


def test_people_are_not_shown_ids() -> None:
    record = logging.makeLogRecord(
        {"msg": "read took 1 s", "fields": spans.line("read", start=1, end=2, attributes={})}
    )
    assert logs.TextFormatter().format(record).endswith("read took 1 s")


def test_a_step_hands_its_span_on(lines: Lines) -> None:
    record = Record("train", {"seed": 1})
    given = trace.parse_traceparent(trace.outgoing())
    record.end("succeeded")
    last = logging.getLogger("seaway.test")
    logs.info(last, "after")
    assert given is not None
    identity, own = given
    assert identity == trace.trace_id(RUN)
    assert own != PARENT


def test_the_last_line_of_a_step_is_its_span(capsys: pytest.CaptureFixture[str], lines: Lines) -> None:
    del lines
    record = Record("train", {"seed": 1})
    record.end("failed", error=ValueError("no rows"))
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    given = trace.parse_traceparent(record.traceparent)
    assert given is not None
    assert line["span"]["kind"] == "step"
    assert (line["span"]["id"], line["span"]["parent"]) == (given[1], "")
    assert line["logging.googleapis.com/spanId"] == given[1]
    assert line["span"]["attributes"]["error"] == "ValueError: no rows"


def test_on_a_cluster_two_uses_of_a_component_differ_and_a_retry_does_not(lines: Lines) -> None:
    del lines
    one, two, again = (Record("train", {"framework": f}).traceparent for f in ("pytorch", "sklearn", "pytorch"))
    assert one == again
    assert one != two


def test_requests_carry_the_span_they_are_made_in(lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    with spans.span("ask"):
        inside = trace.outgoing()
    assert inside == f"00-{trace.trace_id(RUN)}-{lines()[0]['span']['id']}-01"
    assert trace.outgoing() == f"00-{trace.trace_id(RUN)}-{PARENT}-01"
    monkeypatch.setenv("TRACEPARENT", f"00-{'a' * 32}-{PARENT}-00")
    assert trace.outgoing() == f"00-{'a' * 32}-{PARENT}-00"
    monkeypatch.setenv("TRACEPARENT", "rubbish")
    assert trace.outgoing() == trace.traceparent(RUN, "request")
    monkeypatch.delenv("SEAWAY_RUN_ID")
    assert trace.outgoing() == ""


@pytest.mark.parametrize(("flags", "sampled"), [("00", False), ("01", True), ("02", False), ("ff", True)])
def test_the_sampled_flag_is_one_bit(flags: str, sampled: bool) -> None:
    assert trace.is_sampled(f"00-{'a' * 32}-{'b' * 16}-{flags}") is sampled


@pytest.mark.parametrize(
    ("header", "valid"),
    [
        (f"00-{'a' * 32}-{'b' * 16}-01", True),
        (f"01-{'a' * 32}-{'b' * 16}-01-more", True),
        (f"00-{'a' * 32}-{'b' * 16}-01-more", False),
        (f"01-{'a' * 32}-{'b' * 16}-01more", False),
        (f"ff-{'a' * 32}-{'b' * 16}-01", False),
        (f"00-{'A' * 32}-{'b' * 16}-01", False),
        (f"00-{'a' * 32}-{'b' * 16}-01\n", False),
    ],
)
def test_versions_to_come_may_say_more(header: str, valid: bool) -> None:
    assert (trace.parse_traceparent(header) is not None) is valid
