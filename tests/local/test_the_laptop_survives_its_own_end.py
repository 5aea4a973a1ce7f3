from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client

from tests.support.laptop import TestLaptop, job
from tests.support.waiting import until


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[TestLaptop]:
    """A laptop that the test may kill."""
    found = TestLaptop(tmp_path / "home").start()
    yield found
    if found.process is not None:
        found.stop()


def jobs_of(laptop: TestLaptop) -> Any:
    return client.BatchV1Api(laptop.client())


def complete(laptop: TestLaptop, name: str) -> bool:
    found = jobs_of(laptop).read_namespaced_job(name, "default")
    return any(one.type == "Complete" for one in found.status.conditions or [])


def test_a_job_goes_on_while_the_laptop_is_dead_and_completes_exactly_once(mortal: TestLaptop, tmp_path: Path) -> None:
    script = (
        f"echo begin >> {tmp_path}/runs; while [ ! -e {tmp_path}/go ]; do sleep 0.02; done; echo end >> {tmp_path}/runs"
    )
    jobs_of(mortal).create_namespaced_job("default", job("lasting", "sh", "-c", script))
    until(lambda: (tmp_path / "runs").exists())
    mortal.kill()
    mortal.start()
    assert not complete(mortal, "lasting")
    (tmp_path / "go").touch()
    until(lambda: complete(mortal, "lasting"))
    assert (tmp_path / "runs").read_text() == "begin\nend\n"


def test_the_end_of_a_job_that_ended_meanwhile_is_known(mortal: TestLaptop, tmp_path: Path) -> None:
    script = f"touch {tmp_path}/begun; while [ ! -e {tmp_path}/go ]; do sleep 0.02; done; exit 7"
    jobs_of(mortal).create_namespaced_job("default", job("meanwhile", "sh", "-c", script, backoffLimit=0))
    until(lambda: (tmp_path / "begun").exists())
    mortal.kill()
    (tmp_path / "go").touch()
    (record,) = until(lambda: list(mortal.home.glob("pods/*/main/0/exit")))
    assert '"exitCode": 7' in record.read_text()
    mortal.start()
    found = until(lambda: jobs_of(mortal).read_namespaced_job("meanwhile", "default").status.failed)
    assert found == 1
    pods = client.CoreV1Api(mortal.client()).list_namespaced_pod("default").items
    assert [pod.status.container_statuses[0].state.terminated.exit_code for pod in pods] == [7]


def test_killed_at_any_moment_of_a_start_the_command_still_runs_once(mortal: TestLaptop, tmp_path: Path) -> None:
    for number in range(4):
        name, runs = f"once-{number}", tmp_path / f"runs-{number}"
        jobs_of(mortal).create_namespaced_job("default", job(name, "sh", "-c", f"echo run >> {runs}; sleep 0.2"))
        time.sleep(0.008 * number)  # not a wait: the moment of the crash is what varies
        mortal.kill()
        mortal.start()
        until(lambda name=name: complete(mortal, name))
        assert runs.read_text() == "run\n"


def test_seaway_down_ends_all_pods_at_once_even_with_open_watches(mortal: TestLaptop, tmp_path: Path) -> None:
    script = f"sleep 300 & echo $! > {tmp_path}/pid; wait"
    jobs_of(mortal).create_namespaced_job("default", job("running", "sh", "-c", script))
    pid = int(until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text()))
    watching = client.CoreV1Api(mortal.client()).list_namespaced_pod("default", watch=True, _preload_content=False)
    watching.read(1)
    begin = time.monotonic()
    mortal.stop()
    assert time.monotonic() - begin < 3
    assert not Path(f"/proc/{pid}").exists()


def test_one_home_has_one_laptop(mortal: TestLaptop) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "seaway.local", "--port", str(mortal.port)],
        env=mortal.env,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "one is running already" in done.stderr


def test_a_port_in_use_is_named_with_its_holder(mortal: TestLaptop, tmp_path: Path) -> None:
    env = mortal.env | {"SEAWAY_HOME": str(tmp_path / "other")}
    done = subprocess.run(
        [sys.executable, "-m", "seaway.local", "--port", str(mortal.port)], env=env, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert f"port {mortal.port} of 127.0.0.1 must be free" in done.stderr
    assert mortal.process is not None
    assert f"pid {mortal.process.pid}" in done.stderr


def test_start_ensure_status_and_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from seaway.local import daemon

    port = TestLaptop(tmp_path).port
    monkeypatch.setenv("SEAWAY_HOME", str(tmp_path / "home"))
    assert daemon.status() is None
    assert daemon.stop() is False
    begin = time.monotonic()
    started = daemon.start(port)
    assert time.monotonic() - begin < 5
    try:
        assert daemon.ensure() == started == daemon.status()
        assert started.url == f"https://127.0.0.1:{port}"
    finally:
        assert daemon.stop() is True
    assert daemon.status() is None


def test_down_after_a_crash_ends_what_was_left(
    mortal: TestLaptop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from seaway.local import daemon

    script = f"sleep 300 & echo $! > {tmp_path}/pid; wait"
    jobs_of(mortal).create_namespaced_job("default", job("left", "sh", "-c", script))
    pid = int(until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text()))
    mortal.kill()
    assert Path(f"/proc/{pid}").exists()
    monkeypatch.setenv("SEAWAY_HOME", str(mortal.home))
    assert daemon.stop() is True
    until(lambda: not Path(f"/proc/{pid}").exists())
    assert daemon.stop() is False


def test_nobody_else_can_read_the_home(mortal: TestLaptop) -> None:
    jobs_of(mortal).create_namespaced_job("default", job("private", "true"))
    until(lambda: complete(mortal, "private"))
    for path in (mortal.home, *mortal.home.rglob("*")):
        if path.name != "test.log":
            assert path.stat().st_mode & 0o077 == 0, path
