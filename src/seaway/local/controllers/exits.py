"""What the pods of a training operator's job tell of it, as events. Pure.

Source: pkg/controller.v1/common/pod.go and RecordAbnormalPods in pkg/core/job.go of the training operator 1.9.
"""

from __future__ import annotations

from seaway.local.api.status import Object
from seaway.local.api.trainingkinds import of
from seaway.local.controllers import replicas
from seaway.local.controllers.base import condition
from seaway.local.controllers.replicagroups import groups

Event = tuple[str, str, str]
"""Type, reason and message."""
_SAID = 800
"""Characters of a container's last words: of a long message the end says most."""


def tell(job: Object, before: Object | None, after: Object) -> list[Event]:
    """The events that a change of a pod makes for its job."""
    if after["kind"] != "Pod" or after["metadata"].get("deletionTimestamp"):
        # That what is deleted ends is no news.
        return []
    found = []
    type_ = replicas.place(after)[1]
    group = next((one for one in groups(job) if one.label == type_), None)
    if before is None and group is not None and group.template.get("spec", {}).get("restartPolicy"):
        text = "Restart policy in pod template will be overwritten by restart policy in replica spec"
        found.append(("Warning", "SetPodTemplateRestartPolicy", text))
    was = {one.get("name"): one for one in ((before or {}).get("status") or {}).get("containerStatuses") or []}
    for one in (after.get("status") or {}).get("containerStatuses") or []:
        found += _exits(after, was.get(one.get("name"), {}), one, of(job).container)
    scheduled = condition(after, "PodScheduled")
    if scheduled.get("status") == "False" and not (before and condition(before, "PodScheduled") == scheduled):
        text = f"Error pod {after['metadata']['name']} condition message: {scheduled.get('message', '')}"
        found.append(("Warning", scheduled.get("reason", "Unschedulable"), text))
    return found


def _exits(pod: Object, before: Object, after: Object, trains: str) -> list[Event]:
    """What to tell of a container that has ended or cannot start; anyone may write a status, of any form."""
    name, container = pod["metadata"]["name"], after.get("name", "")
    state = after.get("state") or {}
    waiting, was = state.get("waiting") or {}, (before.get("state") or {}).get("waiting") or {}
    if waiting.get("message") and waiting != was and waiting.get("reason") != "CrashLoopBackOff":
        text = f"Error pod {name} container {container} waiting message: {waiting['message']}"
        return [("Warning", waiting.get("reason") or "Waiting", text)]
    ended = state.get("terminated") or (after.get("lastState") or {}).get("terminated") or {}
    if _ends(after) <= _ends(before) or "exitCode" not in ended:
        return []
    code = ended["exitCode"]
    text = f"Pod: {pod['metadata']['namespace']}.{name} exited with code {code}"
    found = [("Normal", "ExitedWithCode", text)] if container == trains else []
    if code:
        said = (ended.get("message") or "")[-_SAID:]
        text = f"Error pod {name} container {container} exitCode: {code} terminated message: {said}"
        found.append(("Warning", ended.get("reason") or "Error", text))
    return found


def _ends(status: Object) -> int:
    """How many runs of a container have ended."""
    state = status.get("state") or {}
    over = "terminated" in state or (state.get("waiting") or {}).get("reason") == "CrashLoopBackOff"
    return int(status.get("restartCount", 0)) + over
