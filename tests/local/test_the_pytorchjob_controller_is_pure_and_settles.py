from __future__ import annotations

import copy
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seaway.local.api.times import stamp
from seaway.local.controllers.base import Observed
from seaway.local.controllers.exits import tell
from seaway.local.controllers.scheduling import insufficient
from tests.local.pytorchjobs import Object, conditions, pytorchjob, replica
from tests.local.settling import FATES, NOW, World, environment

POLICIES = st.sampled_from(["Always", "OnFailure", "Never", "ExitCode"])
CLEAN = st.sampled_from(["None", "Running", "All"])


@st.composite
def jobs(draw: st.DrawFn) -> Object:
    master = draw(st.booleans())
    workers = draw(st.integers(0 if master else 1, 3))
    run: Object = {"cleanPodPolicy": draw(CLEAN)}
    if draw(st.booleans()):
        run["backoffLimit"] = draw(st.integers(0, 3))
    if draw(st.booleans()):
        run["activeDeadlineSeconds"] = 60
    more: Object = {"elasticPolicy": {}} if workers and draw(st.booleans()) else {}
    return pytorchjob(
        "job",
        master=replica(["x"], policy=draw(POLICIES)) if master else None,
        worker=replica(["x"], replicas=workers, policy=draw(POLICIES)) if workers else None,
        run=run,
        **more,
    )


@given(master=st.booleans(), workers=st.integers(0, 12), processes=st.sampled_from(["auto", "1", "4", None]))
def test_ranks_are_a_permutation_and_the_world_has_its_size(master: bool, workers: int, processes: str | None) -> None:
    job = pytorchjob(
        "job",
        master=replica(["x"]) if master or not workers else None,
        worker=replica(["x"], replicas=workers) if workers else None,
        **({} if processes is None else {"nprocPerNode": processes}),
    )
    world = World(job)
    world.settle()
    found = [environment(pod) for pod in world.pods()]
    count = int(master or not workers) + workers
    assert len(found) == count
    assert {one["PET_NNODES"] for one in found} == {str(count)}
    assert {one["PET_NPROC_PER_NODE"] for one in found} == {processes or "auto"}
    if master or not workers:
        assert sorted(int(one["RANK"]) for one in found) == list(range(count))
        assert {int(one["WORLD_SIZE"]) for one in found} == {count * (int(processes) if processes in ("1", "4") else 1)}
        assert {one["MASTER_PORT"] for one in found} == {"20000"}
    else:
        assert not [name for one in found for name in one if name in ("RANK", "WORLD_SIZE", "MASTER_ADDR")]


@given(job=jobs(), fates=st.lists(st.tuples(st.integers(0, 9), FATES), max_size=12))
def test_after_whatever_happens_a_second_look_changes_nothing(job: Object, fates: list[tuple[int, Any]]) -> None:
    world = World(job)
    world.settle()
    ended: Object | None = None
    for number, what in fates:
        world.now += timedelta(seconds=1)
        world.fate(number, what)
        world.settle()
        found = conditions(world.job)
        if ended is not None:
            assert world.job["status"] == ended
        if {"Succeeded", "Failed"} & {type_ for type_, status in found.items() if status == "True"}:
            ended = ended or world.job["status"]
            assert not {"Succeeded", "Failed"} <= set(found)
            clean = job["spec"]["runPolicy"]["cleanPodPolicy"]
            phases = {pod["status"]["phase"] for pod in world.living()}
            assert phases <= {"All": set(), "Running": {"Succeeded", "Failed"}}.get(clean, phases)
        else:
            count = sum(one["replicas"] for one in job["spec"]["pytorchReplicaSpecs"].values())
            names = {pod["metadata"]["name"] for pod in world.pods()}
            assert len(names) == count == len(world.pods())
            assert len({environment(pod).get("MASTER_PORT") for pod in world.pods()}) == 1
        assert found.get("Running") != "True" or found.get("Restarting") != "True"


@given(job=jobs(), fates=st.lists(st.tuples(st.integers(0, 9), FATES), max_size=8))
def test_a_deadline_ends_every_job_that_still_goes_on(job: Object, fates: list[tuple[int, Any]]) -> None:
    job["spec"]["runPolicy"] |= {"activeDeadlineSeconds": 60}
    job["spec"]["runPolicy"].pop("backoffLimit", None)
    world = World(job)
    for number, what in fates:
        world.settle()
        world.fate(number, what)
    world.settle()
    goes_on = not {"Succeeded", "Failed"} & set(conditions(world.job))
    due = world.controller.due_s(world.job, world.observed())
    assert (due is not None) == goes_on
    assert due is None or due <= 60.01
    world.now += timedelta(seconds=60)
    world.settle()
    assert {"Succeeded", "Failed"} & set(conditions(world.job))


