from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client, watch
from kubernetes.client.exceptions import ApiException

from tests.support.laptop import TestLaptop, job
from tests.support.waiting import until


class Jobs:
    """Creates, watches and reads jobs by the official client."""

    def __init__(self, api: client.ApiClient) -> None:
        self.batch, self.core = client.BatchV1Api(api), client.CoreV1Api(api)

    def run(self, manifest: dict[str, Any]) -> Any:
        """Create a job and wait for its end."""
        self.batch.create_namespaced_job("default", manifest)
        return self.end(manifest["metadata"]["name"])

    def end(self, name: str) -> Any:
        field = f"metadata.name={name}"
        stream = watch.Watch().stream(
            self.batch.list_namespaced_job, "default", field_selector=field, timeout_seconds=20
        )
        for event in stream:
            found = event["object"]
            if {one.type for one in found.status.conditions or []} & {"Complete", "Failed"}:
                return found
        raise AssertionError(f"job {name} did not end")

    def pods(self, name: str) -> list[Any]:
        return self.core.list_namespaced_pod("default", label_selector=f"job-name={name}").items

    def log(self, name: str) -> str:
        return self.core.read_namespaced_pod_log(self.pods(name)[0].metadata.name, "default")

    def started(self, name: str) -> Any:
        return until(lambda: next((p for p in self.pods(name) if p.status.phase == "Running"), None))


@pytest.fixture
def jobs(api: client.ApiClient) -> Jobs:
    return Jobs(api)


def conditions(found: Any) -> dict[str, str]:
    return {one.type: one.reason for one in found.status.conditions}


def test_a_job_runs_its_command_and_completes(jobs: Jobs) -> None:
    found = jobs.run(job("plain", "sh", "-c", "echo out; echo err >&2"))
    assert conditions(found) == {"SuccessCriteriaMet": "CompletionsReached", "Complete": "CompletionsReached"}
    assert found.status.succeeded == 1
    assert found.status.completion_time is not None
    assert sorted(jobs.log("plain").splitlines()) == ["err", "out"]


def test_create_to_complete_takes_less_than_a_quarter_of_a_second(jobs: Jobs) -> None:
    taken = []
    for number in range(5):
        begin = time.perf_counter()
        jobs.run(job(f"quick-{number}", "true"))
        taken.append(time.perf_counter() - begin)
    assert min(taken) < 0.25, taken


def test_a_failing_job_is_tried_backofflimit_times_more(jobs: Jobs) -> None:
    found = jobs.run(job("failing", "sh", "-c", "exit 3", backoffLimit=2))
    assert conditions(found)["Failed"] == "BackoffLimitExceeded"
    assert found.status.failed == 3
    codes = [pod.status.container_statuses[0].state.terminated.exit_code for pod in jobs.pods("failing")]
    assert codes == [3, 3, 3]


def test_on_failure_restarts_inside_the_pod(jobs: Jobs, tmp_path: Path) -> None:
    script = f"echo x >> {tmp_path}/tries; [ $(wc -l < {tmp_path}/tries) -ge 3 ]"
    jobs.run(job("again", "sh", "-c", script, policy="OnFailure"))
    (pod,) = jobs.pods("again")
    assert pod.status.container_statuses[0].restart_count == 2


def test_on_failure_gives_up_at_the_backoff_limit(jobs: Jobs) -> None:
    found = jobs.run(job("hopeless", "false", policy="OnFailure", backoffLimit=1))
    assert conditions(found)["Failed"] == "BackoffLimitExceeded"


def test_a_job_past_its_deadline_fails_and_its_processes_end(jobs: Jobs, tmp_path: Path) -> None:
    script = f"sleep 300 & echo $! > {tmp_path}/pid; wait"
    found = jobs.run(job("late", "sh", "-c", script, activeDeadlineSeconds=2))
    assert conditions(found)["Failed"] == "DeadlineExceeded"
    until(lambda: not alive(int((tmp_path / "pid").read_text())))


