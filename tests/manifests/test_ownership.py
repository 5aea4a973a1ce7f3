"""A step on a cluster: who owns its jobs, and what becomes of them when it is told to end."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from seaway.errors import LaunchError
from seaway.launch.api import Api, ApiError, Object
from seaway.launch.identity import identify
from seaway.launch.job import named, run_job
from seaway.launch.sigterm import TerminatedError
from seaway.resources import names
from seaway.resources.job import job
from seaway.resources.pod import Replica
from tests.support.fake_cluster import JOBS, PODS, WORKFLOWS, FakeCluster, fake_cluster
from tests.support.waiting import until


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCluster]:
    """A cluster on which this process is the step ``step-1``."""
    with fake_cluster(tmp_path) as found:
        monkeypatch.setenv("KUBECONFIG", str(found.kubeconfig))
        monkeypatch.setenv("KFP_POD_NAME", "step-1")
        monkeypatch.delenv("SEAWAY_RUN_ID", raising=False)
        yield found


def wanted(api: Api) -> Object:
    built = job(name="", replica=Replica(image="i", command=["python"], labels=names.run_labels("run-1", "train")))
    return named(built, prefix="t", identity=identify(api))


def created(cluster: FakeCluster) -> Object:
    [found] = cluster.of(JOBS)
    return found


def test_a_step_knows_its_run_and_its_jobs_belong_to_the_runs_workflow(cluster: FakeCluster) -> None:
    cluster.step(run="8f3c")
    api = Api.connect()
    assert identify(api).run_id == "8f3c"
    from seaway.launch.job import create_or_attach

    create_or_attach(api, wanted(api))
    # no controller and no blockOwnerDeletion: that takes a right on workflows/finalizers
    assert created(cluster)["metadata"]["ownerReferences"] == [
        {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Workflow",
            "name": "pipeline-x",
            "uid": "uid-of-pipeline-x",
        }
    ]


def test_a_step_without_a_run_says_so(cluster: FakeCluster) -> None:
    with pytest.raises(LaunchError, match="must know its run"):
        identify(Api.connect())


def terminated(cluster: FakeCluster, before_signal: Any) -> None:
    api = Api.connect()
    manifest, identity = wanted(api), identify(api)

    def kill() -> None:
        until(lambda: cluster.of(JOBS), what="the job is created")
        before_signal()
        os.kill(os.getpid(), signal.SIGTERM)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        with pytest.raises(TerminatedError):
            run_job(api, manifest, identity=identity)
    finally:
        killer.join()


ENDING: dict[str, dict[str, Any]] = {
    "is told to terminate": {"spec": {"shutdown": "Terminate"}},
    "is told to stop": {"spec": {"shutdown": "Stop"}},
    "is being deleted": {"metadata": {"deletionTimestamp": "2026-01-01T00:01:00Z"}},
    "has failed": {"status": {"phase": "Failed"}},
}


@pytest.mark.parametrize("how", ENDING)
def test_a_step_whose_run_ends_takes_its_job_with_it(cluster: FakeCluster, how: str) -> None:
    cluster.step()
    terminated(cluster, lambda: cluster.step(**ENDING[how]))
    assert cluster.of(JOBS) == []


def test_a_step_whose_run_is_gone_takes_its_job_with_it(cluster: FakeCluster) -> None:
    cluster.step()
    terminated(cluster, lambda: cluster.objects.pop(f"{WORKFLOWS}/pipeline-x"))
    assert cluster.of(JOBS) == []


def test_a_step_that_only_loses_its_pod_leaves_the_job_for_its_retry(cluster: FakeCluster) -> None:
    cluster.step()
    terminated(cluster, lambda: None)
    left = created(cluster)
    # the retry is another pod of the same run: it finds the job and waits for that one
    cluster.step(pod="step-2")
    cluster.objects.pop(f"{PODS}/step-1")
    os.environ["KFP_POD_NAME"] = "step-2"
    api = Api.connect()
    path = f"{JOBS}/{left['metadata']['name']}"
    cluster.put(JOBS, left["metadata"]["name"], **{**left, "status": {"conditions": [_condition("Complete")]}})
    done = run_job(api, wanted(api), identity=identify(api))
    assert done["metadata"]["uid"] == left["metadata"]["uid"]
    assert [p for p in cluster.objects if p.startswith(JOBS)] == [path]


def _condition(kind: str) -> Object:
    return {"type": kind, "status": "True"}


def test_a_missing_right_names_the_request_and_the_role(cluster: FakeCluster) -> None:
    cluster.step()
    said = (
        'jobs.batch is forbidden: User "system:serviceaccount:team:default-editor" cannot create resource "jobs" in '
        'API group "batch" in the namespace "team"'
    )
    cluster.refusals["POST", JOBS] = (403, said)
    api = Api.connect()
    with pytest.raises(ApiError, match=r"cannot create resource.*must be allowed to POST .*Role in manifests/base"):
        run_job(api, wanted(api), identity=identify(api))
    assert cluster.of(JOBS) == []


def test_a_quota_that_the_job_exceeds_says_what_must_be_done(cluster: FakeCluster) -> None:
    cluster.step()
    said = 'jobs.batch "t" is forbidden: exceeded quota: team, requested: count/jobs.batch=1, used: 5, limited: 5'
    cluster.refusals["POST", JOBS] = (403, said)
    api = Api.connect()
    with pytest.raises(ApiError, match=r"exceeded quota: team, .*The namespace 'team' has no room: ask for less"):
        run_job(api, wanted(api), identity=identify(api))
