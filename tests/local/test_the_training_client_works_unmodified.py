from __future__ import annotations

from typing import Any

import pytest
from kubernetes import client

from tests.local.pytorchjobs import PyTorchJobs, pytorchjob, replica
from tests.support.laptop import TestLaptop
from tests.support.waiting import until

training: Any = pytest.importorskip("kubeflow.training")


@pytest.fixture
def trainer(laptop: TestLaptop) -> Any:
    return training.TrainingClient(config_file=str(laptop.kubeconfig), namespace="default", job_kind="PyTorchJob")


@pytest.fixture
def jobs(api: client.ApiClient) -> PyTorchJobs:
    return PyTorchJobs(api)


def model(name: str, script: str, workers: int = 1) -> Any:
    """A job of the client's own models."""
    container = client.V1Container(name="pytorch", image="x", command=["sh", "-c", script])
    template = client.V1PodTemplateSpec(spec=client.V1PodSpec(containers=[container]))

    def replicas(count: int) -> Any:
        return training.KubeflowOrgV1ReplicaSpec(replicas=count, restart_policy="Never", template=template)

    return training.KubeflowOrgV1PyTorchJob(
        api_version="kubeflow.org/v1",
        kind="PyTorchJob",
        metadata=client.V1ObjectMeta(name=name, namespace="default"),
        spec=training.KubeflowOrgV1PyTorchJobSpec(
            run_policy=training.KubeflowOrgV1RunPolicy(clean_pod_policy="None"),
            pytorch_replica_specs={"Master": replicas(1), "Worker": replicas(workers)},
        ),
    )


def test_a_job_is_created_awaited_read_updated_and_deleted(
    trainer: Any, jobs: PyTorchJobs, capsys: pytest.CaptureFixture[str]
) -> None:
    script = "for i in 1 2 3; do echo line $i of rank $RANK; sleep 0.1; done"
    trainer.create_job(model("by-client", script))
    found = trainer.get_job("by-client")
    assert found.spec.pytorch_replica_specs["Master"].replicas == 1
    assert "by-client" in {one.metadata.name for one in trainer.list_jobs()}
    until(lambda: trainer.is_job_running("by-client") or trainer.is_job_succeeded("by-client"))
    until(lambda: jobs.pods("by-client")["by-client-master-0"].status.phase != "Pending")
    logs, _ = trainer.get_job_logs("by-client", follow=True)
    # The client itself joins the lines that it follows without a separator.
    assert logs == {"by-client-master-0": "line 1 of rank 0line 2 of rank 0line 3 of rank 0"}
    assert "[Pod by-client-master-0]: line 3 of rank 0" in capsys.readouterr().out
    ended = trainer.wait_for_job_conditions("by-client", wait_timeout=20, polling_interval=1)
    assert trainer.is_job_succeeded("by-client")
    assert not trainer.is_job_failed("by-client")
    assert ended.status.replica_statuses["Master"].succeeded == 1
    assert ended.status.completion_time >= ended.status.start_time
    until(lambda: jobs.pods("by-client")["by-client-worker-0"].status.phase == "Succeeded")
    assert {one.type for one in trainer.get_job_conditions("by-client")} == {"Created", "Running", "Succeeded"}
    pods = trainer.get_job_pods("by-client", replica_type="worker", replica_index=0)
    assert [pod.metadata.name for pod in pods] == ["by-client-worker-0"]
    assert trainer.get_job_pod_names("by-client", is_master=True) == ["by-client-master-0"]
    logs, events = trainer.get_job_logs("by-client", is_master=False, verbose=True)
    assert logs["by-client-worker-0"] == "line 1 of rank 1\nline 2 of rank 1\nline 3 of rank 1\n"
    assert any("is successfully completed." in one for one in events["pytorchjob/by-client"])
    assert any("Started container pytorch" in one for one in events["pod/by-client-worker-0"])
    trainer.delete_job("by-client")
    until(lambda: "by-client" not in jobs.names() and not jobs.pods("by-client"))


def test_a_job_is_updated_and_its_failure_is_told(trainer: Any, jobs: PyTorchJobs) -> None:
    trainer.create_job(model("updated", 'if [ "$RANK" = 2 ]; then exit 4; fi; sleep 300'))
    trainer.wait_for_job_conditions("updated", expected_conditions={"Running"}, wait_timeout=20, polling_interval=1)
    change = model("updated", "")
    change.spec.pytorch_replica_specs = {"Worker": training.KubeflowOrgV1ReplicaSpec(replicas=2)}
    trainer.update_job(change, "updated")
    until(lambda: trainer.is_job_failed("updated"))
    with pytest.raises(RuntimeError, match=r"updated is Failed(.|\n)*1 Worker replica\(s\) failed"):
        trainer.wait_for_job_conditions("updated", wait_timeout=20, polling_interval=1)
    trainer.delete_job("updated")


def test_the_server_s_refusal_reaches_the_user(trainer: Any, jobs: PyTorchJobs) -> None:
    job = model("refused", "true")
    job.spec.pytorch_replica_specs["Master"].replicas = 2
    with pytest.raises(RuntimeError, match=r"denied the request: spec\.pytorchReplicaSpecs.*Forbidden: must be 1"):
        trainer.create_job(job)
    assert "refused" not in jobs.names()
    with pytest.raises(RuntimeError, match="Failed to get PyTorchJob"):
        trainer.get_job("refused")


def test_the_client_reads_every_job_that_has_a_run_policy(trainer: Any, jobs: PyTorchJobs) -> None:
    elastic = {"rdzvBackend": "c10d", "minReplicas": 1, "rdzvConf": [{"key": "a", "value": "b"}]}
    run = {"suspend": True, "schedulingPolicy": {"queue": "default"}, "backoffLimit": 1}
    jobs.create(pytorchjob("read", worker=replica(["true"]), elasticPolicy=elastic, run=run))
    jobs.until("read", "Suspended")
    found = trainer.get_job("read")
    assert found.spec.elastic_policy.rdzv_conf[0].value == "b"
    assert found.spec.run_policy.suspend is True
    trainer.delete_job("read")
