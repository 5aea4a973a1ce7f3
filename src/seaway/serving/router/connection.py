"""One client's connection: requests in, one after the other, and the answers of the router out.

A request is answered when its whole body is there. Rubbish is answered with 400, a body that is too large with 413;
what the client is still sending then is taken in for a moment, as a connection closed at once would lose it the answer.
When the client leaves, the work for it ends.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol, cast

import httptools

from seaway.serving.router.deadlines import NEVER, Deadlines
from seaway.serving.router.reply import Refused, Reply, written
from seaway.serving.router.request import Request, joined

HEAD_LIMIT = 1024 * 1024
"""Bytes of a request's line, headers, trailers and chunk lines."""
_FRAMED = 6
"""Bytes on the wire for one byte of body, at most: a chunk of one byte."""
LINGER_S, LINGER_BYTES = 2.0, 64 * 2**20
"""How long, and how much, is taken in and dropped after a refusal."""
_FRAMING = (b"content-length", b"transfer-encoding")


class Answerer(Protocol):
    """What answers requests."""

    draining: bool
    """Every answer closes its connection."""
    max_body_bytes: int
    read_s: float
    """For a whole request to come in; NEVER for no limit."""
    write_s: float
    """From a request's head to its answer; after it the connection is closed without one."""
    idle_s: float
    """For a connection's next request."""

    async def answer(self, request: Request) -> Reply:
        """Answer one request."""
        ...


