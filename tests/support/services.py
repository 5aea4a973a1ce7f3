"""Small HTTP services that record what they are asked, for whatever asks services."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Asked:
    """One request."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


Said = tuple[int, bytes] | tuple[int, bytes, dict[str, str]]


@dataclass
class Service:
    """A service that answers as it is told to."""

    port: int = 0
    asked: list[Asked] = field(default_factory=list)
    says: Callable[[Asked], Said] = lambda asked: (200, b"{}")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that left is nothing to tell."""


@contextmanager
def service(says: Callable[[Asked], Said] | bytes | None = None) -> Iterator[Service]:
    """A service in threads of this process; ``says`` is its answer, or makes it."""
    found = Service()
    if isinstance(says, bytes):
        body = says
        found.says = lambda asked: (200, body)
    elif says is not None:
        found.says = says

    class Answer(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            asked = Asked(self.command, self.path, list(self.headers.items()), body)
            found.asked.append(asked)
            status, out, *more = found.says(asked)
            headers: dict[str, str] = more[0] if more else {}
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(out)))
            self.end_headers()
            self.wfile.write(out)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *a: Any) -> None: ...

    server = _Server(("127.0.0.1", 0), Answer)
    found.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
