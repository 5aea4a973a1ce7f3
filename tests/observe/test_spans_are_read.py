"""Spans are read back from log lines, and no line, whoever wrote it, is too much."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seaway.observe import spanlog, spans
from seaway.observe.spantree import KINDS, REPLICA, WORK, Span
from seaway.observe.timeline import build

SPAN = {"name": "epoch 1", "id": "a" * 16, "parent": "b" * 16, "start": 10.0, "end": 11.5, "attributes": {"loss": 0.5}}


def line(span: Any, **more: Any) -> str:
    return json.dumps({"message": "m", "timestamp": "2026-01-01T00:00:00Z", spans.FIELD: span, **more})


def read(text: str, **known: str) -> Span | None:
    parsed = spanlog.record(text)
    return spanlog.read(parsed, **known) if parsed is not None else None


def test_what_was_logged_is_read() -> None:
    found = spanlog.read(
        spans.line("epoch 1", start=10.0, end=11.5, parent="b" * 16, span_id="a" * 16, attributes={"loss": 0.5}),
        step="03-train",
        where="pod-0",
    )
    assert found == Span(
        name="epoch 1",
        id="a" * 16,
        parent="b" * 16,
        start=10.0,
        end=11.5,
        kind=WORK,
        step="03-train",
        where="pod-0",
        attributes={"loss": 0.5},
    )


def test_only_spans_of_the_trace_are_read() -> None:
    assert read(line({**SPAN, "trace": "c" * 32}), trace="c" * 32) is not None
    assert read(line({**SPAN, "trace": "d" * 32}), trace="c" * 32) is None
    assert read(line(SPAN), trace="c" * 32) is None


@pytest.mark.parametrize(
    "broken",
    [
        None,
        "x",
        [],
        {},
        {**SPAN, "name": 7},
        {**SPAN, "name": " \n "},
        {**SPAN, "start": "10"},
        {**SPAN, "start": True},
        {**SPAN, "start": -1.0},
        {**SPAN, "end": math.nan},
        {**SPAN, "end": math.inf},
        {**SPAN, "start": 10**400},
        {**SPAN, "end": 1e300},
    ],
)
def test_what_is_no_span_is_none(broken: Any) -> None:
    assert read(line(broken)) is None


@pytest.mark.parametrize(
    "text", ["", "{", "{}", "[]", "null", '{"span":', "x" * 10_000, '{"a":' * 5_000, '{"span": {"name": "\ud800"}}']
)
def test_rubbish_is_none(text: str) -> None:
    assert read(text) is None


def test_a_span_that_ends_before_it_starts_took_no_time() -> None:
    found = read(line({**SPAN, "end": 2.0}))
    assert found is not None
    assert found.seconds == 0


def test_ids_of_other_forms_are_replaced_and_parents_dropped() -> None:
    found = read(line({**SPAN, "id": "../../etc", "parent": ["x"]}))
    assert found is not None
    assert len(found.id) == 16
    assert found.parent == ""


def test_texts_are_printable_and_short() -> None:
    evil = "\x1b[31mred\x1b]0;title\x07\u202eevil\r\nnew line" + "x" * 1000
    found = read(line({**SPAN, "name": evil, "attributes": {evil: evil, "error": evil, "deep": {"a": [evil]}}}))
    assert found is not None
    told = [found.name, found.error, *found.attributes, *map(str, found.attributes.values())]
    assert all(t.isprintable() and len(t) <= spanlog.LONGEST for t in told)


def test_only_some_attributes_are_kept_and_numbers_stay_numbers() -> None:
    many = {f"a{k}": k for k in range(1000)}
    found = read(line({**SPAN, "attributes": {"big": 10**40, "nan": math.nan, "flag": True, **many}}))
    assert found is not None
    assert len(found.attributes) == spanlog.ATTRIBUTES
    assert found.attributes["big"] == "1e+40"
    assert found.attributes["nan"] == "nan"
    assert found.attributes["flag"] is True
    assert found.attributes["a1"] == 1


@pytest.mark.parametrize(("status", "error"), [(200, ""), (400, "answered 400"), (503, "answered 503"), ("500", "")])
def test_an_answer_that_refuses_is_a_failure(status: Any, error: str) -> None:
    found = read(line({**SPAN, "attributes": {"status": status}}))
    assert found is not None
    assert found.error == error


def test_a_log_tells_of_each_replica_from_its_first_line_to_its_last() -> None:
    labels = {spanlog.LABELS: {"step": "03-train", "replica": "pod-0"}}
    lines = [
        json.dumps({"message": "step line", "timestamp": "2026-01-01T00:00:00Z"}),
        json.dumps({"message": "hello", "timestamp": "2026-01-01T00:00:01Z", **labels}),
        line(SPAN, **{**labels, "timestamp": "2026-01-01T00:00:05Z"}),
        line({**SPAN, "kind": "step"}, **labels),  # a replica is no step, whatever it says
        json.dumps({"message": "bad times", "timestamp": "yesterday", **labels}),
        json.dumps({"message": "bad labels", spanlog.LABELS: {"replica": 7}}),
        'plain text with "replica" and "span" in it',
    ]
    found = spanlog.of_step(lines, step="03-train")
    assert [(s.kind, s.name, s.where, s.step) for s in found] == [
        (REPLICA, "pod-0", "pod-0", "03-train"),
        (WORK, "epoch 1", "pod-0", "03-train"),
    ]
    assert found[0].seconds == 5


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
odd_spans = st.fixed_dictionaries(
    {},
    optional={
        k: json_values | st.floats(0, 1e10) | st.sampled_from(["a" * 16, "step", "request"])
        for k in (*SPAN, "kind", "trace")
    },
)


@given(st.lists(odd_spans | json_values, max_size=8), st.sampled_from(["", "pod-0", "\x1b"]))
def test_no_line_breaks_the_reading_or_the_drawing(given_spans: list[Any], where: str) -> None:
    lines = [line(s, **{spanlog.LABELS: {"replica": where}} if where else {}) for s in given_spans]
    found = spanlog.of_step(lines, step="01-x")
    assert all(s.kind in KINDS and 0 <= s.start <= s.end and s.name.isprintable() for s in found)
    json.dumps([dict(s.attributes) for s in found], allow_nan=False)
    build(found)


@given(st.text() | st.binary().map(lambda b: b.decode("latin-1")))
def test_no_text_breaks_the_reading(text: str) -> None:
    spanlog.of_step([text, '"span"' + text, '{"span"' + text], step="01-x")
