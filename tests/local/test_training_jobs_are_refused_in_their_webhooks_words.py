from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from tests.local.trainingjobs import JAXJobs, Object, TFJobs, TrainJobs, job, replica, trainjob

Change = Callable[[Object], Any]
TRAINER = 'admission webhook "validator.trainjob.trainer.kubeflow.org" denied the request: '
CLASSES = {"JAXJob": JAXJobs, "TFJob": TFJobs, "TrainJob": TrainJobs}


def whole(kind: str) -> Object:
    """A job without a fault, which is never run."""
    if kind == "TrainJob":
        return trainjob("whole", ["true"], suspend=True)
    return job(kind, "whole", {"Worker": replica(kind, ["true"])}, run={"suspend": True})


def refusal(api: client.ApiClient, manifest: Object) -> tuple[int, str]:
    """Code and message of what the server says of a manifest."""
    custom, place = client.CustomObjectsApi(api), CLASSES[manifest["kind"]].place
    with pytest.raises(ApiException) as error:
        custom.create_namespaced_custom_object(*place, manifest, field_validation="Strict")
    return error.value.status, json.loads(error.value.body)["message"]


OPERATOR: dict[str, tuple[str, Change, str]] = {
    "a jax master": (
        "JAXJob",
        lambda job: job["spec"]["jaxReplicaSpecs"].update(Master=replica("JAXJob", ["true"])),
        'spec.jaxReplicaSpecs[Master]: Unsupported value: "Master": supported values: "Worker"',
    ),
    "no jax replicas": (
        "JAXJob",
        lambda job: job["spec"]["jaxReplicaSpecs"].clear(),
        "spec.jaxReplicaSpecs: Required value: must be required",
    ),
    "no container of the name jax": (
        "JAXJob",
        lambda job: job["spec"]["jaxReplicaSpecs"]["Worker"]["template"]["spec"]["containers"][0].update(name="main"),
        "spec.jaxReplicaSpecs[Worker].template.spec.containers: Required value: must have at least one container with "
        "name jax",
    ),
    "a chief and a master": (
        "TFJob",
        lambda job: job["spec"]["tfReplicaSpecs"].update(
            Chief=replica("TFJob", ["true"]), Master=replica("TFJob", ["true"])
        ),
        "spec.tfReplicaSpecs: Forbidden: must not have more than 1 Chief or Master role",
    ),
    "no container of the name tensorflow": (
        "TFJob",
        lambda job: job["spec"]["tfReplicaSpecs"]["Worker"]["template"]["spec"]["containers"][0].update(name="main"),
        "spec.tfReplicaSpecs[Worker].template.spec.containers: Required value: must have at least one container with "
        "name tensorflow",
    ),
    "a manager that is not known": (
        "TFJob",
        lambda job: job["spec"]["runPolicy"].update(managedBy="me"),
        'spec.runPolicy.managedBy: Unsupported value: "me": supported values: "kueue.x-k8s.io/multikueue", '
        '"kubeflow.org/training-operator"',
    ),
}


@pytest.mark.parametrize("fault", OPERATOR)
def test_what_the_operators_webhooks_refuse(api: client.ApiClient, fault: str) -> None:
    kind, change, words = OPERATOR[fault]
    manifest = whole(kind)
    change(manifest)
    webhook = f'admission webhook "validator.{kind.lower()}.training-operator.kubeflow.org" denied the request: '
    assert refusal(api, manifest) == (403, webhook + words)


INVALID: dict[str, tuple[str, Change, str]] = {
    "no replica specs": (
        "JAXJob",
        lambda job: job["spec"].pop("jaxReplicaSpecs"),
        "spec.jaxReplicaSpecs: Required value",
    ),
    "a type that no tfjob has": (
        "TFJob",
        lambda job: job["spec"]["tfReplicaSpecs"].update(Boss=replica("TFJob", ["true"])),
        'spec.tfReplicaSpecs.Boss: Unsupported value: "Boss": supported values: "Chief", "Master", "Worker", "PS", '
        '"Evaluator"',
    ),
    "a success policy that does not exist": (
        "TFJob",
        lambda job: job["spec"].update(successPolicy="All"),
        'spec.successPolicy: Unsupported value: "All": supported values: "", "AllWorkers"',
    ),
    "a restart policy that does not exist": (
        "JAXJob",
        lambda job: job["spec"]["jaxReplicaSpecs"]["Worker"].update(restartPolicy="Sometimes"),
        'spec.jaxReplicaSpecs.Worker.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", '
        '"OnFailure", "Never", "ExitCode"',
    ),
    "a name that is no label": (
        "TrainJob",
        lambda job: job["metadata"].update(name="0-job"),
        '<nil>: Invalid value: "object": metadata.name must match RFC 1035 DNS label format',
    ),
    "no runtime": ("TrainJob", lambda job: job["spec"].pop("runtimeRef"), "spec.runtimeRef: Required value"),
    "no processes": (
        "TrainJob",
        lambda job: job["spec"]["trainer"].update(numProcPerNode=0),
        "spec.trainer.numProcPerNode: Invalid value: 0: numProcPerNode must be greater than or equal to 1",
    ),
    "no time": (
        "TrainJob",
        lambda job: job["spec"].update(activeDeadlineSeconds=0),
        "spec.activeDeadlineSeconds: Invalid value: 0: spec.activeDeadlineSeconds in body should be greater than or "
        "equal to 1",
    ),
    "a variable twice": (
        "TrainJob",
        lambda job: job["spec"]["trainer"].update(env=[{"name": "A"}, {"name": "A"}]),
        'spec.trainer.env[1]: Duplicate value: {"name":"A"}',
    ),
}