class Connection(asyncio.Protocol):
    """The server's side of one connection.

    Args:
        router: answers the requests.
        connections: where it is while it is open.
    """

    def __init__(self, router: Answerer, connections: Deadlines[Connection]) -> None:
        self._loop = asyncio.get_running_loop()
        self.deadline = self._loop.time() + router.read_s
        self._router = router
        self._connections = connections
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._coming: Request | None = None
        """A request that is not whole yet."""
        self._fed = 0
        """Bytes of it."""
        self._resumed = False
        """Its head was read by an earlier parser."""
        self._whole: deque[Request | Refused] = deque()
        self._task: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._closing = False
        """Nothing more is read."""
        self._dropped = 0

    @property
    def busy(self) -> bool:
        """Whether a request is on its way in or out."""
        return self._task is not None or self._coming is not None

    def close(self) -> None:
        """Close it once what is to be written is written."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close it at once."""
        if self._transport is not None:
            self._transport.abort()

    def expire(self) -> None:
        """A time-out is over."""
        self.deadline = NEVER
        if self._task is not None or self._closing or self._coming is None:
            self.abort()
        else:
            self._refuse(Refused(408, f"the request must be here within {self._router.read_s:g} s"))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client came."""
        self._transport = cast(asyncio.Transport, transport)
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client left."""
        self._connections.discard(self)
        self._transport = None
        self._closing = True
        self._whole.clear()
        self._writable.set()
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        """The client reads too slowly."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        """Some bytes of one or more requests."""
        if self._closing:
            self._drop(len(data))
            return
        self._fed += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as e:
            self._without_upgrade(data[e.args[0] :])
        except httptools.HttpParserError as e:
            if not self._closing:
                self._refuse(Refused(400, f"the request must be HTTP/1.1: {e}"))
        else:
            coming = self._coming
            if coming is not None and self._fed - _FRAMED * len(coming.body) > HEAD_LIMIT and not self._closing:
                self._refuse(Refused(431, f"the head of a request must have at most {HEAD_LIMIT} bytes"))

    def on_message_begin(self) -> None:
        """A new request."""
        if self._resumed or self._closing:
            return
        self._coming, self._fed = Request(), 0
        if self._task is None:
            self.deadline = self._loop.time() + self._router.read_s

    def on_url(self, url: bytes) -> None:
        """A piece of the request's target."""
        if self._coming is not None and not self._resumed:
            self._coming.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, or a trailer, which counts for nothing."""
        if self._coming is not None and not self._coming.headed:
            self._coming.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The head is whole."""
        coming = self._coming
        if coming is None or self._resumed:
            return
        coming.read_head(self._parser.get_method(), self._parser.get_http_version())
        if self._parser.should_upgrade():
            # Its end is none: a body may follow (see _without_upgrade).
            return
        self._head_read(coming)

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        coming = self._coming
        if coming is None or self._closing:
            return
        coming.body = joined(coming.body, body)
        if len(coming.body) > self._router.max_body_bytes:
            self._refuse(self._too_large())

    def on_message_complete(self) -> None:
        """The request is whole."""
        coming = self._coming
        if coming is None or self._closing:
            return
        if self._parser.should_upgrade() and not self._resumed:
            return
        coming.keep_alive = coming.version != "1.0" if self._resumed else self._parser.should_keep_alive()
        self._coming, self._resumed = None, False
        self._whole.append(coming)
        if self._task is None:
            self._next()
        elif self._transport is not None:
            # A client that does not wait for answers is not read before they are given.
            self._transport.pause_reading()

    def _head_read(self, coming: Request) -> None:
        coming.due = self._loop.time() + self._router.write_s
        if why := coming.problem():
            self._refuse(Refused(400, why))
        elif coming.length > self._router.max_body_bytes:
            self._refuse(self._too_large())
        elif coming.expects_continue and self._task is None and not self._whole and self._transport is not None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _without_upgrade(self, rest: bytes) -> None:
        """Go on as if no other protocol had been asked for, as a server may: the parser stops at such a head."""
        coming = self._coming
        if coming is None or self._closing:
            return
        if coming.method == b"CONNECT":
            self._refuse(Refused(400, "a tunnel cannot be had here, found CONNECT"))
            return
        self._parser, self._resumed = httptools.HttpRequestParser(self), True
        self._head_read(coming)
        if self._closing:
            return
        framing = b"".join(b"%b: %b\r\n" % h for h in coming.headers if h[0].lower() in _FRAMING)
        self._fed = 0
        self.data_received(b"POST / HTTP/1.1\r\n" + framing + b"\r\n" + rest)

    def _too_large(self) -> Refused:
        limit = self._router.max_body_bytes / 2**20
        return Refused(413, f"the body must have at most {limit:g} MiB: send fewer rows at a time")

    def _refuse(self, refused: Refused) -> None:
        """Read nothing more; answer what came before, then this."""
        self._closing, self._coming = True, None
        self._whole.append(refused)
        if self._task is None:
            self._next()

    def _next(self) -> None:
        """Begin with what waits, if anything does."""
        if self._transport is None or self._transport.is_closing():
            return
        if not self._whole:
            self._rest()
            return
        one = self._whole.popleft()
        if isinstance(one, Refused):
            self._transport.writelines(written(one.reply(), keep_alive=False, version="1.1", method=b"POST"))
            self._linger()
            return
        self.deadline = one.due
        self._task = self._loop.create_task(self._serve(one))

    def _rest(self) -> None:
        """Nothing is worked on."""
        assert self._transport is not None
        self._transport.resume_reading()
        self.deadline = self._loop.time() + (self._router.read_s if self._coming is not None else self._router.idle_s)
        if self._coming is not None and self._coming.expects_continue and self._coming.headed:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    async def _serve(self, request: Request) -> None:
        reply = await self._router.answer(request)
        keep_alive = request.keep_alive and not self._router.draining
        if self._transport is None:
            return
        self._transport.writelines(
            written(reply, keep_alive=keep_alive, version=request.version, method=request.method)
        )
        if not self._writable.is_set():
            await self._writable.wait()
        self._task = None
        if self._transport is None:
            return
        if keep_alive:
            self._next()
        else:
            self._transport.close()

    def _linger(self) -> None:
        """The last answer is written: let the client read it, whatever it is still sending."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        transport.resume_reading()
        if transport.can_write_eof():
            transport.write_eof()
        self.deadline = self._loop.time() + LINGER_S

    def _drop(self, size: int) -> None:
        self._dropped += size
        if self._dropped > LINGER_BYTES:
            self.abort()
