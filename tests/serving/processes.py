"""The real server as a process."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.support.waiting import until


@dataclass
class Serving:
    """A server that answers."""

    process: subprocess.Popen[bytes]
    ports: list[int]
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports[0]}"

    def end(self) -> int:
        """Tell it to end; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def start(args: list[str], log: Path) -> subprocess.Popen[bytes]:
    env = {**os.environ, "SEAWAY_LOG_FORMAT": "json"}
    with log.open("wb") as out:
        return subprocess.Popen([sys.executable, "-m", "seaway.serving", *args], stdout=out, stderr=out, env=env)


@contextmanager
def serving(
    folder: Path, *models: str, ports: list[int] | None = None, more: tuple[str, ...] = ()
) -> Iterator[Serving]:
    """A server of these models, on these ports or a free one, until the block ends; the last port must be its own."""
    ports = ports or [free_port()]
    log = folder / f"server-{ports[-1]}.log"
    args = [x for m in models for x in ("--model", m)] + [x for p in ports for x in ("--port", str(p))]
    process = start([*args, *more], log)

    def ready() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            return httpx.get(f"http://127.0.0.1:{ports[-1]}/v2/health/ready").status_code == 200
        except httpx.TransportError:
            return False

    try:
        until(ready, what=f"the server is ready on {ports}", timeout_s=30)
        yield Serving(process, ports, log)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
