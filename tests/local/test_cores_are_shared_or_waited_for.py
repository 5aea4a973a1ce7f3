from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kubernetes import client

from seaway.errors import LaptopError
from seaway.local.controllers.scheduling import container_cpu, crowded
from seaway.local.processes import cores
from seaway.local.processes.cores import Cores
from tests.local.pytorchjobs import Object, PyTorchJobs, pytorchjob, replica
from tests.support.laptop import TestLaptop
from tests.support.waiting import until

CORES = sorted(os.sched_getaffinity(0))
WORDS = "0/1 nodes are available: 1 Insufficient cpu."
SHOW = ["python", "-c", "import os, time; print(sorted(os.sched_getaffinity(0)), flush=True); time.sleep(300)"]
REQUESTS = st.sampled_from(["0", "100m", "0.5", "1", "1500m", "2", "3"])


def asks(cpu: str | int) -> Object:
    return {"resources": {"requests": {"cpu": cpu}}}


def pod(uid: str, cpu: str, owner: str = "") -> Object:
    metadata: Object = {"uid": uid}
    if owner:
        metadata["ownerReferences"] = [{"kind": "PyTorchJob", "uid": owner, "controller": True}]
    return {"metadata": metadata, "spec": {"containers": [asks(cpu)]}, "status": {"phase": "Pending"}}


@given(count=st.integers(1, 8), requests=st.lists(st.integers(0, 60).map(lambda n: n / 10), max_size=12))
def test_each_container_gets_whole_cores_and_none_is_idle_while_another_is_shared(
    count: int, requests: list[float]
) -> None:
    found = Cores(range(count))
    for number, request in enumerate(requests):
        before = found.load()
        chosen = found.take((str(number), "c"), request)
        if 0 < request <= count - 1:
            assert request <= len(chosen) < request + 1
            assert max(before[one] for one in chosen) <= min(
                (before[one] for one in range(count) if one not in chosen), default=float("inf")
            )
        else:
            assert chosen == () or len(chosen) < count
    for number in range(len(requests)):
        found.release(str(number))
    assert set(found.load().values()) == {0.0}


@given(sizes=st.lists(st.tuples(st.integers(1, 4), REQUESTS), min_size=1, max_size=6), count=st.integers(1, 4))
def test_gangs_are_placed_whole_and_never_more_than_there_are_cores(sizes: list[tuple[int, str]], count: int) -> None:
    pods = [pod(f"{gang}-{n}", cpu, str(gang)) for gang, (size, cpu) in enumerate(sizes) for n in range(size)]
    placed: set[str] = set()
    for one in pods:
        if not crowded(one, pods, placed.__contains__, count):
            placed.add(one["metadata"]["uid"])
    total = 0.0
    for gang, (size, cpu) in enumerate(sizes):
        members = {f"{gang}-{n}" for n in range(size)}
        assert members <= placed or not members & placed
        total += size * container_cpu(asks(cpu)) if members <= placed else 0.0
    assert total <= count
    # What has ended makes room, and words are the scheduler's.
    for one in pods:
        if one["metadata"]["uid"] in placed:
            one["status"] = {"phase": "Succeeded"}
    for gang, (size, cpu) in enumerate(sizes):
        first = next(one for one in pods if one["metadata"]["uid"] == f"{gang}-0")
        if f"{gang}-0" not in placed:
            fits = size * container_cpu(asks(cpu)) <= count
            assert crowded(first, pods, placed.__contains__, count) == ("" if fits else WORDS)


def test_a_limit_counts_as_a_request_and_a_policy_that_is_none_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert container_cpu({"resources": {"limits": {"cpu": "2"}}}) == 2
    assert container_cpu({"resources": {"limits": {"cpu": "2"}, "requests": {"cpu": "500m"}}}) == 0.5
    monkeypatch.setenv(cores.VARIABLE, "perhaps")
    with pytest.raises(LaptopError, match="must be share or wait, found 'perhaps'"):
        cores.policy()


def jobs_of(laptop: TestLaptop) -> PyTorchJobs:
    return PyTorchJobs(laptop.client())


@pytest.fixture
def waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestLaptop]:
    """A laptop whose pods wait for cores, and which the test may kill."""
    monkeypatch.setenv(cores.VARIABLE, "wait")
    found = TestLaptop(tmp_path / "home").start()
    yield found
    if found.process is not None:
        found.stop()


@pytest.mark.skipif(len(CORES) < 2, reason="with one core there is nothing to choose")
def test_replicas_run_on_cores_of_their_own_and_more_of_them_share(api: client.ApiClient) -> None:
    jobs, count = PyTorchJobs(api), len(CORES)
    jobs.create(pytorchjob("pinned", worker=replica(SHOW, replicas=count + 1, **asks("900m"))))
    jobs.create(pytorchjob("free", master=replica(SHOW)))

    def shown(name: str) -> Any:
        logs = [jobs.log(one) for one, pod in jobs.pods(name).items() if pod.status.phase == "Running"]
        return all(logs) and [log.strip() for log in logs]

    found = until(lambda: len(logs := shown("pinned") or []) == count + 1 and logs)
    assert sorted(found[:count]) == sorted(str([one]) for one in CORES)
    assert found[count] in [str([one]) for one in CORES]
    assert until(lambda: shown("free")) == [str(CORES)]
    for name in ("pinned", "free"):
        jobs.delete(name)


def test_all_replicas_wait_until_all_have_cores_also_past_the_laptops_end(waiting: TestLaptop, tmp_path: Path) -> None:
    jobs, count = jobs_of(waiting), len(CORES)
    hold = replica(["sh", "-c", f"until [ -e {tmp_path}/go ]; do sleep 0.02; done"], **asks(1))
    jobs.create(pytorchjob("first", master=hold))
    jobs.until("first", "Running")
    jobs.create(pytorchjob("second", worker=replica(["true"], replicas=count, **asks(1))))

    def lacking(jobs: PyTorchJobs) -> bool:
        pods = jobs.pods("second").values()
        said = [one.message for pod in pods for one in pod.status.conditions or [] if one.type == "PodScheduled"]
        return said == [WORDS] * count and {pod.status.phase for pod in pods} == {"Pending"}

    until(lambda: lacking(jobs))
    waiting.kill()
    waiting.start()
    jobs = jobs_of(waiting)
    assert until(lambda: lacking(jobs))
    assert ("Unschedulable", f"Error pod second-worker-0 condition message: {WORDS}") in jobs.events("second")
    (tmp_path / "go").touch()
    jobs.until("first", "Succeeded")
    jobs.until("second", "Succeeded")
    jobs.create(pytorchjob("never", master=replica(["true"], **asks(count + 1))))
    until(lambda: any(WORDS in text for _, text in jobs.events("never")))
    assert jobs.pods("never")["never-master-0"].status.phase == "Pending"
