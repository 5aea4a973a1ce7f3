"""An answer, and how it is written."""

from __future__ import annotations

import json
from http import HTTPStatus

from seaway.serving.router.content import JSON
from seaway.serving.router.request import Header

_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}
_EMPTY = (204, 304)
"""Statuses of answers without a body."""


class Reply:
    """An answer."""

    __slots__ = ("body", "content_type", "headers", "status")

    def __init__(
        self, status: int, body: bytes, content_type: bytes = b"", *, headers: tuple[Header, ...] = ()
    ) -> None:
        self.status, self.body, self.content_type, self.headers = status, body, content_type, headers


class Refused:
    """A request that was not read to its end.

    Args:
        status: of the answer, 4xx.
        cause: what must hold, and what was found.
    """

    def __init__(self, status: int, cause: str) -> None:
        self.status, self.cause = status, cause

    def reply(self) -> Reply:
        """The answer that says so."""
        return error(self.status, self.cause)


def error(status: int, cause: str) -> Reply:
    """A failure in the words and the form of KServe's router."""
    body = json.dumps({"error": "Failed to process request", "cause": cause}, ensure_ascii=False, separators=(",", ":"))
    return Reply(status, body.encode("utf-8", "replace"), JSON)


def written(reply: Reply, *, keep_alive: bool, version: str, method: bytes) -> list[bytes]:
    """An answer's bytes.

    Args:
        reply: the answer.
        keep_alive: whether the connection stays open.
        version: of the request's HTTP: a client of 1.0 must be told that the connection stays open.
        method: of the request: an answer to HEAD is a head alone.
    """
    reason = _REASONS.get(reply.status) or b"status code %d" % reply.status
    lines = [b"HTTP/1.1 %d %b\r\n" % (reply.status, reason)]
    if reply.content_type:
        lines.append(b"Content-Type: %b\r\n" % reply.content_type)
    lines += [b"%b: %b\r\n" % one for one in reply.headers]
    if not keep_alive:
        lines.append(b"Connection: close\r\n")
    elif version == "1.0":
        lines.append(b"Connection: keep-alive\r\n")
    if reply.status in _EMPTY:
        return [*lines, b"\r\n"]
    lines.append(b"Content-Length: %d\r\n\r\n" % len(reply.body))
    return [*lines, reply.body] if reply.body and method != b"HEAD" else lines
