"""What the training operator's kinds have in common: kubeflow.org/v1 PyTorchJob, JAXJob and TFJob.

Source: pkg/apis/kubeflow.org/v1 and pkg/webhooks of the training operator, release 1.9. All that has a default is
written out, because the operator's defaults are kept nowhere: OnFailure without a limit restarts for ever,
cleanPodPolicy None leaves the peers of a failed replica running, and the operator's own client cannot read a job
without a runPolicy.

No replica is restarted by itself. Those of one training depend on one another, so all must begin anew when one is lost,
and whoever waits for the job makes it anew as a whole. The operator's own restarts do not end or do not begin:
ExitCode is counted nowhere (it restarts for ever), OnFailure leaves an evicted pod as it is (the job waits for ever),
and a replica that comes back alone meets peers that are about to end. With Never the manifest by itself is finite.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

from seaway.errors import InputError
from seaway.resources.pod import Ends, Replica

RestartPolicy = Literal["Never", "ExitCode"]


class OperatorJob(TypedDict):
    """A job of the training operator as plain dictionaries."""

    apiVersion: str
    kind: str
    metadata: dict[str, Any]
    spec: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class OperatorKind:
    """What one kind asks for."""

    kind: str
    specs: str
    """Key of the replicas below ``spec``."""
    container: str
    """The operator looks for a container of this name."""
    port_name: str
    """And for a port of this name, at which the replicas meet."""
    port: int


def operator_job(
    of: OperatorKind,
    *,
    name: str,
    replica: Replica,
    counts: Mapping[str, int],
    ends: Ends,
    restart_policy: RestartPolicy = "Never",
    backoff_limit: int = 0,
    spec: Mapping[str, Any] | None = None,
) -> OperatorJob:
    """A job of one of the operator's kinds, its replicas all alike.

    Args:
        of: the kind.
        name: DNS label of at most 63 characters with the replica's suffix; may be empty when it is computed.
        replica: what every replica runs.
        counts: replicas by type, for instance ``{"Master": 1, "Worker": 3}``.
        ends: its deadline, and how long it is kept.
        restart_policy: of every replica.
        backoff_limit: of the runPolicy.
        spec: what this kind alone has.

    Raises:
        InputError: a type has no replica.
    """
    if min(counts.values()) < 1:
        raise InputError(f"replicas must be at least 1, found {sum(counts.values())}")
    policy = {"backoffLimit": backoff_limit, "cleanPodPolicy": "Running", "suspend": False, **ends.policy()}
    return {
        "apiVersion": "kubeflow.org/v1",
        "kind": of.kind,
        "metadata": replica.metadata(name),
        "spec": {
            **(spec or {}),
            "runPolicy": policy,
            of.specs: {
                # a template each: YAML would write one and point to it
                type_: {
                    "replicas": count,
                    "restartPolicy": restart_policy,
                    "template": replica.template(of.container, ports={of.port_name: of.port}),
                }
                for type_, count in counts.items()
            },
        },
    }
