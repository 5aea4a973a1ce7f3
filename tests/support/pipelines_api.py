"""A small HTTP server that plays the part of Kubeflow Pipelines' API v2 that is submitted to, and keeps all it is sent.

It knows experiments, runs, recurring runs, pipelines and versions; a test tells it beforehand to fail or to be slow.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

PREFIX = "/apis/v2beta1/"
IDS = {
    "experiments": "experiment_id",
    "runs": "run_id",
    "recurringruns": "recurring_run_id",
    "pipelines": "pipeline_id",
    "versions": "pipeline_version_id",
}
LISTS = {"recurringruns": "recurringRuns", "versions": "pipeline_versions"}


@dataclass
class Sent:
    """One request."""

    method: str
    path: str
    """Below /apis/v2beta1/."""
    query: dict[str, str]
    headers: dict[str, str]
    body: Any
    """JSON, or the bytes of a multipart body."""


@dataclass
class Failure:
    """What is answered instead, once."""

    status: int
    body: str
    content_type: str = "application/json"
    after_s: float = 0.0


@dataclass
class PipelinesApi:
    """The server's state, which tests read and set."""

    url: str = ""
    multi_user: bool = False
    token: str = ""
    """What a bearer must hold; empty lets everyone in."""
    sent: list[Sent] = field(default_factory=list)
    things: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: {kind: [] for kind in IDS})
    failures: dict[tuple[str, str], list[Failure]] = field(default_factory=dict)
    """By method and path."""
    states: list[dict[str, Any]] = field(default_factory=lambda: [{"state": "SUCCEEDED"}])
    """What GET of a run answers, in turn; the last one for good."""

    over: threading.Event = field(default_factory=threading.Event)
    """Set when the test is over: nobody is slow any more."""

    def fail(self, method: str, path: str, status: int, said: str = "no", *, times: int = 1, **how: Any) -> None:
        """Answer the next requests with a status and, as KFP does, an error's text."""
        body = how.pop("body", json.dumps({"error": said, "message": said, "code": how.pop("code", 2), "details": []}))
        self.failures.setdefault((method, path), []).extend([Failure(status, body, **how)] * times)

    def posted(self, path: str) -> list[Sent]:
        """The POSTs to a path."""
        return [s for s in self.sent if (s.method, s.path) == ("POST", path)]

    def answer(self, request: Sent) -> tuple[int, str, str]:
        """Status, content type and body."""
        if queue := self.failures.get((request.method, request.path)):
            failure = queue.pop(0)
            self.over.wait(failure.after_s)
            return failure.status, failure.content_type, failure.body
        if self.token and request.headers.get("authorization") != f"Bearer {self.token}":
            text = "Request header error: there is no user identity header."
            return 401, "application/json", json.dumps({"error": text, "message": text, "code": 16})
        found = self._found(request)
        if found is None:
            return 404, "application/json", json.dumps({"error": "Not Found", "message": "Not Found", "code": 5})
        return 200, "application/json", json.dumps(found)

    def _found(self, request: Sent) -> dict[str, Any] | None:
        kind, _, rest = request.path.partition("/")
        if request.path == "healthz":
            return {"multi_user": self.multi_user}
        if request.path == "pipelines/upload":
            return self._made("pipelines", {"display_name": request.query["name"]})
        if request.path == "pipelines/upload_version":
            pipeline = request.query["pipelineid"]
            return self._made("versions", {"display_name": request.query["name"], "pipeline_id": pipeline})
        if kind == "pipelines" and rest.endswith("/versions"):
            return self._listed("versions", request)
        if kind not in self.things:
            return None
        if request.method == "POST":
            return self._made(kind, request.body)
        if not rest:
            return self._listed(kind, request)
        one = next((t for t in self.things[kind] if t[IDS[kind]] == rest), None)
        if one is not None and kind == "runs":
            one = one | (self.states.pop(0) if len(self.states) > 1 else self.states[0])
        return one

    def _made(self, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        made = {**body, IDS[kind]: f"{kind}-{len(self.things[kind]) + 1}"}
        self.things[kind].append(made)
        return made

    def _listed(self, kind: str, request: Sent) -> dict[str, Any]:
        found = self.things[kind]
        for predicate in json.loads(request.query.get("filter", "{}")).get("predicates", []):
            assert predicate["operation"] in (1, "EQUALS")
            found = [t for t in found if t.get(predicate["key"]) == predicate["stringValue"]]
        return {LISTS.get(kind, kind): found} if found else {}


@contextmanager
def running_api() -> Iterator[PipelinesApi]:
    """A server on a free port, for the length of a block."""
    api = PipelinesApi()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _do(self) -> None:
            parts = urlsplit(self.path)
            headers = {k.lower(): v for k, v in self.headers.items()}
            raw = self.rfile.read(int(headers.get("content-length", 0)))
            is_json = "json" in headers.get("content-type", "")
            query = {k: v[0] for k, v in parse_qs(parts.query).items()}
            path = parts.path.removeprefix(PREFIX)
            request = Sent(self.command, path, query, headers, json.loads(raw) if raw and is_json else raw)
            api.sent.append(request)
            status, kind, body = api.answer(request)
            data = body.encode()
            self.close_connection = True
            try:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(data)))
                self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(data)
            except OSError:  # who asked had no patience
                pass

        do_GET = do_POST = _do  # noqa: N815 - names of http.server

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    api.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield api
    finally:
        api.over.set()
        server.shutdown()
        thread.join()
        server.server_close()