@pytest.mark.parametrize("fault", INVALID)
def test_what_their_definitions_refuse(api: client.ApiClient, fault: str) -> None:
    kind, change, words = INVALID[fault]
    manifest = whole(kind)
    change(manifest)
    code, said = refusal(api, manifest)
    assert (code, said.partition(" is invalid: ")[2]) == (422, words)


REFERENCE = '{"name":"%s","apiGroup":"trainer.kubeflow.org","kind":"%s"}'
TRAINERS: dict[str, tuple[Change, str]] = {
    "a cluster runtime that is not there": (
        lambda job: job["spec"]["runtimeRef"].update(name="none"),
        f"spec.RuntimeRef: Invalid value: {REFERENCE % ('none', 'ClusterTrainingRuntime')}: "
        'ClusterTrainingRuntime.trainer.kubeflow.org "none" not found: specified clusterTrainingRuntime must be '
        "created before the TrainJob is created",
    ),
    "a runtime that is not there": (
        lambda job: job["spec"]["runtimeRef"].update(kind="TrainingRuntime"),
        f"spec.runtimeRef: Invalid value: {REFERENCE % ('torch-distributed', 'TrainingRuntime')}: "
        'TrainingRuntime.trainer.kubeflow.org "torch-distributed" not found: specified trainingRuntime must be created '
        "before the TrainJob is created",
    ),
    "a kind of runtime that is none": (
        lambda job: job["spec"]["runtimeRef"].update(kind="Runtime"),
        "unsupported runtime: Runtime.trainer.kubeflow.org",
    ),
    "variables of torchrun": (
        lambda job: job["spec"]["trainer"].update(env=[{"name": "PET_NNODES", "value": "1"}]),
        'spec.trainer.env: Invalid value: [{"name":"PET_NNODES","value":"1"}]: must not have reserved envs, invalid '
        "envs configured: [PET_NNODES]",
    ),
    "data that the runtime does not load": (
        lambda job: job["spec"].update(initializer={"dataset": {"storageUri": "s3://a/b"}}),
        f"spec.runtimeRef: Invalid value: {REFERENCE % ('torch-distributed', 'ClusterTrainingRuntime')}: must have "
        "dataset-initializer job when trainJob is configured with input datasetConfig",
    ),
}


@pytest.mark.parametrize("fault", TRAINERS)
def test_what_the_trainers_webhook_refuses(api: client.ApiClient, fault: str) -> None:
    change, words = TRAINERS[fault]
    manifest = whole("TrainJob")
    change(manifest)
    assert refusal(api, manifest) == (403, TRAINER + words)


def test_typos_are_told_and_what_is_immutable_stays(api: client.ApiClient) -> None:
    for kind in CLASSES:
        manifest = whole(kind)
        manifest["spec"]["suspended"] = True
        assert refusal(api, manifest) == (400, 'strict decoding error: unknown field "spec.suspended"')
    jobs = TrainJobs(api)
    jobs.create(whole("TrainJob"))
    with pytest.raises(ApiException, match="field is immutable"):
        jobs.patch("whole", {"spec": {"trainer": {"numNodes": 2}}})
    jobs.delete("whole")


def test_a_runtime_must_have_the_container_that_trains(api: client.ApiClient) -> None:
    template: Object = {
        "metadata": {"labels": {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}},
        "spec": {"template": {"spec": {"containers": [{"name": "main", "image": "x"}]}}},
    }
    runtime: Object = {"metadata": {"name": "bad"}, "spec": {"template": {"spec": {"replicatedJobs": [
        {"name": "node", "replicas": 2, "template": template}]}}}}  # fmt: skip
    custom = client.CustomObjectsApi(api)
    with pytest.raises(ApiException) as error:
        custom.create_cluster_custom_object(
            "trainer.kubeflow.org", "v1alpha1", "clustertrainingruntimes", copy.deepcopy(runtime)
        )
    said = json.loads(error.value.body)["message"]
    assert "replicatedJobs[0].replicas: Invalid value: 2: always must be 1" in said
    assert "must contain the required container for the ancestor: trainer" in said
