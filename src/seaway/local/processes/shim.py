"""Runs one container's command and records how it ended, whether or not the laptop is there to see it.

Started as ``python -I -S shim.py`` in a session of its own, with a marshalled dict on standard input: ``argv``,
``env``, ``cwd``, ``cores`` and ``folder``. In the folder it writes

    claim   pid, start time of the process and the moment: whoever links this name first runs the command, so that a
            laptop that starts an attempt a second time after a crash starts nothing
    log     what the command wrote, stdout and stderr as they came
    index   16 bytes a piece of log: offset of its end, nanoseconds since 1970 (little endian)
    exit    JSON: exitCode, signal, reason, message, startedAt, finishedAt (nanoseconds); there once the command and
            all it started are gone

SIGTERM is passed on to the command alone, as a container runtime does; SIGUSR1 kills it and all its descendants. When
the command ends, whatever it left behind is killed, as the end of a container's first process does.

Only modules that load in a few milliseconds are imported: a pod waits for this file.
"""

from __future__ import annotations

import _ctypes  # prctl without the 10 ms that ctypes takes to load
import marshal
import os
import select
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SUBREAPER, DEATH_SIGNAL = 36, 1
START_ERROR = 128
"""Exit code of a command that could not be started, as container runtimes give it."""

ROOM = 1024
"""Bytes kept free for the exit record."""


def prctl(option: int, value: int) -> None:
    """Set one attribute of this process (Linux)."""
    itself: Any = None  # this process, with the C library that it runs on
    address = _ctypes.dlsym(_ctypes.dlopen(itself, 0), "prctl")
    _ctypes.call_function(address, (option, value, 0, 0, 0))


def start_ticks(pid: int) -> int:
    """Start time of a process, in clock ticks since boot: with the pid it names a process for good."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        return int(file.read().rpartition(b")")[2].split()[19])


def descendants(pid: int) -> list[int]:
    """Pids of everything below ``pid``."""
    found: list[int] = []
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return found
    for thread in threads:
        try:
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                children = [int(one) for one in file.read().split()]
        except OSError:
            continue
        for child in children:
            found.append(child)
            found.extend(descendants(child))
    return found


def kill(pids: list[int], number: int) -> None:
    """Signal each of ``pids`` that is still there."""
    for pid in pids:
        try:  # noqa: SIM105  contextlib takes as long to load as all the rest
            os.kill(pid, number)
        except OSError:
            pass


def claim(folder: str) -> bool:
    """Whether this process is the one that runs the attempt."""
    own = f"{folder}/claim.{os.getpid()}"
    with open(own, "w") as file:
        file.write(f"{os.getpid()} {start_ticks(os.getpid())} {time.time_ns()}\n")
    try:
        os.link(own, f"{folder}/claim")
    except FileExistsError:
        return False
    finally:
        os.unlink(own)
    return True


def spawn(spec: dict[str, Any], output: int) -> tuple[int, str]:
    """Fork and execute the command; returns its pid and, when it could not start, why."""
    shim = os.getpid()
    error_read, error_write = os.pipe()
    pid = os.fork()
    if pid:
        os.close(error_write)
        with os.fdopen(error_read, "rb") as file:
            return pid, file.read().decode()
    try:
        os.setsid()
        prctl(DEATH_SIGNAL, signal.SIGKILL)
        if os.getppid() != shim:
            os._exit(START_ERROR)
        for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        bind(spec["cores"])
        os.chdir(spec["cwd"])
        os.umask(0o022)
        os.execve(spec["argv"][0], spec["argv"], spec["env"])  # noqa: S606
    except Exception as error:
        why = error.strerror if isinstance(error, OSError) else error
        os.write(error_write, f"{spec['argv'][0]}: {why}".encode())
    os._exit(START_ERROR)


def bind(cores: tuple[int, ...]) -> None:
    """Keep this process, and all it starts, on some cores; on all when none are named, or one is there no more."""
    try:
        if cores:
            os.sched_setaffinity(0, cores)
    except OSError:
        pass


class Log:
    """Appends to the log, with the moment of every piece in the index first, so that a reader finds it there."""

    def __init__(self, folder: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self.log = os.open(f"{folder}/log", flags, 0o600)
        self.index = os.open(f"{folder}/index", flags, 0o600)
        self.end = 0

    def write(self, data: bytes) -> None:
        """Append one piece; a full disk loses output, never the command."""
        try:
            end = self.end + len(data)
            os.write(self.index, end.to_bytes(8, "little") + time.time_ns().to_bytes(8, "little"))
            while data:
                data = data[os.write(self.log, data) :]
            self.end = end
        except OSError:
            pass


def follow(pid: int, output: int, wake: int, log: Log) -> int:
    """Write the command's output to the log until the command ends; returns its wait status."""
    sources = [output, wake]
    while True:
        ready, _, _ = select.select(sources, [], [])
        if output in ready:
            data = os.read(output, 65536)
            if data:
                log.write(data)
            else:
                sources.remove(output)
        if wake in ready:
            os.read(wake, 512)
            status = reap(pid)
            if status is not None:
                return status


