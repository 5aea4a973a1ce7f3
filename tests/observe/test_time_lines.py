"""A run's spans become rows: every span in one of them, beneath what it belongs to, whatever the spans are."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seaway.observe.spans import REQUEST, STEP
from seaway.observe.spantree import DEPTH, FAR_S, KINDS, REPLICA, RUN, Span
from seaway.observe.timeline import ROWS, Timeline, build, failures
from seaway.observe.times import duration, marks

T = 1_800_000_000.0


def identity(k: int) -> str:
    return f"{k:016x}"


def span(name: str, start: float, end: float, **more: Any) -> Span:
    return Span(**{"name": name, "id": identity(hash((name, start, end)) % 2**60), **more, "start": start, "end": end})


def tree(found: Timeline) -> list[tuple[int, str]]:
    return [(r.depth, r.label) for r in found.rows]


@st.composite
def any_spans(draw: st.DrawFn) -> list[Span]:
    """Spans with parents that are others, themselves, or nobody; ids used twice; pods with and without a replica."""
    out = []
    for _ in range(draw(st.integers(0, 14))):
        start = draw(st.floats(T, T + 100))
        kind = draw(st.sampled_from(KINDS))
        pod = draw(st.sampled_from(["", "pod-0", "pod-1"])) if kind != REPLICA else draw(st.sampled_from("ab"))
        out.append(
            Span(
                name=draw(st.sampled_from(["epoch 1", "epoch 2", "fit", "ü"])),
                id=identity(draw(st.integers(1, 12))),
                parent=draw(st.sampled_from(["", *map(identity, range(1, 14))])),
                start=start,
                end=start + draw(st.floats(0, 50)),
                kind=kind,
                where=pod,
                step=draw(st.sampled_from(["", "01-x", "fit"])),
                error=draw(st.sampled_from(["", "broken"])),
            )
        )
    return out


@settings(max_examples=50)
@given(any_spans())
def test_every_span_is_in_one_row_and_within_the_axis(spans: list[Span]) -> None:
    found = build(spans)
    drawn = [s for r in found.rows for s in r.spans]
    assert Counter(map(id, drawn)) == Counter(map(id, found.spans))
    assert all(r.spans for r in found.rows)
    assert found.start < found.end
    assert all(found.start <= s.start <= s.end <= found.end for s in drawn)
    assert len({s.id for s in drawn}) == len(drawn)


@settings(max_examples=50)
@given(any_spans())
def test_a_row_lies_beneath_the_row_of_its_parents(spans: list[Span]) -> None:
    found = build(spans)
    above: list[set[str]] = []
    for row in found.rows:
        assert row.depth <= len(above)
        del above[row.depth :]
        assert {s.parent for s in row.spans} <= (above[-1] if above else {""})
        above.append({s.id for s in row.spans})


@settings(max_examples=50)
@given(any_spans(), st.randoms(use_true_random=False))
def test_siblings_stand_in_the_order_of_their_starts(spans: list[Span], chance: random.Random) -> None:
    distinct = list({(s.id, s.kind, s.where): s for s in spans}.values())
    distinct = [s for s in distinct if s.kind != REPLICA]
    shuffled = distinct[:]
    chance.shuffle(shuffled)
    found = build(distinct)
    assert build(distinct) == found
    if len({s.id for s in distinct}) == len(distinct):
        assert build(shuffled).rows == found.rows
    last: list[float] = []
    for row in found.rows:
        del last[row.depth + 1 :]
        if len(last) > row.depth:
            assert last[row.depth] <= row.spans[0].start
            last[row.depth] = row.spans[0].start
        else:
            last.append(row.spans[0].start)
        assert list(row.spans) == sorted(row.spans, key=lambda s: s.start)


@settings(max_examples=20)
@given(st.integers(0, 400), st.integers(1, 40), st.integers(1, 300))
def test_rows_are_few_however_many_spans_there_are(count: int, parents: int, names: int) -> None:
    spans = [
        Span(
            name=f"{chr(97 + k * 7 % names % 26)}{'x' * (k % names // 26)}",
            id=identity(k + 1),
            parent=identity(k // parents) if k else "",
            start=T + k,
            end=T + k + 1,
        )
        for k in range(count)
    ]
    found = build(spans, most_rows=100)
    assert len(found.rows) <= 100
    assert sum(len(r.spans) for r in found.rows) == count
    assert len(build(spans).rows) <= ROWS


def run_of(*more: Span) -> list[Span]:
    return [
        span("run", T, T + 100, kind=RUN),
        span("01-ingest", T + 1, T + 2, kind=STEP, id=identity(1)),
        span("02-train", T + 3, T + 90, kind=STEP, id=identity(2)),
        *more,
    ]


def pod(name: str, start: float, end: float, **more: Any) -> Span:
    return span(name, start, end, kind=REPLICA, where=name, **more)


def test_a_pod_lies_between_its_step_and_its_work() -> None:
    step = {"parent": identity(2), "step": "02-train"}
    found = build(
        run_of(
            pod("worker-0", T + 5, T + 80, step="02-train"),
            pod("master-0", T + 4, T + 80, parent=identity(2)),
            span("fit", T + 6, T + 79, where="master-0", id=identity(3), **step),
            span("epoch 1", T + 7, T + 8, where="master-0", parent=identity(3)),
            span("fit", T + 6, T + 79, where="worker-0", id=identity(4), **step),
            span("upload", T + 85, T + 86, **step),
            span("from nowhere", T + 87, T + 88, step="02-train", parent=identity(99)),
            span("of no step", T + 91, T + 92),
        )
    )
    assert tree(found) == [
        (0, "run"),
        (1, "01-ingest"),
        (1, "02-train"),
        (2, "master-0"),
        (3, "fit"),
        (4, "epoch 1"),
        (2, "worker-0"),
        (3, "fit"),
        (2, "upload"),
        (2, "from nowhere"),
        (1, "of no step"),
    ]


def test_a_pod_lies_beneath_the_span_of_its_job() -> None:
    wait = span("job train-x-1", T + 4, T + 88, parent=identity(2), attributes={"job": "train-x-1"})
    pods = [pod(f"train-x-1-{name}", T + 5, T + 80, parent=identity(2)) for name in ("master-0", "worker-0")]
    found = build(run_of(wait, *pods, pod("train-x-12-master-0", T + 6, T + 7, parent=identity(2))))
    assert tree(found)[3:] == [
        (2, "job train-x-1"),
        (3, "train-x-1-master-0"),
        (3, "train-x-1-worker-0"),
        (2, "train-x-12-master-0"),
    ]


def test_a_pod_known_from_several_sides_is_one_row_that_spans_its_work() -> None:
    found = build(
        run_of(
            pod("master-0", T + 10, T + 20, step="02-train"),
            pod("master-0", T + 9, T + 19, parent=identity(2), error="OOMKilled, exit code 137"),
            span("fit", T + 11, T + 21.5, where="master-0"),
        )
    )
    [row] = [r for r in found.rows if r.kind == REPLICA]
    assert (row.depth, row.spans[0].start, row.spans[0].end) == (2, T + 9, T + 21.5)
    assert row.failed == 1


def test_a_pod_that_began_in_whole_seconds_does_not_begin_before_its_step() -> None:
    found = build(
        [span("02-train", T + 3.7, T + 9, kind=STEP, id=identity(2)), pod("m", T + 3, T + 8, parent=identity(2))]
    )
    assert found.rows[1].spans[0].start == T + 3.7


def test_spans_found_twice_are_drawn_once_and_the_first_is_taken() -> None:
    one = span("fit", T + 5, T + 6, id=identity(7), step="02-train")
    found = build(run_of(one, span("fit", T + 5, T + 6, id=identity(7), where="elsewhere")))
    assert [s for s in found.spans if s.name == "fit"] == [
        span("fit", T + 5, T + 6, id=identity(7), step="02-train", parent=identity(2))
    ]


def test_a_step_that_was_tried_again_is_two_rows() -> None:
    tries = [span("train", T + 100 * k, T + 100 * k + 50, kind=STEP, id=identity(2)) for k in range(3)]
    found = build(tries)
    assert [r.label for r in found.rows] == ["train"] * 3
    assert len({s.id for s in found.spans}) == 3


def test_many_alike_share_a_row_and_say_how_long_each_took() -> None:
    epochs = [span(f"epoch {k}", T + 10 + k, T + 10.5 + k, parent=identity(2)) for k in range(1, 31)]
    few = [span(f"read {k}", T + 4 + k / 10, T + 4.05 + k / 10, parent=identity(2)) for k in range(5)]
    found = build(run_of(*epochs, *few))
    assert [(r.label, r.took) for r in found.rows if r.depth == 2] == [
        *((f"read {k}", "50.0 ms") for k in range(5)),
        ("30 \N{MULTIPLICATION SIGN} epoch 1 … epoch 30", "500 ms each"),
    ]


def test_alike_requests_with_requests_of_their_own_share_rows_at_both_levels() -> None:
    asked = [
        span("POST graph", T + k, T + k + 0.5, kind=REQUEST, parent=identity(2), id=identity(100 + k)) for k in range(9)
    ]
    steps = [span("POST late", T + k + 0.1, T + k + 0.2, kind=REQUEST, parent=identity(100 + k)) for k in range(9)]
    found = build(run_of(*asked, *steps))
    assert [(r.depth, r.label) for r in found.rows[3:]] == [
        (2, "9 \N{MULTIPLICATION SIGN} POST graph"),
        (3, "9 \N{MULTIPLICATION SIGN} POST late"),
    ]


def test_ranks_keep_rows_of_their_own() -> None:
    found = build(run_of(*(pod(f"train-worker-{k}", T + 5, T + 80, step="02-train") for k in range(16))))
    assert [len(r.spans) for r in found.rows if r.kind == REPLICA] == [1] * 16


def test_of_too_many_siblings_those_that_failed_and_the_longest_keep_their_rows() -> None:
    def name(k: int) -> str:
        return "".join(chr(97 + int(d)) for d in str(k))

    many = [span(name(k), T + 4, T + 5 + k / 100, parent=identity(2), error="x" if k == 3 else "") for k in range(500)]
    found = build(run_of(*many))
    shown = {r.label for r in found.rows}
    assert name(499) in shown
    assert name(3) in shown
    assert name(4) not in shown
    assert any(r.others and r.label == f"{len(r.spans)} more" for r in found.rows)


def test_what_is_nested_too_deeply_is_drawn_at_the_last_level() -> None:
    chain = [
        span(chr(97 + k % 26) * (1 + k // 26), T + k, T + 5000, id=identity(k + 1), parent=identity(k))
        for k in range(2000)
    ]
    found = build(chain)
    assert max(r.depth for r in found.rows) == DEPTH
    assert sum(len(r.spans) for r in found.rows) == 2000


@pytest.mark.parametrize("far", [0.0, T - 2 * FAR_S, T + 2 * FAR_S])
def test_a_wrong_clock_does_not_stretch_the_axis(far: float) -> None:
    found = build(run_of(span("lost", far, far + 1, step="02-train"), span("skewed", T - 60, T - 59, step="02-train")))
    assert [s.name for s in found.left_out] == ["lost"]
    assert found.start == T - 60


def test_nothing_is_drawn_of_nothing() -> None:
    assert build([]).rows == ()


def test_a_run_fails_because_of_its_steps() -> None:
    run = span("run", T, T + 9, kind=RUN, error="failed")
    step = span("01-x", T, T + 9, kind=STEP, error="broken")
    assert [s.name for s in failures(build([run, step]))] == ["01-x"]
    assert [s.name for s in failures(build([run]))] == ["run"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 µs"),
        (0.00054, "540 µs"),
        (0.00099951, "1.0 ms"),
        (0.0123, "12.3 ms"),
        (0.731, "731 ms"),
        (0.9996, "1.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1m 00s"),
        (3599.6, "1h 00m"),
        (90_000.0, "25h 00m"),
    ],
)
def test_times_read_as_people_say_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@given(st.floats(1e-3, 1e9), st.integers(2, 12))
def test_marks_are_few_and_rise_from_zero(seconds: float, count: int) -> None:
    found = marks(seconds, count)
    assert found[0] == (0, "0")
    assert len(found) <= count + 1
    times = [t for t, _ in found]
    assert times == sorted(set(times))
    assert times[-1] <= seconds * (1 + 1e-9)
