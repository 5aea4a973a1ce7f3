"""Spans: what within a run took how long, as structured log lines that `seaway trace` draws on one time line.

In: a block of code, or a start and an end. Out: one log line with the field ``span``: name, id, parent, trace, kind,
start and end (seconds since 1970, UTC) and attributes. The parent is the span around it in this process, else that of
TRACEPARENT, which the launcher gives every replica and a client every request (W3C Trace Context), unless another is
named. Cloud Logging and Cloud Trace find the line by its trace and span ids.
"""

from __future__ import annotations

import logging
import math
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from seaway.observe import trace

FIELD = "span"
"""Key of the log line's field that holds a span."""
STEP, REQUEST = "step", "request"
"""Kinds of spans: a step of a run, one answered request. Others are work within either."""
_log = logging.getLogger("seaway.span")


@contextmanager
def span(name: str, /, *, parent: str = "", kind: str = "", **attributes: Any) -> Iterator[dict[str, Any]]:
    """Log a span around the block; what the block puts into the given dictionary joins its attributes.

    Spans and log lines within the block, in the same thread or task, belong to it.

    Args:
        name: what is done, for instance ``epoch 3``.
        parent: id of the span that this one belongs to; by default the one around it, else the one of TRACEPARENT.
        kind: `REQUEST`, or empty for work.
        attributes: what is worth knowing of it, JSON values; ``error`` marks it as failed.
    """
    parent, identity = parent or trace.SPAN.get(), secrets.token_hex(8)
    start, clock = time.time(), time.perf_counter()
    token = trace.SPAN.set(identity)
    try:
        yield attributes
    except BaseException as e:
        attributes.setdefault("error", f"{type(e).__name__}: {e}"[:200])
        raise
    finally:
        trace.SPAN.reset(token)
        end = start + time.perf_counter() - clock  # the wall clock may be set meanwhile
        record(name, start=start, end=end, parent=parent, span_id=identity, kind=kind, **attributes)


def record(
    name: str,
    /,
    *,
    start: float,
    end: float,
    parent: str = "",
    trace_id: str = "",
    span_id: str = "",
    kind: str = "",
    **attributes: Any,
) -> None:
    """Log a span that has ended.

    Args:
        name: what was done.
        start: seconds since 1970.
        end: seconds since 1970.
        parent: id of the span that this one belongs to; by default the one around it, else the one of TRACEPARENT.
        trace_id: that it belongs to, for a process that works for many; by default TRACEPARENT's, else the run's.
        span_id: its own id, where that had to be known before it ended; by default a new one.
        kind: `REQUEST`, or empty for work.
        attributes: what is worth knowing of it, JSON values; ``error`` marks it as failed.
    """
    fields = line(
        name, start=start, end=end, parent=parent, trace_id=trace_id, span_id=span_id, kind=kind, attributes=attributes
    )
    _log.info(f"{name} took {end - start:.3f} s", extra={"fields": fields})


def line(
    name: str,
    /,
    *,
    start: float,
    end: float,
    attributes: dict[str, Any],
    parent: str = "",
    trace_id: str = "",
    span_id: str = "",
    kind: str = "",
) -> dict[str, Any]:
    """The fields of the log line of a span; see `record`. For whoever logs the line itself."""
    given = trace.parse_traceparent(os.environ.get("TRACEPARENT", "")) if not (parent and trace_id) else None
    run = trace.run_id()
    identity = span_id or secrets.token_hex(8)
    own = trace_id or (given[0] if given else trace.trace_id(run) if run else "")
    found = {
        "name": name,
        "id": identity,
        "parent": parent or trace.SPAN.get() or (given[1] if given and given[0] == own else ""),
        "trace": own,
        "kind": kind,
        "start": round(start, 6),
        "end": round(end, 6),
        "attributes": {k: _plain(v) for k, v in attributes.items()},
    }
    return {FIELD: found, **({**trace_fields(own), "logging.googleapis.com/spanId": identity} if own else {})}


def trace_fields(identity: str) -> dict[str, Any]:
    """The fields by which Cloud Logging groups a line with a trace."""
    return {
        "logging.googleapis.com/trace": trace.resource(identity),
        "logging.googleapis.com/trace_sampled": True,
    }


def _plain(value: Any) -> Any:
    """A value of JSON; numbers that are not finite are none."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
