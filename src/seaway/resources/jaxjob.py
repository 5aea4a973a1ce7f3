"""kubeflow.org/v1 JAXJob: Workers that find one another by COORDINATOR_ADDRESS, NUM_PROCESSES and PROCESS_ID.

There are only Workers, the first is the coordinator, and all must succeed. JAX itself reads none of these variables: a
script hands them to ``jax.distributed.initialize``. A survivor of a lost peer is aborted by JAX's own C++ (134), which
the operator's ExitCode would take for a loss to be made up for: one more reason for Never, see
`seaway.resources.operatorjob`.

Source: pkg/controller.v1/jax of the training operator, release 1.9.
"""

from __future__ import annotations

from seaway.resources.operatorjob import OperatorJob, OperatorKind, operator_job
from seaway.resources.pod import Ends, Replica

JAX = OperatorKind(kind="JAXJob", specs="jaxReplicaSpecs", container="jax", port_name="jaxjob-port", port=6666)


def jax_job(
    *,
    name: str,
    replica: Replica,
    replicas: int = 1,
    ends: Ends = Ends(),  # noqa: B008 - frozen
) -> OperatorJob:
    """A JAXJob of one process a replica, which has all of the replica's devices.

    Args:
        name: DNS label of at most 63 characters with the replica's suffix; may be empty when it is computed.
        replica: what every replica runs.
        replicas: Workers.
        ends: its deadline, and how long it is kept.

    Raises:
        InputError: there must be at least one replica.
    """
    return operator_job(JAX, name=name, replica=replica, counts={"Worker": replicas}, ends=ends)
