"""A launcher creates or attaches, streams the logs, waits, and fails in words."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from seaway.errors import DeadlineError, JobFailedError, LaunchError
from seaway.launch import sigterm
from seaway.launch.api import Api, ApiError, Object
from seaway.launch.cancel import cancel, cancel_left
from seaway.launch.identity import Identity, identify
from seaway.launch.job import JOB, condition, create_or_attach, named, run_job
from seaway.resources import names
from seaway.resources.job import job
from seaway.resources.pod import Replica
from tests.support.laptop import TestLaptop
from tests.support.waiting import until


def manifest(api: Api, code: str, **options: object) -> Object:
    replica = Replica(
        image="ghcr.io/seaway-ml/seaway-sklearn-python:0.1.0",
        command=["python", "-c", code],
        labels=names.run_labels("run-1", "train"),
    )
    built = job(name="", replica=replica, **options)  # type: ignore[arg-type]
    return named(built, prefix="t", identity=identify(api))


def pods(api: Api, name: str) -> list[Object]:
    return api.list(("v1", "Pod"), labels=f"batch.kubernetes.io/job-name={name}")


def running(api: Api, name: str) -> Object | None:
    return next((p for p in pods(api, name) if p["status"].get("phase") == "Running"), None)


def test_a_job_succeeds_and_its_lines_are_in_the_steps_log(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    code = "import json; print('plain'); print(json.dumps({'message': 'loss', 'severity': 'WARNING', 'auc': 0.8}))"
    done = run_job(api, manifest(api, code), identity=identify(api))
    assert condition(done, "Complete")
    lines = {r.getMessage(): r for r in caplog.records if r.name == "seaway.replica"}
    assert lines.keys() == {"plain", "loss"}
    assert lines["loss"].levelname == "WARNING"
    assert lines["loss"].fields == {"auc": 0.8}  # type: ignore[attr-defined]
    assert lines["plain"].labels["replica"].startswith(done["metadata"]["name"])  # type: ignore[attr-defined]


def test_a_retried_step_attaches_to_its_own_job_and_runs_nothing_twice(api: Api, tmp_path: Path) -> None:
    wanted = manifest(api, f"open({str(tmp_path / 'ran')!r}, 'a').write('x')")
    first = run_job(api, wanted, identity=identify(api))
    second = run_job(api, wanted, identity=identify(api))
    assert first["metadata"]["uid"] == second["metadata"]["uid"]
    assert (tmp_path / "ran").read_text() == "x"


def test_only_jobs_that_go_on_are_deleted_after_a_failed_run(api: Api) -> None:
    done = run_job(api, manifest(api, "pass # is done"), identity=identify(api))
    going = create_or_attach(api, manifest(api, "import time; time.sleep(60)"))
    assert cancel("run-1", unfinished_only=True) == [going["metadata"]["name"]]
    assert api.get(JOB, done["metadata"]["name"]) is not None
    assert done["metadata"]["name"] in cancel("run-1")


def test_a_name_that_another_manifest_took_is_refused(api: Api) -> None:
    wanted = manifest(api, "pass # taken")
    other = {**wanted, "metadata": {**wanted["metadata"], "annotations": {names.DIGEST_ANNOTATION: "other"}}}
    create_or_attach(api, other)
    with pytest.raises(LaunchError, match="found one made from another manifest"):
        create_or_attach(api, wanted)


def test_a_failed_job_names_the_replica_its_exit_code_and_last_lines(api: Api) -> None:
    wanted = manifest(api, "import sys; print('reading'); sys.stderr.write('error: no rows\\n'); sys.exit(7)")
    with pytest.raises(JobFailedError) as caught:
        run_job(api, wanted, identity=identify(api))
    assert caught.value.exit_code == 7
    assert caught.value.replica.startswith(wanted["metadata"]["name"])
    assert "BackoffLimitExceeded" in str(caught.value)
    assert "exit code 7" in str(caught.value)
    assert "error: no rows" in caught.value.tail


def test_a_killed_worker_is_replaced_and_the_job_succeeds(api: Api, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    code = (
        f"import os, signal, pathlib; p = pathlib.Path({str(mark)!r}); first = not p.exists(); p.touch()\n"
        "if first: os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = run_job(api, manifest(api, code, backoff_limit=2), identity=identify(api))
    assert done["status"]["failed"] == 1
    assert done["status"]["succeeded"] == 1


def test_an_exit_code_that_says_hopeless_fails_the_job_without_a_retry(api: Api, tmp_path: Path) -> None:
    code = f"import sys; open({str(tmp_path / 'ran')!r}, 'a').write('x'); sys.exit(65)"
    with pytest.raises(
        JobFailedError, match=r"PodFailurePolicy: Container main for pod .* exit code 65 matching FailJob"
    ):
        run_job(api, manifest(api, code, backoff_limit=3, hopeless_exit_codes=(65,)), identity=identify(api))
    assert (tmp_path / "ran").read_text() == "x"


def test_a_deadline_ends_and_deletes_a_job_that_hangs(api: Api) -> None:
    wanted = manifest(api, "import time; time.sleep(600)")
    with pytest.raises(DeadlineError, match="must end within 1 s"):
        run_job(api, wanted, identity=identify(api), deadline_s=1)
    until(lambda: not pods(api, wanted["metadata"]["name"]), what="its pod is gone")


def test_a_job_that_someone_deletes_fails_the_step(api: Api) -> None:
    wanted = manifest(api, "import time; time.sleep(601)")
    name = wanted["metadata"]["name"]

    def delete() -> None:
        until(lambda: running(api, name))
        api.delete(JOB, name)

    thread = threading.Thread(target=delete)
    thread.start()
    with pytest.raises(LaunchError, match="was deleted while this step waited"):
        run_job(api, wanted, identity=identify(api))
    thread.join()


def test_sigterm_leaves_the_job_for_the_retry_and_cancel_deletes_it(api: Api) -> None:
    wanted = manifest(api, "import time; time.sleep(602)")
    name = wanted["metadata"]["name"]

    def end() -> None:
        until(lambda: running(api, name))
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=end)
    thread.start()
    with pytest.raises(sigterm.TerminatedError):
        run_job(api, wanted, identity=identify(api))
    thread.join()
    pod = running(api, name)
    assert pod is not None
    assert name in cancel("run-1", unfinished_only=True)
    until(lambda: not pods(api, name), what="its pod is gone")


def test_a_laptop_killed_in_mid_run_comes_back_and_the_step_goes_on(
    tmp_path: Path, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    laptop = TestLaptop(tmp_path / "home").start()
    try:
        monkeypatch.setenv("KUBECONFIG", str(laptop.kubeconfig))
        own = Api.connect()
        gate, ran = tmp_path / "gate", tmp_path / "ran"
        code = (
            f"import time, pathlib; open({str(ran)!r}, 'a').write('x'); print('began', flush=True)\n"
            f"while not pathlib.Path({str(gate)!r}).exists(): time.sleep(0.02)"
        )
        wanted = manifest(own, code)

        def crash() -> None:
            until(lambda: ran.exists())
            laptop.kill()
            laptop.start()
            gate.touch()

        thread = threading.Thread(target=crash)
        thread.start()
        done = run_job(own, wanted, identity=identify(own))
        thread.join()
        assert condition(done, "Complete")
        assert ran.read_text() == "x"
    finally:
        laptop.end(signal.SIGTERM)


def test_a_namespace_that_is_not_there_is_said_in_words(api: Api) -> None:
    with pytest.raises(ApiError, match="namespace and the kind must exist"):
        create_or_attach(Api.connect("nowhere"), manifest(api, "pass"))


def test_without_a_cluster_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(LaunchError, match="run `seaway up`, or set KUBECONFIG"):
        Api.connect()


def test_a_launcher_without_a_run_is_refused(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEAWAY_RUN_ID")
    with pytest.raises(LaunchError, match="must know its run"):
        identify(api)


def test_jobs_of_a_cluster_are_owned_by_the_workflow(api: Api) -> None:
    owner = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "name": "w", "uid": "u"}
    wanted = named(
        job(name="", replica=Replica(image="i", command=[sys.executable])),
        prefix="t",
        identity=Identity(run_id="r", pod="p", workflow="w", owner=owner),
    )
    assert wanted["metadata"]["ownerReferences"] == [owner]


def test_waiting_costs_no_polling(api: Api) -> None:
    """Two changes of a job are seen by watch: the step makes a handful of requests, however long the job takes."""
    calls: list[str] = []
    call = api._call

    def counted(method: str, path: str, **options: object) -> object:
        calls.append(f"{method} {path}")
        return call(method, path, **options)  # type: ignore[arg-type]

    api._call = counted  # type: ignore[method-assign]
    before = time.monotonic()
    run_job(api, manifest(api, "import time; time.sleep(2)"), identity=identify(api))
    assert time.monotonic() - before >= 2
    assert len(calls) <= 12, calls


def test_jobs_of_runs_that_are_over_are_deleted_and_others_stay(api: Api) -> None:
    going = create_or_attach(api, manifest(api, "import time; time.sleep(61)"))["metadata"]["name"]
    assert cancel_left(["another-run"]) == []
    assert cancel_left([]) == []
    assert cancel_left(["another-run", "run-1"]) == [going]
    until(lambda: api.get(JOB, going) is None, what="the job is gone")
