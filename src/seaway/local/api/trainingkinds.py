"""The table of the training operator's kinds: one row a kind, read by their rules and by their one controller.

Source: pkg/apis/kubeflow.org/v1 of the training operator 1.9.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from seaway.local.api.status import Object

OPERATOR = "kubeflow.org/training-operator"


@dataclass(frozen=True, kw_only=True)
class TrainingKind:
    """What is the kind's own in its manifests."""

    kind: str
    specs: str
    """The field of the spec that holds the replica specs by type."""
    types: tuple[str, ...]
    """Of replicas, in the order in which they are looked at: first those whose success can be the job's."""
    leaders: tuple[str, ...]
    """Types whose first that a job has decides whether it runs and has succeeded."""
    container: str
    """The container that trains; each replica has one of this name."""
    port: str
    """Name of the container's port by which replicas meet."""
    policy: str
    """The restartPolicy of replica specs that name none."""
    only_types: bool = True
    """The webhook refuses other types, and those in another case."""
    checks_run_policy: bool = True
    """The webhook looks at runPolicy."""
    own_ports: bool = False
    """Every replica listens on a port of its own; else the first one does, for all."""

    @property
    def resource(self) -> str:
        """``pytorchjobs.kubeflow.org``."""
        return f"{self.kind.lower()}s.kubeflow.org"

    @property
    def webhook(self) -> str:
        """The name of its validating webhook."""
        return f"validator.{self.kind.lower()}.training-operator.kubeflow.org"

    def replica_specs(self, spec: Object) -> Iterator[tuple[str, Object]]:
        """Type, as the operator writes it, and replica spec of a job's replicas, in the order of `types`."""
        written = spec.get(self.specs) or {}
        known = {type_.lower(): type_ for type_ in self.types}
        found = {known.get(name.lower(), name): one or {} for name, one in written.items()}
        yield from ((type_, found[type_]) for type_ in self.types if type_ in found)


TRAINING_KINDS = (
    TrainingKind(
        kind="PyTorchJob",
        specs="pytorchReplicaSpecs",
        types=("Master", "Worker"),
        leaders=("Master", "Worker"),
        container="pytorch",
        port="pytorchjob-port",
        policy="OnFailure",
    ),
    TrainingKind(
        kind="JAXJob",
        specs="jaxReplicaSpecs",
        types=("Worker",),
        leaders=("Worker",),
        container="jax",
        port="jaxjob-port",
        policy="Never",
        checks_run_policy=False,
    ),
    TrainingKind(
        kind="TFJob",
        specs="tfReplicaSpecs",
        types=("Chief", "Master", "Worker", "PS", "Evaluator"),
        leaders=("Chief", "Master", "Worker"),
        container="tensorflow",
        port="tfjob-port",
        policy="Never",
        only_types=False,
        own_ports=True,
    ),
)
_BY_KIND = {one.kind: one for one in TRAINING_KINDS}


def of(job: Object) -> TrainingKind:
    """The row of a job's kind."""
    return _BY_KIND[job["kind"]]
