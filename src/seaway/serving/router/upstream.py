"""The services that a graph asks: kept-alive connections, one request at a time on each.

In: a URL, a body and headers. Out: a status and a body. What goes wrong on the way is a GraphError whose cause is said
as Go's http.Client says it. Nothing is asked twice: a service may not like that.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from base64 import b64encode
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from seaway.serving.router.deadlines import NEVER, Deadlines
from seaway.serving.router.exchange import Exchange, Response, UpstreamError
from seaway.serving.router.headers import first
from seaway.serving.router.nodes import Answer, GraphError, Headers
from seaway.serving.router.redirects import Outgoing, redirected

CONNECT_S = 30.0
IDLE_S = 0.9
"""A connection that is idle for longer is not used again: seaway's model server gives idle ones a second before it
closes them when it is replaced, and a request must not meet that."""
IDLE_LIMIT = 256
"""Idle connections kept to one service."""
_TARGETS_KEPT = 1000
_AGENT = b"User-Agent: seaway-router\r\n"
_TYPE = b"Content-Type: application/json\r\n"
_OWN_LINES = _AGENT + _TYPE
_TIMED_OUT = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"


@dataclass(frozen=True)
class Origin:
    """Who answers."""

    host: str
    port: int
    tls: bool


@dataclass(frozen=True)
class Target:
    """A URL, taken apart."""

    origin: Origin
    head: bytes
    """Of a request: path and Host."""
    credentials: bytes
    """The Authorization header's line that the URL asks for; empty for none."""


class Upstreams:
    """Asks services.

    Args:
        timeout_s: for one step, from the first byte to the last, redirects included; 0 for none.
        max_body_bytes: a larger answer is refused.
    """

    def __init__(self, *, timeout_s: float = 0.0, max_body_bytes: int = 64 * 2**20) -> None:
        self._timeout_s = timeout_s
        self._max_body = max_body_bytes
        self._targets: dict[str, Target] = {}
        self._idle: dict[Origin, list[Exchange]] = {}
        self._deadlines: Deadlines[Exchange] = Deadlines()
        self._tls: ssl.SSLContext | None = None

    async def ask(self, url: str, body: bytes, headers: Headers) -> Answer:
        """POST a body to a URL, as it is written; raises GraphError when there is no answer."""
        deadline = asyncio.get_running_loop().time() + self._timeout_s if self._timeout_s > 0 else NEVER
        response = await self._exchange(b"POST", url, body, headers, deadline)
        if not 301 <= response.status <= 308:
            return response.status, response.body
        sent, followed = Outgoing(b"POST", url, body, headers), 0
        while (new := redirected(sent, response.status, response.location, url, followed)) is not None:
            response = await self._exchange(new.method, new.url, new.body, new.headers, deadline)
            sent, followed = new, followed + 1
        return response.status, response.body

    def close(self) -> None:
        """Close what is idle."""
        for idle in self._idle.values():
            for exchange in idle:
                exchange.close()
        self._idle.clear()

    async def _exchange(self, method: bytes, url: str, body: bytes, headers: Headers, deadline: float) -> Response:
        try:
            target = self._targets.get(url) or self._target(url)
            exchange = await self._connection(target.origin, deadline)
            exchange.deadline = deadline
            response = await exchange.send(_head(method, target, body, headers), body)
        except UpstreamError as e:
            raise GraphError(f'{method.decode().capitalize()} "{url}": {e}') from None
        if exchange.reusable:
            self._keep(target.origin, exchange)
        return response

    def _target(self, url: str) -> Target:
        target = parse(url)
        if len(self._targets) < _TARGETS_KEPT:
            self._targets[url] = target
        return target

    async def _connection(self, origin: Origin, deadline: float) -> Exchange:
        idle = self._idle.get(origin)
        while idle:
            # The one used last: those that are needed no more grow old.
            exchange = idle.pop()
            if exchange.reusable:
                return exchange
        loop = asyncio.get_running_loop()
        dialled = f"dial tcp {origin.host}:{origin.port}"
        limit = min(deadline, loop.time() + CONNECT_S)
        try:
            async with asyncio.timeout_at(limit):
                _, exchange = await loop.create_connection(
                    lambda: Exchange(self._deadlines, self._max_body),
                    origin.host,
                    origin.port,
                    ssl=self._context() if origin.tls else None,
                )
        except TimeoutError:
            raise UpstreamError(_TIMED_OUT if limit == deadline else f"{dialled}: i/o timeout") from None
        except socket.gaierror:
            raise UpstreamError(f"dial tcp: lookup {origin.host}: no such host") from None
        except ssl.SSLCertVerificationError as e:
            raise UpstreamError(f"tls: failed to verify certificate: {e.verify_message}") from None
        except ssl.SSLError as e:
            raise UpstreamError(f"tls: {e.reason or e}") from None
        except OSError as e:
            refused = e.errno == errno.ECONNREFUSED or f"[Errno {errno.ECONNREFUSED}]" in str(e)
            raise UpstreamError(f"{dialled}: connect: {'connection refused' if refused else e.strerror or e}") from None
        except UnicodeError as e:
            raise UpstreamError(f"dial tcp: lookup {origin.host}: {e}") from None
        return exchange

    def _keep(self, origin: Origin, exchange: Exchange) -> None:
        idle = self._idle.setdefault(origin, [])
        while idle and (len(idle) >= IDLE_LIMIT or not idle[0].reusable):
            idle.pop(0).close()
        idle.append(exchange)
        exchange.deadline = asyncio.get_running_loop().time() + IDLE_S

    def _context(self) -> ssl.SSLContext:
        self._tls = self._tls or ssl.create_default_context()
        return self._tls


def parse(url: str) -> Target:
    """Take a URL apart; raises UpstreamError when nothing can be asked there."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as e:
        raise UpstreamError(f"parse {url!r}: {e}") from None
    if parts.scheme not in ("http", "https"):
        raise UpstreamError(f'unsupported protocol scheme "{parts.scheme}"')
    if not host:
        raise UpstreamError("http: no Host in request URL")
    credentials = b""
    if parts.username is not None:
        plain = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        credentials = b"Authorization: Basic " + b64encode(plain) + b"\r\n"
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~") + (
        "?" + quote(parts.query, safe="/%:@!$&'()*+,;=~?") if parts.query else ""
    )
    where = parts.netloc.rpartition("@")[2].removesuffix(":")
    try:
        named = where.encode("ascii") if where.isascii() else where.encode("idna")
    except UnicodeError as e:
        raise UpstreamError(f"parse {url!r}: {e}") from None
    tls = parts.scheme == "https"
    head = b" %b HTTP/1.1\r\nHost: %b\r\n" % (path.encode(), named)
    return Target(Origin(host, port or (443 if tls else 80), tls), head, credentials)


def _head(method: bytes, target: Target, body: bytes, headers: Headers) -> bytes:
    if not headers and method == b"POST":
        return b"POST%b%b%bContent-Length: %d\r\n\r\n" % (target.head, target.credentials, _OWN_LINES, len(body))
    lines = [method, target.head]
    for name, value in headers:
        lines.append(b"%b: %b\r\n" % (name, value))
    if target.credentials and not first(headers, b"authorization"):
        lines.append(target.credentials)
    if not first(headers, b"user-agent"):
        lines.append(_AGENT)
    if method == b"POST":
        if not first(headers, b"content-type"):
            lines.append(_TYPE)
        lines.append(b"Content-Length: %d\r\n" % len(body))
    lines.append(b"\r\n")
    return b"".join(lines)
