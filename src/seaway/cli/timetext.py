"""A time line as lines of text: name, duration, and a bar on a common axis.

In: a time line and how many columns there are. Out: lines, coloured by kind; click drops the colours where no terminal
reads them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import click

from seaway.observe.columns import columns, shortened
from seaway.observe.spans import REQUEST, STEP
from seaway.observe.spantree import REPLICA, RUN, WORK, Span
from seaway.observe.timeline import Row, Timeline
from seaway.observe.times import marks

COLOUR = {RUN: None, STEP: "blue", REPLICA: "green", REQUEST: "yellow", WORK: "cyan"}
NARROWEST, WIDEST = 60, 160
"""Columns; a narrower terminal breaks the lines."""
FAILURES = 10
"""So many are told in full."""


def lines(timeline: Timeline, *, width: int) -> Iterator[str]:
    """The drawing, axis first.

    Args:
        timeline: of a run.
        width: columns of the terminal.
    """
    width = max(NARROWEST, min(width, WIDEST))
    labels = ["  " * r.depth + ("✗ " if r.failed else "") + r.label for r in timeline.rows]
    took = max((len(r.took) for r in timeline.rows), default=0)
    name = min(max(map(columns, labels), default=0), max(24, (width - took) * 45 // 100))
    bar = width - name - took - 4
    yield click.style(" " * (name + took + 4) + axis(timeline.end - timeline.start, bar), dim=True)
    for row, label in zip(timeline.rows, labels, strict=True):
        colour = "red" if row.failed == len(row.spans) and row.kind != RUN else COLOUR[row.kind]
        fitting = shortened(label, name)
        style: dict[str, Any] = {"fg": "red"} if row.failed else {}
        if row.kind in (RUN, STEP):
            style["bold"] = True
        text = click.style(fitting + " " * (name - columns(fitting)), **style)
        drawn = click.style(bars(row, timeline, bar).rstrip(), fg=colour, dim=row.kind == RUN or None)
        yield f"{text}  {row.took:>{took}}  {drawn}".rstrip()


def told(failed: Sequence[Span]) -> Iterator[str]:
    """What failed, and why."""
    for span in failed[:FAILURES]:
        yield click.style(f"✗ {span.name}: {span.error}", fg="red")
    if len(failed) > FAILURES:
        yield click.style(f"✗ and {len(failed) - FAILURES:,} more", fg="red")


def axis(seconds: float, width: int) -> str:
    """Round times where they belong; those that would touch another are left out."""
    out = ""
    for value, text in marks(seconds, max(2, width // 12)):
        at = round(value / seconds * (width - 1))
        if (at == 0 or at > len(out)) and at + len(text) <= width:
            out = out.ljust(at) + text
    return out


def bars(row: Row, timeline: Timeline, width: int) -> str:
    """The row's spans as blocks; the shortest is still a thin line."""
    scale = width / (timeline.end - timeline.start)
    cells: dict[int, tuple[float, float]] = {}
    for span in row.spans:
        low = min(max((span.start - timeline.start) * scale, 0.0), width - 1e-6)
        high = min(max((span.end - timeline.start) * scale, low), float(width))
        for cell in range(int(low), max(int(low) + 1, -int(-high // 1))):
            first, last = cells.get(cell, (1.0, 0.0))
            cells[cell] = min(first, max(low - cell, 0.0)), max(last, min(high - cell, 1.0))
    return "".join(_block(*cells[c]) if c in cells else " " for c in range(width))


def _block(first: float, last: float) -> str:
    """The character that covers a cell from ``first`` to ``last``, both 0 to 1."""
    if last - first >= 0.75:
        return "█"
    left = first + last < 1
    if last - first >= 0.25:
        return "▌" if left else "▐"
    return "▏" if left else "▕"
