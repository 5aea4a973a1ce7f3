from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from kubernetes import client

from tests.local.pytorchjobs import message
from tests.local.trainingjobs import MEET, Object, TrainJobs, trainjob
from tests.support.laptop import TestLaptop
from tests.support.waiting import until

HANG = ["sleep", "300"]
RUNTIMES = ("trainer.kubeflow.org", "v1alpha1", "clustertrainingruntimes")


@pytest.fixture
def jobs(api: client.ApiClient) -> TrainJobs:
    return TrainJobs(api)


def sh(script: str) -> list[str]:
    return ["sh", "-c", script]


@pytest.mark.parametrize("runtime", ["torch-distributed", "jax-distributed"])
def test_two_nodes_meet_and_bear_the_labels_of_a_jobset(jobs: TrainJobs, runtime: str) -> None:
    name = runtime.partition("-")[0]
    done = jobs.run(trainjob(name, ["python", "-c", MEET], runtime=runtime, nodes=2))
    assert message(done, "Complete") == "jobset completed successfully"
    assert done["status"]["conditions"][0]["reason"] == "AllJobsCompleted"
    zero = dict.fromkeys(("ready", "failed", "active", "suspended"), 0)
    assert done["status"]["jobsStatus"] == [{"name": "node", "succeeded": 1} | zero]
    pods = jobs.by_index(name)
    assert [pod.metadata.name[: len(name) + 9] for pod in pods] == [f"{name}-node-0-0", f"{name}-node-0-1"]
    assert [jobs.log(pod.metadata.name).strip() for pod in pods] == ["met 0 2", "met 1 2"]
    labels = pods[1].metadata.labels
    assert (labels["jobset.sigs.k8s.io/replicatedjob-name"], labels["batch.kubernetes.io/job-name"]) == (
        "node",
        f"{name}-node-0",
    )
    assert pods[1].spec.containers[0].name == "node"
    jobs.delete(name)
    until(lambda: not jobs.pods(name))


def test_a_killed_node_starts_again_and_one_that_keeps_failing_fails_the_job(
    jobs: TrainJobs, tmp_path: Path, api: client.ApiClient
) -> None:
    file = tmp_path / "pids"
    script = f"echo $$$$ >> {file}; [ $(wc -l < {file}) -gt 1 ] || sleep 300"
    jobs.create(trainjob("killed", sh(script)))
    os.kill(int(until(lambda: file.exists() and file.read_text().strip())), signal.SIGKILL)
    jobs.until("killed", "Complete")
    assert len(file.read_text().split()) == 2
    runtime: Object = {
        "metadata": {"name": "mine"},
        "spec": {
            "mlPolicy": {"numNodes": 2, "torch": {}},
            "template": {"spec": {"replicatedJobs": [{
                "name": "node",
                "template": {
                    "metadata": {"labels": {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}},
                    "spec": {"backoffLimit": 0, "template": {"spec": {
                        "restartPolicy": "Never",
                        "containers": [{"name": "node", "image": "x", "env": [{"name": "MINE", "value": "1"}]}],
                    }}},
                },
            }]}},
        },
    }  # fmt: skip
    client.CustomObjectsApi(api).create_cluster_custom_object(*RUNTIMES, runtime)
    one = trainjob("fails", sh('echo $MINE of $PET_NNODES; [ "$PET_NODE_RANK" = 0 ] || exit 3; sleep 300'),
                   runtime="mine")  # fmt: skip
    one["spec"]["trainer"].pop("numNodes")
    failed = jobs.run(one)
    assert message(failed, "Failed") == (
        "jobset failed due to one or more job failures (first failed job: fails-node-0)"
    )
    assert ("FailedJobs", message(failed, "Failed")) in jobs.events("fails")
    # A failed Job ends its other pods, as on a cluster.
    (left,) = until(lambda: len(found := jobs.by_index("fails")) == 1 and found)
    assert (left.status.phase, jobs.log(left.metadata.name)) == ("Failed", "1 of 2\n")


def test_a_job_is_suspended_resumed_and_ended_by_its_deadline(jobs: TrainJobs) -> None:
    jobs.create(trainjob("late", HANG, suspend=True, activeDeadlineSeconds=2))
    jobs.until("late", "Suspended")
    until(lambda: jobs.get("late")["status"].get("jobsStatus", [{}])[0].get("suspended") == 1)
    assert not jobs.pods("late")
    jobs.patch("late", {"spec": {"suspend": False}})
    until(lambda: jobs.get("late")["status"]["jobsStatus"][0]["ready"] == 1)
    jobs.patch("late", {"spec": {"suspend": True}})
    until(lambda: not jobs.pods("late"))
    jobs.patch("late", {"spec": {"suspend": False}})
    failed = jobs.until("late", "Failed")
    assert message(failed, "Failed") == "TrainJob exceeded its active deadline"
    assert [one["reason"] for one in failed["status"]["conditions"]] == ["Resumed", "DeadlineExceeded"]
    until(lambda: not jobs.pods("late"))


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[TestLaptop]:
    """A laptop that the test may kill."""
    found = TestLaptop(tmp_path / "home").start()
    yield found
    if found.process is not None:
        found.stop()


def test_a_job_outlives_the_laptop(mortal: TestLaptop, tmp_path: Path) -> None:
    script = f"echo $PET_NODE_RANK >> {tmp_path}/runs; until [ -e {tmp_path}/go ]; do sleep 0.02; done"
    TrainJobs(mortal.client()).create(trainjob("kept", sh(script), nodes=2))
    until(lambda: (tmp_path / "runs").exists() and len((tmp_path / "runs").read_text().split()) == 2)
    mortal.kill()
    (tmp_path / "go").touch()
    mortal.start()
    jobs = TrainJobs(mortal.client())
    jobs.until("kept", "Complete")
    assert sorted((tmp_path / "runs").read_text().split()) == ["0", "1"]
    assert len(jobs.pods("kept")) == 2


@pytest.mark.needs_kubectl
def test_kubectl_shows_jobs_and_the_runtimes_that_are_there(laptop: TestLaptop, jobs: TrainJobs) -> None:
    names = [line.split()[0] for line in laptop.kubectl("get", "clustertrainingruntimes").splitlines()]
    assert {"NAME", "jax-distributed", "torch-distributed"} <= set(names)
    jobs.run(trainjob("shown", ["true"]))
    header, row = laptop.kubectl("get", "trainjob", "shown").splitlines()
    assert (header.split(), row.split()[:2]) == (["NAME", "STATE", "AGE"], ["shown", "Complete"])
    assert "met" in laptop.kubectl("wait", "--for=condition=Complete", "trainjob/shown", "--timeout=5s")
    assert "numProcPerNode" in laptop.kubectl("explain", "trainjob.spec.trainer")
