"""Start, find and end the laptop of this home."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from seaway.errors import LaptopError
from seaway.local.home import Paths, paths

DEFAULT_PORT = 7443
LOG_LIMIT = 10_000_000
"""Bytes of laptop.log above which a start begins a new one and keeps the old as laptop.log.1."""


@dataclass(frozen=True, kw_only=True)
class Laptop:
    """A running laptop."""

    pid: int
    port: int
    url: str
    kubeconfig: Path
    started: datetime


def status() -> Laptop | None:
    """The laptop that runs for this home, None when there is none."""
    where = paths()
    try:
        found = json.loads(where.record.read_text())
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError):
        return None
    if not _lock_is_held(where):
        return None
    return Laptop(
        pid=found["pid"],
        port=found["port"],
        url=f"https://127.0.0.1:{found['port']}",
        kubeconfig=where.kubeconfig,
        started=datetime.fromtimestamp(found["started"], UTC),
    )


def start(port: int | None = None, *, wait_s: float = 20.0) -> Laptop:
    """Start a laptop in the background and wait until it answers; returns the one that runs if there is one.

    Args:
        port: of 127.0.0.1; else SEAWAY_PORT, else 7443.
        wait_s: seconds to wait for it.

    Raises:
        LaptopError: it could not start, says why; or another port is asked for than the one it runs on.
    """
    found = status()
    if found is not None:
        if port is not None and port != found.port:
            raise LaptopError(
                f"the laptop of {paths().root} runs on port {found.port}, port {port} was asked for; "
                "run `seaway down` first"
            )
        return found
    where = paths()
    where.make()
    if where.log.exists() and where.log.stat().st_size > LOG_LIMIT:
        where.log.replace(where.log.with_suffix(".log.1"))
    command = [sys.executable, "-m", "seaway.local", "--port", str(_port(port))]
    with open(os.open(where.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as log:
        begin = log.seek(0, os.SEEK_END)
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=where.root, start_new_session=True
        )
    deadline = time.monotonic() + wait_s
    while time.monotonic() < deadline:
        found = status()
        if found is not None and _answers(found.port):
            # Its parent does not wait for it: the laptop outlives whoever started it.
            process.returncode = process.poll() or 0
            return found
        if process.poll() is not None:
            if (found := _started_beside(deadline)) is not None:
                return found
            raise LaptopError(f"the laptop could not start: {_tail(where.log, begin)}")
        time.sleep(0.02)
    process.terminate()
    raise LaptopError(f"the laptop did not answer within {wait_s:g} s; {where.log} says: {_tail(where.log, begin)}")


def ensure() -> Laptop:
    """The running laptop, started when there is none."""
    return status() or start()


def stop(*, timeout_s: float = 15.0) -> bool:
    """End the laptop and all its pods, also those that a killed laptop left; False when there was nothing to end.

    Raises:
        LaptopError: the laptop did not end in time.
    """
    found = status()
    if found is None:
        return _end_orphans(paths())
    with contextlib.suppress(ProcessLookupError):
        os.kill(found.pid, signal.SIGTERM)
    deadline = time.monotonic() + timeout_s
    while _lock_is_held(paths()):
        if time.monotonic() > deadline:
            raise LaptopError(
                f"the laptop (pid {found.pid}) did not end within {timeout_s:g} s of SIGTERM; see {paths().log}"
            )
        time.sleep(0.02)
    return True


def serve(port: int | None = None) -> None:
    """Run the laptop in this process until SIGTERM or SIGINT."""
    # Imported here: starting, finding and ending a laptop needs none of it.
    from seaway.local.server import Timing, run

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    # What fails is answered and logged by the application; uvicorn would add a line for every client that lingers.
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    run(paths(), _port(port), Timing.from_environment())


def _port(asked: int | None) -> int:
    found = str(asked) if asked is not None else os.environ.get("SEAWAY_PORT") or str(DEFAULT_PORT)
    if not found.isdecimal() or not 0 < int(found) < 65536:
        raise LaptopError(f"the port must be a number from 1 to 65535, found {found!r}: set --port or SEAWAY_PORT")
    return int(found)


def _lock_is_held(where: Paths) -> bool:
    try:
        file = where.lock.open("a")
    except FileNotFoundError:
        return False
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        return False


def _end_orphans(where: Paths) -> bool:
    if not where.pods.is_dir() or _lock_is_held(where):
        return False
    from seaway.local.processes.attempt import end_all

    with where.lock.open("a") as lock:
        # Held so that no laptop starts and adopts them meanwhile.
        fcntl.flock(lock, fcntl.LOCK_EX)
        return end_all(where.pods)


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def _started_beside(deadline: float) -> Laptop | None:
    """A laptop that another process started at the same moment."""
    while _lock_is_held(paths()) and time.monotonic() < deadline:
        found = status()
        if found is not None and _answers(found.port):
            return found
        time.sleep(0.02)
    return None


def _tail(log: Path, begin: int) -> str:
    with log.open("rb") as file:
        file.seek(begin)
        lines = file.read().decode(errors="replace").strip().splitlines()
    if lines:
        return "\n".join(lines[-5:])
    free_mib = shutil.disk_usage(log.parent).free // 2**20  # on a full disk it cannot even say so
    return f"it said nothing, {log.parent} has {free_mib:,} MiB free" + (": free some space" if free_mib < 50 else "")
