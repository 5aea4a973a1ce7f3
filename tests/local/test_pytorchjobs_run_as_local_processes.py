from __future__ import annotations

import contextlib
import socket
import time
from pathlib import Path

import pytest
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from tests.local.pytorchjobs import PyTorchJobs, conditions, message, pytorchjob, replica
from tests.support.waiting import until

TRUE, HANG = ["true"], ["sleep", "300"]


@pytest.fixture
def jobs(api: client.ApiClient) -> PyTorchJobs:
    return PyTorchJobs(api)


def sh(script: str) -> list[str]:
    return ["sh", "-c", script]


def test_replicas_get_names_labels_services_and_the_operators_environment(jobs: PyTorchJobs) -> None:
    own = [{"name": "RANK", "value": "7"}, {"name": "GLOO_SOCKET_IFNAME", "value": "eth0"}]
    port = [{"name": "pytorchjob-port", "containerPort": 23456}, {"name": "metrics", "containerPort": 9090}]
    tell = sh("env; sleep 0.5")  # for so long it is seen to run
    master, worker = replica(tell, env=own, ports=port), replica(tell, replicas=2)
    job = jobs.run(pytorchjob("named", master=master, worker=worker, nprocPerNode="2"))
    assert conditions(job) == {"Created": "True", "Running": "False", "Succeeded": "True"}
    assert message(job, "Succeeded") == "PyTorchJob named is successfully completed."
    until(lambda: all(pod.status.phase == "Succeeded" for pod in jobs.pods("named").values()))
    pods, services = jobs.pods("named"), jobs.services("named")
    assert list(pods) == list(services) == ["named-master-0", "named-worker-0", "named-worker-1"]
    assert pods["named-worker-1"].metadata.labels == {
        "training.kubeflow.org/job-name": "named",
        "training.kubeflow.org/operator-name": "pytorchjob-controller",
        "training.kubeflow.org/replica-type": "worker",
        "training.kubeflow.org/replica-index": "1",
    }
    assert pods["named-master-0"].metadata.labels["training.kubeflow.org/job-role"] == "master"
    drawn = str(jobs.port("named"))
    assert {one.name: str(one.port) for one in services["named-master-0"].spec.ports} == {
        "metrics": "9090",
        "pytorchjob-port": drawn,
    }
    assert services["named-master-0"].spec.cluster_ip == "None"
    seen = {name: dict(line.split("=", 1) for line in jobs.log(name).splitlines() if "=" in line) for name in pods}
    assert [seen[name]["RANK"] for name in pods] == [seen[name]["PET_NODE_RANK"] for name in pods] == ["0", "1", "2"]
    for variables in seen.values():
        assert {variables["MASTER_ADDR"], variables["PET_MASTER_ADDR"]} == {"127.0.0.1"}
        assert {variables["MASTER_PORT"], variables["PET_MASTER_PORT"]} == {drawn}
        assert (variables["WORLD_SIZE"], variables["PET_NNODES"], variables["PET_NPROC_PER_NODE"]) == ("6", "3", "2")
        assert variables["PYTHONUNBUFFERED"] == "1"
    assert [seen[name]["GLOO_SOCKET_IFNAME"] for name in pods] == ["eth0", "lo", "lo"]
    jobs.delete("named")
    until(lambda: not jobs.pods("named") and not jobs.services("named"))


@pytest.mark.parametrize("clean", ["None", "Running", "All"])
def test_a_masters_success_is_the_jobs_and_the_policy_says_what_stays(jobs: PyTorchJobs, clean: str) -> None:
    name = f"clean-{clean.lower()}"
    worker = replica(HANG)
    job = jobs.run(pytorchjob(name, master=replica(["sleep", "0.2"]), worker=worker, run={"cleanPodPolicy": clean}))
    assert conditions(job)["Succeeded"] == "True"
    left = {"None": {"master", "worker"}, "Running": {"master"}, "All": set()}[clean]
    until(lambda: set(jobs.pods(name)) == set(jobs.services(name)) == {f"{name}-{one}-0" for one in left})
    settled = until(lambda: "active" not in str((found := jobs.get(name))["status"]["replicaStatuses"]) and found)
    assert settled["status"]["replicaStatuses"]["Worker"].get("succeeded", 0) <= 1
    jobs.delete(name)


