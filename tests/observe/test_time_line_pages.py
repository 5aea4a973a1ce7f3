"""The page of a time line needs nothing else, shows all it is given, and nothing in a name can break out of it."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seaway.observe.otlp import export
from seaway.observe.spans import REQUEST, STEP
from seaway.observe.spantree import REPLICA, RUN, Span
from seaway.observe.timechart import LEFT, RIGHT, bars, page
from seaway.observe.timeline import Row, build
from tests.observe.test_html_page import NASTY, parsed

T = 1_800_000_000.0


def span(k: int, name: str, start: float, end: float, **more: object) -> Span:
    return Span(**{"name": name, "id": f"{k:016x}", "start": T + start, "end": T + end, **more})  # type: ignore[arg-type]


def spans() -> list[Span]:
    return [
        span(1, "run-1", 0, 300, kind=RUN, error="failed"),
        span(2, "01-train", 1, 200, kind=STEP, attributes={"headline": NASTY, "rows": 12345}),
        span(3, "pod-0", 2, 199, kind=REPLICA, where="pod-0", parent=f"{2:016x}"),
        *(span(10 + k, f"epoch {k}", 5 + 4 * k, 9 + 4 * k, where="pod-0") for k in range(30)),
        span(4, NASTY, 210, 299, kind=STEP, error=NASTY, where=NASTY),
        span(5, "POST late:predict", 220, 220.001, kind=REQUEST, parent=f"{4:016x}", running=True),
        span(6, "from another year", -(10**8), -(10**8) + 1),
    ]


def drawn(found: list[Span]) -> str:
    return page(build(found), run_id=NASTY, trace_id="a" * 32, state="failed", missing=[NASTY])


def test_a_page_has_no_script_names_no_other_file_and_shows_texts_as_texts() -> None:
    text = drawn(spans())
    assert not parsed(text).tags & {"script", "link", "img", "iframe", "object"}
    assert not re.search(r"https?://|\bsrc=|\bhref=|url\(|@import", text)
    assert "<script" not in text
    assert drawn(spans()) == text


def test_what_is_known_of_a_span_is_told_where_the_pointer_rests() -> None:
    text = drawn(spans())
    assert "01-train\nat 1.0 s, took 3m 19s\nheadline = &lt;script&gt;" in text
    assert "rows = 12,345" in text
    assert "epoch 7\nat 33.0 s, took 4.0 s\nin pod-0" in text
    assert "took 1.0 ms so far" in text
    assert "What failed" in text
    assert "1 spans long before or after every step" in text


def test_each_epoch_that_can_be_told_apart_has_a_bar() -> None:
    found = build(spans())
    row = next(r for r in found.rows if len(r.spans) == 30)
    shown = bars(row, found.start, (RIGHT - LEFT) / (found.end - found.start))
    assert [len(s) for _, _, s in shown] == [1] * 30
    ends = [x for first, last, _ in shown for x in (first, last)]
    assert ends == sorted(ends)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.floats(0, 1000), st.floats(0, 1000)), min_size=1, max_size=40), st.floats(1e-3, 1e5))
def test_bars_lie_within_the_axis_are_seen_and_hold_every_span(times: list[tuple[float, float]], more: float) -> None:
    found = sorted((span(k, "x", s, s + d) for k, (s, d) in enumerate(times)), key=lambda s: s.start)
    end = max(s.end for s in found) + more
    shown = bars(Row(depth=0, kind=REQUEST, spans=tuple(found)), T, (RIGHT - LEFT) / (end - T))
    assert [s for _, _, held in shown for s in held] == found
    for first, last, _ in shown:
        assert first >= -1e-6
        assert last <= RIGHT - LEFT + 1e-6
        assert last - first >= 1


@pytest.mark.parametrize("count", [0, 1, 3000])
def test_a_page_of_any_number_of_spans_is_whole_and_not_huge(count: int) -> None:
    found = [span(1, "run-1", 0, 600, kind=RUN)] if count else []
    found += [span(2 + k, f"n{k % 7} {'ab' * (k % 50)}", k / 10, k / 10 + 0.001) for k in range(count)]
    text = drawn(found)
    parsed(text)
    assert len(text) < 1_000_000
    places = re.findall(r' (?:x|y|x1|x2|y1|y2|width|height)="([^"]*)"', text)
    assert all(float(p) >= 0 for p in places)


def test_the_export_is_what_the_collector_reads() -> None:
    found = build(spans())
    text = json.dumps(export(found.spans, trace_id="a" * 32), allow_nan=False)
    resources = json.loads(text)["resourceSpans"]
    names = [{a["key"]: a["value"] for a in r["resource"]["attributes"]}["service.name"] for r in resources]
    assert names == [{"stringValue": n} for n in ("seaway", "pod-0", NASTY)]
    out = [s for r in resources for scope in r["scopeSpans"] for s in scope["spans"]]
    assert len(out) == len(found.spans)
    ids = {s["spanId"] for s in out}
    assert len(ids) == len(out)
    assert all(s.get("parentSpanId") in {*ids, None} for s in out)
    assert all(re.fullmatch("[0-9a-f]{16}", s["spanId"]) and s["traceId"] == "a" * 32 for s in out)
    train = next(s for s in out if s["name"] == "01-train")
    assert train["startTimeUnixNano"] == "1800000001000000000"
    assert train["kind"] == 1
    assert {"key": "rows", "value": {"intValue": "12345"}} in train["attributes"]
    request = next(s for s in out if s["name"].startswith("POST"))
    assert request["kind"] == 2
    failed = next(s for s in out if s["name"] == NASTY)
    assert failed["status"] == {"code": 2, "message": NASTY}
