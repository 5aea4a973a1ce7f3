"""Trace and span ids, derived from the run's id so that nothing has to be passed along.

Source: W3C Trace Context (https://www.w3.org/TR/trace-context/), version 00.
"""

from __future__ import annotations

import hashlib
import os
import re

_TRACEPARENT = re.compile(r"^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?$")


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
    """The header value that makes a request part of the run's trace."""
    return f"00-{trace_id(run)}-{span_id(run, step)}-01"


def parse_traceparent(header: str) -> tuple[str, str] | None:
    """(trace id, parent span id) of a header value, or None if it is not one."""
    match = _TRACEPARENT.match(header)
    if match is None or match[1] == "0" * 32 or match[2] == "0" * 16:
        return None
    return match[1], match[2]