def reap(pid: int) -> int | None:
    """Collect what has ended; returns the wait status of ``pid`` when it is among them."""
    found = None
    while True:
        try:
            ended, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if ended == 0:
            return found
        if ended == pid:
            found = status


def clear() -> None:
    """Kill and collect everything that is left below this process."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        left = descendants(os.getpid())
        if not left:
            return
        kill(left, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def drain(output: int, log: Log) -> None:
    """What is still in the pipe."""
    os.set_blocking(output, False)
    try:
        while data := os.read(output, 65536):
            log.write(data)
    except BlockingIOError:
        pass


def record(folder: str, **fields: int | str) -> None:
    """Write the exit record, all or nothing."""

    def shown(value: int | str) -> str:
        if isinstance(value, int):
            return str(value)
        clean = "".join(one if one.isprintable() else " " for one in value)
        return '"' + clean.replace("\\", "\\\\").replace('"', '\\"') + '"'

    text = ", ".join(f'"{name}": {shown(value)}' for name, value in fields.items())
    data = ("{" + text + "}\n").encode()
    file = os.open(f"{folder}/exit.new", os.O_WRONLY | os.O_CREAT, 0o600)
    os.write(file, data)
    os.ftruncate(file, len(data))
    os.close(file)
    os.rename(f"{folder}/exit.new", f"{folder}/exit")


def reserve(folder: str) -> None:
    """Take the room for the exit record, so that a command that fills the disk ends in order."""
    try:
        with open(f"{folder}/exit.new", "wb") as file:
            file.write(b" " * ROOM)
    except OSError:
        pass


def main() -> None:
    """Run the attempt that standard input describes."""
    os.umask(0o077)
    spec = marshal.load(sys.stdin.buffer)  # noqa: S302  written by attempt.py through an unlinked file
    folder = spec["folder"]
    wake, waker = os.pipe()
    os.set_blocking(waker, False)
    child = 0
    stopped = False

    def terminate(number: int, frame: object) -> None:
        nonlocal stopped
        stopped = True
        if child:
            kill([child], signal.SIGTERM)

    signal.signal(signal.SIGTERM, terminate)
    signal.signal(signal.SIGUSR1, lambda number, frame: kill(descendants(os.getpid()), signal.SIGKILL))
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    signal.set_wakeup_fd(waker)
    if not claim(folder):
        return
    prctl(SUBREAPER, 1)
    reserve(folder)
    log = Log(folder)
    output, end = os.pipe()
    started = time.time_ns()
    child, failure = spawn(spec, end)
    os.close(end)
    if stopped:
        kill([child], signal.SIGTERM)
    status = follow(child, output, wake, log)
    clear()
    drain(output, log)
    code = os.waitstatus_to_exitcode(status)
    record(
        folder,
        exitCode=128 - code if code < 0 else code,
        signal=-code if code < 0 else 0,
        reason="StartError" if failure else "",
        message=failure,
        startedAt=started,
        finishedAt=time.time_ns(),
    )


if __name__ == "__main__":
    main()
