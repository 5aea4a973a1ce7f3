"""Run a job to its end, whatever its kind: create or attach, stream the logs, wait, and say how it ended.

In: a manifest. Out: the finished job, or an error with the first failed replica, its exit code and last lines.

A batch/v1 Job replaces failed pods itself. Of all other kinds the replicas depend on one another: when one is lost, the
step deletes the job with all its replicas and makes it anew, and they resume from their checkpoint together. The
deadline and the number of restarts are kept here, whatever the controller does.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

from seaway.errors import DeadlineError, JobFailedError, LaunchError
from seaway.launch import sigterm
from seaway.launch.api import TRANSIENT, Api, ApiError, Object
from seaway.launch.attempt import Attempt, Limits, Patience, pods_of
from seaway.launch.identity import Identity, run_is_ending
from seaway.launch.jobkinds import JOB, JobKind, condition, kind_of
from seaway.launch.logstream import LogStream
from seaway.launch.replicas import CONSEQUENCES, active, epoch, failures
from seaway.launch.sigterm import Inbox
from seaway.observe import logs, spans
from seaway.resources import names
from seaway.training.spec import EXIT_INPUT

__all__ = ["JOB", "condition", "create_or_attach", "named", "run_job"]

ATTEMPT, BEGAN = "seaway.dev/attempt", "seaway.dev/began"
"""Annotations of a job that was made anew: which attempt it is, and when the first began."""
CREATE_S = 30.0
"""For so long a creation is tried that the API server does not answer."""
CLEAN_S = 15.0
"""For so long the controller of a failed job may take to end the replicas that still run."""

CAUSE_S = 3.0
"""For a replica to be seen to have failed, where others only tell of its loss."""

T = TypeVar("T")
_Inbox = Inbox[Object | ApiError]
_log = logging.getLogger("seaway.launch")


def named(manifest: Mapping[str, Any], *, prefix: str, identity: Identity) -> Object:
    """The manifest with its name, its digest and its owner."""
    suffix = kind_of(manifest).suffix
    name = names.object_name(prefix, identity.run_id, manifest, suffix=suffix)
    metadata = dict(manifest["metadata"])
    digest = names.digest(identity.run_id, manifest)
    metadata["annotations"] = {**metadata.get("annotations", {}), names.DIGEST_ANNOTATION: digest}
    if identity.owner:
        metadata["ownerReferences"] = [identity.owner]
    return {**manifest, "metadata": {**metadata, "name": name}}


def create_or_attach(
    api: Api, manifest: Object, *, inbox: _Inbox | None = None, patience: Patience | None = None
) -> Object:
    """Create the job, or take the one that an earlier try of this very step made; a failed one is made anew.

    Whoever retries a step means a new try, so the new job may be restarted as often as the first.

    Raises:
        LaunchError: the name is taken by another object, or the API refuses.
    """
    row, name, inbox = kind_of(manifest), manifest["metadata"]["name"], inbox or Inbox()
    what = f"{row.kind[1]} {name}"
    while True:
        try:
            made = _patiently(inbox, lambda: api.create(manifest), within_s=CREATE_S)
            logs.info(_log, f"{what} created", namespace=api.namespace)
            return made
        except ApiError as e:
            if e.status != 409:
                raise
        found = _patiently(inbox, lambda: api.get(row.kind, name))
        if found is None:  # it went between the two calls
            continue
        mine = manifest["metadata"]["annotations"][names.DIGEST_ANNOTATION]
        theirs = found["metadata"].get("annotations", {}).get(names.DIGEST_ANNOTATION)
        if theirs != mine:
            raise LaunchError(
                f"{what} must be this step's own, found one made from another manifest "
                f"(digest {theirs!r}, not {mine!r}): delete it, or change the step's name"
            )
        if found["metadata"].get("deletionTimestamp"):
            logs.info(_log, f"{what} of an earlier try is being deleted: waiting until it is gone")
        elif condition(found, row.failed) and not _led(row, _patiently(inbox, lambda: pods_of(api, row, name))):
            logs.info(_log, f"{what} of an earlier try has failed: it is made anew")
        else:
            logs.info(_log, f"{what} was there already: attached to it", namespace=api.namespace)
            return found
        remove(api, row, name, inbox=inbox, within_s=(patience or Patience()).gone_s)


def run_job(
    api: Api,
    manifest: Object,
    *,
    identity: Identity,
    deadline_s: float | None = None,
    restarts: int = 0,
    hopeless: Collection[int] = (EXIT_INPUT,),
    patience: Patience | None = None,
) -> Object:
    """Run a named job to its end.

    Args:
        api: where.
        manifest: from `named`, of one of the kinds in `jobkinds.KINDS`.
        identity: of this step.
        deadline_s: seconds from the job's creation; enforced here too, whatever the controller does.
        restarts: how often the job may begin anew after a replica was lost, if it is of a kind whose controller does
            not count that itself.
        hopeless: exit codes of a replica after which no restart helps.
        patience: how long to wait for what may come right by itself.

    Raises:
        JobFailedError: it failed; nothing of it runs any more.
        DeadlineError: it did not end in time; it has been deleted.
        LaunchError: the API refused, the replicas cannot start, or the job was deleted by someone; it is gone. If the
            API was away for too long the job is left for the step's retry.
    """
    row, name, patience = kind_of(manifest), manifest["metadata"]["name"], patience or Patience()
    what, inbox = f"{row.kind[1]} {name}", _Inbox()
    limits = Limits(deadline_s=deadline_s, restarts=restarts, hopeless=hopeless, patience=patience)
    with spans.span(f"job {name}", job=name, replicas=row.count(manifest)), sigterm.noted(inbox):
        try:
            job = create_or_attach(api, manifest, inbox=inbox, patience=patience)
            try:
                return _to_its_end(api, row, manifest, job, inbox, limits)
            except JobFailedError:
                raise  # it stays to be looked at
            except LaunchError as e:
                if isinstance(e, ApiError) and e.status in TRANSIENT:
                    _log.warning(f"{what} is left as it is: the step's retry attaches to it")
                else:
                    _drop(api, row, name)
                raise
        except sigterm.TerminatedError:
            if run_is_ending(api, identity):
                _drop(api, row, name)
            else:
                _log.warning(f"this step was told to end; {what} is left for its retry")
            raise


def remove(api: Api, row: JobKind, name: str, *, inbox: _Inbox, within_s: float) -> None:
    """Delete a job and wait until it and its replicas are gone, so that their names are free.

    Raises:
        DeadlineError: they are still there.
    """
    ends, delay_s = time.monotonic() + within_s, 0.05
    _patiently(inbox, lambda: api.delete(row.kind, name, foreground=True))
    while True:
        left = _patiently(inbox, lambda: pods_of(api, row, name))
        if not left and _patiently(inbox, lambda: api.get(row.kind, name)) is None:
            return
        if time.monotonic() > ends:
            pods = [p["metadata"]["name"] for p in left]
            raise DeadlineError(
                f"{row.kind[1]} {name} must be gone within {within_s:g} s of its deletion, found it there with the "
                f"replicas {pods}: see whether a node is lost or a finalizer holds it, and run the step again"
            )
        inbox.wait(delay_s)
        delay_s = min(delay_s * 2, 2.0)


def _drop(api: Api, row: JobKind, name: str) -> None:
    """Delete a job on the way out: the error that led here counts, not that of the deletion."""
    try:
        api.delete(row.kind, name)
    except ApiError as e:
        _log.error(f"{row.kind[1]} {name} must be deleted by hand, it may still run: {e}")


def _to_its_end(api: Api, row: JobKind, manifest: Object, job: Object, inbox: _Inbox, limits: Limits) -> Object:
    noted = job["metadata"].get("annotations") or {}
    number, began = int(noted.get(ATTEMPT, 1)), noted.get(BEGAN) or job["metadata"]["creationTimestamp"]
    ends = epoch(began) + limits.deadline_s if limits.deadline_s else None
    stream = LogStream(api, container=row.container)
    try:
        while True:
            left = max(0, limits.restarts + 1 - number)
            attempt = Attempt(api, row, job, inbox=inbox, stream=stream, limits=limits, ends=ends, left=left)
            job, pods = attempt.wait()
            stream.drain(pods)
            if condition(job, row.succeeded):
                return job
            if _led(row, pods):
                deciding = ",".join(f"{k.rpartition('/')[2]}={v}" for k, v in row.leader.items())
                _log.warning(f"{row.kind[1]} {job['metadata']['name']} is called failed, but {deciding} succeeded")
                return job
            if _timed_out(row, job):
                raise DeadlineError(f"{row.kind[1]} {job['metadata']['name']} must end in time: {_said(row, job)}")
            pods = _with_cause(api, row, job["metadata"]["name"], pods, inbox, stream)
            failure = _failure(row, job, pods, stream, number)
            if not row.restarted_by_step or not left or failure.exit_code in limits.hopeless:
                _end_the_rest(api, row, job["metadata"]["name"], inbox)
                raise failure
            number += 1
            _log.warning(f"{str(failure).splitlines()[0]}; attempt {number} of {limits.restarts + 1} begins")
            remove(api, row, job["metadata"]["name"], inbox=inbox, within_s=limits.patience.gone_s)
            inbox.clear()  # what was told of the job that is gone
            job = create_or_attach(api, _again(manifest, number, began), inbox=inbox, patience=limits.patience)
    finally:
        stream.close()


def _again(manifest: Object, number: int, began: str) -> Object:
    """The manifest of another attempt; the name and the digest stay."""
    metadata = manifest["metadata"]
    annotations = {**metadata["annotations"], ATTEMPT: str(number), BEGAN: began}
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}


def _led(row: JobKind, pods: Sequence[Object]) -> bool:
    """Whether the replica succeeded whose success is the job's.

    The operator looks at replicas in no certain order: it may see a peer that failed afterwards first.
    """
    return any(row.leads(p) and p.get("status", {}).get("phase") == "Succeeded" for p in pods)


def _end_the_rest(api: Api, row: JobKind, name: str, inbox: _Inbox) -> None:
    """See that nothing of a failed job runs on; a controller that leaves replicas running loses the job."""
    ends = time.monotonic() + CLEAN_S
    while left := active(_patiently(inbox, lambda: pods_of(api, row, name))):
        if time.monotonic() > ends:
            _log.warning(f"{row.kind[1]} {name} is deleted: {left} ran on after it had failed")
            api.delete(row.kind, name)
            return
        inbox.wait(0.2)


def _with_cause(
    api: Api, row: JobKind, name: str, pods: Sequence[Object], inbox: _Inbox, stream: LogStream
) -> list[Object]:
    """The pods, once one is among them whose failure is not another's consequence: its node may be late to tell."""
    ends, seen = time.monotonic() + CAUSE_S, {p["metadata"].get("uid", ""): p for p in pods}
    while time.monotonic() < ends:
        found = failures(seen.values())
        if not found or any(f.exit_code not in CONSEQUENCES for f in found) or not active(seen.values()):
            break
        inbox.wait(0.1)
        seen |= {p["metadata"].get("uid", ""): p for p in _patiently(inbox, lambda: pods_of(api, row, name))}
        stream.drain(list(seen.values()))
    return list(seen.values())


