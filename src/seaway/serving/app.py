"""The ASGI application: both protocols, chains, health, metadata and metrics, without a framework in the way.

A small request is answered on the event loop (tens of microseconds); a large one in a thread, so that probes are not
kept waiting. Whatever a client sends is answered with a 4xx in words, never with a 5xx.

Every answer, a refusal too, says who gave it:

    x-seaway-model, x-seaway-model-version    the model
    x-seaway-run-id                           the pipeline run that made it
    x-seaway-trace-id                         the caller's (traceparent), else that run's, else a new one
    x-request-id                              the caller's, or a new one
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from time import perf_counter
from typing import Any, NamedTuple

import orjson
from numpy.typing import NDArray

from seaway._version import __version__
from seaway.observe import trace
from seaway.serving import chain, metrics, v1, v2
from seaway.serving.access import AccessLog
from seaway.serving.refusal import Refusal, near
from seaway.serving.request import Request
from seaway.serving.served import ServedModel

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

logger = logging.getLogger(__name__)

LOOP_BYTES = 16 * 1024
"""A larger body is answered in a thread: from here on the work outlasts the way there and back (about 100 us)."""
LINGER_BYTES = 64 * 1024 * 1024
"""How much of a body that is too large is read and dropped, so that the client gets to read the answer."""

_JSON: Headers = [(b"content-type", b"application/json")]
_TEXT: Headers = [(b"content-type", metrics.CONTENT_TYPE)]
_IDENTITY = re.compile(rb"[\x21-\x7e]{1,128}")


class _Target(NamedTuple):
    """Where a POST for an answer goes."""

    model: ServedModel
    protocol: str
    read: Callable[..., Request]
    write: Callable[[ServedModel, Any, list[NDArray[Any]]], bytes]
    with_query: bool = False
    """Whether ``read`` takes the URL's query."""


class _Answer(NamedTuple):
    status: int
    body: bytes
    rows: int
    refusal: Refusal | None
    times_s: tuple[float, ...]
    """Starts and ends of the phases that were reached."""


