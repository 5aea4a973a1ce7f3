"""kubeflow.org/v1 PyTorchJob, as the training operator 1.9 runs it.

Source: pkg/controller.v1/common/job.go and pkg/controller.v1/pytorch/pytorchjob_controller.go of the operator. Where
those fall short of their own documentation, this does as documented: a deadline ends a job that hangs, every restart
counts towards backoffLimit whatever the restartPolicy, and every job that has ended has a completionTime.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from seaway.local.api.rules.pytorchjob import OPERATOR
from seaway.local.api.status import Object
from seaway.local.api.times import parse, stamp
from seaway.local.controllers import replicas
from seaway.local.controllers.base import Observed, condition, is_true
from seaway.local.controllers.jobconditions import set_job_condition
from seaway.local.controllers.pod import CRASH_DELAY_S, Run, crash_delay
from seaway.local.controllers.replicas import Group

_TAKEN = "address already in use"


@dataclass
class Sight:
    """What one look at a job sees."""

    groups: list[Group]
    pods: dict[tuple[str, int], Object] = field(default_factory=dict)
    """By type and index, those that are not being deleted."""
    services: dict[tuple[str, int], Object] = field(default_factory=dict)
    leaving: list[Object] = field(default_factory=list)
    """What is being deleted."""
    port: int = 0
    """The job's port, 0 while it has none."""
    elastic: bool = False

    @classmethod
    def of(cls, job: Object, observed: Observed) -> Sight:
        """Sort the children."""
        found = cls(replicas.groups(job), elastic=job["spec"].get("elasticPolicy") is not None)
        for child in observed.children:
            kind, type_, index = replicas.place(child)
            if child["metadata"].get("deletionTimestamp"):
                found.leaving.append(child)
            elif kind == "Pod":
                found.pods[type_, index] = child
            else:
                found.services[type_, index] = child
        found.port = replicas.port([*found.pods.values(), *found.services.values()])
        return found

    def of_group(self, group: Group) -> list[Object]:
        """The pods of one type."""
        return [pod for (type_, _), pod in self.pods.items() if type_ == group.label]

    def count(self, group: Group, phase: str) -> int:
        """How many pods of a type are in a phase; one that is deleted while it runs has failed.

        Pods of a port that the job has left, and of replicas that it no longer has, are of no account.
        """
        found = sum(1 for pod in self.of_group(group) if replicas.phase(pod) == phase)
        if phase == "Failed":
            found += sum(
                1
                for pod in self.leaving
                if replicas.place(pod)[:2] == ("Pod", group.label)
                and replicas.place(pod)[2] < group.count
                and replicas.phase(pod) == "Running"
                and replicas.port([pod]) == self.port
            )
        return found

    @property
    def listener(self) -> Object | None:
        """The pod that listens on the job's port: the Master, or the first worker."""
        return self.pods.get((self.groups[0].label, 0))


