from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from tests.local.pytorchjobs import PLACE, PyTorchJobs, pytorchjob, replica
from tests.support.laptop import TestLaptop

DENIED = 'admission webhook "validator.pytorchjob.training-operator.kubeflow.org" denied the request: '
SPECS = "spec.pytorchReplicaSpecs"
Object = dict[str, Any]


@pytest.fixture
def jobs(api: client.ApiClient) -> PyTorchJobs:
    return PyTorchJobs(api)


def whole() -> Object:
    """A job without a fault, which is never run."""
    return pytorchjob("whole", master=replica(["true"]), worker=replica(["true"]), run={"suspend": True})


def refusal(jobs: PyTorchJobs, manifest: Object) -> tuple[int, str, str]:
    """Code, reason and message of what the server says of a manifest."""
    with pytest.raises(ApiException) as error:
        jobs.custom.create_namespaced_custom_object(*PLACE, manifest, field_validation="Strict")
    said = json.loads(error.value.body)
    return error.value.status, said["reason"], said["message"]


def containers(job: Object, type_: str = "Worker") -> list[Object]:
    found: list[Object] = job["spec"]["pytorchReplicaSpecs"][type_]["template"]["spec"]["containers"]
    return found


Change = Callable[[Object], Any]
WEBHOOK: dict[str, tuple[Change, str]] = {
    "no replicas": (
        lambda job: job["spec"]["pytorchReplicaSpecs"].clear(),
        f"{SPECS}: Required value: must be required",
    ),
    "a type that is not known": (
        lambda job: job["spec"]["pytorchReplicaSpecs"].update(Chief=job["spec"]["pytorchReplicaSpecs"].pop("Master")),
        f'{SPECS}[Chief]: Unsupported value: "Chief": supported values: "Master", "Worker"',
    ),
    "no containers": (
        lambda job: containers(job).clear(),
        f"[{SPECS}[Worker].template.spec.containers: Required value: must be specified, {SPECS}[Worker].template.spec."
        "containers: Required value: must have at least one container with name pytorch]",
    ),
    "no image": (
        lambda job: containers(job)[0].pop("image"),
        f"{SPECS}[Worker].template.spec.containers[0].image: Required value: must be required",
    ),
    "another container": (
        lambda job: containers(job)[0].update(name="main"),
        f"{SPECS}[Worker].template.spec.containers: Required value: must have at least one container with name pytorch",
    ),
    "two masters": (
        lambda job: job["spec"]["pytorchReplicaSpecs"]["Master"].update(replicas=2),
        f"{SPECS}[Master].replicas: Forbidden: must be 1",
    ),
    "a master that is not counted": (
        lambda job: job["spec"]["pytorchReplicaSpecs"]["Master"].pop("replicas"),
        f"{SPECS}[Master].replicas: Forbidden: must be 1",
    ),
    "no workers": (
        lambda job: job["spec"]["pytorchReplicaSpecs"]["Worker"].update(replicas=0),
        f"{SPECS}[Worker].replicas: Forbidden: must be at least 1",
    ),
    "elastic without workers": (
        lambda job: (job["spec"]["pytorchReplicaSpecs"].pop("Worker"), job["spec"].update(elasticPolicy={})),
        f"{SPECS}[Worker]: Required value: must be configured if elastic policy is used",
    ),
    "processes said twice": (
        lambda job: job["spec"].update(nprocPerNode="1", elasticPolicy={"nProcPerNode": 1}),
        "spec.elasticPolicy.nProcPerNode: Forbidden: must not be used with spec.nprocPerNode",
    ),
    "a name that is no DNS-1035 label": (
        lambda job: job["metadata"].update(name="0-job"),
        'metadata.name: Invalid value: "0-job": should match: a DNS-1035 label must consist of lower case alphanumeric '
        "characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',"
        "  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')",
    ),
    "a long name": (
        lambda job: job["metadata"].update(name="a" * 64),
        f'metadata.name: Invalid value: "{"a" * 64}": should match: must be no more than 63 characters',
    ),
    "a controller that is not known": (
        lambda job: job["spec"]["runPolicy"].update(managedBy="me"),
        'spec.runPolicy.managedBy: Unsupported value: "me": supported values: "kueue.x-k8s.io/multikueue", '
        '"kubeflow.org/training-operator"',
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WEBHOOK)
def test_the_webhook_denies(jobs: PyTorchJobs, name: str) -> None:
    change, words = WEBHOOK[name]
    job = whole()
    change(job)
    assert refusal(jobs, job) == (403, "Forbidden", DENIED + words)


SCHEMA: dict[str, tuple[Change, int, str]] = {
    "a typing mistake": (
        lambda job: job["spec"]["runPolicy"].update(backofLimit=1),
        400,
        'strict decoding error: unknown field "spec.runPolicy.backofLimit"',
    ),
    "a typing mistake in a template": (
        lambda job: containers(job)[0].update(comand=[]),
        400,
        f'strict decoding error: unknown field "{SPECS}.Worker.template.spec.containers[0].comand"',
    ),
    "replicas that are missing": (
        lambda job: job["spec"].pop("pytorchReplicaSpecs"),
        422,
        f'PyTorchJob.kubeflow.org "whole" is invalid: {SPECS}: Required value',
    ),
    "a variable without a name": (
        lambda job: containers(job)[0].update(env=[{"value": "x"}]),
        422,
        f'PyTorchJob.kubeflow.org "whole" is invalid: {SPECS}.Worker.template.spec.containers[0].env[0].name: '
        "Required value",
    ),
    "a restart policy that does not exist": (
        lambda job: job["spec"]["pytorchReplicaSpecs"]["Worker"].update(restartPolicy="Sometimes"),
        422,
        f'PyTorchJob.kubeflow.org "whole" is invalid: {SPECS}.Worker.restartPolicy: Unsupported value: "Sometimes": '
        'supported values: "Always", "OnFailure", "Never", "ExitCode"',
    ),
    "a clean-up policy that does not exist": (
        lambda job: job["spec"]["runPolicy"].update(cleanPodPolicy="Some"),
        422,
        'PyTorchJob.kubeflow.org "whole" is invalid: spec.runPolicy.cleanPodPolicy: Unsupported value: "Some": '
        'supported values: "None", "Running", "All"',
    ),
    "processes that are no number": (
        lambda job: job["spec"].update(nprocPerNode="two"),
        422,
        'PyTorchJob.kubeflow.org "whole" is invalid: spec.nprocPerNode: Invalid value: "two": must be auto, cpu, gpu '
        "or a whole number",
    ),
    "more replicas than a node takes": (
        lambda job: job["spec"]["pytorchReplicaSpecs"]["Worker"].update(replicas=111),
        422,
        f'PyTorchJob.kubeflow.org "whole" is invalid: {SPECS}.Worker.replicas: Invalid value: 111: the laptop runs at '
        "most 110 replicas of a type, as one node takes 110 pods",
    ),
}


@pytest.mark.parametrize("name", SCHEMA)
def test_the_server_refuses(jobs: PyTorchJobs, name: str) -> None:
    change, code, words = SCHEMA[name]
    job = whole()
    change(job)
    found = refusal(jobs, job)
    assert (found[0], found[2]) == (code, words)


def test_changes_of_a_job_are_looked_at_too(jobs: PyTorchJobs) -> None:
    job = whole()
    job["spec"]["runPolicy"]["schedulingPolicy"] = {"queue": "one"}
    jobs.create(job)
    for change, words in (
        ({"managedBy": "kubeflow.org/training-operator"}, "spec.runPolicy.managedBy: Invalid value: "),
        ({"schedulingPolicy": {"queue": "two"}}, "spec.runPolicy.schedulingPolicy.queue is immutable"),
    ):
        with pytest.raises(ApiException, match=words):
            jobs.patch("whole", {"spec": {"runPolicy": change}})
    with pytest.raises(ApiException, match="must be 1"):
        jobs.patch("whole", {"spec": {"pytorchReplicaSpecs": {"Master": {"replicas": 3}}}})
    jobs.delete("whole")


def test_defaults_are_the_controllers_and_not_stored(jobs: PyTorchJobs) -> None:
    job = whole()
    for type_ in ("Master", "Worker"):
        del job["spec"]["pytorchReplicaSpecs"][type_]["restartPolicy"]
    sent = copy.deepcopy(job["spec"])
    assert jobs.create(job)["spec"] == sent
    jobs.delete("whole")
    del job["spec"]["runPolicy"]["suspend"]
    job["spec"]["runPolicy"]["managedBy"] = "kueue.x-k8s.io/multikueue"
    made = jobs.create(job)
    assert made["spec"]["runPolicy"] == {"suspend": False, "managedBy": "kueue.x-k8s.io/multikueue"}
    assert made["metadata"]["generation"] == 1
    jobs.delete("whole")


@pytest.mark.needs_kubectl
def test_what_is_deprecated_is_warned_of(laptop: TestLaptop) -> None:
    job = whole()
    job["metadata"]["name"] = "warned"
    job["spec"]["elasticPolicy"] = {"nProcPerNode": 2}
    said = laptop.kubectl("apply", "-f", "-", stdin=json.dumps(job))
    assert "Warning: spec.elasticPolicy.nProcPerNode is deprecated, use spec.nprocPerNode instead" in said
    laptop.kubectl("delete", "pytorchjob", "warned")
