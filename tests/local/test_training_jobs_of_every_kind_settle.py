from __future__ import annotations

import copy
import json
from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from seaway.local.api.rules import job as job_rules
from seaway.local.api.rules import trainingruntime
from seaway.local.api.rules import trainjob as rules
from seaway.local.api.runtimes import BUILT_IN
from seaway.local.api.times import stamp
from seaway.local.controllers.base import Observed
from seaway.local.controllers.job import JobController
from seaway.local.controllers.trainjob import TrainJobController
from seaway.local.processes.environment import launch
from seaway.training.world import world as world_of
from tests.local.pytorchjobs import conditions, message, pytorchjob
from tests.local.pytorchjobs import replica as torch_replica
from tests.local.settling import FATES, NOW, World, environment
from tests.local.trainingjobs import Object, job, replica, trainjob

POLICIES = st.sampled_from(["Always", "OnFailure", "Never", "ExitCode"])
RUNTIMES = {one["metadata"]["name"]: trainingruntime.default(one) for one in BUILT_IN}


@st.composite
def jobs(draw: st.DrawFn) -> Object:
    """A JAXJob or a TFJob of any replicas."""
    kind = draw(st.sampled_from(["JAXJob", "TFJob"]))
    types = {"Worker": draw(st.integers(1, 3))}
    run: Object = {"cleanPodPolicy": draw(st.sampled_from(["None", "Running", "All"]))}
    more: Object = {}
    if draw(st.booleans()):
        run["backoffLimit"] = draw(st.integers(0, 3))
    if kind == "TFJob":
        types |= draw(st.sampled_from([{}, {"Chief": 1}, {"Master": 1}]))
        types |= draw(st.sampled_from([{}, {"PS": 2}, {"Evaluator": 1}, {"PS": 1, "Evaluator": 1}]))
        more = draw(st.sampled_from([{}, {"successPolicy": "AllWorkers"}, {"enableDynamicWorker": True}]))
    replicas = {type_: replica(kind, ["x"], replicas=count, policy=draw(POLICIES)) for type_, count in types.items()}
    return job(kind, "job", replicas, run=run, **more)


@given(master=st.booleans(), workers=st.integers(0, 9), kind=st.sampled_from(["PyTorchJob", "JAXJob", "TFJob"]))
def test_the_environment_of_every_replica_is_a_world_of_all_ranks_and_one_address(
    master: bool, workers: int, kind: str
) -> None:
    if kind == "PyTorchJob":
        count = 1 + workers
        more: Object = {"worker": torch_replica(["x"], replicas=workers)} if workers else {}
        manifest = pytorchjob("job", master=torch_replica(["x"]), **more)
    else:
        leads = {"Chief": replica(kind, ["x"])} if master and kind == "TFJob" else {}
        count = len(leads) + max(1, workers)
        manifest = job(kind, "job", leads | {"Worker": replica(kind, ["x"], replicas=max(1, workers))})
    world = World(manifest)
    world.settle()
    found = [world_of(environment(pod)) for pod in world.pods()]
    assert sorted(one.place.rank for one in found) == list(range(count))
    assert {one.place.world_size for one in found} == {count}
    assert len({one.address for one in found}) == 1
    assert count == 1 or found[0].host == "127.0.0.1"
    if kind == "TFJob" and count > 1:
        assert len(set(found[0].hosts)) == count, "every replica has a port of its own"


@given(nodes=st.integers(1, 9), name=st.sampled_from(sorted(RUNTIMES)), processes=st.sampled_from([None, 1]))
def test_the_environment_of_every_node_is_a_world_of_all_ranks(nodes: int, name: str, processes: int | None) -> None:
    more = {} if processes is None else {"trainer": {"numProcPerNode": processes}}
    pods = Set(trainjob("job", ["sh"], runtime=name, nodes=nodes, **more)).pods()
    assert [pod["metadata"]["annotations"]["seaway.dev/port"] for pod in pods] == ["20000"] * nodes
    found = []
    for number, pod in enumerate(pods):
        pod["metadata"] |= {"name": f"pod-{number}", "uid": f"p{number}", "namespace": "default"}
        env = launch(pod, pod["spec"]["containers"][0], lambda *_: None, {"PATH": "/usr/bin:/bin"}).env
        found.append(world_of(env))
    assert sorted(one.place.rank for one in found) == list(range(nodes))
    assert {(one.place.world_size, one.address) for one in found} == {
        (nodes, "127.0.0.1:20000" if nodes > 1 else ":0"),
    }


