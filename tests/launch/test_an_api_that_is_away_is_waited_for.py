"""A step waits for an API server that is away for a moment, and repeats only what may be repeated."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from kubernetes import client

from seaway.launch.api import Api, ApiError

JOB = ("batch/v1", "Job")
MANIFEST = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "x"}}


class Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps({"metadata": {"name": "x"}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing is said."""


@pytest.fixture
def port() -> Iterator[int]:
    """Where a server begins to answer after half a second."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
    servers: list[ThreadingHTTPServer] = []

    def come() -> None:
        servers.append(ThreadingHTTPServer(("127.0.0.1", number), Answers))
        servers[0].serve_forever(poll_interval=0.05)

    coming = threading.Timer(0.5, come)
    coming.start()
    yield number
    coming.join(0.6)
    if servers:
        servers[0].shutdown()
        servers[0].server_close()
    coming.join()


def connected(port: int, *, patience_s: float) -> Api:
    configuration = client.Configuration(host=f"http://127.0.0.1:{port}")
    configuration.retries = False
    return Api(client.ApiClient(configuration), namespace="default", patience_s=patience_s)


def test_a_question_is_asked_again_until_the_server_is_back(port: int) -> None:
    assert connected(port, patience_s=20).get(JOB, "x") == {"metadata": {"name": "x"}}


def test_without_patience_the_first_silence_is_told(port: int) -> None:
    with pytest.raises(ApiError, match="must answer") as raised:
        connected(port, patience_s=0).get(JOB, "x")
    assert raised.value.status == 0


def test_a_creation_is_never_repeated(port: int) -> None:
    with pytest.raises(ApiError, match="must answer"):
        connected(port, patience_s=20).create(MANIFEST)