def _failure(row: JobKind, job: Object, pods: Sequence[Object], stream: LogStream, number: int) -> JobFailedError:
    what = f"{row.kind[1]} {job['metadata']['name']} failed" + (f" in its attempt {number}" if number > 1 else "")
    what += f": {_said(row, job)}"
    first = next(iter(failures(pods)), None)
    if first is None:
        return JobFailedError(what)
    tail = stream.tail(first)
    return JobFailedError(
        f"{what}; first failed replica {first}", replica=first.replica, exit_code=first.exit_code, tail=tail
    )


def _said(row: JobKind, job: Object) -> str:
    """What the controller says of a failed job."""
    failed = condition(job, row.failed) or {}
    return f"{failed.get('reason', '')}: {failed.get('message', '')}"


def _timed_out(row: JobKind, job: Object) -> bool:
    """Whether the controller ended a job for its deadline: neither has a reason of its own for every version."""
    said = _said(row, job)
    return "DeadlineExceeded" in said or "specified deadline" in said


def _patiently(inbox: _Inbox, ask: Callable[[], T], *, within_s: float = 120.0) -> T:
    """What ``ask`` gives, asked again while the API server is away or overrun."""
    ends, delay_s = time.monotonic() + within_s, 0.1
    while True:
        inbox.check()
        try:
            return ask()
        except ApiError as e:
            if e.status not in TRANSIENT or time.monotonic() > ends:
                raise
        inbox.wait(delay_s)
        delay_s = min(delay_s * 2, 5.0)
