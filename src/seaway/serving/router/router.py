"""The router of one graph: what a request is answered, whatever it came in by.

``/readyz`` says whether the router takes requests; every other path, by any method, is the graph. The answer is the
graph's, without the headers of the services; a failure is ``{"error": ..., "cause": ...}``.
"""

from __future__ import annotations

import logging
import posixpath
from time import monotonic, perf_counter

from seaway.graphs.spec import Step, Timeouts
from seaway.observe import trace
from seaway.serving.access import AccessLog
from seaway.serving.router.content import content_type
from seaway.serving.router.deadlines import NEVER
from seaway.serving.router.headers import Propagation, first
from seaway.serving.router.nodes import Call, GraphError, Plan, Told, Walk
from seaway.serving.router.reply import Reply, error
from seaway.serving.router.request import Request

_log = logging.getLogger(__name__)
READINESS = b"/readyz"
_COMPLAINTS_S, _COMPLAINTS_KEPT = 1.0, 1000


class Router:
    """Answers requests to a graph.

    Args:
        plan: the graph.
        call: asks a step's URL.
        name: of the graph, in logs and spans.
        propagation: which headers go on to the steps.
        access: log of requests and spans.
        max_body_bytes: a larger request is refused.
    """

    def __init__(
        self,
        plan: Plan,
        call: Call,
        *,
        name: str = "",
        propagation: Propagation,
        access: AccessLog,
        max_body_bytes: int = 64 * 2**20,
    ) -> None:
        self.draining = False
        self.max_body_bytes = max_body_bytes
        times: Timeouts = plan.graph.timeouts
        self.read_s = _limit(times.server_read)
        self.write_s = _limit(times.server_write)
        # As Go's server: no time-out of its own means that for reading.
        self.idle_s = self.read_s if times.server_idle == 0 else _limit(times.server_idle)
        self._plan, self._call, self._name = plan, call, name
        self._propagation, self._access = propagation, access
        self._complained: dict[str, float] = {}

    async def answer(self, request: Request) -> Reply:
        """One request; whatever happens, there is a reply."""
        path, _, query = _target(request.url).partition(b"?")
        if path == READINESS:
            if self.draining:
                return Reply(503, b"shutting down\n", b"text/plain; charset=utf-8")
            return Reply(200, b"")
        if not path.startswith(b"/"):
            return error(400, f"the path must begin with '/', found {path[:200]!r}")
        if b"//" in path or b"/." in path:
            clean = _clean(path)
            if clean != path:
                location = clean + (b"?" + query if query else b"")
                return Reply(307, b"", headers=((b"Location", location),))
        start = perf_counter()
        caller = first(request.headers, b"traceparent").decode("latin-1")
        reply = await self._walk(request, caller)
        if self._access.fraction:
            given = trace.parse_traceparent(caller)
            self._access.note(
                trace=given[0] if given else "", model=self._name, status=reply.status, seconds=perf_counter() - start
            )
        return reply

    async def _walk(self, request: Request, caller: str) -> Reply:
        walk = Walk(
            plan=self._plan,
            call=self._call,
            headers=self._propagation.select(request.headers),
            told=self._teller(caller) if caller else None,
        )
        try:
            status, body = await walk.answer(bytes(request.body))
        except GraphError as e:
            self._complain(e.cause)
            return error(e.status, e.cause)
        except Exception:
            _log.exception("graph %s failed", self._name)
            return error(500, f"graph {self._name!r} failed: see the router's log")
        return Reply(status, body, content_type(body))

    def _teller(self, caller: str) -> Told | None:
        """What notes a span for each step, if the client records its trace."""
        given = trace.parse_traceparent(caller)
        if given is None or not trace.is_sampled(caller):
            return None
        identity, parent = given

        def told(node: str, step: Step, seconds: float, status: int) -> None:
            named = step.name or step.node or step.service or step.url
            failed = {} if 200 <= status <= 299 else {"error": f"status {status}" if status else "no answer"}
            self._access.span(
                f"{self._name} {named}",
                seconds=seconds,
                trace=identity,
                parent=parent,
                graph=self._name,
                node=node,
                step=named,
                status=status,
                **failed,
            )

        return told

    def _complain(self, cause: str) -> None:
        """Log a failure; the same one at most once a second."""
        now = monotonic()
        if now - self._complained.get(cause, -_COMPLAINTS_S) < _COMPLAINTS_S:
            return
        if len(self._complained) >= _COMPLAINTS_KEPT:
            self._complained.clear()
        self._complained[cause] = now
        _log.warning("graph %s has no answer: %s", self._name, cause)


def _limit(seconds: int) -> float:
    return float(seconds) if seconds > 0 else NEVER


def _target(url: bytes) -> bytes:
    """Path and query of a request's target, which may be a whole URL."""
    if url.startswith(b"/"):
        return url
    scheme, separator, rest = url.partition(b"://")
    if not separator or not scheme.isalpha():
        return url
    slash = rest.find(b"/")
    return rest[slash:] if slash >= 0 else b"/"


def _clean(path: bytes) -> bytes:
    """As Go's ServeMux cleans paths: without ``//``, ``.`` and ``..``; a slash at the end stays."""
    clean = posixpath.normpath(b"/" + path.lstrip(b"/"))
    return clean + b"/" if path.endswith(b"/") and clean != b"/" else clean
