"""trainer.kubeflow.org/v1alpha1 TrainJob, as the trainer 2.3 and its JobSet run it: by one indexed Job.

Source: pkg/controller/trainjob_controller.go of the trainer, pkg/controllers of JobSet. The pods, their retries and the
Job's own end are the Job controller's.
"""

from __future__ import annotations

from seaway.local.api.rules.trainjob import CONTROLLER
from seaway.local.api.runtimes import Find, named, replicated_jobs
from seaway.local.api.status import Object
from seaway.local.api.times import parse
from seaway.local.controllers import jobset
from seaway.local.controllers.base import Observed, condition, is_true, set_condition

_DEADLINE = "DeadlineExceeded"
_RETRY_S = 2.0
"""Between two looks for a runtime that has gone."""
Verdict = tuple[str, str, str]
"""Type, reason and message of the condition that ends a job."""


class TrainJobController:
    """Keeps the Job and the Service of a set until the job is complete or has failed.

    Args:
        find: looks up runtimes.
    """

    resource = "trainjobs.trainer.kubeflow.org"
    children: tuple[str, ...] = ("jobs.batch", "services")

    def __init__(self, find: Find) -> None:
        self._find = find

    def desired(self, manifest: Object, observed: Observed) -> list[Object]:
        """The one Job, suspended or not as the manifest says, and its Service."""
        if not _ours(manifest):
            return list(observed.children)
        verdict = self._verdict(manifest, observed)
        if verdict is not None:
            return [] if verdict[1] == _DEADLINE else [one for one in observed.children if _stays(one)]
        runtime = named(manifest, self._find)
        if runtime is None:
            return list(observed.children)
        job, services = _job(observed), [one for one in observed.children if one["kind"] == "Service"]
        again = 0 if job is None else jobset.attempt(job) + is_true(job, "Failed")
        suspend = bool(manifest["spec"].get("suspend"))
        # A Job cannot be told of ports and nodes once it is there: another one takes its place.
        if job is None or is_true(job, "Failed") or bool(job["spec"].get("suspend")) != suspend:
            job = jobset.made(manifest, runtime, port=observed.free_port(), attempt=again)
        return [*(services or [jobset.service(manifest)]), job]

    def status(self, manifest: Object, observed: Observed) -> Object:
        """Conditions, and the state of the Job."""
        before, now = manifest.get("status") or {}, observed.now
        if not _ours(manifest) or _over(manifest):
            return dict(before)
        found, conditions = dict(before), list(before.get("conditions") or [])
        if manifest["spec"].get("suspend"):
            conditions = set_condition(
                conditions, "Suspended", True, now, reason="Suspended", message="TrainJob is suspended"
            )
        elif is_true(manifest, "Suspended"):
            conditions = set_condition(
                conditions, "Suspended", False, now, reason="Resumed", message="TrainJob is resumed"
            )
        verdict = self._verdict(manifest, observed)
        if verdict is not None:
            type_, reason, message = verdict
            conditions = set_condition(conditions, type_, True, now, reason=reason, message=message)
        if conditions:
            found["conditions"] = conditions
        job, runtime = _job(observed), named(manifest, self._find)
        if job is not None:
            name = replicated_jobs(runtime)[0]["name"] if runtime is not None else "node"
            found["jobsStatus"] = [{"name": name} | _counts(job)]
        return found

    def due_s(self, manifest: Object, observed: Observed) -> float | None:
        """The deadline, or the next look for the runtime."""
        if not _ours(manifest) or _over(manifest):
            return None
        due = [] if named(manifest, self._find) is not None else [_RETRY_S]
        left = _deadline_left_s(manifest, observed)
        if left is not None:
            due.append(max(0.01, left + 0.01))
        return min(due, default=None)

    def _verdict(self, manifest: Object, observed: Observed) -> Verdict | None:
        for type_ in ("Complete", "Failed"):
            if is_true(manifest, type_):
                said = condition(manifest, type_)
                return type_, said.get("reason", ""), said.get("message", "")
        job, runtime = _job(observed), named(manifest, self._find)
        if job is None and runtime is not None and (why := jobset.unsupported(runtime)):
            return "Failed", "TrainingRuntimeNotSupported", why
        if job is not None and is_true(job, "Complete"):
            return "Complete", "AllJobsCompleted", "jobset completed successfully"
        limit = 0 if runtime is None else jobset.attempts(runtime)
        if job is not None and is_true(job, "Failed") and jobset.attempt(job) >= limit:
            first = f"(first failed job: {job['metadata']['name']})"
            if limit:
                return "Failed", "ReachedMaxRestarts", f"jobset failed due to reaching max number of restarts {first}"
            return "Failed", "FailedJobs", f"jobset failed due to one or more job failures {first}"
        left = _deadline_left_s(manifest, observed)
        if left is not None and left <= 0:
            return "Failed", _DEADLINE, "TrainJob exceeded its active deadline"
        return None


def _ours(job: Object) -> bool:
    return bool(job["spec"].get("managedBy", CONTROLLER) == CONTROLLER)


def _over(job: Object) -> bool:
    return is_true(job, "Complete") or is_true(job, "Failed")


def _job(observed: Observed) -> Object | None:
    jobs = [one for one in observed.children if one["kind"] == "Job" and not one["metadata"].get("deletionTimestamp")]
    return jobs[-1] if jobs else None


def _stays(child: Object) -> bool:
    """Of a set that has ended everything stays but Jobs that still run."""
    return child["kind"] != "Job" or is_true(child, "Complete") or is_true(child, "Failed")


def _deadline_left_s(job: Object, observed: Observed) -> float | None:
    """Counted from the job's making, or from when it was last resumed."""
    limit = job["spec"].get("activeDeadlineSeconds")
    if limit is None or job["spec"].get("suspend") or is_true(job, "Suspended"):
        return None
    resumed = condition(job, "Suspended").get("lastTransitionTime")
    start = parse(resumed or job["metadata"]["creationTimestamp"])
    return float(limit) - (observed.now - start).total_seconds()


def _counts(job: Object) -> Object:
    """What a JobSet says of one of its Jobs: each number is 0 or 1."""
    status, spec = job.get("status") or {}, job["spec"]
    ready = int(status.get("ready", 0)) + int(status.get("succeeded", 0))
    done, failed = is_true(job, "Complete"), is_true(job, "Failed")
    return {
        "ready": int(not done and not failed and ready >= int(spec["parallelism"]) > 0),
        "succeeded": int(done),
        "failed": int(failed),
        "active": int(int(status.get("active", 0)) > 0),
        "suspended": int(is_true(job, "Suspended")),
    }
