"""trainer.kubeflow.org/v1alpha1 TrainingRuntime and ClusterTrainingRuntime.

Source: their CustomResourceDefinitions and pkg/webhooks/trainingruntime_webhook.go of the trainer 2.3; torch's
numProcPerNode and elasticPolicy are those of the trainers before it.
"""

from __future__ import annotations

from seaway.local.api.rules import pod
from seaway.local.api.status import Cause, Object, invalid_value, required

_ANCESTOR_LABEL = "trainer.kubeflow.org/trainjob-ancestor-step"
_CONTAINERS = {
    "trainer": "node", "dataset-initializer": "dataset-initializer", "model-initializer": "model-initializer",
}  # fmt: skip
"""What the job of each ancestor must have a container of the name of."""
_JOBS = "spec.template.spec.replicatedJobs"


def default(manifest: Object) -> Object:
    """One replica of each job."""
    spec = manifest.get("spec")
    if spec is None:
        return manifest
    spec = dict(spec)
    inner = (spec.get("template") or {}).get("spec") or {}
    if inner.get("replicatedJobs"):
        jobs = [{"replicas": 1} | job for job in inner["replicatedJobs"]]
        spec["template"] = spec["template"] | {"spec": inner | {"replicatedJobs": jobs}}
    return manifest | {"spec": spec}


def check(manifest: Object) -> list[Cause]:
    """What the definition's schema asks for."""
    spec = manifest.get("spec") or {}
    policy, causes = spec.get("mlPolicy") or {}, []
    torch = policy.get("torch") or {}
    if policy.get("numNodes") is not None and torch.get("elasticPolicy") is not None:
        why = "numNodes should not be set if torch.elasticPolicy is configured"
        causes.append(invalid_value("spec.mlPolicy", "object", why))
    if policy.get("torch") is not None and policy.get("mpi") is not None:
        causes.append(invalid_value("spec.mlPolicy", "object", "Only one of the policy can be configured"))
    processes = torch.get("numProcPerNode", "auto")
    whole = isinstance(processes, int) and not isinstance(processes, bool) and processes > 0
    if not whole and processes not in ("auto", "cpu", "gpu"):
        why = "NumProcPerNode must be equal to auto, cpu, gpu, or int value"
        causes.append(invalid_value("spec.mlPolicy.torch.numProcPerNode", processes, why))
    for number, job in enumerate(_jobs(manifest)):
        path = f"{_JOBS}[{number}]"
        if not job.get("name"):
            causes.append(required(f"{path}.name"))
        template = ((job.get("template") or {}).get("spec") or {}).get("template") or {}
        causes += pod.check_spec(template.get("spec") or {}, f"{path}.template.spec.template.spec")
    return causes


def admit(before: Object | None, after: Object) -> list[Cause]:
    """What the webhook refuses."""
    causes: list[Cause] = []
    for number, job in enumerate(_jobs(after)):
        labels = ((job.get("template") or {}).get("metadata") or {}).get("labels") or {}
        ancestor, path = labels.get(_ANCESTOR_LABEL), f"{_JOBS}[{number}]"
        if ancestor not in _CONTAINERS:
            continue
        if job.get("replicas", 1) != 1:
            causes.append(invalid_value(f"{path}.replicas", job["replicas"], "always must be 1"))
        spec = ((job["template"].get("spec") or {}).get("template") or {}).get("spec") or {}
        if _CONTAINERS[ancestor] not in [one.get("name") for one in spec.get("containers") or []]:
            where = f"{path}.template.spec.template.spec.containers"
            why = f"must contain the required container for the ancestor: {ancestor}"
            causes.append(invalid_value(where, spec.get("containers") or [], why))
    return causes


def _jobs(manifest: Object) -> list[Object]:
    template = (manifest.get("spec") or {}).get("template") or {}
    return list((template.get("spec") or {}).get("replicatedJobs") or [])
