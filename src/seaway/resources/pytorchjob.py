"""kubeflow.org/v1 PyTorchJob: replicas that find one another by MASTER_ADDR, RANK and WORLD_SIZE.

A Master and Workers, each told its rank; or, for an elastic job, Workers alone, which torchrun's rendezvous gives their
ranks and whose number may change while it trains. Why all is written out, and why nothing restarts by itself, says
`seaway.resources.operatorjob`; an elastic job is the exception, and says why below.

Source: pkg/controller.v1/pytorch of the training operator, release 1.9.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from seaway.errors import InputError
from seaway.resources.operatorjob import OperatorJob, OperatorKind, operator_job
from seaway.resources.pod import Ends, Replica, env_list

PYTORCH = OperatorKind(
    kind="PyTorchJob", specs="pytorchReplicaSpecs", container="pytorch", port_name="pytorchjob-port", port=23456
)


OWN_STORE = "TORCH_DISABLE_SHARE_RDZV_TCP_STORE"
"""Without it agents of torchrun (2.13) that survived keep the store of the first round, and one that joins later looks
for the next round's in vain, until all have failed: dynamic_rendezvous.py writes its _bootstrap_store_info once."""


@dataclass(frozen=True, kw_only=True)
class Elastic:
    """How many replicas an elastic job may train with.

    Raises:
        InputError: these are not numbers of replicas.
    """

    min_replicas: int
    """It waits for so many."""
    max_replicas: int
    max_restarts: int = 0
    """How often torchrun starts the processes anew, on all replicas, after one of them failed."""

    def __post_init__(self) -> None:
        if not 1 <= self.min_replicas <= self.max_replicas:
            raise InputError(
                f"an elastic job must have 1 <= min_replicas <= max_replicas, found min_replicas={self.min_replicas} "
                f"and max_replicas={self.max_replicas}"
            )


def pytorch_job(
    *,
    name: str,
    replica: Replica,
    replicas: int = 1,
    processes: int = 1,
    elastic: Elastic | None = None,
    ends: Ends = Ends(),  # noqa: B008 - frozen
) -> OperatorJob:
    """A PyTorchJob.

    When a replica fails the job fails, and the operator ends the others; the logs of those that had ended stay.

    An elastic job goes on with those that are left, and the operator makes a lost replica anew, which then joins them.
    Only ExitCode does that and still ends: what a signal, the kernel or a node took (128 and more) comes back, a
    torchrun whose restarts are used up (1) fails the job. The operator counts none of these restarts: backoffLimit is
    written for controllers that do, and whoever waits for the job counts as well.

    Args:
        name: DNS label of at most 63 characters with the replica's suffix; may be empty when it is computed.
        replica: what every replica runs; by torchrun, if there are several processes or the job is elastic.
        replicas: one Master and ``replicas - 1`` Workers; if elastic, Workers, as many as it begins with.
        processes: of each replica.
        elastic: between how many replicas it may have; None for as many as there are.
        ends: its deadline, and how long it is kept.

    Raises:
        InputError: there must be at least one replica, and an elastic job's in its range.
    """
    if replicas < 1 or processes < 1:
        raise InputError(f"replicas and processes must be at least 1, found {replicas} and {processes}")
    spec: dict[str, Any] = {"nprocPerNode": str(processes)}
    if elastic is None:
        counts = {"Master": 1} | ({"Worker": replicas - 1} if replicas > 1 else {})
        return operator_job(PYTORCH, name=name, replica=replica, counts=counts, ends=ends, spec=spec)
    if not elastic.min_replicas <= replicas <= elastic.max_replicas:
        raise InputError(
            f"replicas of an elastic job must be from {elastic.min_replicas} to {elastic.max_replicas}, "
            f"found {replicas}"
        )
    if OWN_STORE not in {one["name"] for one in replica.env}:
        replica = dataclasses.replace(replica, env=[*replica.env, *env_list({OWN_STORE: "1"})])
    spec["elasticPolicy"] = {
        "rdzvBackend": "c10d",
        "minReplicas": elastic.min_replicas,
        "maxReplicas": elastic.max_replicas,
        "maxRestarts": elastic.max_restarts,
    }
    return operator_job(
        PYTORCH,
        name=name,
        replica=replica,
        counts={"Worker": replicas},
        ends=ends,
        restart_policy="ExitCode",
        backoff_limit=elastic.max_restarts + 1,
        spec=spec,
    )