def test_without_a_master_every_worker_must_succeed(jobs: PyTorchJobs, tmp_path: Path) -> None:
    script = f'if [ "$HOSTNAME" = all-worker-1 ]; then until [ -e {tmp_path}/go ]; do sleep 0.02; done; fi'
    jobs.create(pytorchjob("all", worker=replica(sh(script), replicas=2)))
    until(lambda: jobs.get("all")["status"]["replicaStatuses"]["Worker"].get("succeeded") == 1)
    assert conditions(jobs.get("all")) == {"Created": "True", "Running": "True"}
    (tmp_path / "go").touch()
    job = jobs.until("all", "Succeeded")
    assert message(job, "Succeeded") == "PyTorchJob default/all successfully completed."
    assert job["status"]["replicaStatuses"]["Worker"]["succeeded"] == 2
    pods = jobs.pods("all")
    roles = [pod.metadata.labels.get("training.kubeflow.org/job-role") for pod in pods.values()]
    assert roles == ["master", None]


def test_an_elastic_job_succeeds_with_its_first_worker_and_its_agents_meet_on_loopback(jobs: PyTorchJobs) -> None:
    script = 'env; [ "$HOSTNAME" = elastic-worker-0 ] || sleep 300'
    policy = {
        "minReplicas": 1, "maxRestarts": 3, "rdzvId": "x", "standalone": True,
        "rdzvHost": "elastic-worker-0", "rdzvConf": [{"key": "timeout", "value": "9"}, {"key": "a", "value": "b"}],
    }  # fmt: skip
    worker = replica(sh(script), replicas=2)
    jobs.run(pytorchjob("elastic", worker=worker, elasticPolicy=policy, run={"cleanPodPolicy": "Running"}))
    variables = dict(line.split("=", 1) for line in jobs.log("elastic-worker-0").splitlines() if "=" in line)
    found = {name: value for name, value in variables.items() if name.startswith("PET_")}
    assert found == {
        "PET_LOCAL_ADDR": "127.0.0.1", "PET_NPROC_PER_NODE": "auto", "PET_NNODES": "1:1", "PET_MAX_RESTARTS": "3",
        "PET_RDZV_BACKEND": "c10d", "PET_RDZV_ENDPOINT": f"127.0.0.1:{jobs.port('elastic')}", "PET_RDZV_ID": "x",
        "PET_RDZV_CONF": "timeout=9,a=b", "PET_STANDALONE": "1",
    }  # fmt: skip
    assert "MASTER_ADDR" not in variables
    until(lambda: set(jobs.pods("elastic")) == {"elastic-worker-0"})


def test_a_failed_replica_that_is_never_restarted_fails_the_job_and_says_its_last_words(jobs: PyTorchJobs) -> None:
    worker = replica(sh("echo the reason is this; exit 3"))
    job = jobs.run(pytorchjob("never", master=replica(HANG), worker=worker, run={"cleanPodPolicy": "Running"}))
    assert message(job, "Failed") == "PyTorchJob never is failed because 1 Worker replica(s) failed."
    assert job["status"]["completionTime"]
    assert job["status"]["replicaStatuses"]["Worker"]["failed"] == 1
    until(lambda: set(jobs.pods("never")) == {"never-worker-0"})
    told = jobs.events("never")
    assert ("ExitedWithCode", "Pod: default.never-worker-0 exited with code 3") in told
    said = [text for _, text in told if text.startswith("Error pod")]
    assert said == ["Error pod never-worker-0 container pytorch exitCode: 3 terminated message: the reason is this"]


def test_by_exit_code_a_retryable_failure_gets_a_new_pod_and_a_permanent_one_fails_the_job(
    jobs: PyTorchJobs, tmp_path: Path
) -> None:
    script = f"echo run >> {tmp_path}/runs; case $(wc -l < {tmp_path}/runs) in 1|2) exit 137;; 3) exit 5;; esac"
    job = jobs.run(pytorchjob("codes", master=replica(sh(script), policy="ExitCode")))
    assert message(job, "Failed") == 'job "codes" is failing because "Master" replica(s) failed.'
    assert job["status"]["completionTime"]
    assert (tmp_path / "runs").read_text() == "run\n" * 3
    told = jobs.events("codes")
    assert ("PyTorchJobRestarting", "PyTorchJob codes is restarting because 1 Master replica(s) failed.") in told
    assert ("SuccessfulDeletePod", "Deleted pod: codes-master-0") in told
    assert ("ExitedWithCode", "Pod: default.codes-master-0 exited with code 137") in told


@pytest.mark.parametrize(
    ("policy", "limit", "runs"),
    # The run whose start reaches the limit of OnFailure is ended at once, before or after its first line.
    [("ExitCode", 3, {3}), ("ExitCode", 0, {1}), ("OnFailure", 2, {2, 3}), ("Always", 0, {1, 2})],
)
def test_restarts_count_towards_the_backoff_limit(
    jobs: PyTorchJobs, tmp_path: Path, policy: str, limit: int, runs: set[int]
) -> None:
    name = f"limit-{policy.lower()}-{limit}"
    script = f"echo run >> {tmp_path}/runs; exit 137"
    run = {"backoffLimit": limit, "cleanPodPolicy": "Running"}
    job = jobs.run(pytorchjob(name, master=replica(sh(script), policy=policy), run=run))
    assert message(job, "Failed") == f"Job {name} has failed because it has reached the specified backoff limit"
    until(lambda: all(pod.status.phase == "Failed" for pod in jobs.pods(name).values()))
    assert len((tmp_path / "runs").read_text().split()) in runs


