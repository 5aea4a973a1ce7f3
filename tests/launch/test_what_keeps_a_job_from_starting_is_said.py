"""What keeps a job from being made, or its replicas from starting, ends the step in words and leaves nothing behind.

Against a small API server on which no controller acts: what a controller, a scheduler or a webhook says is put there.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from seaway.errors import DeadlineError, JobFailedError, LaunchError
from seaway.launch import job as launch_job
from seaway.launch.api import Api, ApiError, Object
from seaway.launch.attempt import Patience
from seaway.launch.identity import identify
from seaway.launch.job import BEGAN, create_or_attach, named, run_job
from seaway.launch.replicas import epoch
from seaway.resources import names
from seaway.resources.pod import Replica
from seaway.resources.pytorchjob import pytorch_job
from tests.support.fake_cluster import EVENTS, PODS, FakeCluster, fake_cluster
from tests.support.waiting import until

PYTORCHJOBS = "/apis/kubeflow.org/v1/namespaces/team/pytorchjobs"
SOON = Patience(blocked_s=0.3, unborn_s=0.1, look_s=0.1, gone_s=0.5)


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[FakeCluster]:
    """A cluster on which this process is a step."""
    with fake_cluster(tmp_path) as found:
        monkeypatch.setenv("KUBECONFIG", str(found.kubeconfig))
        monkeypatch.setenv("KFP_POD_NAME", "step-1")
        monkeypatch.delenv("SEAWAY_RUN_ID", raising=False)
        found.step()
        caplog.set_level(logging.INFO)
        yield found


def wanted(api: Api, **options: Any) -> Object:
    replica = Replica(image="i", command=["python"], labels=names.run_labels("run-1", "train"))
    built = pytorch_job(name="", replica=replica, replicas=2, **options)
    return named(built, prefix="t", identity=identify(api))


def run(**options: Any) -> Object:
    api = Api.connect()
    return run_job(api, wanted(api), identity=identify(api), patience=SOON, **options)


def name() -> str:
    return str(wanted(Api.connect())["metadata"]["name"])


def pod(cluster: FakeCluster, role: str, **status: Any) -> None:
    labels = {"training.kubeflow.org/job-name": name(), "training.kubeflow.org/replica-type": role.partition("-")[0]}
    cluster.put(PODS, f"{name()}-{role}", kind="Pod", metadata={"labels": labels}, status=status)


def waiting(reason: str, message: str) -> Object:
    return {
        "phase": "Pending",
        "containerStatuses": [{"image": "reg/i:1", "state": {"waiting": {"reason": reason, "message": message}}}],
    }


def ended(code: int, at: str = "2026-01-01T00:00:09Z") -> Object:
    end = {"terminated": {"exitCode": code, "reason": "Error", "finishedAt": at}}
    return {"phase": "Failed" if code else "Succeeded", "containerStatuses": [{"state": end}]}


def say(cluster: FakeCluster, type_: str, message: str = "it says so") -> None:
    """What the operator says of the job, once it is there."""
    until(lambda: cluster.of(PYTORCHJOBS), what="the job is made")
    [job] = cluster.of(PYTORCHJOBS)
    conditions = [{"type": type_, "status": "True", "reason": f"PyTorchJob{type_}", "message": message}]
    cluster.put(PYTORCHJOBS, job["metadata"]["name"], **{**job, "status": {"conditions": conditions}})


def meanwhile(act: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=act)
    thread.start()
    return thread


def warning(cluster: FakeCluster, message: str, *, uid: str = "") -> None:
    about = {"name": name(), "uid": uid or f"uid-of-{name()}"}
    cluster.put(EVENTS, "e", type="Warning", reason="FailedCreatePod", message=message, involvedObject=about)


QUOTA = 'pods "t-worker-0" is forbidden: exceeded quota: team, requested: requests.cpu=4, used: 6, limited: 8'


def test_replicas_that_a_quota_forbids_fail_the_step_at_once_with_what_is_missing(cluster: FakeCluster) -> None:
    pod(cluster, "master-0", phase="Running")
    warning(cluster, QUOTA)
    says = r"must have room for 2 replicas in the namespace 'team', found 1: .*exceeded quota: team, .*Ask for fewer"
    with pytest.raises(LaunchError, match=says):
        run()
    assert cluster.of(PYTORCHJOBS) == []


def test_a_quota_that_an_earlier_job_met_is_not_held_against_this_one(cluster: FakeCluster) -> None:
    warning(cluster, QUOTA, uid="another")
    with pytest.raises(DeadlineError, match="it still runs: it has no replica"):
        run(deadline_s=_since_its_creation(1.0))


def test_replicas_that_are_refused_for_another_reason_fail_after_a_grace(cluster: FakeCluster) -> None:
    warning(cluster, 'serviceaccount "trainer" not found')
    with pytest.raises(LaunchError, match=r'must have 2 replicas, found 0: serviceaccount "trainer" not found'):
        run()
    assert cluster.of(PYTORCHJOBS) == []


def test_a_job_that_nobody_takes_up_is_said(cluster: FakeCluster, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(DeadlineError):
        run(deadline_s=_since_its_creation(0.6))
    assert "no controller has taken it up, is it installed?" in caplog.text


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("ErrImagePull", "manifest unknown"),
        ("ImagePullBackOff", 'Back-off pulling image "reg/i:1"'),
        ("CreateContainerConfigError", 'secret "keys" not found'),
    ],
)
def test_a_replica_that_cannot_start_fails_the_step_after_a_grace(
    cluster: FakeCluster, reason: str, message: str
) -> None:
    pod(cluster, "master-0", phase="Running")
    pod(cluster, "worker-0", **waiting(reason, message))
    says = rf"worker-0 could not within 0.3 s: {reason}: {message}.*reg/i:1|{reason}: {message}.* Correct the image"
    with pytest.raises(LaunchError, match=says):
        run()
    assert cluster.of(PYTORCHJOBS) == []


def test_a_replica_that_no_node_takes_is_only_said_until_the_deadline(
    cluster: FakeCluster, caplog: pytest.LogCaptureFixture
) -> None:
    message = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
    no = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    pod(cluster, "master-0", phase="Pending", conditions=[no])
    pod(cluster, "worker-0", phase="Running")
    with pytest.raises(DeadlineError, match=r"master-0 is 0/3 nodes are available: 3 Insufficient nvidia.com/gpu"):
        run(deadline_s=_since_its_creation(1.0))
    assert [r.getMessage() for r in caplog.records].count(f"{name()}-master-0 waits for a node: {message}") == 1


def test_a_kind_that_is_not_installed_names_who_brings_it(cluster: FakeCluster) -> None:
    cluster.refusals["POST", PYTORCHJOBS] = (404, "the server could not find the requested resource")
    with pytest.raises(ApiError, match=r"PyTorchJob must be a kind .*the Kubeflow training operator must be installed"):
        run()


def test_a_webhooks_refusal_is_not_taken_for_a_missing_right(cluster: FakeCluster) -> None:
    said = 'admission webhook "validator.pytorchjob" denied the request: spec.pytorchReplicaSpecs: must be required'
    cluster.refusals["POST", PYTORCHJOBS] = (403, said)
    with pytest.raises(ApiError, match=r"must be required\. The manifest must hold what the webhook asks"):
        run()


def test_a_missing_right_names_the_user_the_request_and_the_role(cluster: FakeCluster) -> None:
    said = (
        'pytorchjobs.kubeflow.org is forbidden: User "system:serviceaccount:team:default-editor" cannot create '
        'resource "pytorchjobs" in API group "kubeflow.org" in the namespace "team"'
    )
    cluster.refusals["POST", PYTORCHJOBS] = (403, said)
    says = r'team:default-editor.* cannot create .*pytorchjobs.* "team"\. .*POST .*the Role in manifests/base'
    with pytest.raises(ApiError, match=says):
        run()


def test_an_api_that_is_away_while_the_job_is_made_is_asked_again(cluster: FakeCluster) -> None:
    cluster.refusals["POST", PYTORCHJOBS] = (503, "the server is currently unable to handle the request")
    api = Api.connect()

    def back() -> None:
        until(lambda: cluster.requests.count(("POST", PYTORCHJOBS)) >= 2)
        cluster.refusals.clear()

    thread = meanwhile(back)
    create_or_attach(api, wanted(api))
    thread.join()
    assert len(cluster.of(PYTORCHJOBS)) == 1


def test_a_job_whose_master_succeeded_has_succeeded_whatever_a_peer_did_then(cluster: FakeCluster) -> None:
    pod(cluster, "master-0", **ended(0))
    pod(cluster, "worker-0", **ended(138))
    thread = meanwhile(lambda: say(cluster, "Failed"))
    done = run()
    thread.join()
    assert run()["metadata"]["uid"] == done["metadata"]["uid"]  # a retried step takes it too


def test_replicas_that_an_operator_leaves_running_go_with_their_failed_job(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch_job, "CLEAN_S", 0.3)
    pod(cluster, "master-0", phase="Running")
    pod(cluster, "worker-0", **ended(9))
    thread = meanwhile(lambda: say(cluster, "Failed"))
    with pytest.raises(JobFailedError, match=r"worker-0 \(Error, exit code 9\)"):
        run()
    thread.join()
    assert cluster.of(PYTORCHJOBS) == []


def test_a_failed_job_that_does_not_go_is_not_made_anew_beside_it(cluster: FakeCluster) -> None:
    pod(cluster, "worker-0", **ended(137))
    thread = meanwhile(lambda: say(cluster, "Failed"))
    with pytest.raises(DeadlineError, match=r"gone within 0.5 s of its deletion, found it there with .*worker-0"):
        run(restarts=1)
    thread.join()
    assert cluster.requests.count(("POST", PYTORCHJOBS)) == 1


def test_an_evicted_replica_is_told_by_its_reason(cluster: FakeCluster) -> None:
    pod(cluster, "worker-0", phase="Failed", reason="Evicted", message="The node was low on resource: memory.")
    thread = meanwhile(lambda: say(cluster, "Failed"))
    with pytest.raises(JobFailedError, match=r"worker-0 \(Evicted The node was low on resource: memory., it is"):
        run()
    thread.join()


def test_the_deadline_counts_from_the_first_attempt(cluster: FakeCluster) -> None:
    api = Api.connect()
    manifest = wanted(api)
    made = create_or_attach(api, manifest)
    made["metadata"]["annotations"][BEGAN] = "2025-12-31T23:00:00Z"
    cluster.put(PYTORCHJOBS, made["metadata"]["name"], **made)
    with pytest.raises(DeadlineError, match="must end within 60 s"):
        run(deadline_s=60)


def _since_its_creation(seconds: float) -> float:
    """A deadline so far from now: the server says that every object was made at the beginning of 2026."""
    return time.time() - epoch("2026-01-01T00:00:00Z") + seconds
