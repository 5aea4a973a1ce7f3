from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from seaway.local.api.patch import json_patch, merge, removals, strategic
from seaway.local.api.rules import job as job_rules
from seaway.local.api.rules import pod as pod_rules
from seaway.local.api.times import stamp
from seaway.local.controllers import pod as pods
from seaway.local.controllers.base import Observed
from seaway.local.controllers.inferenceservice import InferenceServiceController
from seaway.local.controllers.job import ACTIVE_LIMIT, JobController
from tests.support.laptop import job

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
PHASES = st.sampled_from(["Pending", "Running", "Succeeded", "Failed"])
Objects = list[dict[str, Any]]


def a_job(**spec: Any) -> dict[str, Any]:
    manifest = job("one", "true", **spec)
    manifest["metadata"] |= {"uid": "u", "namespace": "default", "generation": 1}
    return job_rules.default(manifest)


def with_phase(number: int, phase: str, index: int | None = None) -> dict[str, Any]:
    ended = {"terminated": {"finishedAt": stamp(NOW - timedelta(hours=2)), "exitCode": int(phase == "Failed")}}
    status = {"phase": phase, "containerStatuses": [{"state": ended if phase in ("Succeeded", "Failed") else {}}]}
    metadata: dict[str, Any] = {"name": f"p{number}", "uid": f"p{number}", "creationTimestamp": stamp(NOW)}
    if index is not None:
        metadata["annotations"] = {"batch.kubernetes.io/job-completion-index": str(index)}
    return {"metadata": metadata, "status": status}


def created(wanted: Objects, before: Objects) -> Objects:
    """What the loop would leave: new children get a uid, unwanted ones go."""
    found = []
    for number, child in enumerate(wanted):
        if "uid" in child["metadata"]:
            found.append(child)
        else:
            made = copy.deepcopy(child)
            made["metadata"] |= {"name": f"n{len(before)}-{number}", "uid": f"n{len(before)}-{number}",
                                 "creationTimestamp": stamp(NOW)}  # fmt: skip
            made["status"] = {"phase": "Pending"}
            found.append(made)
    return found


@settings(deadline=None)
@given(
    phases=st.lists(PHASES, max_size=8),
    completions=st.integers(0, 6) | st.none(),
    parallelism=st.integers(0, 4),
    backoff=st.integers(0, 6),
    suspend=st.booleans(),
    indexed=st.booleans(),
)
def test_a_second_look_at_a_job_wants_nothing_more(
    phases: list[str], completions: int | None, parallelism: int, backoff: int, suspend: bool, indexed: bool
) -> None:
    spec: dict[str, Any] = {"parallelism": parallelism, "backoffLimit": backoff, "suspend": suspend}
    if completions is not None:
        spec["completions"] = completions
    indexed = indexed and completions is not None
    if indexed:
        spec["completionMode"] = "Indexed"
    manifest = a_job(**spec)
    before = [with_phase(i, phase, i % (completions or 1) if indexed else None) for i, phase in enumerate(phases)]
    controller = JobController()
    unchanged = copy.deepcopy((manifest, before))
    manifest_now, seen = manifest, before
    for _ in range(3):
        observed = Observed(now=NOW, children=seen)
        wanted = controller.desired(manifest_now, observed)
        manifest_now = manifest_now | {"status": controller.status(manifest_now, observed)}
        after = created(wanted, seen)
        settled = [c["metadata"]["uid"] for c in after] == [c["metadata"]["uid"] for c in seen]
        seen = after
    assert settled
    assert (manifest, before) == unchanged
    active = [one for one in seen if one["status"]["phase"] in ("Pending", "Running")]
    assert len(active) <= parallelism or completions is None or suspend is False
    status = controller.status(manifest_now, Observed(now=NOW + timedelta(seconds=1), children=seen))
    assert status == manifest_now["status"] | {k: v for k, v in status.items() if k not in manifest_now["status"]}


@given(failures=st.integers(1, 6))
def test_the_wait_after_failures_doubles(failures: int) -> None:
    manifest = a_job(backoffLimit=10)
    children = [with_phase(number, "Failed") for number in range(failures)]
    for child in children:
        child["status"]["containerStatuses"][0]["state"]["terminated"]["finishedAt"] = stamp(NOW)
    controller = JobController(backoff_s=10)
    due = controller.due_s(manifest, Observed(now=NOW, children=children))
    assert due == min(600, 10 * 2 ** (failures - 1))
    assert len(controller.desired(manifest, Observed(now=NOW, children=children))) == failures