@given(job=jobs(), fates=st.lists(st.tuples(st.integers(0, 9), FATES), max_size=10))
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
            phases = {pod["status"]["phase"] for pod in world.living()}
            clean = job["spec"]["runPolicy"]["cleanPodPolicy"]
            assert phases <= {"All": set(), "Running": {"Succeeded", "Failed"}}.get(clean, phases)
        else:
            ports = [one["metadata"]["annotations"]["seaway.dev/port"] for one in world.pods()]
            assert len(set(ports)) == (1 if job["kind"] == "JAXJob" else len(ports))
        assert found.get("Running") != "True" or found.get("Restarting") != "True"


def test_tf_config_names_every_replica_but_evaluators_and_stands_in_one_container() -> None:
    kind = "TFJob"
    worker = replica(kind, ["x"], replicas=2)
    worker["template"]["spec"]["containers"].append({"name": "side", "image": "x", "command": ["x"]})
    replicas = {"worker": worker, "PS": replica(kind, ["x"]), "Evaluator": replica(kind, ["x"])}
    world = World(job(kind, "job", replicas))
    world.settle()
    pods = {pod["metadata"]["name"]: pod for pod in world.pods()}
    assert sorted(pods) == ["job-evaluator-0", "job-ps-0", "job-worker-0", "job-worker-1"]
    first, side = pods["job-worker-0"]["spec"]["containers"]
    assert "env" not in side
    found = json.loads(environment(pods["job-worker-1"])["TF_CONFIG"])
    ports = {name: int(pod["metadata"]["annotations"]["seaway.dev/port"]) for name, pod in pods.items()}
    assert found == {
        "cluster": {
            "ps": [f"127.0.0.1:{ports['job-ps-0']}"],
            "worker": [f"127.0.0.1:{ports['job-worker-0']}", f"127.0.0.1:{ports['job-worker-1']}"],
        },
        "task": {"type": "worker", "index": 1},
        "environment": "cloud",
    }
    assert first["ports"] == [{"name": "tfjob-port", "containerPort": ports["job-worker-0"]}]
    alone = World(job(kind, "job", {"Worker": replica(kind, ["x"])}))
    alone.settle()
    assert environment(alone.pods()[0]) == {}


def test_a_dynamic_worker_is_told_of_itself_and_may_be_lost() -> None:
    replicas = {"Worker": replica("TFJob", ["x"], replicas=2), "PS": replica("TFJob", ["x"])}
    world = World(job("TFJob", "job", replicas, enableDynamicWorker=True))
    world.settle()
    pods = {pod["metadata"]["name"]: pod for pod in world.pods()}
    port = {name: pod["metadata"]["annotations"]["seaway.dev/port"] for name, pod in pods.items()}
    assert json.loads(environment(pods["job-worker-1"])["TF_CONFIG"]) == {
        "sparseCluster": {
            "worker": {"1": f"127.0.0.1:{port['job-worker-1']}"},
            "ps": [f"127.0.0.1:{port['job-ps-0']}"],
        },
        "task": {"type": "worker", "index": 1},
    }
    names = [pod["metadata"]["name"] for pod in world.pods()]
    world.fate(names.index("job-worker-1"), 1)
    world.settle()
    assert set(conditions(world.job)) == {"Created"}
    world.fate(names.index("job-ps-0"), 1)
    world.settle()
    assert message(world.job, "Failed") == "TFJob default/job has failed because 1 PS replica(s) failed."


class Set:
    """A TrainJob and its Job, as the reconcile loop keeps them."""

    def __init__(self, manifest: Object, runtimes: dict[str, Object] = RUNTIMES) -> None:
        manifest["metadata"] |= {"uid": "t", "namespace": "default", "creationTimestamp": stamp(NOW)}
        self.job, self.children, self.now, self.port, self.made = rules.default(manifest), list[Object](), NOW, 19999, 0
        self.controller = TrainJobController(lambda resource, namespace, name: runtimes.get(name))

    def observed(self) -> Observed:
        def draw() -> int:
            self.port += 1
            return self.port

        return Observed(now=self.now, children=tuple(self.children), free_port=draw)

    def settle(self) -> None:
        for _ in range(4):
            before = copy.deepcopy((self.job, self.children))
            wanted = copy.deepcopy(self.controller.desired(self.job, self.observed()))
            status = self.controller.status(self.job, self.observed())
            assert before == (self.job, self.children)
            for child in wanted:
                if "uid" not in child["metadata"]:
                    self.made += 1
                    child["metadata"]["uid"] = f"u{self.made}"
            self.children = [job_rules.default(one) if one["kind"] == "Job" else one for one in wanted]
            self.job = self.job | {"status": status} if status else self.job
            self.job["status"] = self.controller.status(self.job, self.observed())
            if (self.job.get("status") or {}, self.children) == (before[0].get("status") or {}, before[1]):
                return
        raise AssertionError("it does not settle")

    def batch(self) -> Object:
        (found,) = [one for one in self.children if one["kind"] == "Job"]
        return found

    def end(self, type_: str) -> None:
        self.batch()["status"] = {"conditions": [{"type": type_, "status": "True"}]}
        self.settle()

    def pods(self) -> list[Object]:
        self.settle()
        return copy.deepcopy(JobController().desired(self.batch(), Observed(now=self.now)))


