"""The Job and the Service that stand for a TrainJob, as the trainer's JobSet makes them. Pure.

Source: pkg/runtime/framework/plugins/jobset of the trainer 2.3, and pkg/controllers of JobSet 0.10.
"""

from __future__ import annotations

import hashlib

from seaway.local.api import patch as patches
from seaway.local.api.runtimes import NODE, replicated_jobs, trains
from seaway.local.api.status import Object
from seaway.local.controllers.base import owner_reference
from seaway.local.controllers.predictor import PORT_ANNOTATION
from seaway.local.controllers.trainerenv import SUPPORTED, environment

SET = "jobset.sigs.k8s.io"
NAME_LABEL = f"{SET}/jobset-name"
ATTEMPT_LABEL = f"{SET}/restart-attempt"
_SOURCES = ("mpi", "flux", "xgboost")


def unsupported(runtime: Object) -> str:
    """Why the laptop cannot run jobs of a runtime; empty when it can."""
    policy, jobs = _policy(runtime), replicated_jobs(runtime)
    name = runtime["metadata"]["name"]
    if other := [source for source in _SOURCES if policy.get(source) is not None]:
        return f"the laptop runs the policies {' and '.join(SUPPORTED)}, or none; runtime {name} has {other[0]}"
    if (policy.get("torch") or {}).get("elasticPolicy") is not None:
        return f"TrainJobs are not elastic: neither the trainer nor the laptop acts on the elasticPolicy of {name}"
    if len(jobs) != 1 or not trains(jobs[0]):
        return f"the laptop runs a runtime's one job, the trainer's; runtime {name} has {len(jobs)} jobs"
    return ""


def job_name(job: Object, runtime: Object) -> str:
    """``JOB-node-0``."""
    return f"{job['metadata']['name']}-{replicated_jobs(runtime)[0]['name']}-0"


def attempts(runtime: Object) -> int:
    """How often a failed set may begin anew."""
    spec = ((runtime.get("spec") or {}).get("template") or {}).get("spec") or {}
    return int((spec.get("failurePolicy") or {}).get("maxRestarts") or 0)


def attempt(child: Object) -> int:
    """How often a set began anew before this Job of it."""
    text = str((child["metadata"].get("labels") or {}).get(ATTEMPT_LABEL, ""))
    return int(text) if text.isdecimal() else 0


def made(job: Object, runtime: Object, *, port: int, attempt: int) -> Object:
    """The Job whose pods train.

    Args:
        job: the TrainJob.
        runtime: its runtime, one that is not `unsupported`.
        port: of 127.0.0.1, where node 0 listens.
        attempt: how often the set began anew.
    """
    replicated = replicated_jobs(runtime)[0]
    template = replicated["template"]
    for patch in _patches(job, replicated["name"]):
        template = patches.strategic(template, patch)
    metadata, spec = template.get("metadata") or {}, dict(template.get("spec") or {})
    own, notes = _labels(job, runtime, attempt), {PORT_ANNOTATION: str(port)}
    trainer, policy = job["spec"].get("trainer") or {}, _policy(runtime)
    nodes = int(trainer["numNodes"] if "numNodes" in trainer else policy.get("numNodes", 1))
    inner = spec.get("template") or {}
    pod = {"restartPolicy": "OnFailure"} | (inner.get("spec") or {})
    pod["containers"] = [
        _container(one, policy, job["spec"].get("trainer"), nodes, port) if one.get("name") == NODE else one
        for one in pod.get("containers") or []
    ]
    told = _told_too(policy, replicated["name"])
    for field in ("initContainers", "containers"):
        if pod.get(field):
            variables = environment(policy, trainer, nodes, port)
            pod[field] = [_with(one, *variables) if one.get("name") in told else one for one in pod[field]]
    said = inner.get("metadata") or {}
    spec["template"] = {
        "metadata": {
            "labels": (said.get("labels") or {}) | own,
            "annotations": (said.get("annotations") or {}) | notes,
        },
        "spec": pod,
    }
    spec |= {"parallelism": nodes, "completions": nodes, "completionMode": "Indexed"}
    spec["suspend"] = bool(job["spec"].get("suspend"))
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": job_name(job, runtime),
            "labels": (metadata.get("labels") or {}) | own,
            "annotations": (metadata.get("annotations") or {}) | notes,
            "ownerReferences": [owner_reference(job)],
        },
        "spec": spec,
    }


def service(job: Object) -> Object:
    """The headless Service of the set, by which pods on a cluster find each other."""
    name = job["metadata"]["name"]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "labels": {NAME_LABEL: name}, "ownerReferences": [owner_reference(job)]},
        "spec": {"clusterIP": "None", "selector": {NAME_LABEL: name}, "publishNotReadyAddresses": True},
    }


def _container(one: Object, policy: Object, trainer: Object | None, nodes: int, port: int) -> Object:
    """The container that trains; the trainer tells it of its peers only when the job has a trainer."""
    if trainer is None:
        return one
    found = one | {name: trainer[name] for name in ("image", "command", "args") if trainer.get(name) is not None}
    resources = {name: value for name, value in (trainer.get("resourcesPerNode") or {}).items() if value}
    if resources:
        found["resources"] = resources
    before, after = environment(policy, trainer, nodes, port)
    found["env"] = [*(one.get("env") or []), *(trainer.get("env") or [])]
    found = _with(found, before, after)
    if after:
        found["ports"] = [*(one.get("ports") or []), {"containerPort": port}]
    found.setdefault("terminationMessagePolicy", "FallbackToLogsOnError")
    return found


def _with(container: Object, before: list[Object], after: list[Object]) -> Object:
    """A container with variables before its own and after them; of two of one name the later one stays."""
    own = {variable["name"]: variable for variable in container.get("env") or []}
    set_ = {variable["name"] for variable in after}
    return container | {"env": [*before, *(one for name, one in own.items() if name not in set_), *after]}


def _told_too(policy: Object, replicated: str) -> set[str]:
    """Names of the containers beside the one that trains which the runtime wants to know their peers."""
    targets = ((policy.get("torch") or {}).get("envInjection") or {}).get("targets") or []
    found = {name for one in targets if one.get("jobName") == replicated for name in one.get("containerNames") or []}
    return found - {NODE}


def _labels(job: Object, runtime: Object, attempt: int) -> dict[str, str]:
    name, replicated = job_name(job, runtime), replicated_jobs(runtime)[0]["name"]
    key = hashlib.sha1(f"{job['metadata']['namespace']}/{name}".encode(), usedforsecurity=False).hexdigest()
    return {
        NAME_LABEL: job["metadata"]["name"],
        f"{SET}/replicatedjob-name": replicated,
        f"{SET}/replicatedjob-replicas": "1",
        f"{SET}/global-replicas": "1",
        f"{SET}/job-index": "0",
        f"{SET}/job-global-index": "0",
        f"{SET}/job-key": key,
        ATTEMPT_LABEL: str(attempt),
    }


def _patches(job: Object, name: str) -> list[Object]:
    found = []
    for one in job["spec"].get("runtimePatches") or []:
        spec = ((one.get("trainingRuntimeSpec") or {}).get("template") or {}).get("spec") or {}
        for patch in spec.get("replicatedJobs") or []:
            if patch.get("name") == name and patch.get("template"):
                found.append(patch["template"])
    return found


def _policy(runtime: Object) -> Object:
    return (runtime.get("spec") or {}).get("mlPolicy") or {}
