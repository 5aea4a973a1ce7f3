"""Spans read back from log lines.

In: lines of a step's, a replica's or a server's log, whatever they hold: the logs of a user's own programs are among
them. Out: spans whose texts are printable and whose numbers are finite; a line without a span is None.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from seaway.observe.spans import FIELD, REQUEST, STEP
from seaway.observe.spantree import REPLICA, WORK, Span

LABELS = "logging.googleapis.com/labels"
LONGEST = 200
"""Characters of a name, of an error, of an attribute's text."""
ATTRIBUTES = 32
"""So many attributes of a span are kept."""
MOST = 100_000
"""So many spans of one log are read."""
YEAR_9999 = 253_370_764_800.0
_ID = re.compile(r"[0-9a-f]{16}")


def record(line: str) -> dict[str, Any] | None:
    """A structured log line; None for any other."""
    if not line.startswith("{"):
        return None
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def read(found: Mapping[str, Any], *, trace: str = "", step: str = "", where: str = "") -> Span | None:
    """The span of a structured log line.

    Args:
        found: from `record`.
        trace: id of the trace that it must belong to; empty takes all.
        step: whose log it is; its own word on that is not asked.
        where: the pod whose log it is.
    """
    given = found.get(FIELD)
    if not isinstance(given, dict) or (trace and given.get("trace") != trace):
        return None
    start, end = seconds(given.get("start")), seconds(given.get("end"))
    name = text(given.get("name"))
    if start is None or end is None or not name:
        return None
    listed = given.get("attributes")
    attributes = listed if isinstance(listed, dict) else {}
    plain = {text(k): _plain(v) for k, v in list(attributes.items())[:ATTRIBUTES]}
    status = attributes.get("status")
    error = text(attributes.get("error"))
    if not error and isinstance(status, int) and status >= 400:
        error = f"answered {status}"
    return Span(
        name=name,
        id=_id(given.get("id")) or digest(repr((where, name, start, end))),
        parent=_id(given.get("parent")),
        start=start,
        end=max(start, end),
        kind=given["kind"] if given.get("kind") in (STEP, REQUEST) else WORK,
        step=step,
        where=where,
        error=error,
        attributes={k: v for k, v in plain.items() if k != "error"},
    )


def of_step(lines: Iterable[str], *, step: str) -> list[Span]:
    """The spans of one step's log, with one for each replica whose lines are streamed into it.

    A replica's span is of the times of its lines: all that a log knows of a pod.
    """
    found: list[Span] = []
    seen: dict[str, tuple[float, float]] = {}
    for line in lines:
        if '"replica"' not in line and f'"{FIELD}"' not in line:
            continue  # most lines are neither, and parsing takes time
        parsed = record(line)
        if parsed is None:
            continue
        where = label(parsed, "replica")
        if where and (at := stamp(parsed.get("timestamp"))) is not None:
            first, last = seen.get(where, (at, at))
            seen[where] = min(first, at), max(last, at)
        span = read(parsed, step=step, where=where)
        if span is not None and len(found) < MOST and not (where and span.kind == STEP):
            found.append(span)
    return [replica(where, start, end, step=step) for where, (start, end) in seen.items()] + found


def replica(where: str, start: float, end: float, **known: Any) -> Span:
    """The span of a job's pod."""
    return Span(name=where, id=digest(f"replica {where}"), start=start, end=end, kind=REPLICA, where=where, **known)


def label(found: Mapping[str, Any], name: str) -> str:
    """A label of a structured log line; empty if it has none of that name."""
    labels = found.get(LABELS)
    return text(labels.get(name)) if isinstance(labels, dict) else ""


def text(value: Any) -> str:
    """A text as it may be shown: one line, printable, not long; empty for what is none."""
    if not isinstance(value, str):
        return ""
    cut = value[: LONGEST + 1]
    shown = cut if cut.isprintable() else "".join(c if c.isprintable() else " " for c in cut)
    shown = shown.strip()
    return shown if len(cut) <= LONGEST else f"{shown[: LONGEST - 1]}…"


def seconds(value: Any) -> float | None:
    """A time in seconds since 1970, if it is one of a calendar."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < YEAR_9999 else None


def digest(what: str) -> str:
    """16 hex digits of anything."""
    return hashlib.sha256(what.encode("utf-8", "replace")).hexdigest()[:16]


def stamp(value: Any) -> float | None:
    """A time as RFC 3339 has it in seconds since 1970, if it is one."""
    try:
        return seconds(dt.datetime.fromisoformat(value).timestamp())
    except (TypeError, ValueError, OverflowError):
        return None


def _id(value: Any) -> str:
    return value if isinstance(value, str) and _ID.fullmatch(value) else ""


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, int):
        return value if abs(value) < 2**63 else f"{float(value):.6g}" if abs(value) < 10**300 else "a huge number"
    if isinstance(value, str):
        return text(value)
    try:
        return text(json.dumps(value, ensure_ascii=False))
    except RecursionError:
        return "a deep structure"
