"""kubeflow.org/v1 PyTorchJob, JAXJob and TFJob, as the training operator 1.9 runs them.

Source: pkg/controller.v1/common/job.go and the controllers beside it. Where those fall short of their own
documentation, this does as documented: a deadline ends a job that hangs, every restart counts towards backoffLimit
whatever the restartPolicy, and every job that has ended has a completionTime. What the kinds do in their own way is in
`frameworks`.
"""

from __future__ import annotations

from seaway.local.api.status import Object
from seaway.local.api.times import parse, stamp
from seaway.local.api.trainingkinds import OPERATOR, TrainingKind
from seaway.local.controllers import frameworks, replicas
from seaway.local.controllers.base import Observed, condition, is_true
from seaway.local.controllers.jobconditions import set_job_condition
from seaway.local.controllers.pod import CRASH_DELAY_S, Run, crash_delay
from seaway.local.controllers.replicagroups import Group
from seaway.local.controllers.sight import Sight

_TAKEN = "address already in use"


class TrainingJobController:
    """Keeps a pod and a service for every replica until the job has succeeded or failed.

    Args:
        kind: of the jobs.
        crash_delay_s: wait before a replica's pod is replaced for the second time, doubling.
    """

    children: tuple[str, ...] = ("pods", "services")

    def __init__(self, kind: TrainingKind, *, crash_delay_s: float = CRASH_DELAY_S) -> None:
        self.resource = kind.resource
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
        ports = sight.all_ports(observed.free_port)
        held = {child["metadata"]["name"] for child in sight.leaving}
        pods, services = [], []
        for group in sight.groups:
            for at in group.places:
                found, index = sight.pods.get(at), at[1]
                if found is None:
                    # Its predecessor still holds the name.
                    if replicas.name(manifest, group, index) not in held:
                        pods.append(replicas.pod(manifest, group, index, ports=ports, restarts=0))
                elif replicas.replaced(found, group) and self._wait_s(found, observed) <= 0:
                    again = replicas.restarts(found, group)
                    pods.append(replicas.pod(manifest, group, index, ports=ports, restarts=again))
                else:
                    pods.append(found)
                services.append(sight.services.get(at) or replicas.service(manifest, group, index, port=ports[at]))
        # Services first: they keep the ports that each pod is told of all.
        return [*sight.leaving, *services, *pods]

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
        sight, now, kind = Sight.of(manifest, observed), observed.now, manifest["kind"]
        shown = f"{kind} {manifest['metadata']['name']}"

        def tell(type_: str, status: bool, reason: str, message: str) -> None:
            found["conditions"] = set_job_condition(
                found.get("conditions") or [], type_, status, now, reason=f"{kind}{reason}", message=message
            )

        if not condition(manifest, "Created"):
            tell("Created", True, "Created", f"{shown} is created.")
        suspend = bool(_policy(manifest).get("suspend"))
        found["replicaStatuses"] = {group.type: _counts(manifest, sight, group, suspend) for group in sight.groups}
        if suspend:
            if is_true(manifest, "Running"):
                tell("Running", False, "Suspended", f"{shown} is suspended.")
            tell("Suspended", True, "Suspended", f"{shown} is suspended.")
            return
        if is_true(manifest, "Suspended"):
            tell("Suspended", False, "Resumed", f"{shown} is resumed.")
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
        elif (leader := sight.leader) is not None and sight.count(leader, "Running"):
            # Of a job with a Master the Master's state counts.
            tell("Running", True, "Running", frameworks.of(manifest).running(manifest, leader.type))

    def _verdict(self, manifest: Object, observed: Observed, sight: Sight) -> tuple[str, str] | None:
        """Succeeded or Failed, and why; None while the job goes on."""
        for type_ in ("Succeeded", "Failed"):
            if is_true(manifest, type_):
                return type_, condition(manifest, type_).get("message", "")
        policy, name = _policy(manifest), manifest["metadata"]["name"]
        if policy.get("suspend"):
            return None
        framework, leader = frameworks.of(manifest), sight.leader
        if framework.succeeded(manifest, sight):
            return "Succeeded", framework.completed(manifest, "" if leader is None else leader.type)
        if port_is_taken(observed, sight):
            return None
        limit = policy.get("backoffLimit")
        if limit is not None and _restarts(sight) >= max(1, limit):
            return "Failed", f"Job {name} has failed because it has reached the specified backoff limit"
        left = _deadline_left_s(manifest, observed)
        if left is not None and left <= 0:
            return "Failed", f"Job {name} has failed because it was active longer than specified deadline"
        for group in sight.groups:
            lost = sight.lost(group)
            by_code = sight.hopeless(group)
            if (by_code or (lost and group.policy == "Never")) and not framework.goes_on(manifest, group):
                failed = lost or sight.count(group, "Failed")
                return "Failed", framework.failed(manifest, group, failed, by_code)
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
    """Whether a replica that should listen on its port has failed, and another program listens there.

    No restart of it can succeed then: the job begins anew with other ports. Of an elastic job any worker may listen.
    """
    listeners = sight.listeners
    others = [pod for pod in sight.pods.values() if pod not in listeners]
    if sight.elastic and any(replicas.phase(one) == "Running" for one in others):
        return False
    return any(_has_failed(pod) and (port := replicas.port([pod])) > 0 and observed.in_use(port) for pod in listeners)


def _has_failed(pod: Object) -> bool:
    state = replicas.trainer(pod).get("state") or {}
    return bool((state.get("terminated") or {}).get("exitCode") or "CrashLoopBackOff" in str(state.get("waiting")))


def _restarting(job: Object, observed: Observed, sight: Sight) -> str:
    if port_is_taken(observed, sight):
        shown, ports = f"{job['kind']} {job['metadata']['name']}", sorted({*sight.ports.values()})
        if len(ports) > 1:
            return f"{shown} is restarting because another program took one of its ports {ports}; it gets others."
        return f"{shown} is restarting because another program took its port {ports[0]}; it gets another."
    framework = frameworks.of(job)
    for group in sight.groups:
        lost = sight.lost(group)
        if lost and group.policy != "Never" and not sight.hopeless(group):
            return framework.restarting(job, group, lost)
    return ""


def _restarts(sight: Sight) -> int:
    """Restarts that count towards backoffLimit: not one that found the port taken and may find it free."""
    found = 0
    for group in sight.groups:
        if group.policy != "Never":
            found += sum(replicas.restarts(pod, group) for pod in sight.of_group(group))
    for pod in sight.listeners:
        status = replicas.trainer(pod)
        last = ((status.get("lastState") or {}).get("terminated") or {}).get("message") or ""
        found -= int("running" in (status.get("state") or {}) and _TAKEN in last.lower())
    return found


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
