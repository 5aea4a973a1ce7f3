"""A run's time line as a page: one SVG whose bars tell what they are when the pointer rests on them.

In: a time line. Out: HTML of `seaway.observe.html`, self-contained, without a script.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from html import escape

from seaway.observe import html
from seaway.observe.columns import shortened
from seaway.observe.spans import REQUEST, STEP
from seaway.observe.spantree import REPLICA, RUN, WORK, Span
from seaway.observe.timeline import Row, Timeline, failures
from seaway.observe.times import duration, marks

COLOUR = {RUN: "run", STEP: "f0", REPLICA: "f2", REQUEST: "f4", WORK: "f5"}
"""Class of each kind's bars."""
NAMED = {RUN: "the run", STEP: "step", REPLICA: "replica", REQUEST: "request", WORK: "work within"}
WIDTH, LABEL, TOOK, LEFT, RIGHT = 1024, 6, 388, 400, 1016
"""Pixels: of the drawing, and where names begin, durations end, and bars begin and end."""
HIGH, TOP, INDENT = 20, 22, 13
CHARACTER, BOLD = 6.4, 7.4
"""Pixels of a column, on average."""
TOLD = 12
"""So many attributes of a span are told."""


def page(timeline: Timeline, *, run_id: str, trace_id: str, state: str, missing: Sequence[str]) -> str:
    """The whole document."""
    kinds = Counter(s.kind for s in timeline.spans)
    total = next((s for s in timeline.spans if s.kind == RUN), None)
    facts = [
        *([("state", state)] if state else []),
        ("took", duration(total.seconds if total else timeline.end - timeline.start)),
        ("steps", kinds[STEP]),
        ("replicas", kinds[REPLICA]),
        ("requests", kinds[REQUEST]),
    ]
    began = dt.datetime.fromtimestamp(timeline.start, dt.UTC).strftime("%Y-%m-%d %H:%M:%S")
    note = f"Times count from {began} UTC. Rest the pointer on a bar to read what it is."
    sections = [html.Section("Summary", html.facts(facts)), html.Section("Time line", chart(timeline), note)]
    if failed := failures(timeline):
        rows = [(s.name, NAMED[s.kind], duration(s.start - timeline.start), s.error) for s in failed[:100]]
        more = f"The first 100 of {len(failed):,}." if len(failed) > 100 else ""
        table = html.table(["name", "kind", "after", "why"], rows, numeric=[2])
        sections.append(html.Section("What failed", table, more))
    away = len(timeline.left_out)
    left = [f"{away:,} spans long before or after every step"] if away else []
    if told := [*left, *missing]:
        sections.append(html.Section("Not shown", "".join(map(html.paragraph, told))))
    return html.page(f"Trace of run {run_id}", sections, subtitle=f"trace id {trace_id}")


def chart(timeline: Timeline) -> str:
    """The drawing with its legend."""
    if not timeline.rows:
        return '<p class="none">nothing to draw</p>'
    bottom = TOP + HIGH * len(timeline.rows)
    long = len(timeline.rows) > 25
    height = bottom + (24 if long else 4)
    scale = (RIGHT - LEFT) / (timeline.end - timeline.start)
    out = []
    for value, text in marks(timeline.end - timeline.start, 8):
        x = LEFT + value * scale
        out.append(f'<line class="rule" x1="{x:.1f}" y1="{TOP - 4}" x2="{x:.1f}" y2="{bottom}"/>')
        anchor = "start" if value == 0 else "end" if x > RIGHT - 20 else "middle"
        for y in (TOP - 8, bottom + 16)[: 1 + long]:
            out.append(f'<text x="{x:.1f}" y="{y}" text-anchor="{anchor}">{escape(text)}</text>')
    out += [_row(row, TOP + HIGH * k, timeline, scale) for k, row in enumerate(timeline.rows)]
    drawing = (
        f'<svg class="plot" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" '
        f'aria-label="time line of {len(timeline.spans):,} spans">{"".join(out)}</svg>'
    )
    return f'<div class="chart">{_legend(timeline)}<div class="wide">{drawing}</div></div>'


def _row(row: Row, y: int, timeline: Timeline, scale: float) -> str:
    x = LABEL + INDENT * row.depth
    mark, strong = "✗ " if row.failed else "", row.kind in (RUN, STEP)
    room = int((TOOK - 10 - CHARACTER * len(row.took) - x) / (BOLD if strong else CHARACTER))
    css = f"{'strong' if strong else ''} {'bad' if row.failed else ''}".strip()
    name = escape(mark + shortened(row.label, room - len(mark)))
    parts = [
        f'<text x="{x}" y="{y + 14}" class="{css}">{name}<title>{escape(row.label)}</title></text>',
        f'<text x="{TOOK}" y="{y + 14}" text-anchor="end">{escape(row.took)}</text>',
    ]
    if row.kind == STEP:
        parts.append(f'<line class="rule" x1="0" y1="{y}" x2="{WIDTH}" y2="{y}"/>')
    for first, last, found in bars(row, timeline.start, scale):
        # a run fails because of its steps: red is kept for these
        failed = next((s for s in found if s.error and row.kind != RUN), None)
        shown = failed or max(found, key=lambda s: s.seconds)
        told = _told(shown, timeline.start) + (f"\nand {len(found) - 1:,} more here" if len(found) > 1 else "")
        parts.append(
            f'<rect class="{"fail" if failed else COLOUR[row.kind]}" x="{LEFT + first:.1f}" y="{y + 4}" '
            f'width="{last - first:.1f}" height="{HIGH - 8}" rx="1.5"><title>{escape(told)}</title></rect>'
        )
    return "".join(parts)


def bars(row: Row, start: float, scale: float) -> list[tuple[float, float, list[Span]]]:
    """(left end, right end, spans) of what can be told apart in a row, in pixels from the axis's start."""
    out: list[tuple[float, float, list[Span]]] = []
    for span in row.spans:
        first = max((span.start - start) * scale, 0.0)
        first = min(first, RIGHT - LEFT - 2.0)  # the shortest span at the very end is still seen
        last = min(max((span.end - start) * scale, first + 2.0), float(RIGHT - LEFT))
        if out:
            before, end, found = out[-1]
            if first < before + 3.0 or first < end - 1.0:
                found.append(span)
                out[-1] = before, max(end, last), found
                continue
            out[-1] = before, min(end, first - 1.0), found  # neighbours are seen to be two
        out.append((first, last, [span]))
    return out


def _told(span: Span, start: float) -> str:
    """What a bar tells: name, when, how long, where, why it failed, attributes."""
    texts = [span.name, f"at {duration(max(span.start - start, 0.0))}, took {duration(span.seconds)}"]
    if span.running:
        texts[1] += " so far"
    if span.where and span.where != span.name:
        texts.append(f"in {span.where}")
    if span.error:
        texts.append(f"failed: {span.error}")
    texts += [f"{k} = {html.number(v)}" for k, v in list(span.attributes.items())[:TOLD]]
    return "\n".join(texts)


def _legend(timeline: Timeline) -> str:
    kinds = {r.kind for r in timeline.rows}
    entries = [(COLOUR[k], NAMED[k]) for k in COLOUR if k in kinds]
    if any(r.failed for r in timeline.rows):
        entries.append(("fail", "failed"))
    items = "".join(
        f'<span><svg width="18" height="10" aria-hidden="true"><rect class="{css}" width="18" height="10" rx="1.5"/>'
        f"</svg>{escape(name)}</span>"
        for css, name in entries
    )
    return f'<div class="legend">{items}</div>'
