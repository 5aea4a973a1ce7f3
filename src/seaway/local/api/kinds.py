"""The table of kinds that the laptop serves: one row a kind. A new kind is a row here and a controller."""

from __future__ import annotations

from dataclasses import dataclass

from seaway.local.api.status import resource_name


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What the API must know of a kind."""

    group: str
    version: str
    kind: str
    plural: str
    singular: str
    short: tuple[str, ...] = ()
    namespaced: bool = True
    subresources: tuple[str, ...] = ()
    """Of ``status``, ``log``, ``scale``."""
    scale: tuple[str, str, str] = ("", "", "")
    """For the scale subresource: paths of the wanted replicas, the replicas that run, and their selector."""
    categories: tuple[str, ...] = ()
    schema: str = ""
    """Name of its type in schemas.json, the root of its fields."""
    selectable: tuple[str, ...] = ()
    """Fields that field selectors may name, beside name and namespace (pkg/apis/*/conversion.go of Kubernetes)."""
    custom: bool = False
    """Defined by a CustomResourceDefinition on a cluster: strategic merge patches are refused, as there."""
    generation: bool = False
    """metadata.generation counts the changes of everything but metadata and status."""

    @property
    def resource(self) -> str:
        """``jobs.batch``: its name in the store and in messages."""
        return resource_name(self.plural, self.group)

    @property
    def api_version(self) -> str:
        """``batch/v1``."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def verbs(self) -> tuple[str, ...]:
        """What can be done with it."""
        return ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


KINDS: tuple[Kind, ...] = (
    Kind(group="", version="v1", kind="Namespace", plural="namespaces", singular="namespace", short=("ns",),
         namespaced=False, subresources=("status",), selectable=("status.phase",), schema="V1Namespace"),
    Kind(group="", version="v1", kind="Pod", plural="pods", singular="pod", short=("po",),
         subresources=("status", "log"), categories=("all",), schema="V1Pod",
         selectable=("spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName",
                     "spec.hostNetwork", "status.phase", "status.podIP", "status.nominatedNodeName")),
    Kind(group="", version="v1", kind="ConfigMap", plural="configmaps", singular="configmap", short=("cm",),
         schema="V1ConfigMap"),
    Kind(group="", version="v1", kind="Secret", plural="secrets", singular="secret", schema="V1Secret",
         selectable=("type",)),
    Kind(group="", version="v1", kind="Event", plural="events", singular="event", short=("ev",),
         schema="CoreV1Event",
         selectable=("involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid",
                     "involvedObject.apiVersion", "involvedObject.resourceVersion", "involvedObject.fieldPath",
                     "reason", "reportingComponent", "source", "type")),
    Kind(group="", version="v1", kind="ServiceAccount", plural="serviceaccounts", singular="serviceaccount",
         short=("sa",), schema="V1ServiceAccount"),
    Kind(group="", version="v1", kind="Service", plural="services", singular="service", short=("svc",),
         subresources=("status",), categories=("all",), schema="V1Service"),
    Kind(group="batch", version="v1", kind="Job", plural="jobs", singular="job", subresources=("status",),
         categories=("all",), schema="V1Job", selectable=("status.successful",), generation=True),
    Kind(group="kubeflow.org", version="v1", kind="PyTorchJob", plural="pytorchjobs", singular="pytorchjob",
         subresources=("status", "scale"), categories=("all",), schema="PyTorchJob", custom=True, generation=True,
         scale=("spec.pytorchReplicaSpecs.Worker.replicas", "status.replicaStatuses.Worker.active",
                "status.replicaStatuses.Worker.selector")),
    Kind(group="kubeflow.org", version="v1", kind="JAXJob", plural="jaxjobs", singular="jaxjob",
         subresources=("status", "scale"), categories=("all",), schema="JAXJob", custom=True, generation=True,
         scale=("spec.jaxReplicaSpecs.Worker.replicas", "status.replicaStatuses.Worker.active",
                "status.replicaStatuses.Worker.selector")),
    Kind(group="kubeflow.org", version="v1", kind="TFJob", plural="tfjobs", singular="tfjob",
         subresources=("status",), categories=("all",), schema="TFJob", custom=True, generation=True),
    Kind(group="trainer.kubeflow.org", version="v1alpha1", kind="TrainJob", plural="trainjobs", singular="trainjob",
         subresources=("status",), schema="TrainJob", custom=True, generation=True),
    Kind(group="trainer.kubeflow.org", version="v1alpha1", kind="TrainingRuntime", plural="trainingruntimes",
         singular="trainingruntime", schema="TrainingRuntime", custom=True, generation=True),
    Kind(group="trainer.kubeflow.org", version="v1alpha1", kind="ClusterTrainingRuntime",
         plural="clustertrainingruntimes", singular="clustertrainingruntime", namespaced=False,
         schema="TrainingRuntime", custom=True, generation=True),
    Kind(group="serving.kserve.io", version="v1beta1", kind="InferenceService", plural="inferenceservices",
         singular="inferenceservice", short=("isvc",), subresources=("status",), categories=("all",),
         schema="InferenceService", custom=True, generation=True),
    Kind(group="serving.kserve.io", version="v1alpha1", kind="InferenceGraph", plural="inferencegraphs",
         singular="inferencegraph", short=("ig",), subresources=("status",), schema="InferenceGraph", custom=True,
         generation=True),
)  # fmt: skip

BY_RESOURCE: dict[str, Kind] = {kind.resource: kind for kind in KINDS}
BY_KIND: dict[tuple[str, str], Kind] = {(kind.api_version, kind.kind): kind for kind in KINDS}
GROUP_VERSIONS: tuple[tuple[str, str], ...] = tuple(dict.fromkeys((kind.group, kind.version) for kind in KINDS))

INITIAL_NAMESPACES = ("default", "kube-system", "kubeflow")
"""There from the start, and not to be deleted."""


def find(group: str, version: str, plural: str) -> Kind | None:
    """The kind that a path names."""
    kind = BY_RESOURCE.get(resource_name(plural, group))
    return kind if kind is not None and kind.version == version else None
