"""The training runtimes that TrainJobs name, and those that are there from the start.

Source of the form: manifests/base/runtimes of the trainer 2.3. The images are names only, as everywhere on the laptop.
"""

from __future__ import annotations

from collections.abc import Callable

from seaway.local.api.kinds import BY_RESOURCE
from seaway.local.api.objects import Objects
from seaway.local.api.status import Object

GROUP = "trainer.kubeflow.org"
CLUSTER_KIND, NAMESPACED_KIND = "ClusterTrainingRuntime", "TrainingRuntime"
RESOURCES = {CLUSTER_KIND: f"clustertrainingruntimes.{GROUP}", NAMESPACED_KIND: f"trainingruntimes.{GROUP}"}
ANCESTOR_LABEL = f"{GROUP}/trainjob-ancestor-step"
FRAMEWORK_LABEL = f"{GROUP}/framework"
TRAINER, NODE = "trainer", "node"
"""The ancestor whose job trains, and the container in it that does."""
Find = Callable[[str, str, str], Object | None]
"""Resource, namespace and name to the object, None when there is none."""


def _runtime(framework: str, policy: Object) -> Object:
    container = {"name": NODE, "image": f"{framework}-distributed"}
    job = {"metadata": {"labels": {ANCESTOR_LABEL: TRAINER}},
           "spec": {"template": {"spec": {"containers": [container]}}}}  # fmt: skip
    return {
        "metadata": {"name": f"{framework}-distributed", "labels": {FRAMEWORK_LABEL: framework}},
        "spec": {
            "mlPolicy": {"numNodes": 1} | policy,
            "template": {"spec": {"replicatedJobs": [{"name": NODE, "replicas": 1, "template": job}]}},
        },
    }


BUILT_IN = (_runtime("torch", {"torch": {}}), _runtime("jax", {"jax": {}}))
"""torch-distributed and jax-distributed."""


def install(objects: Objects) -> None:
    """Make the built-in runtimes that are not there; one that a user has changed stays as it is."""
    kind = BY_RESOURCE[RESOURCES[CLUSTER_KIND]]
    for runtime in BUILT_IN:
        if objects.store.find(kind.resource, "", runtime["metadata"]["name"]) is None:
            objects.create(kind, "", runtime)


def named(job: Object, find: Find) -> Object | None:
    """The runtime that a TrainJob names; None when there is none."""
    reference = job["spec"]["runtimeRef"]
    resource = RESOURCES.get(reference["kind"], "")
    namespace = job["metadata"]["namespace"] if reference["kind"] == NAMESPACED_KIND else ""
    return find(resource, namespace, reference["name"]) if resource else None


def trains(replicated: Object) -> bool:
    """Whether a runtime's job is the one that trains."""
    metadata = (replicated.get("template") or {}).get("metadata") or {}
    return bool((metadata.get("labels") or {}).get(ANCESTOR_LABEL) == TRAINER)


def replicated_jobs(runtime: Object) -> list[Object]:
    """The jobs of a runtime's set."""
    template = (runtime.get("spec") or {}).get("template") or {}
    return list((template.get("spec") or {}).get("replicatedJobs") or [])


def containers(replicated: Object, field: str = "containers") -> list[Object]:
    """The containers of one of a runtime's jobs."""
    job = (replicated.get("template") or {}).get("spec") or {}
    return list(((job.get("template") or {}).get("spec") or {}).get(field) or [])
