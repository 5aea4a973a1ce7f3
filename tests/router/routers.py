"""The real router as a process."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.waiting import until


@dataclass
class Router:
    """A router that answers."""

    process: subprocess.Popen[bytes]
    ports: list[int]
    log: Path

    @property
    def port(self) -> int:
        return self.ports[0]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def raw(self, data: bytes) -> bytes:
        """What is said to some bytes, until the router closes the connection."""
        with self.connect() as s:
            s.sendall(data)
            return received(s)

    def end(self) -> int:
        """Tell it to end; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    def said(self) -> list[dict[str, Any]]:
        """Its log lines."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]


def received(s: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    found = b""
    while True:
        try:
            data = s.recv(65536)
        except ConnectionResetError:
            return found
        if not data:
            return found
        found += data


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def sequence(*steps: Mapping[str, Any], **spec: Any) -> dict[str, Any]:
    """A graph of one Sequence."""
    return {"nodes": {"root": {"routerType": "Sequence", "steps": list(steps)}}, **spec}


def start(
    spec: Any, log: Path, *, ports: list[int] | None = None, more: tuple[str, ...] = (), env: Mapping[str, str] = {}
) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "seaway.serving.router", "--graph", "g", "--graph-json", json.dumps(spec), *more]
    command += [x for port in ports or [] for x in ("--port", str(port))]
    with log.open("wb") as out:
        return subprocess.Popen(
            command, stdout=out, stderr=out, env={**os.environ, "SEAWAY_LOG_FORMAT": "json", **env}
        )  # fmt: skip


@contextmanager
def routing(
    folder: Path,
    spec: Any,
    *,
    ports: list[int] | None = None,
    more: tuple[str, ...] = (),
    env: Mapping[str, str] = {},
) -> Iterator[Router]:
    """A router of this graph on these ports or a free one, until the block ends; the last port must be its own."""
    ports = ports or [free_port()]
    log = folder / f"router-{ports[-1]}.log"
    process = start(spec, log, ports=ports, more=more, env=env)

    def ready() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{ports[-1]}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except urllib.error.URLError:
            return False

    try:
        until(ready, what=f"the router is ready on {ports}")
        yield Router(process, ports, log)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        said = log.read_text()
        assert "Traceback" not in said, said


def ask(
    url: str, body: bytes = b"{}", headers: Mapping[str, str] | None = None, *, method: str = "POST"
) -> tuple[int, bytes, Mapping[str, str]]:
    """Status, body and headers of an answer."""
    request = urllib.request.Request(url, body or None, dict(headers or {}), method=method)
    try:
        with urllib.request.urlopen(request, timeout=15) as answer:
            return answer.status, answer.read(), answer.headers
    except urllib.error.HTTPError as e:
        return e.code, e.read(), e.headers
