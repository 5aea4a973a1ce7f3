"""One connection to a service: a request out, its response in, again and again."""

from __future__ import annotations

import asyncio
from typing import NamedTuple, cast

import httptools

from seaway.serving.router.deadlines import NEVER, Deadlines
from seaway.serving.router.request import joined

HEAD_LIMIT = 1024 * 1024
"""Bytes of a response's line, headers, trailers and chunk lines."""
_FRAMED = 6
"""Bytes on the wire for one byte of body, at most: a chunk of one byte."""


class UpstreamError(Exception):
    """Why a service gave no answer."""


class Response(NamedTuple):
    """A whole answer."""

    status: int
    location: bytes
    body: bytes


class Exchange(asyncio.Protocol):
    """A client's side of one connection.

    Args:
        deadlines: that let a request time out and an idle connection be closed.
        max_body_bytes: a larger answer is refused.
    """

    def __init__(self, deadlines: Deadlines[Exchange], max_body_bytes: int) -> None:
        self.deadline = NEVER
        self.reusable = False
        """Open, idle and willing to take another request."""
        self._deadlines = deadlines
        self._max_body = max_body_bytes
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[Response] | None = None
        self._fed = 0
        """Bytes of the response."""
        self._body: bytes | bytearray = b""
        self._reset()

    def send(self, head: bytes, body: bytes) -> asyncio.Future[Response]:
        """Send a request; the future fails with UpstreamError. Cancelling it closes the connection."""
        assert self._waiting is None
        self._reset()
        self.reusable = False
        waiting = self._waiting = asyncio.get_running_loop().create_future()
        waiting.add_done_callback(self._done)
        if self._transport is None or self._transport.is_closing():
            self._fail("EOF")
        elif body:
            self._transport.writelines([head, body])
        else:
            self._transport.write(head)
        return waiting

    def close(self) -> None:
        """Close the connection."""
        self.reusable = False
        if self._transport is not None:
            self._transport.abort()

    def expire(self) -> None:
        """The request took too long, or the connection was idle for too long."""
        self.deadline = NEVER
        headers = "while awaiting headers" if not self._headed else "or context cancellation while reading body"
        text = "Client.Timeout exceeded" if not self._headed else "Client.Timeout"
        self._fail(f"context deadline exceeded ({text} {headers})")
        self.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is there."""
        self._transport = cast(asyncio.Transport, transport)
        self._deadlines.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone: the end of a response that says no other end, else of all hope."""
        self.reusable = False
        self._transport = None
        self._deadlines.discard(self)
        if self._until_end and exc is None:
            self._keep_alive = False
            self._complete()
        elif isinstance(exc, ConnectionResetError):
            self._fail("read: connection reset by peer")
        elif exc is not None:
            self._fail(f"read: {exc}")
        else:
            self._fail("unexpected EOF" if self._fed else "EOF")

    def data_received(self, data: bytes) -> None:
        """Some bytes of a response."""
        if self._waiting is None:
            # Nothing was asked: who knows what it belongs to.
            self.close()
            return
        self._fed += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.close()
        except httptools.HttpParserError as e:
            self._fail(f"net/http: HTTP/1.x transport connection broken: {e}")
            self.close()
        else:
            if self._waiting is None:
                if not self.reusable:
                    self.close()
            elif self._fed - _FRAMED * len(self._body) > HEAD_LIMIT:
                self._fail(f"net/http: server response headers exceeded {HEAD_LIMIT} bytes; aborted")
                self.close()

    def on_message_begin(self) -> None:
        """A response, or more of one than was asked for."""
        if self._waiting is None:
            self._keep_alive = self.reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        size = len(name)
        if (size == 14 and name.lower() == b"content-length") or (
            size == 17 and name.lower() == b"transfer-encoding" and value.lower().endswith(b"chunked")
        ):
            self._framed = True
        elif size == 8 and name.lower() == b"location":
            self._location = value

    def on_headers_complete(self) -> None:
        """The body begins."""
        self._headed = True
        self._status = self._parser.get_status_code()
        self._until_end = not self._framed and not self._parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        if self._waiting is None:
            return
        self._body = joined(self._body, body)
        if len(self._body) > self._max_body:
            self._fail(f"the answer must have at most {self._max_body / 2**20:g} MiB, found more")
            self.close()

    def on_message_complete(self) -> None:
        """The response is whole, unless it only told that there will be one."""
        if 100 <= self._status < 200 and self._status != 101:
            fed = self._fed
            self._reset()
            self._fed = fed
            return
        if self._status == 101:
            self._fail("net/http: HTTP/1.x transport connection broken: the service wants another protocol")
            return
        self._keep_alive = self._parser.should_keep_alive()
        self._complete()

    def _reset(self) -> None:
        self._fed = self._status = 0
        self._body = b""
        self._location = b""
        self._headed = self._framed = self._until_end = self._keep_alive = False

    def _complete(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is None or waiting.done():
            return
        self.reusable = self._keep_alive and self._transport is not None and not self._transport.is_closing()
        waiting.set_result(Response(self._status, self._location, bytes(self._body)))
        self._body = b""

    def _fail(self, why: str) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_exception(UpstreamError(why))

    def _done(self, future: asyncio.Future[Response]) -> None:
        if future.cancelled():
            self._waiting = None
            self.close()