def test_parallelism_bounds_the_running_pods(jobs: Jobs) -> None:
    found = jobs.run(job("many", "sleep", "0.1", completions=4, parallelism=2))
    assert found.status.succeeded == 4
    assert len(jobs.pods("many")) == 4


def test_an_indexed_job_gives_each_pod_its_index(jobs: Jobs) -> None:
    manifest = job("indexed", "sh", "-c", "echo $JOB_COMPLETION_INDEX", completions=3, parallelism=3)
    manifest["spec"]["completionMode"] = "Indexed"
    found = jobs.run(manifest)
    assert found.status.completed_indexes == "0-2"
    logs = {jobs.core.read_namespaced_pod_log(pod.metadata.name, "default").strip() for pod in jobs.pods("indexed")}
    assert logs == {"0", "1", "2"}


def test_a_suspended_job_starts_when_it_is_resumed(jobs: Jobs) -> None:
    jobs.batch.create_namespaced_job("default", job("paused", "true", suspend=True))
    until(lambda: "Suspended" in conditions(jobs.batch.read_namespaced_job("paused", "default")))
    assert jobs.pods("paused") == []
    jobs.batch.patch_namespaced_job("paused", "default", {"spec": {"suspend": False}})
    assert "Complete" in conditions(jobs.end("paused"))


def test_a_finished_job_goes_after_its_ttl(jobs: Jobs) -> None:
    jobs.run(job("brief", "true", ttlSecondsAfterFinished=0))

    def gone() -> bool:
        try:
            jobs.batch.read_namespaced_job("brief", "default")
        except ApiException as error:
            return error.status == 404
        return False

    until(gone)
    until(lambda: jobs.pods("brief") == [])


def test_deleting_a_job_ends_all_its_processes(jobs: Jobs, tmp_path: Path) -> None:
    # A grandchild in a session of its own is the hardest to find.
    script = f"setsid sleep 300 & echo $! > {tmp_path}/pid; sleep 300"
    jobs.batch.create_namespaced_job("default", job("gone", "sh", "-c", script))
    pid = int(until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text()))
    assert alive(pid)
    jobs.batch.delete_namespaced_job("gone", "default", propagation_policy="Background")
    until(lambda: not alive(pid))
    until(lambda: jobs.pods("gone") == [])


def test_a_command_that_ignores_sigterm_is_killed_after_its_grace(jobs: Jobs) -> None:
    script = "trap '' TERM; echo ready; while true; do sleep 0.1; done"
    manifest = job("stubborn", "sh", "-c", script, pod={"terminationGracePeriodSeconds": 1})
    jobs.batch.create_namespaced_job("default", manifest)
    jobs.started("stubborn")
    until(lambda: "ready" in jobs.log("stubborn"))
    jobs.batch.delete_namespaced_job("stubborn", "default", propagation_policy="Background")
    until(lambda: jobs.pods("stubborn") == [])


def test_a_killed_shim_ends_its_command_and_fails_the_pod(jobs: Jobs, laptop: TestLaptop, tmp_path: Path) -> None:
    script = f"sleep 300 & echo $! > {tmp_path}/pid; wait"
    jobs.batch.create_namespaced_job("default", job("orphan", "sh", "-c", script, backoffLimit=0))
    pid = int(until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text()))
    (pod,) = jobs.pods("orphan")
    claim = laptop.home / "pods" / pod.metadata.uid / "main" / "0" / "claim"
    os.kill(int(claim.read_text().split()[0]), signal.SIGKILL)
    found = jobs.end("orphan")
    assert conditions(found)["Failed"] == "BackoffLimitExceeded"
    until(lambda: not alive(pid))


def test_a_stopped_shim_does_not_hold_up_a_deletion(jobs: Jobs, laptop: TestLaptop, tmp_path: Path) -> None:
    manifest = job("stopped", "sh", "-c", f"sleep 300 & echo $! > {tmp_path}/pid; wait")
    manifest["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 1
    jobs.batch.create_namespaced_job("default", manifest)
    pid = int(until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text()))
    (pod,) = jobs.pods("stopped")
    claim = laptop.home / "pods" / pod.metadata.uid / "main" / "0" / "claim"
    os.kill(int(claim.read_text().split()[0]), signal.SIGSTOP)
    jobs.batch.delete_namespaced_job("stopped", "default", propagation_policy="Background")
    until(lambda: not alive(pid) and not jobs.pods("stopped"))


