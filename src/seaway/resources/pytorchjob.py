"""kubeflow.org/v1 PyTorchJob: a Master and Workers that find one another by MASTER_ADDR, RANK and WORLD_SIZE.

Source: pkg/apis/kubeflow.org/v1 and pkg/webhooks/pytorch of the training operator, release 1.9. All that has a default
is written out, because the operator's defaults are kept nowhere: OnFailure without a limit restarts for ever, and
cleanPodPolicy None leaves the peers of a failed replica running.

No replica is restarted by itself. Those of one training depend on one another, so all must begin anew when one is lost,
and whoever waits for the job makes it anew as a whole. The operator's own restarts do not end or do not begin:
ExitCode is counted nowhere (it restarts for ever), OnFailure leaves an evicted pod as it is (the job waits for ever),
and a replica that comes back alone meets peers that are about to end. With Never the manifest by itself is finite.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from seaway.errors import InputError
from seaway.resources.pod import EnvVar, pod_template

CONTAINER = "pytorch"
"""The operator looks for a container of this name."""
PORT_NAME, PORT = "pytorchjob-port", 23456


class PyTorchJob(TypedDict):
    """A PyTorchJob as plain dictionaries."""

    apiVersion: str
    kind: str
    metadata: dict[str, Any]
    spec: dict[str, Any]


def pytorch_job(
    *,
    name: str,
    image: str,
    command: Sequence[str],
    args: Sequence[str] = (),
    replicas: int = 1,
    env: Sequence[EnvVar] = (),
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    cpu: str = "",
    memory: str = "",
    gpus: int = 0,
    active_deadline_seconds: int | None = None,
    ttl_seconds_after_finished: int | None = 86_400,
    service_account: str = "",
    termination_grace_period_seconds: int = 30,
) -> PyTorchJob:
    """A PyTorchJob of one process a replica.

    When one replica fails the job fails, and the operator ends the others; the logs of those that had ended stay.

    Args:
        name: DNS label of at most 63 characters with the replica's suffix; may be empty when it is computed.
        image: container image.
        command: the process of every replica.
        args: its arguments.
        replicas: one Master and ``replicas - 1`` Workers.
        env: of every replica, as `env_list` and `secret_env` give them; the operator adds its own.
        labels: of the job and of its pods.
        annotations: of the job and of its pods.
        cpu: request of a replica, as Kubernetes writes quantities; empty for none.
        memory: request and limit of a replica; empty for none.
        gpus: NVIDIA devices of a replica.
        active_deadline_seconds: after so many seconds the job fails; None for no deadline.
        ttl_seconds_after_finished: after so many seconds a finished job is deleted; None keeps it.
        service_account: of the pods; empty for the namespace's default.
        termination_grace_period_seconds: between SIGTERM and SIGKILL.

    Raises:
        InputError: there must be at least one replica.
    """
    if replicas < 1:
        raise InputError(f"replicas must be at least 1, found {replicas}: one is the Master, the others are Workers")
    template = pod_template(
        container=CONTAINER,
        image=image,
        command=command,
        args=args,
        env=env,
        labels=labels,
        annotations=annotations,
        cpu=cpu,
        memory=memory,
        gpus=gpus,
        ports={PORT_NAME: PORT},
        service_account=service_account,
        termination_grace_period_seconds=termination_grace_period_seconds,
    )
    policy: dict[str, Any] = {"backoffLimit": 0, "cleanPodPolicy": "Running", "suspend": False}
    if active_deadline_seconds is not None:
        policy["activeDeadlineSeconds"] = active_deadline_seconds
    if ttl_seconds_after_finished is not None:
        policy["ttlSecondsAfterFinished"] = ttl_seconds_after_finished
    counts = {"Master": 1} | ({"Worker": replicas - 1} if replicas > 1 else {})
    metadata: dict[str, Any] = {"labels": dict(labels or {}), "annotations": dict(annotations or {})}
    if name:
        metadata["name"] = name
    return {
        "apiVersion": "kubeflow.org/v1",
        "kind": "PyTorchJob",
        "metadata": metadata,
        "spec": {
            "nprocPerNode": "1",
            "runPolicy": policy,
            "pytorchReplicaSpecs": {
                # a template each: YAML would write one and point to it
                role: {"replicas": count, "restartPolicy": "Never", "template": copy.deepcopy(template)}
                for role, count in counts.items()
            },
        },
    }
