"""batch/v1 Job: one process to the end, with restarts counted and a deadline.

Source: https://kubernetes.io/docs/concepts/workloads/controllers/job/.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from seaway.resources.pod import EnvVar, pod_template

CONTAINER = "main"


class Job(TypedDict):
    """A batch/v1 Job as plain dictionaries."""

    apiVersion: str
    kind: str
    metadata: dict[str, Any]
    spec: dict[str, Any]


def job(
    *,
    name: str,
    image: str,
    command: Sequence[str],
    args: Sequence[str] = (),
    env: Sequence[EnvVar] = (),
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    cpu: str = "",
    memory: str = "",
    backoff_limit: int = 0,
    active_deadline_seconds: int | None = None,
    ttl_seconds_after_finished: int | None = 86_400,
    service_account: str = "",
    termination_grace_period_seconds: int = 30,
    hopeless_exit_codes: Sequence[int] = (),
) -> Job:
    """A Job of one pod.

    Args:
        name: DNS label; may be empty when the name is computed from the manifest.
        image: container image.
        command: the process.
        args: its arguments.
        env: as `env_list` and `secret_env` give them.
        labels: of the job and of its pod.
        annotations: of the job and of its pod.
        cpu: request, as Kubernetes writes quantities (``2``, ``500m``); empty for none.
        memory: request and limit (``4Gi``); empty for none.
        backoff_limit: how often a failed pod is replaced.
        active_deadline_seconds: after so many seconds the job fails; None for no deadline.
        ttl_seconds_after_finished: after so many seconds a finished job is deleted; None keeps it.
        service_account: of the pod; empty for the namespace's default.
        termination_grace_period_seconds: between SIGTERM and SIGKILL.
        hopeless_exit_codes: a pod that ends with one of these fails the job at once; others count against the limit.
    """
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
        restart_policy="Never",
        service_account=service_account,
        termination_grace_period_seconds=termination_grace_period_seconds,
    )
    spec: dict[str, Any] = {
        "parallelism": 1,
        "completions": 1,
        "backoffLimit": backoff_limit,
        "template": template,
    }
    if hopeless_exit_codes:
        codes = {"containerName": CONTAINER, "operator": "In", "values": sorted(hopeless_exit_codes)}
        spec["podFailurePolicy"] = {"rules": [{"action": "FailJob", "onExitCodes": codes}]}
    if active_deadline_seconds is not None:
        spec["activeDeadlineSeconds"] = active_deadline_seconds
    if ttl_seconds_after_finished is not None:
        spec["ttlSecondsAfterFinished"] = ttl_seconds_after_finished
    metadata: dict[str, Any] = {"labels": dict(labels or {}), "annotations": dict(annotations or {})}
    if name:
        metadata["name"] = name
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}
