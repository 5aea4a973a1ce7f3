"""The Role holds what launchers ask of the Kubernetes API, all of it and nothing else.

Every launcher runs against the laptop, along its paths: the straight one, adoption, failure, deadline, SIGTERM, the way
back. Each request is read as RBAC reads it.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from seaway.errors import DeadlineError, JobFailedError, LaunchError
from seaway.launch import graph_check
from seaway.launch.api import PLURALS, Api, Object
from seaway.launch.attempt import Patience
from seaway.launch.graph import deploy_graph
from seaway.launch.identity import Identity, identify
from seaway.launch.job import named, run_job
from seaway.launch.jobkinds import kind_of
from seaway.launch.promote import champion_uri
from seaway.launch.sigterm import TerminatedError
from seaway.launch.smoke import smoke_test
from seaway.resources import names
from seaway.resources.jaxjob import jax_job
from seaway.resources.job import job
from seaway.resources.merge import merge
from seaway.resources.pod import Replica
from seaway.resources.pytorchjob import pytorch_job
from seaway.resources.tfjob import tf_job
from seaway.resources.trainjob import train_job
from tests.manifests.kustomize import raw
from tests.manifests.rights import Right, granted, in_words, recorded, rights
from tests.support.laptop import TestLaptop
from tests.support.promotions import promoted
from tests.support.release_package import KEPT
from tests.support.tiny_features import tiny_contract
from tests.support.tiny_package import tiny_rows
from tests.support.waiting import until

PACKAGE = str(KEPT / "0.1.0" / "classifier" / "package")
BUILDERS: dict[str, Callable[..., Any]] = {
    "Job": job,
    "PyTorchJob": partial(pytorch_job, replicas=2),
    "JAXJob": partial(jax_job, replicas=2),
    "TFJob": partial(tf_job, replicas=2),
    "TrainJob": partial(train_job, runtime="torch-distributed", replicas=2, processes=1),
}
STEP = Identity(run_id="run-1", pod="step-1", workflow="run-1")
"""A step of a cluster; its run is no longer there, so its jobs must go with it."""


def wanted(code: str, kind: str = "Job", **options: Any) -> Object:
    """A named job of one or two replicas that run this code."""
    replica = Replica(image="sklearn", command=["python", "-c", code], labels=names.run_labels("run-1", "train"))
    return named(merge(BUILDERS[kind](name="", replica=replica), options), prefix="t", identity=STEP)


def ends_well(api: Api, folder: Path, kind: str) -> None:
    run_job(api, wanted("print('done')", kind), identity=STEP)


def is_adopted(api: Api, folder: Path, kind: str) -> None:
    for _ in range(2):
        run_job(api, wanted("print('once')", kind), identity=STEP)


def fails(api: Api, folder: Path, kind: str) -> None:
    with pytest.raises(JobFailedError):
        run_job(api, wanted("raise SystemExit(3)", kind), identity=STEP)


def fails_and_is_tried_again(api: Api, folder: Path, kind: str) -> None:
    for _ in range(2):
        fails(api, folder, kind)


def has_no_replica(api: Api, folder: Path, kind: str) -> None:
    """Why not is asked of the events."""
    policy = {"suspend": True} if kind in ("Job", "TrainJob") else {"runPolicy": {"suspend": True}}
    patience = Patience(unborn_s=0.1, look_s=0.1)
    with pytest.raises(DeadlineError):
        run_job(api, wanted("pass", kind, spec=policy), identity=STEP, deadline_s=1, patience=patience)


def hangs(api: Api, folder: Path, kind: str) -> None:
    with pytest.raises(DeadlineError):
        run_job(api, wanted("import time; time.sleep(600)", kind), identity=STEP, deadline_s=1)


def is_terminated(api: Api, folder: Path, kind: str) -> None:
    built = wanted("import time; time.sleep(601)", kind)
    row, name = kind_of(built), built["metadata"]["name"]

    def runs() -> bool:
        pods = OwnApi.connect().list(("v1", "Pod"), labels=row.selector(name))
        return any(p["status"].get("phase") == "Running" for p in pods)

    def kill() -> None:
        until(runs, what="the job runs")
        os.kill(os.getpid(), signal.SIGTERM)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        with pytest.raises(TerminatedError):
            run_job(api, built, identity=STEP)
    finally:
        killer.join()
    until(lambda: OwnApi.connect().get(row.kind, name) is None, what="the job is gone")


class OwnApi(Api):
    """The test's own questions, which are not recorded."""

    _call = Api._call


def knows_who_it_is(api: Api, folder: Path) -> None:
    assert identify(api).run_id == "run-1"


def is_promoted_and_asked(api: Api, folder: Path) -> None:
    assert champion_uri("tiny") == ""
    assert promoted(folder, PACKAGE, "tiny").promoted
    assert champion_uri("tiny") == PACKAGE
    asked = {"rows": 3, "tolerance": 1e-5, "timeout_s": 20, "namespace": ""}
    smoke_test(service="tiny", url="", model=PACKAGE, test=_rows(folder), **asked)  # type: ignore[arg-type]