class PyTorchJobController:
    """Keeps a pod and a service for every replica until the job has succeeded or failed.

    Args:
        crash_delay_s: wait before a replica's pod is replaced for the second time, doubling.
    """

    resource = "pytorchjobs.kubeflow.org"
    children: tuple[str, ...] = ("pods", "services")

    def __init__(self, *, crash_delay_s: float = CRASH_DELAY_S) -> None:
        self._crash_delay_s = crash_delay_s

    def desired(self, manifest: Object, observed: Observed) -> list[Object]:
        """What is there and may stay, and what is missing."""
        if not ours(manifest):
            return list(observed.children)
        sight = Sight.of(manifest, observed)
        if self._verdict(manifest, observed, sight) is not None:
            return sight.leaving + _kept(manifest, sight)
        if _policy(manifest).get("suspend") or port_is_taken(observed, sight):
            return sight.leaving
        port = sight.port or observed.free_port()
        held = {child["metadata"]["name"] for child in sight.leaving}
        pods, services = [], []
        for group in sight.groups:
            for index in range(group.count):
                at = (group.label, index)
                found = sight.pods.get(at)
                if found is None:
                    # Its predecessor still holds the name.
                    if replicas.name(manifest, group, index) not in held:
                        pods.append(replicas.pod(manifest, group, index, port=port, restarts=0))
                elif replicas.replaced(found, group) and self._wait_s(found, observed) <= 0:
                    again = replicas.restarts(found, group)
                    pods.append(replicas.pod(manifest, group, index, port=port, restarts=again))
                else:
                    pods.append(found)
                services.append(sight.services.get(at) or replicas.service(manifest, group, index, port=port))
        return [*sight.leaving, *pods, *services]

    def status(self, manifest: Object, observed: Observed) -> Object:
        """Counts, times and conditions."""
        before = manifest.get("status") or {}
        if not ours(manifest):
            return dict(before)
        if is_true(manifest, "Succeeded") or is_true(manifest, "Failed"):
            return _ended(manifest)
        found = {key: value for key, value in before.items() if key != "lastReconcileTime"}
        self._fill(found, manifest, observed)
        seen = before.get("lastReconcileTime")
        same = seen is not None and found == {key: value for key, value in before.items() if key != "lastReconcileTime"}
        return found | {"lastReconcileTime": seen if same else stamp(observed.now)}

    def due_s(self, manifest: Object, observed: Observed) -> float | None:
        """The deadline, or the next replacement of a failed pod."""
        over = is_true(manifest, "Succeeded") or is_true(manifest, "Failed")
        if over or not ours(manifest) or _policy(manifest).get("suspend"):
            return None
        sight, due = Sight.of(manifest, observed), []
        for group in sight.groups:
            waiting = [pod for pod in sight.of_group(group) if replicas.replaced(pod, group)]
            due += [self._wait_s(pod, observed) for pod in waiting]
        left = _deadline_left_s(manifest, observed)
        if left is not None:
            due.append(left)
        return max(0.01, min(due) + 0.01) if due else None

    def _fill(self, found: Object, manifest: Object, observed: Observed) -> None:
        sight, now, name = Sight.of(manifest, observed), observed.now, manifest["metadata"]["name"]

        def tell(type_: str, status: bool, reason: str, message: str) -> None:
            found["conditions"] = set_job_condition(
                found.get("conditions") or [], type_, status, now, reason=f"PyTorchJob{reason}", message=message
            )

        if not condition(manifest, "Created"):
            tell("Created", True, "Created", f"PyTorchJob {name} is created.")
        suspend = bool(_policy(manifest).get("suspend"))
        found["replicaStatuses"] = {group.type: _counts(manifest, sight, group, suspend) for group in sight.groups}
        if suspend:
            if is_true(manifest, "Running"):
                tell("Running", False, "Suspended", f"PyTorchJob {name} is suspended.")
            tell("Suspended", True, "Suspended", f"PyTorchJob {name} is suspended.")
            return
        if is_true(manifest, "Suspended"):
            tell("Suspended", False, "Resumed", f"PyTorchJob {name} is resumed.")
            found["startTime"] = stamp(now)
        found.setdefault("startTime", stamp(now))
        verdict = self._verdict(manifest, observed, sight)
        if verdict is not None:
            type_, message = verdict
            found["completionTime"] = stamp(now)
            tell(type_, True, type_, message)
            return
        if why := _restarting(manifest, observed, sight):
            tell("Restarting", True, "Restarting", why)
        elif sight.count(sight.groups[0], "Running"):
            # Of a job with a Master the Master's state counts.
            shown = name if sight.groups[0].type == "Master" else f"{manifest['metadata']['namespace']}/{name}"
            tell("Running", True, "Running", f"PyTorchJob {shown} is running.")

    def _verdict(self, manifest: Object, observed: Observed, sight: Sight) -> tuple[str, str] | None:
        """Succeeded or Failed, and why; None while the job goes on."""
        for type_ in ("Succeeded", "Failed"):
            if is_true(manifest, type_):
                return type_, condition(manifest, type_).get("message", "")
        policy, name = _policy(manifest), manifest["metadata"]["name"]
        if policy.get("suspend"):
            return None
        first = sight.groups[0]
        done = sight.count(first, "Succeeded")
        if first.type == "Master" and done >= first.count:
            return "Succeeded", f"PyTorchJob {name} is successfully completed."
        if first.type == "Worker" and (done >= first.count or (sight.elastic and done > 0)):
            return "Succeeded", f"PyTorchJob {manifest['metadata']['namespace']}/{name} successfully completed."
        if port_is_taken(observed, sight):
            return None
        limit = policy.get("backoffLimit")
        if limit is not None and _restarts(sight) >= max(1, limit):
            return "Failed", f"Job {name} has failed because it has reached the specified backoff limit"
        left = _deadline_left_s(manifest, observed)
        if left is not None and left <= 0:
            return "Failed", f"Job {name} has failed because it was active longer than specified deadline"
        for group in sight.groups:
            failed = sight.count(group, "Failed")
            lost = failed and group.count > sight.count(group, "Succeeded") + sight.count(group, "Running")
            if lost and group.policy == "Never":
                return "Failed", f"PyTorchJob {name} is failed because {failed} {group.type} replica(s) failed."
            hopeless = (pod for pod in sight.of_group(group) if replicas.phase(pod) == "Failed")
            if group.policy == "ExitCode" and any(not replicas.replaced(pod, group) for pod in hopeless):
                return "Failed", f'job "{name}" is failing because "{group.type}" replica(s) failed.'
        return None

    def _wait_s(self, pod: Object, observed: Observed) -> float:
        """Seconds until a failed pod is replaced: as long as a kubelet waits before it restarts a container."""
        ended = (replicas.trainer(pod).get("state") or {}).get("terminated") or {}
        if "startedAt" not in ended or "finishedAt" not in ended:
            return 0.0
        run = Run(
            number=replicas.earlier(pod),
            started=parse(ended["startedAt"]),
            finished=parse(ended["finishedAt"]),
            reason=ended.get("reason", ""),
        )
        return crash_delay(run, self._crash_delay_s) - (observed.now - parse(ended["finishedAt"])).total_seconds()