def test_a_set_is_complete_failed_suspended_or_late_in_the_trainers_words() -> None:
    done = Set(trainjob("job", ["x"]))
    done.settle()
    done.end("Complete")
    assert message(done.job, "Complete") == "jobset completed successfully"
    assert done.job["status"]["jobsStatus"][0]["succeeded"] == 1
    failed = Set(trainjob("job", ["x"]))
    failed.settle()
    failed.end("Failed")
    assert failed.job["status"]["conditions"][0]["reason"] == "FailedJobs"
    assert "(first failed job: job-node-0)" in message(failed.job, "Failed")
    late = Set(trainjob("job", ["x"], activeDeadlineSeconds=60))
    late.settle()
    assert late.controller.due_s(late.job, late.observed()) == 60.01
    late.now += timedelta(seconds=60)
    late.settle()
    assert late.children == []
    assert late.job["status"]["conditions"][0]["reason"] == "DeadlineExceeded"
    rests = Set(trainjob("job", ["x"], suspend=True))
    rests.settle()
    assert rests.batch()["spec"]["suspend"] is True
    rests.job["spec"]["suspend"] = False
    rests.settle()
    assert rests.batch()["spec"]["suspend"] is False
    assert [one["reason"] for one in rests.job["status"]["conditions"]] == ["Resumed"]


def test_a_set_begins_anew_as_often_as_its_runtime_says() -> None:
    runtime = copy.deepcopy(RUNTIMES["torch-distributed"])
    runtime["spec"]["template"]["spec"]["failurePolicy"] = {"maxRestarts": 1}
    one = Set(trainjob("job", ["x"], runtime="mine"), {"mine": runtime})
    one.settle()
    one.end("Failed")
    assert one.batch()["metadata"]["labels"]["jobset.sigs.k8s.io/restart-attempt"] == "1"
    assert one.batch()["metadata"]["annotations"]["seaway.dev/port"] == "20001"
    one.end("Failed")
    assert one.job["status"]["conditions"][0]["reason"] == "ReachedMaxRestarts"


def test_processes_a_node_are_the_cores_that_it_asks_for() -> None:
    def told(**trainer: Any) -> str:
        container = Set(trainjob("job", ["x"], trainer=trainer)).pods()[0]["spec"]["containers"][0]
        return next(one["value"] for one in container["env"] if one["name"] == "PET_NPROC_PER_NODE")

    assert told() == "auto"
    assert told(numProcPerNode=3) == told(numProcPerNode=3, resourcesPerNode={"limits": {"cpu": "1"}}) == "3"
    assert told(resourcesPerNode={"requests": {"cpu": "1500m"}}) == "2"
    assert told(resourcesPerNode={"requests": {"cpu": "4"}, "limits": {"cpu": "8"}}) == "8"
    assert told(resourcesPerNode={"requests": {"memory": "1Gi"}}) == "1"
    assert told(resourcesPerNode={"limits": {"nvidia.com/gpu": 2, "cpu": 8}}) == "auto"


def test_containers_that_a_runtime_names_are_told_of_their_peers_too() -> None:
    runtime = copy.deepcopy(RUNTIMES["torch-distributed"])
    target = {"jobName": "node", "containerNames": ["checks", "side"]}
    runtime["spec"]["mlPolicy"]["torch"] = {"envInjection": {"targets": [target]}}
    pod = runtime["spec"]["template"]["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]
    pod["initContainers"] = [{"name": "checks", "image": "x", "env": [{"name": "PET_NNODES", "value": "7"}]}]
    pod["containers"].append({"name": "other", "image": "x"})
    spec = Set(trainjob("job", ["x"], runtime="mine", nodes=3), {"mine": runtime}).pods()[0]["spec"]
    told = {
        one["name"]: [variable["value"] for variable in one.get("env") or [] if variable["name"] == "PET_NNODES"]
        for one in [*spec["initContainers"], *spec["containers"]]
    }
    assert told == {"checks": ["3"], "node": ["3"], "other": []}


def test_a_runtime_that_the_laptop_cannot_run_fails_the_job_and_says_why() -> None:
    runtime = copy.deepcopy(RUNTIMES["torch-distributed"])
    runtime["spec"]["mlPolicy"] = {"numNodes": 1, "mpi": {}}
    one = Set(trainjob("job", ["x"], runtime="mine"), {"mine": runtime})
    one.settle()
    assert one.children == []
    assert "runtime torch-distributed has mpi" in message(one.job, "Failed")