def test_a_deadline_ends_a_job_that_hangs(jobs: PyTorchJobs) -> None:
    run = {"activeDeadlineSeconds": 2, "cleanPodPolicy": "All"}
    job = jobs.run(pytorchjob("hangs", master=replica(HANG), worker=replica(HANG), run=run))
    assert message(job, "Failed") == "Job hangs has failed because it was active longer than specified deadline"
    until(lambda: not jobs.pods("hangs") and not jobs.services("hangs"))


def test_a_suspended_job_has_no_pods_and_a_resumed_one_begins_anew(jobs: PyTorchJobs) -> None:
    jobs.create(pytorchjob("paused", master=replica(HANG), run={"suspend": True}))
    job = jobs.until("paused", "Suspended")
    assert message(job, "Suspended") == "PyTorchJob paused is suspended."
    assert (jobs.pods("paused"), "startTime" in job["status"]) == ({}, False)
    jobs.patch("paused", {"spec": {"runPolicy": {"suspend": False}}})
    job = jobs.until("paused", "Running")
    assert job["status"]["startTime"]
    assert message(job, "Suspended") == "PyTorchJob paused is resumed."
    jobs.patch("paused", {"spec": {"runPolicy": {"suspend": True}}})
    job = jobs.until("paused", "Suspended")
    assert conditions(job)["Running"] == "False"
    assert "active" not in job["status"]["replicaStatuses"]["Master"]
    until(lambda: not jobs.pods("paused") and not jobs.services("paused"))
    assert conditions(jobs.get("paused"))["Suspended"] == "True"
    jobs.delete("paused")


def test_a_finished_job_goes_after_its_ttl_with_all_that_it_made(jobs: PyTorchJobs) -> None:
    jobs.create(pytorchjob("brief", master=replica(TRUE), run={"ttlSecondsAfterFinished": 0}))
    until(lambda: "brief" not in jobs.names())
    until(lambda: not jobs.pods("brief") and not jobs.services("brief"))


def test_a_job_of_another_controller_is_left_alone(jobs: PyTorchJobs) -> None:
    jobs.create(pytorchjob("theirs", master=replica(TRUE), run={"managedBy": "kueue.x-k8s.io/multikueue"}))
    jobs.run(pytorchjob("own", master=replica(TRUE)))
    assert "status" not in jobs.get("theirs")
    assert jobs.pods("theirs") == {}
    jobs.delete("theirs")


def test_a_pod_that_asks_for_a_device_that_is_not_there_stays_pending(jobs: PyTorchJobs) -> None:
    jobs.create(pytorchjob("gpu", master=replica(TRUE, resources={"limits": {"example.com/device": 1}})))
    pod = until(lambda: (pod := jobs.pods("gpu").get("gpu-master-0")) and pod.status.conditions and pod)
    assert pod.status.phase == "Pending"
    (scheduled,) = pod.status.conditions
    assert (scheduled.type, scheduled.status, scheduled.reason) == ("PodScheduled", "False", "Unschedulable")
    assert scheduled.message == "0/1 nodes are available: 1 Insufficient example.com/device."
    assert ("Unschedulable", f"Error pod gpu-master-0 condition message: {scheduled.message}") in jobs.events("gpu")
    assert conditions(jobs.get("gpu")) == {"Created": "True"}
    jobs.delete("gpu")
    until(lambda: not jobs.pods("gpu"))


def test_shared_memory_may_be_mounted_as_training_manifests_do(jobs: PyTorchJobs) -> None:
    mounted = replica(TRUE, volumeMounts=[{"name": "shm", "mountPath": "/dev/shm"}])
    mounted["template"]["spec"]["volumes"] = [{"name": "shm", "emptyDir": {"medium": "Memory"}}]
    assert conditions(jobs.run(pytorchjob("shared", master=mounted)))["Succeeded"] == "True"


def test_two_jobs_at_once_have_two_ports(jobs: PyTorchJobs) -> None:
    for name in ("left", "right"):
        jobs.create(pytorchjob(name, master=replica(HANG)))
    until(lambda: jobs.services("left") and jobs.services("right"))
    assert jobs.port("left") != jobs.port("right")
    for name in ("left", "right"):
        jobs.delete(name)