def ours(job: Object) -> bool:
    """Whether the operator is to run the job, rather than another controller that it names."""
    return _policy(job).get("managedBy") in (None, OPERATOR)


def port_is_taken(observed: Observed, sight: Sight) -> bool:
    """Whether the replica that should listen on the job's port has failed, and another program listens there.

    No restart of it can succeed then: the job begins anew with another port. Of an elastic job any worker may listen.
    """
    pod = sight.listener
    if sight.elastic and any(replicas.phase(one) == "Running" for one in sight.pods.values() if one is not pod):
        return False
    state = (replicas.trainer(pod).get("state") if pod is not None else None) or {}
    failed = (state.get("terminated") or {}).get("exitCode") or "CrashLoopBackOff" in str(state.get("waiting"))
    return bool(failed) and sight.port > 0 and observed.in_use(sight.port)


def _restarting(job: Object, observed: Observed, sight: Sight) -> str:
    if port_is_taken(observed, sight):
        name, port = job["metadata"]["name"], sight.port
        return f"PyTorchJob {name} is restarting because another program took its port {port}; it gets another."
    for group in sight.groups:
        failed = sight.count(group, "Failed")
        if failed and group.count > sight.count(group, "Succeeded") + sight.count(group, "Running"):
            name = job["metadata"]["name"]
            return f"PyTorchJob {name} is restarting because {failed} {group.type} replica(s) failed."
    return ""


def _restarts(sight: Sight) -> int:
    """Restarts that count towards backoffLimit: not one that found the port taken and may find it free."""
    found = 0
    for group in sight.groups:
        if group.policy != "Never":
            found += sum(replicas.restarts(pod, group) for pod in sight.of_group(group))
    status = replicas.trainer(sight.listener) if sight.listener is not None else {}
    last = ((status.get("lastState") or {}).get("terminated") or {}).get("message") or ""
    return found - int("running" in (status.get("state") or {}) and _TAKEN in last.lower())


def _deadline_left_s(job: Object, observed: Observed) -> float | None:
    limit, start = _policy(job).get("activeDeadlineSeconds"), (job.get("status") or {}).get("startTime")
    if limit is None or not start or is_true(job, "Suspended"):
        return None
    return float(limit) - (observed.now - parse(start)).total_seconds()


def _kept(job: Object, sight: Sight) -> list[Object]:
    """What stays of a job that has ended."""
    clean = _policy(job).get("cleanPodPolicy") or "None"
    stay = []
    for at, pod in sight.pods.items():
        gone = clean == "All" or (clean == "Running" and replicas.phase(pod) in ("Running", "Pending"))
        if gone:
            sight.services.pop(at, None)
        else:
            stay.append(pod)
    return [*stay, *sight.services.values()]


def _counts(job: Object, sight: Sight, group: Group, suspend: bool) -> Object:
    found: Object = {
        "active": 0 if suspend else sight.count(group, "Running"),
        "succeeded": sight.count(group, "Succeeded"),
        "failed": sight.count(group, "Failed"),
    }
    return {"selector": replicas.selector(job, group)} | {key: value for key, value in found.items() if value}


def _ended(job: Object) -> Object:
    """The status of a job that has ended; what still ran when it succeeded counts as succeeded."""
    status = dict(job["status"])
    if is_true(job, "Succeeded") and any(one.get("active") for one in status.get("replicaStatuses", {}).values()):
        status["replicaStatuses"] = {
            type_: {key: value for key, value in one.items() if key != "active"}
            | ({"succeeded": done} if (done := one.get("succeeded", 0) + one.get("active", 0)) else {})
            for type_, one in status["replicaStatuses"].items()
        }
    return status


def _policy(job: Object) -> Object:
    return job["spec"].get("runPolicy") or {}
