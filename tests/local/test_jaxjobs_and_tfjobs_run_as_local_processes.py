from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client

from tests.local.pytorchjobs import PyTorchJobs, conditions, message
from tests.local.trainingjobs import MEET, JAXJobs, TFJobs, job, replica
from tests.support.laptop import TestLaptop
from tests.support.waiting import until

HANG = ["sleep", "300"]
training: Any = pytest.importorskip("kubeflow.training")


@pytest.fixture
def jax(api: client.ApiClient) -> JAXJobs:
    return JAXJobs(api)


@pytest.fixture
def tf(api: client.ApiClient) -> TFJobs:
    return TFJobs(api)


def sh(script: str) -> list[str]:
    return ["sh", "-c", script]


def variables(log: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in log.splitlines() if "=" in line)


def test_two_processes_of_a_jaxjob_meet_and_are_told_what_the_operator_tells(jax: JAXJobs) -> None:
    own = [{"name": "COORDINATOR_PORT", "value": "1"}]
    worker = replica("JAXJob", ["python", "-c", "import os; print(*(f'{k}={v}' for k, v in os.environ.items()), "
                                f"sep='\\n')\n{MEET}"], replicas=2, env=own)  # fmt: skip
    done = jax.run(job("JAXJob", "meet", {"Worker": worker}))
    assert message(done, "Succeeded") == "JAXJob default/meet successfully completed."
    assert done["status"]["conditions"][-1]["reason"] == "JAXJobSucceeded"
    assert done["status"]["replicaStatuses"]["Worker"]["succeeded"] == 2
    pods, port = jax.pods("meet"), str(jax.port("meet"))
    assert list(pods) == ["meet-worker-0", "meet-worker-1"] == list(jax.services("meet"))
    assert pods["meet-worker-0"].metadata.labels == {
        "training.kubeflow.org/job-name": "meet",
        "training.kubeflow.org/operator-name": "jaxjob-controller",
        "training.kubeflow.org/replica-type": "worker",
        "training.kubeflow.org/replica-index": "0",
        "training.kubeflow.org/job-role": "master",
    }
    assert "training.kubeflow.org/job-role" not in pods["meet-worker-1"].metadata.labels
    for number in (0, 1):
        log = jax.log(f"meet-worker-{number}")
        assert f"met {number} 2" in log
        told = variables(log)
        assert (told["COORDINATOR_ADDRESS"], told["COORDINATOR_PORT"]) == ("127.0.0.1", port)
        assert (told["NUM_PROCESSES"], told["PROCESS_ID"]) == ("2", str(number))
        assert told["JAX_COORDINATOR_BIND_ADDRESS"] == f"127.0.0.1:{port}"


def test_a_killed_process_fails_a_jaxjob_and_is_replaced_by_exit_code(jax: JAXJobs, tmp_path: Path) -> None:
    def kill(name: str, policy: str) -> None:
        script = f"echo $$$$ >> {tmp_path}/{name}; [ $(wc -l < {tmp_path}/{name}) -gt 1 ] || sleep 300"
        worker = replica("JAXJob", sh(script), policy=policy)
        jax.create(job("JAXJob", name, {"Worker": worker}, run={"cleanPodPolicy": "Running"}))
        file = tmp_path / name
        os.kill(int(until(lambda: file.exists() and file.read_text().strip())), signal.SIGKILL)

    kill("killed", "Never")
    found = jax.until("killed", "Failed")
    assert message(found, "Failed") == "JAXJob killed is failed because 1 Worker replica(s) failed."
    assert ("ExitedWithCode", "Pod: default.killed-worker-0 exited with code 137") in jax.events("killed")
    kill("replaced", "ExitCode")
    jax.until("replaced", "Succeeded")
    assert len((tmp_path / "replaced").read_text().split()) == 2
    told = jax.events("replaced")
    assert ("JAXJobRestarting", "JAXJob replaced is restarting because 1 Worker replica(s) failed.") in told


def test_replicas_of_a_tfjob_meet_at_ports_of_their_own_and_the_chief_ends_it(tf: TFJobs) -> None:
    python = ["python", "-c", MEET]
    replicas = {"Chief": replica("TFJob", python), "Worker": replica("TFJob", python, replicas=2)}
    done = tf.run(job("TFJob", "chiefs", replicas))
    assert message(done, "Succeeded") == "TFJob default/chiefs successfully completed."
    pods = tf.pods("chiefs")
    until(lambda: all(pod.status.phase == "Succeeded" for pod in tf.pods("chiefs").values()))
    assert list(pods) == ["chiefs-chief-0", "chiefs-worker-0", "chiefs-worker-1"]
    assert [tf.log(name).strip() for name in pods] == ["met 0 3", "met 1 3", "met 2 3"]
    roles = [pod.metadata.labels.get("training.kubeflow.org/job-role") for pod in pods.values()]
    assert roles == ["master", None, None]
    assert len({one.metadata.annotations["seaway.dev/port"] for one in tf.services("chiefs").values()}) == 3


