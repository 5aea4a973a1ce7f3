"""Job kinds that a launcher runs to their end: how each says that it has ended, and which pods are its replicas.

A kind is one row of `KINDS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from seaway.errors import InputError
from seaway.launch.api import Object

JOB = ("batch/v1", "Job")
PYTORCH_JOB = ("kubeflow.org/v1", "PyTorchJob")


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
    leader: str = ""
    """Label selector, ``key=value``, of the replica whose success is the job's, whatever becomes of the others."""

    def selector(self, name: str) -> str:
        """Label selector of the replicas of a job."""
        return f"{self.label}={name}"

    def leads(self, pod: Object) -> bool:
        """Whether a pod is the leader."""
        key, _, value = self.leader.partition("=")
        return bool(key) and (pod["metadata"].get("labels") or {}).get(key) == value


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
    # the training operator replaces single replicas and counts nothing; peers of a lost one must start anew anyway
    PYTORCH_JOB: JobKind(
        kind=PYTORCH_JOB,
        succeeded="Succeeded",
        failed="Failed",
        label="training.kubeflow.org/job-name",
        container="pytorch",
        count=lambda job: sum(int(r.get("replicas", 1)) for r in job["spec"]["pytorchReplicaSpecs"].values()),
        restarted_by_step=True,
        leader="training.kubeflow.org/replica-type=master",
    ),
}


def kind_of(job: Object) -> JobKind:
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