def test_more_memory_than_the_limit_is_oom_killed(jobs: Jobs) -> None:
    script = "import time; held = bytearray(150_000_000); time.sleep(60)"
    limits = {"resources": {"limits": {"memory": "64Mi"}}}
    jobs.run(job("hungry", "python", "-c", script, backoffLimit=0, container=limits))
    ended = jobs.pods("hungry")[0].status.container_statuses[0].state.terminated
    assert (ended.reason, ended.exit_code) == ("OOMKilled", 137)


def test_the_environment_comes_from_the_manifest(jobs: Jobs) -> None:
    core = jobs.core
    core.create_namespaced_config_map("default", {"metadata": {"name": "conf"}, "data": {"a": "1", "b": "2"}})
    core.create_namespaced_secret("default", {"metadata": {"name": "sec"}, "stringData": {"word": "swordfish"}})
    env = [
        {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "conf", "key": "a"}}},
        {"name": "W", "valueFrom": {"secretKeyRef": {"name": "sec", "key": "word"}}},
        {"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['job-name']"}}},
        {"name": "TWICE", "value": "$(A)$(A)-$$(A)"},
    ]
    container = {"env": env, "envFrom": [{"prefix": "C_", "configMapRef": {"name": "conf"}}], "args": ["$(TWICE)"]}
    script = 'echo "$A $W $N $C_b $0 $POD_NAMESPACE ${HYPOTHESIS_PROBE-unset}"'
    jobs.run(job("env", "sh", "-c", script, container=container))
    assert jobs.log("env") == "1 swordfish env 2 11-$(A) default unset\n"


def test_a_missing_configmap_holds_the_container_until_it_is_there(jobs: Jobs) -> None:
    env = [{"name": "X", "valueFrom": {"configMapKeyRef": {"name": "later", "key": "x"}}}]
    jobs.batch.create_namespaced_job("default", job("held", "sh", "-c", "echo $X", container={"env": env}))

    def waiting() -> Any:
        pods = jobs.pods("held")
        return pods and pods[0].status.container_statuses and pods[0].status.container_statuses[0].state.waiting

    found = until(waiting)
    assert (found.reason, found.message) == ("CreateContainerConfigError", 'configmap "later" not found')
    jobs.core.create_namespaced_config_map("default", {"metadata": {"name": "later"}, "data": {"x": "there"}})
    jobs.end("held")
    assert jobs.log("held") == "there\n"


@pytest.mark.parametrize(
    ("command", "reason", "words"),
    [(["no-such-program"], "StartError", "not found in $PATH"), ([], "ErrImagePull", "must name its command")],
)
def test_what_cannot_run_here_says_so(jobs: Jobs, command: list[str], reason: str, words: str) -> None:
    name = reason.lower()
    jobs.batch.create_namespaced_job("default", job(name, *command, backoffLimit=0))

    def said() -> Any:
        statuses = [one for pod in jobs.pods(name) for one in pod.status.container_statuses or []]
        return statuses and (statuses[0].state.waiting or statuses[0].state.terminated)

    found = until(said)
    assert found.reason in (reason, "ImagePullBackOff")
    assert words in found.message
    jobs.batch.delete_namespaced_job(name, "default", propagation_policy="Background")


def test_init_containers_run_first_and_in_order(jobs: Jobs, tmp_path: Path) -> None:
    inits = [
        {"name": f"init-{number}", "image": "x", "command": ["sh", "-c", f"echo {number} >> {tmp_path}/order"]}
        for number in range(2)
    ]
    jobs.run(job("staged", "cat", f"{tmp_path}/order", pod={"initContainers": inits}))
    assert jobs.log("staged") == "0\n1\n"


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