@given(policy=st.sampled_from(["Always", "OnFailure", "Never"]), codes=st.lists(st.integers(0, 3), max_size=4))
def test_a_pod_never_starts_what_runs_or_has_ended_for_good(policy: str, codes: list[int]) -> None:
    spec = {"containers": [{"name": "c", "image": "x", "command": ["true"]}], "restartPolicy": policy}
    pod = pod_rules.default({"metadata": {"name": "p"}, "spec": spec})
    long_ago = NOW - timedelta(hours=2)
    runs = [
        pods.Run(number=n, started=long_ago, finished=long_ago + timedelta(seconds=1), exit_code=code)
        for n, code in enumerate(codes)
    ]
    seen = pods.Seen(now=NOW, runs={"c": runs} if runs else {})
    plan = pods.plan(pod, seen)
    again = not codes or policy == "Always" or (policy == "OnFailure" and codes[-1] != 0)
    assert plan.start == (("c",) if again else ())
    running = [*runs, pods.Run(number=len(runs), started=NOW)]
    assert pods.plan(pod, pods.Seen(now=NOW, runs={"c": running})).start == ()
    status = pods.status(pod, seen)
    assert pods.status(pod | {"status": status}, seen) == status
    assert (status["phase"] in ("Succeeded", "Failed")) == bool(codes and policy != "Always" and not again)


def a_service(**predictor: Any) -> dict[str, Any]:
    container = {"image": "x", "command": ["serve"]}
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "s", "uid": "u", "generation": 1, "namespace": "default"},
        "spec": {"predictor": {"containers": [container]} | predictor},
    }


@given(replicas=st.integers(1, 4), ready=st.lists(st.booleans(), max_size=5))
def test_a_second_look_at_a_service_wants_nothing_more(replicas: int, ready: list[bool]) -> None:
    controller, ports = InferenceServiceController(), iter(range(20000, 21000))
    manifest = a_service(minReplicas=replicas)
    manifest["status"] = controller.status(manifest, Observed(now=NOW, free_port=lambda: next(ports)))
    children: Objects = []
    for _ in range(3):
        observed = Observed(now=NOW, children=children, free_port=lambda: next(ports))
        after = created(controller.desired(manifest, observed), children)
        for child, one in zip(after, ready, strict=False):
            child["status"] = {"conditions": [{"type": "Ready", "status": str(one)}]}
        settled = {c["metadata"]["uid"] for c in after} == {c["metadata"]["uid"] for c in children}
        children = after
    assert settled
    assert len(children) == replicas
    status = controller.status(manifest, Observed(now=NOW, children=children))
    assert controller.status(manifest | {"status": status}, Observed(now=NOW, children=children)) == status
    assert status["url"] == manifest["status"]["url"]


JSON = st.recursive(
    st.integers() | st.text(max_size=3) | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=4),
    max_leaves=8,
)
DICTS = st.dictionaries(st.sampled_from("abcd"), JSON, max_size=4)


@settings(max_examples=50, deadline=None)
@given(before=DICTS, after=DICTS)
def test_merge_applied_twice_is_merge_applied_once(before: Any, after: Any) -> None:
    unchanged = copy.deepcopy(before)
    once = merge(before, after)
    assert merge(once, after) == once
    assert before == unchanged


@settings(max_examples=50, deadline=None)
@given(before=DICTS, after=DICTS)
def test_what_a_manager_leaves_out_is_taken_away(before: Any, after: Any) -> None:
    dropped = merge(before, removals(before, after, by_key=False))
    assert merge(dropped, after) == after


def test_strategic_merge_merges_lists_by_their_key() -> None:
    before = {"containers": [{"name": "a", "image": "1", "env": [{"name": "X", "value": "1"}]}, {"name": "b"}]}
    patch = {
        "$setElementOrder/containers": [{"name": "c"}, {"name": "a"}],
        "containers": [
            {"name": "a", "env": [{"name": "Y", "value": "2"}]},
            {"$patch": "delete", "name": "b"},
            {"name": "c"},
        ],
    }
    assert strategic(before, patch) == {
        "containers": [
            {"name": "c"},
            {"name": "a", "image": "1", "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}]},
        ]
    }


def test_json_patch_follows_rfc_6902() -> None:
    operations = [
        {"op": "test", "path": "/a/0", "value": 1},
        {"op": "add", "path": "/a/-", "value": 3},
        {"op": "move", "from": "/b", "path": "/c~1d"},
        {"op": "remove", "path": "/a/0"},
    ]
    assert json_patch({"a": [1, 2], "b": {}}, operations) == {"a": [2, 3], "c/d": {}}


def test_a_job_of_any_size_has_a_bounded_number_of_pods_at_a_time() -> None:
    most = 2**31 - 1
    for mode in ("Indexed", "NonIndexed"):
        manifest = a_job(parallelism=most, completions=most, completionMode=mode)
        assert len(JobController().desired(manifest, Observed(now=NOW))) == ACTIVE_LIMIT
