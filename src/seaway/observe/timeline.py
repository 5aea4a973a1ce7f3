"""The spans of a run on one time line: which belongs to which, in which order, and what is told in one row.

In: spans as they were found, in any order, from clocks that may differ, some twice, some with a parent that nobody
has. Out: rows. Pure: the same spans give the same rows. Every span is in exactly one row, or in ``left_out``.
"""

from __future__ import annotations

import re
import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from seaway.observe.spans import REQUEST, STEP
from seaway.observe.spantree import DEPTH, REPLICA, RUN, WORK, Span, tree
from seaway.observe.times import duration

KEPT = {RUN: 1, STEP: 100, REPLICA: 32, REQUEST: 5, WORK: 5}
"""So many siblings of one name, digits aside, have rows of their own; more of them share a row."""
SIBLINGS = 60
"""So many rows may lie directly beneath another; the shortest of more share a row."""
ROWS = 400
"""So many rows are drawn; of more, the deepest share theirs."""
_DIGITS = re.compile(r"\d+")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the drawing: a span, or several alike beneath the same one."""

    depth: int
    """0 for the outermost."""
    kind: str
    spans: tuple[Span, ...]
    """At least one, ordered by their starts."""
    others: bool = False
    """Whether its spans have nothing in common but where they belong."""

    @property
    def label(self) -> str:
        """What it shows, for people."""
        first, last, count = self.spans[0].name, self.spans[-1].name, len(self.spans)
        if count == 1:
            return first
        failed = f", {self.failed:,} failed" if self.failed else ""
        if self.others:
            return f"{count:,} more{failed}"
        return f"{count:,} \N{MULTIPLICATION SIGN} {first}" + ("" if first == last else f" … {last}") + failed

    @property
    def failed(self) -> int:
        """How many of its spans failed."""
        return sum(1 for s in self.spans if s.error)

    @property
    def took(self) -> str:
        """How long, for people; of several the median."""
        times = [s.seconds for s in self.spans]
        if len(times) == 1:
            return duration(times[0]) + (" so far" if self.spans[0].running else "")
        return f"{duration(statistics.median(times))} each"


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """What is drawn."""

    rows: tuple[Row, ...]
    start: float
    """Of the axis, seconds since 1970."""
    end: float
    """Of the axis; after ``start``."""
    spans: tuple[Span, ...]
    """All that are in the rows, each once, with the parent beneath which it is drawn."""
    left_out: tuple[Span, ...]
    """Not drawn: long before or after every step."""


def build(spans: Iterable[Span], *, most_rows: int = ROWS) -> Timeline:
    """The time line of a run's spans; of spans found twice the first one given is taken."""
    known, parents, left_out = tree(spans)
    children: dict[int, list[int]] = defaultdict(list)
    for i, p in enumerate(parents):
        children[p].append(i)
    rows: list[Row] = []
    for fold in range(DEPTH + 1, -1, -1):
        rows = list(islice(_rows(known, children, children[-1], 0, fold), most_rows + 1 if fold else None))
        if len(rows) <= most_rows:
            break
    start = min((s.start for s in known), default=0.0)
    end = max((s.end for s in known), default=1.0)
    # at times of a century ago doubles still tell microseconds apart
    return Timeline(
        rows=tuple(rows), start=start, end=max(end, start + 1e-3), spans=tuple(known), left_out=tuple(left_out)
    )


def failures(timeline: Timeline) -> list[Span]:
    """What failed; the run itself only if nothing else did."""
    failed = [s for s in timeline.spans if s.error]
    return [s for s in failed if s.kind != RUN] or failed


def _rows(
    spans: Sequence[Span], children: Mapping[int, list[int]], members: Sequence[int], depth: int, fold: int
) -> Iterator[Row]:
    """Rows of these siblings and of all beneath them; from depth ``fold`` on siblings share one row."""
    alike: dict[tuple[str, str], list[int]] = defaultdict(list)
    for i in members:
        alike[spans[i].kind, _DIGITS.sub("#", spans[i].name)].append(i)
    entries: list[tuple[list[int], bool]] = []
    if depth >= fold and len(alike) > 1:
        entries = [(sorted(members), True)]
    else:
        for (kind, _), found in alike.items():
            many = len(found) > KEPT[kind] or (depth >= fold and len(found) > 1)
            entries += [(found, False)] if many else [([i], False) for i in found]
        if len(entries) > SIBLINGS:
            entries.sort(key=lambda e: max((bool(spans[i].error), spans[i].seconds) for i in e[0]), reverse=True)
            rest = sorted(i for found, _ in entries[SIBLINGS - 1 :] for i in found)
            entries = [*entries[: SIBLINGS - 1], (rest, True)]
        entries.sort(key=lambda e: e[0][0])
    for found, others in entries:
        kinds = {spans[i].kind for i in found}
        shown = tuple(spans[i] for i in found)
        yield Row(depth=depth, kind=kinds.pop() if len(kinds) == 1 else WORK, spans=shown, others=others)
        beneath = sorted(k for i in found for k in children.get(i, ()))
        if beneath:
            yield from _rows(spans, children, beneath, depth + 1, fold)
