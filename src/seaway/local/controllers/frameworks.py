"""How the training operator's kinds judge their jobs and speak of them: one row a kind, of pure functions.

Source: pkg/controller.v1/{pytorch,jax,tensorflow} of the training operator 1.9.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from seaway.local.api.rules.tfjob import ALL_WORKERS
from seaway.local.api.status import Object
from seaway.local.controllers.replicagroups import Group
from seaway.local.controllers.sight import Sight


@dataclass(frozen=True, kw_only=True)
class Framework:
    """What one kind's controller does in its own way."""

    succeeded: Callable[[Object, Sight], bool]
    """Whether the job has succeeded."""
    goes_on: Callable[[Object, Group], bool]
    """Whether a job goes on without a replica of a group that has failed for good."""
    completed: Callable[[Object, str], str]
    """Of a job and the type that leads it: the message of Succeeded."""
    running: Callable[[Object, str], str]
    failed: Callable[[Object, Group, int, bool], str]
    """Of a job, a group, how many failed, and whether by exit code: the message of Failed."""
    restarting: Callable[[Object, Group, int], str]


def of(job: Object) -> Framework:
    """The row of a job's kind."""
    return _FRAMEWORKS[job["kind"]]


def _short(job: Object) -> str:
    return f"{job['kind']} {job['metadata']['name']}"


def _long(job: Object) -> str:
    return f"{job['kind']} {job['metadata']['namespace']}/{job['metadata']['name']}"


def _completed(job: Object, leader: str) -> str:
    if leader == "Master":
        return f"{_short(job)} is successfully completed."
    return f"{_long(job)} successfully completed."


def _failed(job: Object, group: Group, count: int, by_code: bool) -> str:
    if by_code:
        return f'job "{job["metadata"]["name"]}" is failing because "{group.type}" replica(s) failed.'
    return f"{_short(job)} is failed because {count} {group.type} replica(s) failed."


def _restarting(job: Object, group: Group, count: int) -> str:
    return f"{_short(job)} is restarting because {count} {group.type} replica(s) failed."


def _torch_succeeded(job: Object, sight: Sight) -> bool:
    first = sight.groups[0]
    done = sight.count(first, "Succeeded")
    return done >= first.count or (sight.elastic and first.type == "Worker" and done > 0)


def _jax_succeeded(job: Object, sight: Sight) -> bool:
    return sight.count(sight.groups[0], "Succeeded") >= sight.groups[0].count


def _tf_succeeded(job: Object, sight: Sight) -> bool:
    leader = sight.leader
    if leader is None:
        return False
    if sight.count(leader, "Succeeded") >= leader.count:
        return True
    first = leader.type == "Worker" and job["spec"].get("successPolicy") != ALL_WORKERS
    return first and sight.phase((leader.label, 0)) == "Succeeded"


_FRAMEWORKS = {
    "PyTorchJob": Framework(
        succeeded=_torch_succeeded,
        goes_on=lambda job, group: False,
        completed=_completed,
        running=lambda job, leader: f"{_short(job) if leader == 'Master' else _long(job)} is running.",
        failed=_failed,
        restarting=_restarting,
    ),
    "JAXJob": Framework(
        succeeded=_jax_succeeded,
        goes_on=lambda job, group: False,
        completed=_completed,
        running=lambda job, leader: f"{_long(job)} is running.",
        failed=_failed,
        restarting=_restarting,
    ),
    "TFJob": Framework(
        succeeded=_tf_succeeded,
        goes_on=lambda job, group: group.type == "Worker" and bool(job["spec"].get("enableDynamicWorker")),
        completed=lambda job, leader: f"{_long(job)} successfully completed.",
        running=lambda job, leader: f"{_long(job)} is running.",
        failed=lambda job, group, count, by_code: (
            f"{_long(job)} has failed because {count} {group.type} replica(s) failed."
        ),
        restarting=lambda job, group, count: f"{_short(job)} is restarting because {group.type} replica(s) failed.",
    ),
}
