"""Run a batch/v1 Job to its end: create or attach, stream the logs, wait, and say how it ended.

In: a manifest. Out: the finished Job, or a JobFailedError with the first failed replica, its exit code and last lines.
"""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections.abc import Mapping
from typing import Any

from seaway.errors import DeadlineError, JobFailedError, LaunchError
from seaway.launch import sigterm
from seaway.launch.api import Api, ApiError, Object
from seaway.launch.identity import Identity, run_is_ending
from seaway.launch.logstream import LogStream
from seaway.observe import logs
from seaway.resources import names

JOB = ("batch/v1", "Job")
OUTAGE_S = 120.0
"""For so long the API server may be away before a step gives up."""

_log = logging.getLogger("seaway.launch")


def named(manifest: Mapping[str, Any], *, prefix: str, identity: Identity) -> Object:
    """The manifest with its name, its digest and its owner."""
    name = names.object_name(prefix, identity.run_id, manifest)
    metadata = dict(manifest["metadata"])
    digest = names.digest(identity.run_id, manifest)
    metadata["annotations"] = {**metadata.get("annotations", {}), names.DIGEST_ANNOTATION: digest}
    if identity.owner:
        metadata["ownerReferences"] = [identity.owner]
    return {**manifest, "metadata": {**metadata, "name": name}}


def create_or_attach(api: Api, manifest: Object) -> Object:
    """Create the object, or take the one that an earlier try of this very step made.

    Raises:
        LaunchError: the name is taken by another object, or the API refuses.
    """
    kind = (manifest["apiVersion"], manifest["kind"])
    name = manifest["metadata"]["name"]
    try:
        made = api.create(manifest)
        logs.info(_log, f"{manifest['kind']} {name} created", namespace=api.namespace)
        return made
    except ApiError as e:
        if e.status != 409:
            raise
    found = api.get(kind, name)
    if found is None:  # it went between the two calls
        return api.create(manifest)
    mine = manifest["metadata"]["annotations"][names.DIGEST_ANNOTATION]
    theirs = found["metadata"].get("annotations", {}).get(names.DIGEST_ANNOTATION)
    if theirs != mine:
        raise LaunchError(
            f"{manifest['kind']} {name} must be this step's own, found one made from another manifest "
            f"(digest {theirs!r}, not {mine!r}): delete it, or change the step's name"
        )
    logs.info(_log, f"{manifest['kind']} {name} was there already: attached to it", namespace=api.namespace)
    return found


def run_job(api: Api, manifest: Object, *, identity: Identity, deadline_s: float | None = None) -> Object:
    """Run a named Job to its end.

    Args:
        api: where.
        manifest: from `named`.
        identity: of this step.
        deadline_s: seconds from the job's creation; enforced here too, whatever the controller does.

    Raises:
        JobFailedError: it failed.
        DeadlineError: it did not end in time; it has been deleted.
        LaunchError: the API refused, was away for too long, or the job was deleted by someone.
    """
    name = manifest["metadata"]["name"]
    with sigterm.raised():
        try:
            job = create_or_attach(api, manifest)
            stream = LogStream(lambda: Api.connect(api.namespace), f"batch.kubernetes.io/job-name={name}")
            try:
                job = _wait(api, job, stream, deadline_s)
                stream.look(api)
                stream.drain()
            finally:
                stream.close()
        except sigterm.TerminatedError:
            if run_is_ending(api, identity):
                api.delete(JOB, name)
            else:
                _log.warning(f"this step was told to end; Job {name} is left for its retry")
            raise
        except DeadlineError:
            api.delete(JOB, name)
            raise
    if condition(job, "Failed"):
        raise _failure(api, job, stream)
    return job


def condition(resource: Object, kind: str) -> Object | None:
    """The condition of that type if it is True."""
    found: list[Object] = resource.get("status", {}).get("conditions") or []
    return next((c for c in found if c["type"] == kind and c["status"] == "True"), None)


def ended(job: Object) -> bool:
    """Whether a Job has come to its end, well or not."""
    return bool(condition(job, "Complete") or condition(job, "Failed"))


def _wait(api: Api, job: Object, stream: LogStream, deadline_s: float | None) -> Object:
    name, uid = job["metadata"]["name"], job["metadata"]["uid"]
    ends = _epoch(job["metadata"]["creationTimestamp"]) + deadline_s if deadline_s else None
    answered, delay_s = time.monotonic(), 0.1
    while True:
        try:
            if ended(job):
                return job
            stream.look(api)
            left = 30.0 if ends is None else min(30.0, ends - time.time())
            if left <= 0:
                raise DeadlineError(f"Job {name} must end within {deadline_s:g} s, it still runs: raise the deadline")
            for changed in api.watch(
                JOB, name, since=job["metadata"]["resourceVersion"], timeout_s=max(1, round(left))
            ):
                job, answered = changed, time.monotonic()
                if job.get("_deleted") or job["metadata"]["uid"] != uid:
                    raise LaunchError(f"Job {name} was deleted while this step waited for it: run the step again")
                if ended(job):
                    return job
                stream.look(api)
            answered, delay_s = time.monotonic(), 0.1
        except ApiError as e:
            if e.status not in (0, 410, 429, 500, 502, 503, 504):
                raise
            if time.monotonic() - answered > OUTAGE_S:
                raise
            time.sleep(delay_s)
            delay_s = min(delay_s * 2, 5.0)
            job = _again(api, name, job)


def _again(api: Api, name: str, last: Object) -> Object:
    try:
        found = api.get(JOB, name)
    except ApiError:
        return last
    return found if found is not None else {**last, "status": {}}


def _failure(api: Api, job: Object, stream: LogStream) -> JobFailedError:
    name = job["metadata"]["name"]
    failed = condition(job, "Failed") or {}
    pods = api.list(("v1", "Pod"), labels=f"batch.kubernetes.io/job-name={name}")
    finished = [(state.get("finishedAt", ""), pod, state) for pod in pods if (state := _terminated(pod))]
    _, pod, state = min(finished, key=lambda e: e[0], default=("", {}, {}))
    replica = pod.get("metadata", {}).get("name", "")
    code = state.get("exitCode")
    what = f"Job {name} failed: {failed.get('reason', '')}: {failed.get('message', '')}"
    if replica:
        how = f"{state.get('reason', '')}, exit code {code}".lstrip(", ")
        what += f"; first failed replica {replica} ({how})"
    return JobFailedError(what, replica=replica, exit_code=code, tail=stream.tail(replica))


def _terminated(pod: Object) -> Object:
    for status in pod.get("status", {}).get("containerStatuses") or []:
        found: Object = status.get("state", {}).get("terminated") or {}
        if found.get("exitCode"):
            return found
    return {}


def _epoch(stamp: str) -> float:
    return dt.datetime.fromisoformat(stamp).timestamp()
