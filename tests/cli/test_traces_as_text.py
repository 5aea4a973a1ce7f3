"""A time line on a terminal: one line a row, however narrow the terminal and however odd the names."""

from __future__ import annotations

import re

import click
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seaway.cli.timetext import NARROWEST, WIDEST, axis, bars, lines, told
from seaway.observe.columns import columns, shortened
from seaway.observe.spans import STEP
from seaway.observe.spantree import RUN, Span
from seaway.observe.timeline import Row, Timeline, build

T = 1_800_000_000.0


def span(name: str, start: float, end: float, *, kind: str = STEP, error: str = "") -> Span:
    identity = f"{abs(hash(name)) % 2**60:016x}"
    return Span(name=name, id=identity, start=T + start, end=T + end, kind=kind, error=error)


def drawn(found: Timeline, width: int) -> list[str]:
    return [click.unstyle(x) for x in lines(found, width=width)]


def test_a_run_is_drawn_on_one_axis() -> None:
    steps = [
        span("01-ingest", 0, 25),
        span("02-train", 25, 75),
        span("03-promote", 75, 75.001, error="LaunchError: no"),
    ]
    found = build([span("run-1", 0, 100, kind=RUN), *steps])
    assert drawn(found, 76) == [
        "                        0              30 s            1m             1m 30s",
        "run-1           1m 40s  ████████████████████████████████████████████████████",
        "  01-ingest     25.0 s  █████████████",
        "  02-train      50.0 s               ██████████████████████████",
        "  ✗ 03-promote  1.0 ms                                         ▏",
    ]
    assert [click.unstyle(x) for x in told([steps[2]])] == ["✗ 03-promote: LaunchError: no"]


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.text(min_size=1, max_size=80), st.floats(0, 1e5), st.floats(0, 1e5)), max_size=12),
    st.integers(0, 300),
)
def test_no_line_is_wider_than_the_terminal(spans: list[tuple[str, float, float]], width: int) -> None:
    found = build([span(name, start, start + long) for name, start, long in spans])
    limit = max(NARROWEST, min(width, WIDEST))
    text = drawn(found, width)
    assert len(text) == len(found.rows) + 1
    assert all(columns(x) <= limit for x in text)


@settings(max_examples=60)
@given(st.floats(0, 100), st.floats(0, 100), st.integers(10, 100))
def test_a_bar_is_where_its_span_is_and_never_empty(start: float, long: float, width: int) -> None:
    found = Timeline(rows=(), start=T, end=T + 200, spans=(), left_out=())
    row = Row(depth=0, kind=STEP, spans=(span("x", start, start + long),))
    bar = bars(row, found, width)
    assert len(bar) == width
    first, last = len(bar) - len(bar.lstrip()), len(bar.rstrip())
    assert abs(first - start / 200 * width) <= 1
    assert abs(last - (start + long) / 200 * width) <= 1 + 1e-6
    assert re.fullmatch(r" *[█▌▐▏▕]+ *", bar)


@given(st.text(), st.integers(1, 60))
def test_a_text_is_made_to_fit(text: str, width: int) -> None:
    short = shortened(text, width)
    assert columns(short) <= width
    assert short == text or "…" in short


def test_the_ends_of_a_name_are_kept() -> None:
    assert shortened("train-flights-late-0830468828-worker-1", 24) == "train-flight…28-worker-1"
    assert shortened("日本語の名前", 7) == "日…名前"


@pytest.mark.parametrize("seconds", [1e-3, 0.5, 7, 61, 3599, 1e6])
def test_marks_on_the_axis_do_not_touch(seconds: float) -> None:
    text = axis(seconds, 60)
    assert len(text) <= 60
    assert text.startswith("0 ")
    assert len(re.split(r" {2,}", text.strip())) >= 3