@pytest.mark.parametrize("policy", ["ExitCode", "OnFailure", "Never"])
def test_a_port_that_another_program_took_is_given_up_for_a_new_one(
    jobs: PyTorchJobs, tmp_path: Path, policy: str
) -> None:
    name = f"taken-{policy.lower()}"
    listen = "import os, socket; socket.create_server(('', int(os.environ['MASTER_PORT'])))"
    master = sh(f'until [ -e {tmp_path}/go ]; do sleep 0.02; done; exec python3 -c "{listen}"')
    worker = sh(f"echo $MASTER_PORT >> {tmp_path}/workers; sleep 300")
    run = {"cleanPodPolicy": "Running", "backoffLimit": 1}
    replicas = {"master": replica(master, policy=policy), "worker": replica(worker, policy=policy)}
    jobs.create(pytorchjob(name, **replicas, run=run))
    until(lambda: jobs.services(name) and (tmp_path / "workers").exists())
    first = jobs.port(name)
    with contextlib.closing(socket.create_server(("127.0.0.1", first))):
        (tmp_path / "go").touch()
        jobs.until(name, "Succeeded")
    second = jobs.port(name)
    assert second != first
    text = f"PyTorchJob {name} is restarting because another program took its port {first}; it gets another."
    assert ("PyTorchJobRestarting", text) in jobs.events(name)
    assert (tmp_path / "workers").read_text().split() in ([str(first)], [str(first), str(second)])


def test_a_masters_own_listening_twice_is_no_reason_to_begin_anew(jobs: PyTorchJobs) -> None:
    listen = "import os, socket; p = ('', int(os.environ['MASTER_PORT'])); a = socket.create_server(p); " \
        "socket.create_server(p)"  # fmt: skip
    master = replica(["python3", "-c", listen], policy="OnFailure")
    job = jobs.run(pytorchjob("twice", master=master, run={"backoffLimit": 1, "cleanPodPolicy": "All"}))
    assert "backoff limit" in message(job, "Failed")
    assert not [text for _, text in jobs.events("twice") if "another program" in text]


def test_replicas_follow_the_scale(jobs: PyTorchJobs) -> None:
    jobs.create(pytorchjob("sized", master=replica(HANG), worker=replica(HANG, policy="OnFailure")))
    until(lambda: jobs.get("sized")["status"]["replicaStatuses"]["Worker"].get("active") == 1)
    place = ("kubeflow.org", "v1", "default", "pytorchjobs", "sized")
    scale = jobs.custom.get_namespaced_custom_object_scale(*place)
    assert (scale["kind"], scale["spec"], scale["status"]["replicas"]) == ("Scale", {"replicas": 1}, 1)
    assert "training.kubeflow.org/replica-type=worker" in scale["status"]["selector"]
    jobs.custom.patch_namespaced_custom_object_scale(*place, {"spec": {"replicas": 3}})
    until(lambda: jobs.get("sized")["status"]["replicaStatuses"]["Worker"].get("active") == 3)
    scale["spec"]["replicas"] = 1
    with pytest.raises(ApiException, match="the object has been modified"):
        jobs.custom.replace_namespaced_custom_object_scale(*place, scale)
    with pytest.raises(ApiException, match="must be at least 1"):
        jobs.custom.patch_namespaced_custom_object_scale(*place, {"spec": {"replicas": 0}})
    jobs.custom.patch_namespaced_custom_object_scale(*place, {"spec": {"replicas": 2}})
    until(lambda: set(jobs.pods("sized")) == {"sized-master-0", "sized-worker-0", "sized-worker-1"})
    assert set(jobs.services("sized")) == set(jobs.pods("sized"))
    jobs.delete("sized")
    jobs.run(pytorchjob("alone", master=replica(TRUE)))
    with pytest.raises(ApiException, match="spec replicas field"):
        jobs.custom.get_namespaced_custom_object_scale(*place[:-1], "alone")


def test_a_deleted_pod_comes_back_in_its_place(jobs: PyTorchJobs) -> None:
    jobs.create(pytorchjob("again", worker=replica(HANG, replicas=2, policy="OnFailure")))
    before = until(lambda: (pods := jobs.pods("again")) and len(pods) == 2 and pods)
    port = jobs.port("again")
    jobs.core.delete_namespaced_pod("again-worker-1", "default")
    uid = before["again-worker-1"].metadata.uid
    until(lambda: (pod := jobs.pods("again").get("again-worker-1")) and pod.metadata.uid != uid)
    jobs.until("again", "Running")
    assert jobs.port("again") == port
    jobs.delete("again")


def test_apply_to_succeeded_takes_less_than_a_third_of_a_second(jobs: PyTorchJobs) -> None:
    taken = []
    for number in range(4):
        begin = time.perf_counter()
        jobs.run(pytorchjob(f"quick-{number}", master=replica(TRUE), worker=replica(TRUE)))
        taken.append(time.perf_counter() - begin)
    assert min(taken) < 0.33, taken
