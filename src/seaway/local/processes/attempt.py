"""One run of one container: its folder on disk, and the process as far as it can be seen from here."""

from __future__ import annotations

import contextlib
import json
import marshal
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seaway.local.controllers.pod import LOST, SHUTDOWN
from seaway.local.processes import shim

SHIM = Path(shim.__file__)
SHUTDOWN_S = 8.0
"""What containers get to end in when the laptop ends."""


@dataclass(frozen=True, kw_only=True)
class Exit:
    """How an attempt ended."""

    code: int
    """128 + the signal's number for one that a signal ended."""
    signal: int = 0
    reason: str = ""
    message: str = ""
    started_ns: int = 0
    finished_ns: int = 0


class Attempt:
    """Number ``number`` of a container's runs. The folder is made before the process and outlives the laptop."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.number = int(folder.name)
        self.started_ns = time.time_ns()
        self.exit: Exit | None = None
        self.ready = False
        """What its readiness probe says."""
        self.stopped = False
        """Whether SIGTERM was sent by this laptop."""
        self._pid = 0
        self._pidfd = -1
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether its end is not yet known."""
        return self.exit is None

    @property
    def log(self) -> Path:
        """What the command wrote."""
        return self.folder / "log"

    @property
    def pidfd(self) -> int:
        """Becomes readable when the shim ends; -1 when there is no shim."""
        return self._pidfd

    def spawn(self, *, argv: list[str], env: dict[str, str], cwd: str, cores: tuple[int, ...] = ()) -> None:
        """Start the shim. A second shim for the same folder ends at once, so this is safe to repeat after a crash.

        Args:
            argv: the command.
            env: its whole environment.
            cwd: its working folder.
            cores: it runs on; all when none are named.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        spec = {"argv": argv, "env": env, "cwd": cwd, "cores": cores, "folder": str(self.folder)}
        # An unlinked file rather than a pipe: it takes an environment of any size without blocking, and leaves no
        # secret on disk.
        with tempfile.TemporaryFile() as file:
            marshal.dump(spec, file)
            file.seek(0)
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(SHIM)],
                stdin=file,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={},
                start_new_session=True,
            )
        self._watch(self._process.pid)

    def fail(self, reason: str, message: str) -> None:
        """Record that the command could not be started at all."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        now = time.time_ns()
        record = {"exitCode": shim.START_ERROR, "signal": 0, "reason": reason, "message": message}
        self._record(record | {"startedAt": now, "finishedAt": now})

    def adopt(self) -> bool:
        """Take over what an earlier laptop started; False when nothing was started and the attempt may be spawned."""
        if self._read_exit():
            return True
        try:
            pid, ticks, moment = (int(one) for one in (self.folder / "claim").read_text().split())
        except FileNotFoundError:
            return False
        self.started_ns = moment
        try:
            self._watch(pid)
            if shim.start_ticks(pid) != ticks:
                raise ProcessLookupError
        except (OSError, ValueError):
            self._unwatch()
            self.lost()
        return True

    def ended(self) -> bool:
        """Look again after the shim's end; False when another shim turns out to run the attempt."""
        self._unwatch()
        if self._process is not None:
            self._process.wait()
            self._process = None
        if self._read_exit():
            return True
        if (self.folder / "claim").exists() and self.adopt():
            return not self.running
        self.lost()
        return True

    def lost(self) -> None:
        """The shim died without a record: nothing of its pod may be left running, and the attempt counts as killed."""
        sweep(self.folder.parents[1].name, self.folder.parent.name)
        if not self._read_exit():
            message = "the process was lost: the shim that watched it was killed"
            found = {"exitCode": 137, "signal": 9, "reason": LOST, "message": message}
            self._record(found | {"startedAt": self.started_ns, "finishedAt": time.time_ns()})

    def terminate(self) -> None:
        """SIGTERM to the command."""
        if not self.stopped:
            self.stopped = True
            self._signal(signal.SIGTERM)

    def kill(self, reason: str = "", message: str = "") -> None:
        """SIGKILL to the command and everything below it; ``reason`` is what its exit will say."""
        if reason:
            self.say_why(reason, message)
        self._signal(signal.SIGUSR1)
        # A shim that someone stopped would leave it pending.
        self._signal(signal.SIGCONT)

    def say_why(self, reason: str, message: str) -> None:
        """What its exit will say beside the code."""
        # On a full disk the command still has to end.
        with contextlib.suppress(OSError):
            (self.folder / "why").write_text(json.dumps({"reason": reason, "message": message}))

    def resident_bytes(self) -> int:
        """Resident memory of the command and everything below it, in bytes."""
        pages = 0
        for pid in shim.descendants(self._pid):
            try:
                pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            except (OSError, IndexError):
                continue
        return pages * os.sysconf("SC_PAGE_SIZE")

    def cores(self) -> tuple[int, ...]:
        """The cores that the command may run on; none when it is not there."""
        for pid in shim.descendants(self._pid):
            with contextlib.suppress(OSError):
                return tuple(sorted(os.sched_getaffinity(pid)))
        return ()

    def tail(self, lines: int = 80, size: int = 2048) -> str:
        """The last lines of its log, at most ``size`` bytes of them."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, self.log.stat().st_size - size))
                text = file.read().decode(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def _signal(self, number: signal.Signals) -> None:
        if self._pidfd >= 0:
            try:
                signal.pidfd_send_signal(self._pidfd, number)
            except ProcessLookupError:
                return

    def _watch(self, pid: int) -> None:
        self._pid, self._pidfd = pid, os.pidfd_open(pid)

    def _unwatch(self) -> None:
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1

    def _record(self, fields: dict[str, Any]) -> None:
        temporary = self.folder / "exit.new"
        # Should the disk be full, it counts all the same; the next laptop finds out again.
        with contextlib.suppress(OSError):
            temporary.write_text(json.dumps(fields))
            temporary.replace(self.folder / "exit")
        self._take(fields)

    def _read_exit(self) -> bool:
        try:
            found = json.loads((self.folder / "exit").read_text())
        except FileNotFoundError:
            return False
        self._take(found)
        return True

    def _take(self, found: dict[str, Any]) -> None:
        with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
            found |= json.loads((self.folder / "why").read_text())
        self.started_ns = found["startedAt"]
        self.exit = Exit(
            code=found["exitCode"],
            signal=found["signal"],
            reason=found["reason"],
            message=found["message"],
            started_ns=found["startedAt"],
            finished_ns=found["finishedAt"],
        )


def end_all(pods: Path, *, grace_s: float = SHUTDOWN_S) -> bool:
    """End whatever runs in a folder of pods while no laptop watches it; False when nothing does."""
    attempts = [Attempt(claim.parent) for claim in pods.glob("*/*/*/claim")]
    running = [attempt for attempt in attempts if attempt.adopt() and attempt.running]
    for attempt in running:
        attempt.say_why(SHUTDOWN, "the laptop was ended")
        attempt.terminate()
    deadline = time.monotonic() + grace_s
    for attempt in running:
        if not select.select([attempt.pidfd], [], [], max(0.0, deadline - time.monotonic()))[0]:
            attempt.kill()
            select.select([attempt.pidfd], [], [], grace_s)
    return bool(running)


def sweep(uid: str, container: str = "") -> None:
    """Kill every process that carries a pod's uid (and container) in its environment."""
    marks = [f"SEAWAY_POD_UID={uid}".encode()]
    if container:
        marks.append(f"SEAWAY_CONTAINER={container}".encode())
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            variables = (entry / "environ").read_bytes().split(b"\0")
            if all(mark in variables for mark in marks):
                os.kill(int(entry.name), signal.SIGKILL)
        except OSError:
            continue


def discard(folder: Path) -> None:
    """Remove a pod's folder."""
    shutil.rmtree(folder, ignore_errors=True)
