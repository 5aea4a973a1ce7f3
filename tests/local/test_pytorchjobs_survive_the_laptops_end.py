from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.local.pytorchjobs import PyTorchJobs, conditions, pytorchjob, replica
from tests.support.laptop import TestLaptop
from tests.support.waiting import until


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[TestLaptop]:
    """A laptop that the test may kill."""
    found = TestLaptop(tmp_path / "home").start()
    yield found
    if found.process is not None:
        found.stop()


def test_killed_at_any_moment_every_replica_still_runs_once(mortal: TestLaptop, tmp_path: Path) -> None:
    for number in range(5):
        name, runs = f"once-{number}", tmp_path / f"runs-{number}"
        each = replica(["sh", "-c", f"echo $RANK/$MASTER_PORT >> {runs}; sleep 0.2"], policy="ExitCode")
        PyTorchJobs(mortal.client()).create(
            pytorchjob(name, master=each, worker=each | {"replicas": 2}, run={"backoffLimit": 1})
        )
        time.sleep(0.015 * number)  # not a wait: the moment of the crash is what varies
        mortal.kill()
        mortal.start()
        jobs = PyTorchJobs(mortal.client())
        jobs.until(name, "Succeeded")
        until(lambda name=name, jobs=jobs: all(pod.status.phase == "Succeeded" for pod in jobs.pods(name).values()))
        began = [line.split("/") for line in runs.read_text().split()]
        assert Counter(rank for rank, _ in began) == Counter("012")
        assert len({port for _, port in began}) == 1
        assert len(jobs.pods(name)) == len(jobs.services(name)) == 3


def test_replicas_that_fail_while_nobody_looks_are_dealt_with_as_ever(mortal: TestLaptop, tmp_path: Path) -> None:
    script = (
        f'echo $RANK >> {tmp_path}/runs; until [ -e {tmp_path}/go ]; do sleep 0.02; done; [ -e {tmp_path}/"$RANK" ]'
    )
    (tmp_path / "0").touch()
    each = replica(["sh", "-c", f"{script} || exit 200"], policy="ExitCode")
    jobs = PyTorchJobs(mortal.client())
    jobs.create(pytorchjob("unseen", master=each, worker=each, run={"backoffLimit": 1, "cleanPodPolicy": "None"}))
    until(lambda: (tmp_path / "runs").exists() and len((tmp_path / "runs").read_text().split()) == 2)
    mortal.kill()
    (tmp_path / "go").touch()
    until(lambda: len(list(mortal.home.glob("pods/*/pytorch/0/exit"))) == 2)
    mortal.start()
    jobs = PyTorchJobs(mortal.client())
    job = jobs.until("unseen", "Succeeded", "Failed")
    # The Master's success is the job's, whenever its worker is seen to have failed.
    assert conditions(job)["Succeeded"] == "True"
    assert ("ExitedWithCode", "Pod: default.unseen-worker-0 exited with code 200") in jobs.events("unseen")


def test_seaway_down_ends_the_replicas_and_the_next_laptop_begins_them_again(
    mortal: TestLaptop, tmp_path: Path
) -> None:
    # A replica that ends in order when it is told to has not done its work.
    script = f"trap 'exit 0' TERM; echo $$$$ >> {tmp_path}/pids; until [ -e {tmp_path}/go ]; do sleep 0.02; done"
    each = replica(["sh", "-c", script], policy="ExitCode")
    run = {"backoffLimit": 1}
    PyTorchJobs(mortal.client()).create(pytorchjob("resting", master=each, worker=each, run=run))
    pids = until(
        lambda: (tmp_path / "pids").exists() and len(found := (tmp_path / "pids").read_text().split()) == 2 and found
    )
    mortal.stop()
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    (tmp_path / "go").touch()
    mortal.start()
    jobs = PyTorchJobs(mortal.client())
    jobs.until("resting", "Succeeded")
    assert 3 <= len((tmp_path / "pids").read_text().split()) <= 4
