from __future__ import annotations

import json

import pytest

from tests.local.pytorchjobs import pytorchjob, replica
from tests.support.laptop import TestLaptop
from tests.support.waiting import until

pytestmark = pytest.mark.needs_kubectl
SCRIPT = "for i in 1 2 3; do echo $i; sleep 0.1; done"


def test_apply_get_wait_logs_describe_and_delete(laptop: TestLaptop) -> None:
    each = replica(["sh", "-c", SCRIPT])
    text = json.dumps(pytorchjob("line", master=each, worker=each))
    assert "pytorchjob.kubeflow.org/line created" in laptop.kubectl("apply", "-f", "-", stdin=text)
    assert "unchanged" in laptop.kubectl("apply", "-f", "-", stdin=text)
    label = "training.kubeflow.org/job-name=line"
    until(
        lambda: (
            laptop.kubectl("get", "pods", "-l", label, "-o", "jsonpath={.items[*].status.phase}").split()[:1]
            != ["Pending"]
        )
    )
    assert laptop.kubectl("logs", "-f", "line-master-0") == "1\n2\n3\n"
    said = laptop.kubectl("wait", "--for=condition=Succeeded", "pytorchjob/line", "--timeout=20s")
    assert "condition met" in said
    header, row = laptop.kubectl("get", "pytorchjobs", "line").splitlines()
    assert (header.split(), row.split()[:2]) == (["NAME", "STATE", "AGE"], ["line", "Succeeded"])
    assert sorted(laptop.kubectl("logs", "-l", label, "--tail=-1").split()) == ["1", "1", "2", "2", "3", "3"]
    assert "pytorchjob.kubeflow.org/line" in laptop.kubectl("get", "all", "-o", "name")
    said = laptop.kubectl("describe", "pytorchjob", "line")
    for words in ("SuccessfulCreatePod", "Created service: line-worker-0", "ExitedWithCode", "PyTorchJobSucceeded"):
        assert words in said
    assert 'pytorchjob.kubeflow.org "line" deleted' in laptop.kubectl("delete", "pytorchjob", "line", "--timeout=20s")
    until(lambda: "No resources" in laptop.kubectl("get", "pods,services", "-l", label))


def test_scale_and_resume(laptop: TestLaptop) -> None:
    job = pytorchjob("many", worker=replica(["sleep", "300"], policy="OnFailure"), run={"suspend": True})
    laptop.kubectl("apply", "-f", "-", stdin=json.dumps(job))
    assert "many scaled" in laptop.kubectl("scale", "pytorchjob", "many", "--replicas=2", "--current-replicas=1")
    laptop.kubectl("patch", "pytorchjob", "many", "--type=merge", "-p", '{"spec":{"runPolicy":{"suspend":false}}}')
    laptop.kubectl(
        "wait", "--for=jsonpath={.status.replicaStatuses.Worker.active}=2", "pytorchjob/many", "--timeout=20s"
    )
    assert "many scaled" in laptop.kubectl("scale", "pytorchjob", "many", "--replicas=1")
    laptop.kubectl(
        "wait", "--for=jsonpath={.status.replicaStatuses.Worker.active}=1", "pytorchjob/many", "--timeout=20s"
    )
    refused = laptop.kubectl("scale", "pytorchjob", "many", "--replicas=3", "--current-replicas=7", check=False)
    assert "Expected replicas to be 7, was 1" in refused
    laptop.kubectl("delete", "pytorchjob", "many", "--cascade=foreground", "--timeout=20s")
    assert "No resources" in laptop.kubectl("get", "pods", "-l", "training.kubeflow.org/job-name=many")


def test_mistakes_are_said_and_fields_explained(laptop: TestLaptop) -> None:
    job = pytorchjob("wrong", master=replica(["true"], replicas=2))
    said = laptop.kubectl("apply", "-f", "-", stdin=json.dumps(job), check=False)
    assert "Error from server (Forbidden)" in said
    assert "denied the request: spec.pytorchReplicaSpecs[Master].replicas: Forbidden: must be 1" in said
    job["spec"]["runPolicy"]["cleanPodPolcy"] = "All"
    said = laptop.kubectl("apply", "-f", "-", stdin=json.dumps(job), check=False)
    assert 'unknown field "spec.runPolicy.cleanPodPolcy"' in said
    assert "<integer>" in laptop.kubectl("explain", "pytorchjob.spec.runPolicy.backoffLimit")
    assert "template" in laptop.kubectl("explain", "pytorchjob.spec.pytorchReplicaSpecs")
