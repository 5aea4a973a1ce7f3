"""trainer.kubeflow.org/v1alpha1 TrainJob: nodes of a runtime that the cluster's administrator has put there.

The job says what is run and how often; all else comes from its ClusterTrainingRuntime, a template of a JobSet. The
trainer's container is called ``node``, and labels, annotations, service account and grace reach its pods only by
runtimePatches. Not to be said here are restarts (the runtime's Job replaces a lost pod by itself, up to its own
backoffLimit), what becomes of the pods of a failed job, and how long a finished job is kept. So whoever waits for the
job counts what is lost, and its owner takes it away.

Source: pkg/apis/trainer/v1alpha1 and pkg/runtime/framework/plugins of the trainer, release 2.3.
"""

from __future__ import annotations

from typing import Any, TypedDict

from seaway.errors import InputError
from seaway.resources.pod import Ends, Replica

CONTAINER = "node"
REPLICATED_JOB = "node"
"""Of the JobSet, in every runtime that the trainer comes with."""
PATCHED_BY = "seaway.dev/train"
"""Each patch of a runtime names who made it."""


class TrainJob(TypedDict):
    """A TrainJob as plain dictionaries."""

    apiVersion: str
    kind: str
    metadata: dict[str, Any]
    spec: dict[str, Any]


def train_job(
    *,
    name: str,
    runtime: str,
    replica: Replica,
    replicas: int = 1,
    processes: int | None = None,
    ends: Ends = Ends(),  # noqa: B008 - frozen
) -> TrainJob:
    """A TrainJob of one of the cluster's runtimes.

    Args:
        name: DNS label of at most 46 characters, as a pod's name is the job's, ``-node-0-INDEX-`` and 5 letters; may be
            empty when it is computed.
        runtime: a ClusterTrainingRuntime: ``torch-distributed`` or ``jax-distributed``.
        replica: what every node runs.
        replicas: nodes.
        processes: of each node, where the runtime starts several; else None. If nothing is said torch-distributed takes
            one for each CPU that is asked for.
        ends: its deadline; how long it is kept a TrainJob cannot say.

    Raises:
        InputError: there must be at least one node.
    """
    if replicas < 1 or (processes is not None and processes < 1):
        raise InputError(f"replicas and processes must be at least 1, found {replicas} and {processes}")
    trainer: dict[str, Any] = {
        "image": replica.image,
        "command": list(replica.command),
        "args": list(replica.args),
        "env": list(replica.env),
        "numNodes": replicas,
    }
    if processes is not None:
        trainer["numProcPerNode"] = processes
    if resources := replica.resources():
        trainer["resourcesPerNode"] = resources
    pod: dict[str, Any] = {"terminationGracePeriodSeconds": replica.termination_grace_period_seconds}
    if replica.service_account:
        pod["serviceAccountName"] = replica.service_account
    template = {"metadata": replica.pod_metadata(), "spec": pod}
    nodes = {"name": REPLICATED_JOB, "template": {"spec": {"template": template}}}
    spec: dict[str, Any] = {
        "runtimeRef": {"apiGroup": "trainer.kubeflow.org", "kind": "ClusterTrainingRuntime", "name": runtime},
        "suspend": False,
        "trainer": trainer,
        "runtimePatches": [
            {"manager": PATCHED_BY, "trainingRuntimeSpec": {"template": {"spec": {"replicatedJobs": [nodes]}}}}
        ],
    }
    if ends.deadline_s is not None:
        spec["activeDeadlineSeconds"] = ends.deadline_s
    metadata = replica.metadata(name)
    return {"apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "TrainJob", "metadata": metadata, "spec": spec}
