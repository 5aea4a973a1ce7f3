"""Trace and span ids, derived from the run's id so that nothing has to be passed along.

Source: W3C Trace Context (https://www.w3.org/TR/trace-context/), version 00.
"""

from __future__ import annotations

import hashlib
import os
import re
from contextvars import ContextVar

SPAN: ContextVar[str] = ContextVar("seaway_span", default="")
"""Id of the span that the code at hand is in; empty outside of `seaway.observe.spans.span`."""
_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


def run_id() -> str:
    """The id of the pipeline run that this process belongs to, or an empty text."""
    return os.environ.get("SEAWAY_RUN_ID", "")


def trace_id(run: str) -> str:
    """32 hex digits: the first 16 bytes of SHA-256 of the run's id."""
    return hashlib.sha256(run.encode()).hexdigest()[:32]


def span_id(run: str, step: str) -> str:
    """16 hex digits for a step of a run."""
    return hashlib.sha256(f"{run}/{step}".encode()).hexdigest()[:16]


def traceparent(run: str, step: str) -> str:
    """The header value that makes a request part of the run's trace, and asks that it be recorded."""
    return f"00-{trace_id(run)}-{span_id(run, step)}-01"


def parse_traceparent(header: str) -> tuple[str, str] | None:
    """(trace id, parent span id) of a header value, or None if it is not one."""
    match = _TRACEPARENT.fullmatch(header)
    if match is None or match[2] == "0" * 32 or match[3] == "0" * 16:
        return None
    if match[1] == "ff" or (match[1] == "00" and match[5]):  # only versions to come may say more
        return None
    return match[2], match[3]


def is_sampled(header: str) -> bool:
    """Whether the caller of a header that parses records its trace, and wishes that others do."""
    return int(header[53:55], 16) & 1 == 1


def outgoing() -> str:
    """The header for what this process asks or starts: of the span it is in, else of TRACEPARENT, else of its run.

    Empty outside of a run and of a trace.
    """
    header, run = os.environ.get("TRACEPARENT", ""), run_id()
    given = parse_traceparent(header)
    if given is None:
        if not run:
            return ""
        header = traceparent(run, "request")
        given = trace_id(run), span_id(run, "request")
    return f"00-{given[0]}-{SPAN.get() or given[1]}-{header[53:55]}"


def resource(identity: str) -> str:
    """A trace id as Cloud Logging names traces: within the project, if GOOGLE_CLOUD_PROJECT says which."""
    project = os.environ.get("GOOGLE_CLOUD_PROJECT", "")
    return f"projects/{project}/traces/{identity}" if project else identity
