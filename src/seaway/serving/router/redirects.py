"""Redirects of a step's URL, followed as Go's http.Client does.

301, 302 and 303 go on as GET without a body, 307 and 308 as the POST that they were; at most ten; a response without a
Location is an answer like others; credentials go to no other host.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from seaway.serving.router.nodes import GraphError, Headers

LIMIT = 10
_TO_GET = (301, 302, 303)
_KEPT = (307, 308)
_CREDENTIALS = frozenset({b"authorization", b"www-authenticate", b"cookie", b"cookie2"})
_OF_BODIES = b"content-"


@dataclass(frozen=True)
class Outgoing:
    """One request to a service."""

    method: bytes
    url: str
    body: bytes
    headers: Headers


def redirected(sent: Outgoing, status: int, location: bytes, first_url: str, followed: int) -> Outgoing | None:
    """The request that a response asks for; None when the response is the answer.

    Args:
        sent: what was answered.
        status: of the response.
        location: its header, empty if there is none.
        first_url: where the first request went.
        followed: redirects before this one.

    Raises:
        GraphError: there were too many, or the Location is no URL.
    """
    if not location or status not in (*_TO_GET, *_KEPT):
        return None
    if followed >= LIMIT:
        raise GraphError(f'Post "{first_url}": stopped after {LIMIT} redirects')
    try:
        url = urljoin(sent.url, location.decode("latin-1"))
        same = _same_site(urlsplit(first_url).hostname or "", urlsplit(url).hostname or "")
    except ValueError as e:
        raise GraphError(f'Post "{first_url}": failed to parse Location header {location!r}: {e}') from None
    headers = [h for h in sent.headers if same or h[0].lower() not in _CREDENTIALS]
    if status in _KEPT:
        return Outgoing(sent.method, url, sent.body, headers)
    return Outgoing(b"GET", url, b"", [h for h in headers if not h[0].lower().startswith(_OF_BODIES)])


def _same_site(first: str, now: str) -> bool:
    """Whether a host is the first one or below it."""
    return now == first or now.endswith("." + first)