def test_without_a_chief_worker_0_ends_a_tfjob_and_parameter_servers_are_cleaned(tf: TFJobs) -> None:
    last = sh('[ "$HOSTNAME" = first-worker-0 ] || sleep 300')
    replicas = {"Worker": replica("TFJob", last, replicas=2), "PS": replica("TFJob", HANG)}
    tf.run(job("TFJob", "first", replicas, run={"cleanPodPolicy": "Running"}))
    until(lambda: set(tf.pods("first")) == {"first-worker-0"})
    every = {"Worker": replica("TFJob", sh('[ "$HOSTNAME" = every-worker-0 ] || exit 3'), replicas=2)}
    found = tf.run(job("TFJob", "every", every, successPolicy="AllWorkers"))
    assert message(found, "Failed") == "TFJob default/every has failed because 1 Worker replica(s) failed."
    assert found["status"]["completionTime"]


def test_a_tfjob_restarts_suspends_and_is_cleaned_away(tf: TFJobs, tmp_path: Path) -> None:
    script = f"echo run >> {tmp_path}/runs; [ $(wc -l < {tmp_path}/runs) -gt 1 ] || exit 200"
    worker = replica("TFJob", sh(script), policy="ExitCode")
    run = {"backoffLimit": 3, "ttlSecondsAfterFinished": 1, "suspend": True}
    tf.create(job("TFJob", "gone", {"worker": worker}, run=run))
    tf.until("gone", "Suspended")
    tf.patch("gone", {"spec": {"runPolicy": {"suspend": False}}})
    tf.until("gone", "Succeeded")
    assert conditions(tf.get("gone"))["Suspended"] == "False"
    assert ("TFJobRestarting", "TFJob gone is restarting because Worker replica(s) failed.") in tf.events("gone")
    until(lambda: "gone" not in tf.names() and not tf.pods("gone"))


def test_the_training_client_reads_both_kinds(laptop: TestLaptop, jax: JAXJobs, tf: TFJobs) -> None:
    jobs: dict[str, PyTorchJobs] = {"JAXJob": jax, "TFJob": tf}
    for kind, kept in jobs.items():
        reader = training.TrainingClient(config_file=str(laptop.kubeconfig), namespace="default", job_kind=kind)
        kept.create(job(kind, "client", {"Worker": replica(kind, sh("echo line of $HOSTNAME"), replicas=2)}))
        reader.wait_for_job_conditions("client", wait_timeout=20, polling_interval=1)
        assert reader.is_job_succeeded("client")
        found = reader.get_job("client")
        assert found.status.replica_statuses["Worker"].succeeded >= 1
        assert "client" in {one.metadata.name for one in reader.list_jobs()}
        assert reader.get_job_pod_names("client", is_master=True) == ["client-worker-0"]
        logs, _ = reader.get_job_logs("client")
        assert logs == {"client-worker-0": "line of client-worker-0\n"}
        reader.delete_job("client")
        until(lambda kept=kept: "client" not in kept.names() and not kept.pods("client"))


@pytest.mark.needs_kubectl
def test_kubectl_shows_and_scales_them(laptop: TestLaptop, jax: JAXJobs, tf: TFJobs) -> None:
    jax.create(job("JAXJob", "shown", {"Worker": replica("JAXJob", HANG)}))
    tf.create(job("TFJob", "seen", {"Worker": replica("TFJob", HANG)}))
    for name, kind, kept in (("shown", "jaxjobs", jax), ("seen", "tfjobs", tf)):
        kept.until(name, "Running")
        header, row = laptop.kubectl("get", kind, name).splitlines()
        assert (header.split(), row.split()[:2]) == (["NAME", "STATE", "AGE"], [name, "Running"])
    assert "shown scaled" in laptop.kubectl("scale", "jaxjob", "shown", "--replicas=2")
    until(lambda: len(jax.pods("shown")) == 2)
    assert "the server could not find the requested resource" in laptop.kubectl(
        "scale", "tfjob", "seen", "--replicas=2", check=False
    )
    assert "enableDynamicWorker" in laptop.kubectl("explain", "tfjob.spec")
    laptop.kubectl("delete", "jaxjob/shown", "tfjob/seen", "--cascade=foreground", "--timeout=20s")