def never_gets_ready(api: Api, folder: Path) -> None:
    nothing = {"spec": {"predictor": {"model": {"storageUri": str(folder)}}}}
    with pytest.raises(LaunchError):
        promoted(folder, PACKAGE, "broken", patch=nothing)
    assert champion_uri("broken") == ""


def is_chained(api: Api, folder: Path) -> None:
    """A graph that answers, and one that is put back."""
    chain = {"chain": [{"service": "tiny", "answers": {"late": "label"}}]}
    arguments: dict[str, Any] = {"graph": chain, "summary": str(folder / "summary.md"), "sample": _rows(folder)}
    assert deploy_graph(name="chained", timeout_s=60, **arguments).rows
    never = {"spec": {"nodes": {"root": {"steps": [{"serviceUrl": "http://127.0.0.1:1"}]}}}}
    with pytest.raises(LaunchError):
        deploy_graph(name="broken", timeout_s=2, patch=never, **arguments)


def _rows(folder: Path) -> str:
    file = folder / "rows.parquet"
    tiny_rows(40, tiny_contract(), seed=3).write_parquet(file)
    return str(file)


OF_JOBS: tuple[Callable[[Api, Path, str], None], ...] = (
    ends_well,
    is_adopted,
    fails_and_is_tried_again,
    has_no_replica,
    hangs,
    is_terminated,
)
SCENARIOS: dict[str, Callable[[Api, Path], None]] = {
    **{f"{kind} {s.__name__}": partial(s, kind=kind) for kind in BUILDERS for s in OF_JOBS},
    **{s.__name__: s for s in (knows_who_it_is, is_promoted_and_asked, never_gets_ready, is_chained)},
}


@pytest.fixture(scope="module")
def asked(laptop: TestLaptop, tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[Right]]:
    """The rights that each scenario needed."""
    found: dict[str, set[Right]] = {}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "KUBECONFIG": str(laptop.kubeconfig),
            "SEAWAY_HOME": str(laptop.home),
            "SEAWAY_RUN_ID": "run-1",
            "KFP_POD_NAME": "step-1",
        }.items():
            patch.setenv(name, value)
        patch.setattr(graph_check, "PATIENCE_S", 0.2)
        for name, scenario in SCENARIOS.items():
            with recorded(found.setdefault(name, set())):
                scenario(Api.connect(), tmp_path_factory.mktemp("scenario"))
    return found


def role() -> set[Right]:
    [found] = raw("base/role.yaml")
    return granted(found)


def test_every_request_is_allowed(asked: dict[str, set[Right]]) -> None:
    missing = {name: in_words(needed - role()) for name, needed in asked.items() if needed - role()}
    assert not missing, "manifests/base/role.yaml must grant it, or the launcher do without"


def test_every_right_is_used(asked: dict[str, set[Right]]) -> None:
    unused = role() - set().union(*asked.values())
    assert not in_words(unused), "manifests/base/role.yaml grants more than launchers ask for"


def test_the_role_names_only_kinds_that_launchers_know() -> None:
    known = {(version.rpartition("/")[0], plural) for (version, _), plural in PLURALS.items()}
    assert {(group, resource.split("/")[0]) for _, group, resource in role()} <= known


@pytest.mark.parametrize(
    ("request_", "wanted"),
    [
        (("GET", "/api/v1/namespaces/n/pods/p", None), [("get", "", "pods")]),
        (("GET", "/api/v1/namespaces/n/pods/p/log", {"follow": "true"}), [("get", "", "pods/log")]),
        (("GET", "/api/v1/namespaces/n/pods", {"labelSelector": "a"}), [("list", "", "pods")]),
        (("GET", "/apis/batch/v1/namespaces/n/jobs", {"watch": "true"}), [("watch", "batch", "jobs")]),
        (("POST", "/apis/batch/v1/namespaces/n/jobs", None), [("create", "batch", "jobs")]),
        (("DELETE", "/apis/batch/v1/namespaces/n/jobs/j", None), [("delete", "batch", "jobs")]),
        (("DELETE", "/apis/batch/v1/namespaces/n/jobs", None), [("deletecollection", "batch", "jobs")]),
    ],
)
def test_a_request_is_read_as_rbac_reads_it(request_: tuple[str, str, Any], wanted: list[Right]) -> None:
    assert rights(*request_) == wanted


def test_an_apply_may_be_a_creation() -> None:
    path = "/apis/serving.kserve.io/v1beta1/namespaces/n/inferenceservices/a"
    found = rights("PATCH", path, None, "application/apply-patch+yaml")
    assert {verb for verb, _, _ in found} == {"patch", "create"}
