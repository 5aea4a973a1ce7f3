"""Which headers of a request go on to every step: PROPAGATE_HEADERS, as KServe's router reads it.

A list of regular expressions, with commas between, each looked for anywhere in a header's name as Go spells names
(``X-Request-Id``); an empty expression is found in every name, so that an empty PROPAGATE_HEADERS lets all headers
through and an absent one none. What Go's expressions do not have, and what only they have, is passed over in words.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterable, Sequence

_log = logging.getLogger(__name__)
VARIABLE = "PROPAGATE_HEADERS"
_OWN = frozenset({
    b"Host", b"Content-Length", b"Transfer-Encoding", b"Trailer", b"Connection", b"Keep-Alive", b"Proxy-Connection",
    b"Te", b"Upgrade", b"Expect", b"Http2-Settings",
})  # fmt: skip
"""Of one connection, not of the request."""
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NOT_IN_GO = re.compile(r"\(\?(=|!|<=|<!|>|\()|\\[1-9]|\(\?P=|[*+?}]\+")
_NAMES_KEPT = 1000


class Propagation:
    """The names that are let through.

    Args:
        written: the value of PROPAGATE_HEADERS; None lets nothing through.
    """

    def __init__(self, written: str | None) -> None:
        self._patterns = [] if written is None else [p for p in map(_compile, written.split(",")) if p is not None]
        self._known: dict[bytes, bytes] = {}
        """Spelling of a client to Go's, empty for a name that is not let through."""

    def select(self, headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """Of a request's headers those that go on, in order, every value of a name that occurs twice."""
        if not self._patterns:
            return []
        found = []
        for name, value in headers:
            known = self._known.get(name)
            if known is None:
                known = self._look_up(name)
            if known:
                found.append((known, value))
        return found

    def _look_up(self, name: bytes) -> bytes:
        spelled = canonical(name)
        text = spelled.decode("latin-1")
        known = spelled if spelled not in _OWN and any(p.search(text) for p in self._patterns) else b""
        if len(self._known) < _NAMES_KEPT:
            self._known[name] = known
        return known


def canonical(name: bytes) -> bytes:
    """A name as Go spells it: ``x-request-ID`` is ``X-Request-Id``."""
    if not _TOKEN.fullmatch(name):
        return name
    return b"-".join(part[:1].upper() + part[1:].lower() for part in name.split(b"-"))


def first(headers: Sequence[tuple[bytes, bytes]], name: bytes) -> bytes:
    """The first value of a name in lower case, empty if there is none."""
    return next((value for key, value in headers if key.lower() == name), b"")


def _compile(text: str) -> re.Pattern[str] | None:
    try:
        if _NOT_IN_GO.search(text):
            raise re.error("Go's regular expressions have no such part")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return re.compile(text, re.ASCII)
    except (re.error, FutureWarning, DeprecationWarning, OverflowError, RecursionError) as e:
        _log.warning("%s: the expression %r is passed over: %s", VARIABLE, text, e)
        return None
