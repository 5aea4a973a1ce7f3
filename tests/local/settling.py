"""A training job and its children, as the reconcile loop keeps them, without a laptop."""

from __future__ import annotations

import copy
import itertools
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from seaway.local.api.times import stamp
from seaway.local.api.trainingkinds import of
from seaway.local.controllers.base import Observed
from seaway.local.controllers.trainingjob import TrainingJobController

Object = dict[str, Any]
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
# What may happen to a pod: how it ends, that it runs, or that someone deletes it.
FATES = st.sampled_from(["Running", "Running", "Succeeded", 1, 137, "deleted"])


class World:
    """A job and what is there of it, as the reconcile loop keeps it."""

    def __init__(self, job: Object) -> None:
        job["metadata"] |= {"uid": "u", "namespace": "default"}
        self.job, self.children, self.now = job, list[Object](), NOW
        self.controller = TrainingJobController(of(job), crash_delay_s=0.0)
        self._uids, self._ports = itertools.count(), itertools.count(20000)

    def observed(self) -> Observed:
        return Observed(now=self.now, children=tuple(self.children), free_port=lambda: next(self._ports))

    def look(self) -> None:
        """One reconciliation."""
        observed = self.observed()
        before = copy.deepcopy((self.job, self.children))
        wanted = self.controller.desired(self.job, observed)
        status = self.controller.status(self.job, observed)
        assert (self.job, self.children) == before
        kept = {id(one) for one in wanted}
        left = []
        for child in self.children:
            gone = child.get("status", {}).get("phase") not in ("Pending", "Running")
            if id(child) not in kept and not child["metadata"].get("deletionTimestamp"):
                if gone:
                    continue
                child["metadata"]["deletionTimestamp"] = stamp(self.now)
            left.append(child)
        new = [one for one in wanted if "uid" not in one["metadata"]]
        taken = {(one["kind"], one["metadata"]["name"]) for one in left}
        for child in copy.deepcopy(new):
            assert (child["kind"], child["metadata"]["name"]) not in taken
            child["metadata"] |= {"uid": str(next(self._uids)), "namespace": "default"}
            child["metadata"]["creationTimestamp"] = stamp(self.now)
            if child["kind"] == "Pod":
                child["status"] = {"phase": "Pending"}
            left.append(child)
        self.children = left
        if status:
            self.job = self.job | {"status": status}
            self.job["status"] = self.controller.status(self.job, self.observed())

    def settle(self) -> None:
        """Look until a look changes nothing."""
        for _ in range(6):
            before = copy.deepcopy((self.job, self.children))
            self.look()
            if before == (self.job, self.children):
                return
        raise AssertionError("it does not settle")

    def fate(self, number: int, what: Any) -> None:
        """Something happens to one of the pods."""
        pods = self.pods()
        if not pods:
            return
        pod = pods[number % len(pods)]
        if pod["metadata"].get("deletionTimestamp"):
            self.children.remove(pod)
        elif what == "deleted":
            pod["metadata"]["deletionTimestamp"] = stamp(self.now)
        elif pod["status"]["phase"] in ("Pending", "Running"):
            code = what if isinstance(what, int) else 0
            ended = {"exitCode": code, "startedAt": stamp(self.now), "finishedAt": stamp(self.now)}
            state = {"running": {}} if what == "Running" else {"terminated": ended}
            again = what != "Running" and pod["spec"]["restartPolicy"] in ("Always", "OnFailure") and code
            phase = "Running" if what == "Running" or again else "Failed" if code else "Succeeded"
            status = {"name": of(self.job).container, "restartCount": int(bool(again)), "state": state, "lastState": {}}
            pod["status"] = {"phase": phase, "containerStatuses": [status]}

    def pods(self) -> list[Object]:
        return [one for one in self.children if one["kind"] == "Pod"]

    def living(self) -> list[Object]:
        return [one for one in self.pods() if not one["metadata"].get("deletionTimestamp")]


def environment(pod: Object) -> dict[str, str]:
    """A pod's variables; of two of one name the last counts."""
    return {one["name"]: one["value"] for one in pod["spec"]["containers"][0]["env"]}
