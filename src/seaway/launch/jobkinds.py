"""Job kinds that a launcher runs to their end: how each says that it has ended, and which pods are its replicas.

A kind is one row of `KINDS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from seaway.errors import InputError
from seaway.launch.api import Object

JOB = ("batch/v1", "Job")
PYTORCH_JOB = ("kubeflow.org/v1", "PyTorchJob")
JAX_JOB = ("kubeflow.org/v1", "JAXJob")
TF_JOB = ("kubeflow.org/v1", "TFJob")
TRAIN_JOB = ("trainer.kubeflow.org/v1alpha1", "TrainJob")


@dataclass(frozen=True, kw_only=True)
class JobKind:
    """How one kind of job is watched."""

    kind: tuple[str, str]
    """apiVersion and kind."""
    succeeded: str
    """Type of the condition that says it went well."""
    failed: str
    """Type of the condition that says it did not."""
    label: str
    """Pods carry it, with the job's name as its value."""
    container: str
    """The container that does the work."""
    count: Callable[[Object], int]
    """How many replicas a manifest asks for."""
    restarted_by_step: bool
    """Whether a failed job is made anew, all replicas together; else its own controller replaces what failed."""
    leader: Mapping[str, str] = field(default_factory=dict)
    """Labels of the replica whose success is the job's, whatever becomes of the others; none where all must succeed."""
    suffix: int = 12
    """Letters that its controllers append to a job's name for that of a replica: ``-worker-9999``."""

    def selector(self, name: str) -> str:
        """Label selector of the replicas of a job."""
        return f"{self.label}={name}"

    def leads(self, pod: Object) -> bool:
        """Whether a pod is the leader."""
        return bool(self.leader) and self.leader.items() <= (pod["metadata"].get("labels") or {}).items()


_REPLICA = "training.kubeflow.org/replica-{}"


def _of_operator(
    kind: tuple[str, str], specs: str, *, container: str, leader: Mapping[str, str] | None = None
) -> JobKind:
    """A kind of the operator: it replaces single replicas and counts nothing, while their peers must start anew."""
    return JobKind(
        kind=kind,
        succeeded="Succeeded",
        failed="Failed",
        label="training.kubeflow.org/job-name",
        container=container,
        count=lambda job: sum(int(r.get("replicas", 1)) for r in job["spec"][specs].values()),
        restarted_by_step=True,
        leader=leader or {},
    )


KINDS: Mapping[tuple[str, str], JobKind] = {
    JOB: JobKind(
        kind=JOB,
        succeeded="Complete",
        failed="Failed",
        label="batch.kubernetes.io/job-name",
        container="main",
        count=lambda job: int(job["spec"].get("parallelism", 1)),
        restarted_by_step=False,
    ),
    PYTORCH_JOB: _of_operator(
        PYTORCH_JOB, "pytorchReplicaSpecs", container="pytorch", leader={_REPLICA.format("type"): "master"}
    ),
    # the operator waits for all of its workers
    JAX_JOB: _of_operator(JAX_JOB, "jaxReplicaSpecs", container="jax"),
    # where there is no Chief the operator waits for the first worker alone
    TF_JOB: _of_operator(
        TF_JOB,
        "tfReplicaSpecs",
        container="tensorflow",
        leader={_REPLICA.format("type"): "worker", _REPLICA.format("index"): "0"},
    ),
    # a JobSet's pods; its Job replaces single ones, up to a limit that only the runtime says
    TRAIN_JOB: JobKind(
        kind=TRAIN_JOB,
        succeeded="Complete",
        failed="Failed",
        label="jobset.sigs.k8s.io/jobset-name",
        container="node",
        count=lambda job: int(job["spec"]["trainer"].get("numNodes", 1)),
        restarted_by_step=True,
        suffix=len("-node-0-999-abcde"),
    ),
}


def kind_of(job: Mapping[str, Any]) -> JobKind:
    """The row of a manifest or an object.

    Raises:
        InputError: it is no job.
    """
    key = (job["apiVersion"], job["kind"])
    if key not in KINDS:
        raise InputError(f"a job must be one of {sorted(k for _, k in KINDS)}, found {job['kind']} of {key[0]}")
    return KINDS[key]


def condition(resource: Object, kind: str) -> Object | None:
    """The condition of that type if it is True."""
    found: list[Object] = resource.get("status", {}).get("conditions") or []
    return next((c for c in found if c["type"] == kind and c["status"] == "True"), None)


def ended(job: Object, row: JobKind) -> bool:
    """Whether a job has come to its end, well or not."""
    return bool(condition(job, row.succeeded) or condition(job, row.failed))
