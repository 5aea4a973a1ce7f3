"""A stream that another thread closes ends at once, and no half read connection serves the next request."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
from typing import Any

import pytest

from seaway.launch.api import Api, ApiError
from seaway.launch.identity import identify
from seaway.launch.job import JOB, create_or_attach, named
from seaway.launch.sigterm import Inbox, TerminatedError, noted
from seaway.launch.watcher import Watcher
from seaway.resources import names
from seaway.resources.job import job
from seaway.resources.pod import Replica
from tests.support.waiting import until


@pytest.fixture
def silent(api: Api) -> Any:
    """A job whose pod runs and says one line."""
    code = "import time; print('began', flush=True); time.sleep(600)"
    replica = Replica(image="i", command=["python", "-c", code], labels=names.run_labels("run-1", "train"))
    built = job(name="", replica=replica)
    made = create_or_attach(api, named(built, prefix="silent", identity=identify(api)))
    name = made["metadata"]["name"]

    def pod() -> Any:
        found = api.list(("v1", "Pod"), labels=f"batch.kubernetes.io/job-name={name}")
        return next((p for p in found if p["status"].get("phase") == "Running"), None)

    yield until(pod)
    api.delete(JOB, name)


def test_a_reader_that_waits_for_the_next_line_ends_when_its_stream_is_closed(api: Api, silent: Any) -> None:
    stream = api.pod_log(silent["metadata"]["name"])
    lines: list[str] = []

    def follow() -> None:
        try:
            for line in stream:
                lines.append(line)
        except ApiError:
            pass

    thread = threading.Thread(target=follow)
    thread.start()
    until(lambda: lines == ["began"])
    before = time.monotonic()
    stream.close()
    thread.join(10)
    assert not thread.is_alive()
    assert time.monotonic() - before < 5
    stream.close()  # is safe to call twice


def test_a_stream_left_half_read_does_not_answer_the_next_request(api: Api, silent: Any) -> None:
    name = silent["metadata"]["name"]
    for _ in range(3):
        for line in api.pod_log(name):
            assert line == "began"
            break
        for changed in api.watch(("v1", "Pod"), name, since="0"):
            assert changed["metadata"]["name"] == name
            break
        found = api.get(("v1", "Pod"), name)
        assert found is not None
        assert found["metadata"]["name"] == name
    gc.collect()  # a socket that was left open would be told of now


def test_a_watcher_closes_though_nothing_changes(api: Api, silent: Any) -> None:
    watcher = Watcher(api, ("v1", "Pod"), silent["metadata"]["name"], since="", inbox=Inbox())
    before = time.monotonic()
    watcher.close()
    watcher.close()
    assert time.monotonic() - before < 5
    assert not [t for t in threading.enumerate() if t.name == f"watch-{silent['metadata']['name']}"]


def test_sigterm_wakes_whoever_waits_and_is_not_forgotten() -> None:
    inbox: Inbox[str] = Inbox()
    ours = signal.getsignal(signal.SIGTERM)
    with noted(inbox):
        timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGTERM))
        timer.start()
        before = time.monotonic()
        with pytest.raises(TerminatedError):
            inbox.get(30)
        assert time.monotonic() - before < 10
        timer.join()
        inbox.put("late")
        for wait in (inbox.check, inbox.clear, lambda: inbox.get(1), lambda: inbox.wait(1)):
            with pytest.raises(TerminatedError):
                wait()
    assert signal.getsignal(signal.SIGTERM) is ours


def test_an_inbox_gives_what_was_told_in_its_order() -> None:
    inbox: Inbox[int] = Inbox()
    for number in range(3):
        inbox.put(number)
    assert [inbox.get(0.0) for _ in range(4)] == [0, 1, 2, None]


def test_outside_the_main_thread_no_signal_is_touched() -> None:
    ours, seen = signal.getsignal(signal.SIGTERM), []

    def run() -> None:
        with noted(Inbox()):
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [ours]
