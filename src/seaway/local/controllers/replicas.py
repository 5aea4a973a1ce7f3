"""The pods and services that stand for the replicas of a training operator's job. Pure.

Source: pkg/controller.v1/common/{pod,service}.go and pkg/core of the training operator 1.9.
"""

from __future__ import annotations

from collections.abc import Iterable

from seaway.local.api import trainingkinds
from seaway.local.api.status import Object
from seaway.local.controllers import replicaenv
from seaway.local.controllers.base import owner_reference
from seaway.local.controllers.pod import SHUTDOWN
from seaway.local.controllers.predictor import PORT_ANNOTATION
from seaway.local.controllers.replicagroups import Group, Ports

TYPE_LABEL = "training.kubeflow.org/replica-type"
INDEX_LABEL = "training.kubeflow.org/replica-index"
ROLE_LABEL = "training.kubeflow.org/job-role"
RESTARTS_ANNOTATION = "seaway.dev/restarts"
"""How often a pod's place was filled anew before it."""
NO_EXIT = 0xBEEF
"""What the operator takes for the exit code of a pod that failed without one."""
_CONTAINERS = frozenset(kind.container for kind in trainingkinds.TRAINING_KINDS)


def place(child: Object) -> tuple[str, str, int]:
    """Kind, type and index of a pod or service; the index is -1 when its labels do not say."""
    labels = child["metadata"].get("labels") or {}
    index = str(labels.get(INDEX_LABEL, ""))
    return child["kind"], str(labels.get(TYPE_LABEL, "")), int(index) if index.isdecimal() else -1


def labels(job: Object, group: Group) -> dict[str, str]:
    """What the pods of a group have in common."""
    return {
        "training.kubeflow.org/operator-name": f"{job['kind'].lower()}-controller",
        "training.kubeflow.org/job-name": job["metadata"]["name"],
        TYPE_LABEL: group.label,
    }


def selector(job: Object, group: Group) -> str:
    """The same as a label selector."""
    return ",".join(f"{name}={value}" for name, value in sorted(labels(job, group).items()))


def pod(job: Object, group: Group, index: int, *, ports: Ports, restarts: int) -> Object:
    """The pod of one replica."""
    template, metadata = group.template, group.template.get("metadata") or {}
    kind, told, port = trainingkinds.of(job), replicaenv.of(job), ports[group.label, index]
    own = labels(job, group) | {INDEX_LABEL: str(index)}
    if _is_master(job, group, index):
        own[ROLE_LABEL] = "master"
    notes = {PORT_ANNOTATION: str(port), RESTARTS_ANNOTATION: str(restarts)}
    before, after = told.before(job, port), told.after(job, group, index, ports)
    containers = []
    for one in template["spec"]["containers"]:
        trains = one.get("name") == kind.container
        made = dict(one)
        if trains or told.everywhere:
            made["env"] = [*before, *(one.get("env") or []), *after]
        if trains:
            made["ports"] = _ports(one, kind.port, port)
            # So that the job can say why a replica failed.
            made.setdefault("terminationMessagePolicy", "FallbackToLogsOnError")
        containers.append(made)
    policy = "Never" if group.policy == "ExitCode" else group.policy
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name(job, group, index),
            "labels": (metadata.get("labels") or {}) | own,
            "annotations": (metadata.get("annotations") or {}) | notes,
            "ownerReferences": [owner_reference(job)],
        },
        "spec": template["spec"] | {"containers": containers, "restartPolicy": policy},
    }


def service(job: Object, group: Group, index: int, *, port: int) -> Object:
    """The headless service of one replica; it keeps the replica's port while pods come and go."""
    own, kind = labels(job, group) | {INDEX_LABEL: str(index)}, trainingkinds.of(job)
    container = next(one for one in group.template["spec"]["containers"] if one.get("name") == kind.container)
    ports = {one.get("name", ""): int(one["containerPort"]) for one in _ports(container, kind.port, port)}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": name(job, group, index),
            "labels": own,
            "annotations": {PORT_ANNOTATION: str(port)},
            "ownerReferences": [owner_reference(job)],
        },
        "spec": {
            "clusterIP": "None",
            "selector": own,
            "ports": [{"port": number} | ({"name": text} if text else {}) for text, number in ports.items()],
        },
    }


def name(job: Object, group: Group, index: int) -> str:
    """``JOB-worker-0``."""
    return f"{job['metadata']['name']}-{group.label}-{index}"


def port(children: Iterable[Object]) -> int:
    """The port that a job's children were given, 0 when there are none."""
    for child in children:
        text = str((child["metadata"].get("annotations") or {}).get(PORT_ANNOTATION, ""))
        if text.isdecimal():
            return int(text)
    return 0


def phase(pod: Object) -> str:
    """A pod's phase."""
    return str((pod.get("status") or {}).get("phase") or "Pending")


def trainer(pod: Object) -> Object:
    """The status of the container that trains, empty while there is none."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or []
    return next((one for one in statuses if one.get("name") in _CONTAINERS), {})


def exit_code(pod: Object) -> int:
    """How the container that trains ended."""
    ended = (trainer(pod).get("state") or {}).get("terminated") or {}
    return int(ended.get("exitCode", NO_EXIT))


def replaced(pod: Object, group: Group) -> bool:
    """Whether a failed pod is to be replaced by a new one, rather than that it fails its job."""
    if phase(pod) != "Failed":
        return False
    retryable = exit_code(pod) >= 128 or shut_down(pod)
    return group.policy in ("Always", "OnFailure") or (group.policy == "ExitCode" and retryable)


def shut_down(pod: Object) -> bool:
    """Whether it was the end of the laptop that ended a pod, with whatever exit code."""
    return ((trainer(pod).get("state") or {}).get("terminated") or {}).get("reason") == SHUTDOWN


def restarts(pod: Object, group: Group) -> int:
    """How often a replica was started again, or has to be now, for a fault of its own."""
    found = earlier(pod) + (replaced(pod, group) and not shut_down(pod))
    if phase(pod) == "Running":
        status = pod["status"]
        for field in ("initContainerStatuses", "containerStatuses"):
            found += sum(int(one.get("restartCount", 0)) for one in status.get(field) or [])
    return found


def earlier(pod: Object) -> int:
    """How often a replica's pod was replaced before this one."""
    text = str((pod["metadata"].get("annotations") or {}).get(RESTARTS_ANNOTATION, ""))
    return int(text) if text.isdecimal() else 0


def _is_master(job: Object, group: Group, index: int) -> bool:
    """Whether a replica bears the role master: the one that clients read the log of."""
    if group.type in ("Master", "Chief"):
        return True
    specs = dict(trainingkinds.of(job).replica_specs(job["spec"]))
    return group.type == "Worker" and index == 0 and not {"Master", "Chief"} & set(specs)


def _ports(container: Object, name: str, port: int) -> list[Object]:
    """The container's ports; the one by which replicas meet is the one that the replica was given."""
    others = [one for one in container.get("ports") or [] if one.get("name") != name]
    return [*others, {"name": name, "containerPort": port}]
