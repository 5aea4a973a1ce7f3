from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from kubernetes import client

from tests.local.pytorchjobs import Object, PyTorchJobs, message, pytorchjob, replica
from tests.support.waiting import until

pytestmark = pytest.mark.skipif(find_spec("torch") is None, reason="needs the package torch, which is not installed")

SCRIPT = str(Path(__file__).with_name("allreduce.py"))
ONE_THREAD = [{"name": "OMP_NUM_THREADS", "value": "1"}]


@pytest.fixture
def jobs(api: client.ApiClient) -> PyTorchJobs:
    return PyTorchJobs(api)


def said(jobs: PyTorchJobs, name: str) -> set[str]:
    """What all replicas wrote, once all have ended."""
    pods = until(
        lambda: (pods := jobs.pods(name)) and all(one.status.phase == "Succeeded" for one in pods.values()) and pods,
        what="all replicas have succeeded",
    )
    return {line for pod in pods for line in jobs.log(pod).splitlines() if line.startswith("rank")}


BOTH = {"rank 0 of 2: [3.0, 3.0]", "rank 1 of 2: [3.0, 3.0]"}


def test_a_plain_script_that_reads_master_addr_and_rank_is_trained_by_two_replicas(jobs: PyTorchJobs) -> None:
    each = replica(["python", SCRIPT], env=ONE_THREAD)
    job = jobs.run(pytorchjob("plain-torch", master=each, worker=each), timeout_s=90)
    assert message(job, "Succeeded") == "PyTorchJob plain-torch is successfully completed."
    assert said(jobs, "plain-torch") == BOTH
    jobs.delete("plain-torch")


def test_torchrun_without_an_argument_finds_all_it_needs(jobs: PyTorchJobs) -> None:
    each = replica(["torchrun", SCRIPT], env=ONE_THREAD)
    jobs.run(pytorchjob("torchrun", master=each, worker=each, nprocPerNode="1"), timeout_s=90)
    assert said(jobs, "torchrun") == BOTH
    jobs.delete("torchrun")


def test_the_agents_of_an_elastic_job_meet(jobs: PyTorchJobs) -> None:
    worker = replica(["torchrun", SCRIPT], replicas=2, env=ONE_THREAD)
    elastic = {"minReplicas": 2, "maxReplicas": 2, "maxRestarts": 1}
    jobs.run(pytorchjob("agents", worker=worker, nprocPerNode="1", elasticPolicy=elastic), timeout_s=90)
    assert said(jobs, "agents") == BOTH
    jobs.delete("agents")


@pytest.fixture
def intruder() -> Iterator[contextlib.ExitStack]:
    """What the test listens on, closed at its end."""
    with contextlib.ExitStack() as stack:
        yield stack


def test_a_port_taken_before_the_master_listens_costs_a_new_start_and_no_more(
    jobs: PyTorchJobs, intruder: contextlib.ExitStack
) -> None:
    each: Object = replica(["python", SCRIPT], policy="ExitCode", env=ONE_THREAD)
    jobs.create(pytorchjob("crowded", master=each, worker=each, run={"backoffLimit": 1}))
    until(lambda: jobs.services("crowded"))
    first = jobs.port("crowded")
    # Loading torch takes the Master longer than this.
    intruder.enter_context(contextlib.closing(socket.create_server(("127.0.0.1", first))))
    job = jobs.until("crowded", "Succeeded", "Failed", timeout_s=120)
    assert message(job, "Succeeded")
    assert jobs.port("crowded") != first
    assert said(jobs, "crowded") == BOTH
    jobs.delete("crowded")
