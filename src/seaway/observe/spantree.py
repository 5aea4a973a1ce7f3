"""The spans of a run as one tree: each once, each beneath what it belongs to.

In: spans as they were found, in any order, from clocks that may differ, some twice, some with a parent that nobody
has. Out: the same, ordered, with parents that are there, without circles, not too deep.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from seaway.observe.spans import REQUEST, STEP

T = TypeVar("T")
RUN, REPLICA, WORK = "run", "replica", "work"
KINDS = (RUN, STEP, REPLICA, REQUEST, WORK)
"""The run itself, its steps, the pods of their jobs, requests answered by servers, and work within any of these."""
DEPTH = 8
"""A span nested more deeply is taken to be at this depth."""
FAR_S = 300.0
"""A span further than this from all steps, and further than they took, has a wrong clock or came long after the run."""


@dataclass(frozen=True, kw_only=True)
class Span:
    """Something that took time."""

    name: str
    id: str
    """16 hex digits."""
    start: float
    """Seconds since 1970."""
    end: float
    """Not before ``start``; the time of looking for what has not ended."""
    kind: str = WORK
    """One of `KINDS`."""
    parent: str = ""
    """Id of the span that it belongs to, if that is known."""
    step: str = ""
    """Which step's log told of it; of a step, what others call it here."""
    where: str = ""
    """Name of the pod that it ran in; empty for the step's own."""
    error: str = ""
    """How it failed; empty if it did not."""
    running: bool = False
    """Whether it has not ended yet."""
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.end - self.start


def tree(spans: Iterable[Span]) -> tuple[list[Span], list[int], list[Span]]:
    """(spans by their starts, index of each one's parent or -1, spans that are left out).

    Each span's ``parent`` is then the id of the one above it. Of spans found twice the first one given is taken.
    """
    near, left_out = _near(list(spans))
    whole = sorted(_unified(near), key=_order)
    parents = _shallow(_acyclic(_parents(whole)))
    known = [replace(s, parent=whole[p].id if p >= 0 else "") for s, p in zip(whole, parents, strict=True)]
    return known, parents, left_out


def _order(span: Span) -> tuple[float, float, int, str, str]:
    return span.start, -span.end, KINDS.index(span.kind), span.name, span.id


def _unified(spans: Iterable[Span]) -> list[Span]:
    """Each span once: copies of one are dropped, what is known of one pod is joined, an id used anew gets another."""
    found: dict[tuple[str, int], Span] = {}
    replicas: dict[str, Span] = {}
    ids: set[str] = set()
    for span in spans:
        if span.kind == REPLICA:
            replicas[span.where] = _joined(replicas.get(span.where), span)
            continue
        second = int(span.start)
        # the log and the record of a step may differ by a moment; a second try is later than that
        near = [found.get((span.id, s)) for s in (second - 1, second, second + 1)]
        if any(n is not None and abs(n.start - span.start) < 1 for n in near):
            continue
        if span.id in ids:  # a step that was tried again
            span, known = replace(span, id=_anew(span)), span.id
            found[known, second] = span
        else:
            found[span.id, second] = span
        ids.add(span.id)
    inside: dict[str, list[Span]] = defaultdict(list)
    for span in found.values():
        if span.where in replicas:
            inside[span.where].append(span)
    by_id = {s.id: s for s in found.values()}
    jobs = {name: s for s in found.values() if (name := _waits_for(s))}
    steps = {s.step or s.name: s for s in found.values() if s.kind == STEP}
    for where, replica in replicas.items():
        times = [replica, *inside[where]]
        grown = replace(replica, start=min(s.start for s in times), end=max(s.end for s in times))
        above = _of_pod(where, jobs) or by_id.get(grown.parent) or steps.get(grown.step)
        if above is not None and 0 < above.start - grown.start < 1:  # Kubernetes tells whole seconds, rounded down
            grown = replace(grown, start=min(above.start, grown.end))
        while grown.id in ids:
            grown = replace(grown, id=_anew(grown))
        ids.add(grown.id)
        found[f"replica {where}", 0] = grown
    return list(found.values())