@given(fates=st.lists(st.tuples(st.integers(0, 9), FATES), max_size=6), again=st.booleans())
def test_a_suspended_job_has_no_pods_whatever_came_before(fates: list[tuple[int, Any]], again: bool) -> None:
    world = World(pytorchjob("job", worker=replica(["x"], replicas=2, policy="OnFailure")))
    for number, what in fates:
        world.settle()
        world.fate(number, what)
    world.settle()
    if "Succeeded" in conditions(world.job):
        return
    world.job["spec"]["runPolicy"]["suspend"] = True
    world.settle()
    assert world.living() == []
    assert conditions(world.job)["Suspended"] == "True"
    assert conditions(world.job).get("Running") != "True"
    if again:
        world.now += timedelta(hours=1)
        world.children = []
        world.job["spec"]["runPolicy"]["suspend"] = False
        world.settle()
        assert len(world.living()) == 2
        assert world.job["status"]["startTime"] == stamp(world.now)


@pytest.mark.parametrize(
    ("code", "reason", "verdict"),
    [(1, "Error", "Failed"), (127, "Error", "Failed"), (128, "Error", ""), (137, "OOMKilled", ""),
     (0, "NodeShutdown", ""), (1, "NodeShutdown", "")],
)  # fmt: skip
def test_by_exit_code_signals_and_the_laptops_end_are_retried(code: int, reason: str, verdict: str) -> None:
    run = {"backoffLimit": 1 if reason == "NodeShutdown" else 2}
    world = World(pytorchjob("job", master=replica(["x"], policy="ExitCode"), run=run))
    world.settle()
    (first,) = world.pods()
    world.fate(0, code)
    first["status"]["phase"] = "Failed"
    first["status"]["containerStatuses"][0]["state"]["terminated"]["reason"] = reason
    world.settle()
    assert ("Failed" in conditions(world.job)) == (verdict == "Failed")
    (pod,) = world.pods()
    assert (pod["metadata"]["uid"] == first["metadata"]["uid"]) == (verdict == "Failed")
    # The end of the laptop is no fault of the job, and does not count.
    again = pod["metadata"]["annotations"]["seaway.dev/restarts"]
    assert again == str(int(not verdict and reason != "NodeShutdown"))


def test_a_taken_port_makes_all_begin_anew_but_not_the_workers_of_an_elastic_job() -> None:
    for elastic, begins in ((False, True), (True, False)):
        more: Object = {"elasticPolicy": {}} if elastic else {}
        job = pytorchjob("job", master=None if elastic else replica(["x"]), worker=replica(["x"], replicas=2), **more)
        world = World(job)
        world.settle()
        for number in (0, 1, 2):
            world.fate(number, "Running")
        world.fate(0, 1)
        taken = Observed(now=NOW, children=tuple(world.children), in_use=lambda port: True)
        assert (world.controller.desired(world.job, taken) == []) == begins
        status = world.controller.status(world.job, taken)
        assert ("Restarting" in {one["type"] for one in status["conditions"]}) == begins


@given(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3))
def test_a_pod_is_placed_where_there_are_devices_enough(first: int, second: int, there: int) -> None:
    def container(count: int) -> Object:
        return {"resources": {"limits": {"nvidia.com/gpu": count, "cpu": "64", "memory": "1Ti"}}}

    pod = {"spec": {"containers": [container(first)], "initContainers": [container(second)]}}
    words = insufficient(pod, {"nvidia.com/gpu": there})
    assert (words == "") == (max(first, second) <= there)
    assert words in ("", "0/1 nodes are available: 1 Insufficient nvidia.com/gpu.")


def test_an_exit_is_told_once_and_that_of_a_deleted_pod_not_at_all() -> None:
    world = World(pytorchjob("job", master=replica(["x"])))
    world.settle()
    (before,) = copy.deepcopy(world.pods())
    world.fate(0, 1)
    (after,) = world.pods()
    told = tell(world.job, before, after)
    assert [reason for _, reason, _ in told] == ["ExitedWithCode", "Error"]
    assert tell(world.job, after, after) == []
    gone = after | {"metadata": after["metadata"] | {"deletionTimestamp": stamp(NOW)}}
    assert tell(world.job, before, gone) == []
