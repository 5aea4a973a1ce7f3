"""A worker takes its share of the cores, and leaves on SIGTERM neither too late nor in the middle of a rename."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from seaway.training import cores, signals


@pytest.mark.parametrize(("quota", "share"), [("50000 100000", 1), ("250000 100000", 3), ("max 100000", 8), ("", 8)])
def test_a_containers_quota_bounds_its_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quota: str, share: int
) -> None:
    (tmp_path / "cpu.max").write_text(quota)
    monkeypatch.setattr(cores, "_QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert cores.cores() == share
    assert cores.cores(neighbours=4) == min(share, 2)
    assert cores.cores(neighbours=99) == 1


def test_cores_that_a_process_alone_is_held_to_are_not_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {2, 3}, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(cores, "_QUOTA", Path("/none"))
    assert cores.cores(neighbours=4) == 2


@pytest.fixture
def came() -> Iterator[list[int]]:
    """SIGTERMs that this process was told of."""
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    yield heard
    signal.signal(signal.SIGTERM, before)


def test_sigterm_waits_for_what_must_be_whole(came: list[int]) -> None:
    resting = threading.Event()
    other = threading.Thread(target=resting.wait)  # the kernel may give it to any thread
    other.start()
    with signals.held_back():
        os.kill(os.getpid(), signal.SIGTERM)
        assert sum(range(10**6)) > 0
        assert came == []
    assert came == [signal.SIGTERM]
    resting.set()
    other.join()


STUCK = """
import ctypes, signal, sys
from seaway.training import signals
signals.GRACE_S = 0.2
signals.leave_on_sigterm()
with signals.heard_in_native_code():
    # a call that a signal does not cut short: it goes on waiting
    lock = ctypes.create_string_buffer(64)
    libc = ctypes.CDLL(None)
    print("stuck", flush=True)
    while sys.argv[1:] != ["native"]:
        pass
    libc.pthread_mutex_init(lock, None)
    libc.pthread_mutex_lock(lock)
    libc.pthread_mutex_lock(lock)
"""


@pytest.mark.parametrize("where", ["python", "native"])
def test_sigterm_ends_a_process_in_native_code_too(where: str) -> None:
    with subprocess.Popen([sys.executable, "-c", STUCK, where], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "stuck\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 128 + signal.SIGTERM