def _anew(span: Span) -> str:
    return hashlib.sha256(f"{span.id}/{span.start!r}".encode()).hexdigest()[:16]


def _joined(one: Span | None, other: Span) -> Span:
    if one is None:
        return other
    return replace(
        one,
        start=min(one.start, other.start),
        end=max(one.end, other.end),
        parent=one.parent or other.parent,
        step=one.step or other.step,
        error=one.error or other.error,
        running=one.running or other.running,
        attributes={**other.attributes, **one.attributes},
    )


def _near(spans: list[Span]) -> tuple[list[Span], list[Span]]:
    steps = [s for s in spans if s.kind in (RUN, STEP)]
    if not steps:
        return spans, []
    first, last = min(s.start for s in steps), max(s.end for s in steps)
    far = max(FAR_S, last - first)
    first, last = first - far, last + far
    near = [s for s in spans if first <= s.start and s.end <= last]
    return near, [s for s in spans if not (first <= s.start and s.end <= last)]


def _parents(spans: Sequence[Span]) -> list[int]:
    """Index of each span's parent, -1 for none."""
    by_id: dict[str, list[int]] = defaultdict(list)
    steps: dict[str, int] = {}
    replicas: dict[str, int] = {}
    jobs = {name: i for i, s in enumerate(spans) if (name := _waits_for(s))}
    for i, span in enumerate(spans):
        by_id[span.id].append(i)
        if span.kind == STEP:
            steps[span.step or span.name] = i
        elif span.kind == REPLICA:
            replicas[span.where] = i
    run = next((i for i, s in enumerate(spans) if s.kind == RUN), -1)
    out = []
    for i, span in enumerate(spans):
        given = next((k for k in by_id.get(span.parent, ()) if k != i), -1) if span.parent else -1
        if span.kind == RUN:
            out.append(-1)
        elif span.kind != REPLICA and span.where in replicas and (given < 0 or spans[given].where != span.where):
            out.append(replicas[span.where])  # the pod lies between the step and its work
        elif span.kind == REPLICA and (job := _of_pod(span.where, jobs)) is not None:
            out.append(job)
        elif given >= 0:
            out.append(given)
        elif span.kind == STEP:
            out.append(run)
        else:
            out.append(steps.get(span.step, run))
    return out


def _waits_for(span: Span) -> str:
    """Name of the job that a step waits for in this span; empty if it does not."""
    job = span.attributes.get("job") if span.kind == WORK and not span.where else None
    return job if isinstance(job, str) else ""


def _of_pod(pod: str, jobs: Mapping[str, T]) -> T | None:
    """What belongs to the job that a pod's name begins with."""
    name = pod
    while name:
        name = name.rpartition("-")[0]
        if name in jobs:
            return jobs[name]
    return None


def _acyclic(parents: list[int]) -> list[int]:
    """The parents without circles: the first span of a circle belongs to none."""
    settled = [False] * len(parents)
    for i in range(len(parents)):
        path: dict[int, None] = {}
        at = i
        while at >= 0 and not settled[at]:
            if at in path:
                circle = list(path)[list(path).index(at) :]
                parents[min(circle)] = -1
                break
            path[at] = None
            at = parents[at]
        for k in path:
            settled[k] = True
    return parents


def _shallow(parents: list[int]) -> list[int]:
    """The parents with no span deeper than `DEPTH`."""
    depth = [-1] * len(parents)
    for i in range(len(parents)):
        path = []
        at = i
        while at >= 0 and depth[at] < 0:
            path.append(at)
            at = parents[at]
        for k in reversed(path):
            if parents[k] >= 0 and depth[parents[k]] >= DEPTH:
                parents[k] = parents[parents[k]]
            depth[k] = depth[parents[k]] + 1 if parents[k] >= 0 else 0
    return parents
