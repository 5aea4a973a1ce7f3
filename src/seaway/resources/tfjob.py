"""kubeflow.org/v1 TFJob: Workers that find one another by TF_CONFIG.

All replicas are Workers, as MultiWorkerMirroredStrategy wants them: alike, none with parameters only. The first decides
whether the job succeeded (successPolicy empty, the operator's rule where there is no Chief), as it writes the model.
The operator sets TF_CONFIG only where there is more than one replica, and only in the container ``tensorflow``. Why
nothing restarts by itself says `seaway.resources.operatorjob`.

Source: pkg/controller.v1/tensorflow of the training operator, release 1.9.
"""

from __future__ import annotations

from seaway.resources.operatorjob import OperatorJob, OperatorKind, operator_job
from seaway.resources.pod import Ends, Replica

TENSORFLOW = OperatorKind(
    kind="TFJob", specs="tfReplicaSpecs", container="tensorflow", port_name="tfjob-port", port=2222
)


def tf_job(
    *,
    name: str,
    replica: Replica,
    replicas: int = 1,
    ends: Ends = Ends(),  # noqa: B008 - frozen
) -> OperatorJob:
    """A TFJob of one process a replica, which has all of the replica's devices.

    Args:
        name: DNS label of at most 63 characters with the replica's suffix; may be empty when it is computed.
        replica: what every replica runs.
        replicas: Workers.
        ends: its deadline, and how long it is kept.

    Raises:
        InputError: there must be at least one replica.
    """
    spec = {"successPolicy": "", "enableDynamicWorker": False}
    return operator_job(TENSORFLOW, name=name, replica=replica, counts={"Worker": replicas}, ends=ends, spec=spec)