class App:
    """Serves models.

    Args:
        models: loaded and warm, of distinct names.
        max_body_bytes: a larger body is refused with 413.
        max_rows: a request of more is refused with 400.
        access: where answered requests are noted.
    """

    def __init__(
        self,
        models: Sequence[ServedModel],
        *,
        max_body_bytes: int = 10 * 1024 * 1024,
        max_rows: int = 10_000,
        access: AccessLog | None = None,
    ) -> None:
        self.models = {m.name: m for m in models}
        self.draining = False
        """Set when the process is told to end: not ready any more, and every response closes its connection."""
        self._max_body = max_body_bytes
        self._max_rows = max_rows
        self._access = access or AccessLog(0.0)
        self._in_flight = 0
        self._metrics = metrics.Metrics([m.metrics for m in models], lambda: self._in_flight)
        self._threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="predict")
        self._posts: dict[str, _Target] = {}
        self._gets: dict[str, Callable[[], tuple[int, Any]]] = {
            "/": self._index,
            "/v2": lambda: (200, {"name": "seaway", "version": __version__, "extensions": []}),
            "/v2/health/live": lambda: (200, {"live": True}),
            "/v2/health/ready": lambda: (503 if self.draining else 200, {"ready": not self.draining}),
            "/v1/models": lambda: (200, {"models": list(self.models)}),
        }
        for model in models:
            self._route(model)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, as ASGI has it."""
        if scope["type"] != "http":
            return
        target = self._posts.get(scope["path"])
        if target is not None and scope["method"] == "POST":
            await self._infer(target, scope, receive, send)
        else:
            await self._other(scope, send)

    async def _infer(self, target: _Target, scope: Scope, receive: Receive, send: Send) -> None:
        start = perf_counter()
        identity, trace_id, parent = _identify(scope["headers"])
        model = target.model
        if target.with_query:
            target = target._replace(read=partial(target.read, query=scope["query_string"]))
        self._in_flight += 1
        try:
            message = await receive()
            body = message["body"] if message["type"] == "http.request" else b""
            if message.get("more_body") or len(body) > self._max_body:
                body = await self._whole(body, message.get("more_body", False), receive)
            if len(body) <= LOOP_BYTES:
                answer = self._answer(target, body)
            else:
                loop = asyncio.get_running_loop()
                answer = await loop.run_in_executor(self._threads, self._answer, target, body)
        except Refusal as e:  # the body did not end or is too large
            answer = _Answer(e.status, e.body(), 0, e, ())
        finally:
            self._in_flight -= 1
        self._count(target, answer)
        headers = [
            *model.headers,
            (b"x-seaway-trace-id", trace_id or model.trace_header or b"%032x" % random.getrandbits(128)),
            (b"x-request-id", identity or b"%032x" % random.getrandbits(128)),
            (b"content-length", b"%d" % len(answer.body)),
        ]
        if self.draining:
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        if answer.status == 413:
            await self._linger(answer.body, receive, send)
        else:
            await send({"type": "http.response.body", "body": answer.body})
        if self._access.fraction:
            self._access.note(
                model=model.name,
                protocol=target.protocol,
                status=answer.status,
                rows=answer.rows,
                seconds=perf_counter() - start,
                request_id=dict(headers)[b"x-request-id"].decode(),
                trace=dict(headers)[b"x-seaway-trace-id"].decode(),
            )
        if parent:
            self._access.span(
                f"POST {model.name}:{scope['path'].rpartition('/')[2].rpartition(':')[2]}",
                seconds=perf_counter() - start,
                trace=trace_id.decode(),
                parent=parent,
                model=model.name,
                version=model.version,
                protocol=target.protocol,
                status=answer.status,
                rows=answer.rows,
                request_id=dict(headers)[b"x-request-id"].decode(),
            )

    def _answer(self, target: _Target, body: bytes) -> _Answer:
        """Runs on the event loop or in a thread: it changes nothing of the application."""
        model = target.model
        t0 = perf_counter()
        try:
            request = target.read(model, body, max_rows=self._max_rows)
            t1 = perf_counter()
            answers = model.predict(request.feeds, request.wanted) if request.rows else []
            t2 = perf_counter()
            out = target.write(model, request, answers)
        except Refusal as e:
            return _Answer(e.status, e.body(), 0, e, ())
        except Exception:
            logger.exception("model %s failed on rows that its contract allows", model.name)
            message = f"model {model.name!r} failed on rows that its contract allows: see the server's log"
            return _Answer(500, orjson.dumps({"error": message}), 0, None, ())
        return _Answer(200, out, request.rows, None, (t0, t1, t2, perf_counter()) if request.rows else ())

    def _count(self, target: _Target, answer: _Answer) -> None:
        counts = target.model.metrics
        counts.answered(target.protocol, answer.status)
        counts.rows += answer.rows
        times = answer.times_s
        if times:
            t0, t1, t2, t3 = times
            preprocess, predict, postprocess = counts.phases
            preprocess.observe(t1 - t0)
            predict.observe(t2 - t1)
            postprocess.observe(t3 - t2)
        if answer.refusal is not None:
            for v in answer.refusal.violations:
                counts.violations[v.column] = counts.violations.get(v.column, 0) + v.rows

    async def _whole(self, body: bytes, more: bool, receive: Receive) -> bytes:
        parts, size = [body], len(body)
        while True:
            if size > self._max_body:
                limit = self._max_body / 2**20
                raise Refusal(413, f"the body must have at most {limit:g} MiB: send fewer rows at a time")
            if not more:
                return b"".join(parts)
            message = await receive()
            if message["type"] != "http.request":
                raise Refusal(400, "the body must be whole, the client closed the connection in its middle")
            parts.append(message["body"])
            size += len(message["body"])
            more = message.get("more_body", False)

    async def _linger(self, body: bytes, receive: Receive, send: Send) -> None:
        """Answer, and take in what the client is still sending: a closed connection would lose it the answer."""
        await send({"type": "http.response.body", "body": body, "more_body": True})
        left = LINGER_BYTES
        try:
            async with asyncio.timeout(5.0):
                more = True
                while more and left > 0:
                    message = await receive()
                    left -= len(message.get("body", b""))
                    more = message.get("more_body", False)
        except TimeoutError:
            pass
        await send({"type": "http.response.body", "body": b""})

    async def _other(self, scope: Scope, send: Send) -> None:
        start, path, method = perf_counter(), scope["path"], scope["method"]
        headers, extra = _JSON, []
        if path == "/metrics" and method in ("GET", "HEAD"):
            status, body, headers = 200, self._metrics.render(), _TEXT
        elif path in self._gets and method in ("GET", "HEAD"):
            status, content = self._gets[path]()
            body = orjson.dumps(content)
        else:
            if path in self._posts or path in self._gets or path == "/metrics":
                allowed = "POST" if path in self._posts else "GET"
                status, message = 405, f"the method must be {allowed} on {path}, found {method}"
                extra = [(b"allow", allowed.encode())]
            else:
                status, message = 404, self._not_found(path)
            body = Refusal(status, message).body()
            if method == "POST":
                key = (path[1:3] if path[:4] in ("/v1/", "/v2/") else "", status)
                self._metrics.elsewhere[key] = self._metrics.elsewhere.get(key, 0) + 1
        if self.draining:
            extra = [*extra, (b"connection", b"close")]
        identity, trace_id, parent = _identify(scope["headers"])
        if identity:
            extra = [*extra, (b"x-request-id", identity)]
        headers = [*headers, *extra, (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        if parent:
            seconds, name = perf_counter() - start, f"{method} {path[:100]}"
            self._access.span(name, seconds=seconds, trace=trace_id.decode(), parent=parent, status=status)

    def _route(self, model: ServedModel) -> None:
        name, version = model.name, model.version
        to_v2 = _Target(model, "v2", v2.read, v2.write)
        for base in (f"/v2/models/{name}", f"/v2/models/{name}/versions/{version}"):
            self._posts[f"{base}/infer"] = to_v2
            self._gets[base] = lambda: (200, model.metadata())
            self._gets[f"{base}/ready"] = lambda: (
                503 if self.draining else 200,
                {"name": name, "ready": not self.draining},
            )
        v1_path = f"/v1/models/{name}"
        self._posts[f"{v1_path}:predict"] = _Target(model, "v1", v1.read, v1.write)
        self._posts[f"{v1_path}:chain"] = _Target(model, "chain", chain.read, chain.write, with_query=True)
        self._posts[f"{v1_path}:answer"] = _Target(
            model, "answer", chain.read_answer, chain.write_answer, with_query=True
        )
        self._gets[v1_path] = self._gets[f"/v2/models/{name}/ready"]

    def _index(self) -> tuple[int, Any]:
        models = [
            {"name": m.name, "version": m.version, "infer": f"/v2/models/{m.name}/infer"} for m in self.models.values()
        ]
        return 200, {"name": "seaway", "version": __version__, "models": models, "metrics": "/metrics"}

    def _not_found(self, path: str) -> str:
        parts = path.split("/")
        if len(parts) > 3 and parts[1] in ("v1", "v2") and parts[2] == "models":
            name = parts[3].partition(":")[0]
            model = self.models.get(name)
            if model is None:
                return f"the model must be one of {list(self.models)}, found {name[:200]!r}{near(name, self.models)}"
            if len(parts) > 5 and parts[4] == "versions" and parts[5] != model.version:
                return f"model {name!r} must be asked for its version {model.version!r}, found {parts[5][:200]!r}"
        return f"the path must be one of the protocol's, found {path[:200]!r}: GET / lists the models"


def _identify(headers: Headers) -> tuple[bytes, bytes, str]:
    """(request id, trace id, parent span id) that the client sent, each empty if it is missing or not one.

    The parent is empty too if the client does not record the trace: then it wants no span.
    """
    identity, trace_id, parent = b"", b"", ""
    for name, value in headers:
        if name == b"x-request-id":
            identity = value if _IDENTITY.fullmatch(value) else b""
        elif name == b"traceparent":
            header = value.decode("latin-1")
            parsed = trace.parse_traceparent(header)
            trace_id = parsed[0].encode() if parsed else b""
            parent = parsed[1] if parsed and trace.is_sampled(header) else ""
    return identity, trace_id, parent
