"""A PyTorchJob runs to its end: all replicas begin anew together, a budget and a deadline hold, nothing runs on."""

from __future__ import annotations

import logging
import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from seaway.errors import DeadlineError, JobFailedError, LaunchError
from seaway.launch import sigterm
from seaway.launch.api import Api, Object
from seaway.launch.attempt import Patience
from seaway.launch.cancel import cancel, cancel_left
from seaway.launch.identity import identify
from seaway.launch.job import ATTEMPT, condition, create_or_attach, named, run_job
from seaway.launch.jobkinds import PYTORCH_JOB
from seaway.resources import names
from seaway.resources.merge import merge
from seaway.resources.pod import Ends, Replica, add_env
from seaway.resources.pytorchjob import pytorch_job
from tests.support.laptop import TestLaptop
from tests.support.waiting import until

HANG = "import time; time.sleep(600)"


def manifest(
    api: Api, code: str, *, replicas: int = 2, patch: Any = None, env: Any = (), ends: Ends | None = None
) -> Object:
    replica = Replica(
        image="ghcr.io/seaway-ml/seaway-torch-python:0.1.0",
        command=["python", "-c", f"import os, sys, time\nrank = int(os.environ['RANK'])\n{code}"],
        env=env,
        labels=names.run_labels("run-1", "train"),
        termination_grace_period_seconds=2,
    )
    built = pytorch_job(name="", replica=replica, replicas=replicas, ends=ends or Ends())
    return named(merge(built, patch or {}), prefix="t", identity=identify(api))


def policies(policy: str, *roles: str) -> Object:
    """A patch that lets the operator restart replicas."""
    specs = {role: {"restartPolicy": policy} for role in roles}
    return {"spec": {"pytorchReplicaSpecs": specs, "runPolicy": {"backoffLimit": 100}}}


def pods(api: Api, name: str) -> list[Object]:
    return api.list(("v1", "Pod"), labels=f"training.kubeflow.org/job-name={name}")


def running(api: Api, name: str) -> list[str]:
    return [p["metadata"]["name"] for p in pods(api, name) if p["status"].get("phase") == "Running"]


def once(mark: Path, code: str) -> str:
    """Code that does something the first time that it runs, in whatever attempt."""
    return f"if not os.path.exists({str(mark)!r}):\n    open({str(mark)!r}, 'w').close()\n    {code}"


def counted(folder: Path, code: str) -> str:
    """Code that first leaves a letter in a file of its rank."""
    return f"open({str(folder)!r} + f'/ran-{{rank}}', 'a').write('x')\n{code}"


def ran(folder: Path) -> dict[str, int]:
    return {p.name.removeprefix("ran-"): len(p.read_text()) for p in folder.glob("ran-*")}


def test_it_succeeds_with_its_master_and_every_replicas_lines_are_in_the_steps_log(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    code = "print('rank', rank, 'of', os.environ['WORLD_SIZE'], flush=True)"
    done = run_job(api, manifest(api, code, replicas=3), identity=identify(api))
    name = done["metadata"]["name"]
    assert condition(done, "Succeeded")
    until(lambda: len({r.getMessage() for r in caplog.records if r.name == "seaway.replica"}) >= 1)
    lines = {r.labels["replica"]: r.getMessage() for r in caplog.records if r.name == "seaway.replica"}  # type: ignore[attr-defined]
    assert lines[f"{name}-master-0"] == "rank 0 of 3"
    assert lines.items() <= {
        (f"{name}-master-0", "rank 0 of 3"),
        (f"{name}-worker-0", "rank 1 of 3"),
        (f"{name}-worker-1", "rank 2 of 3"),
    }


def test_a_job_of_one_replica_is_a_master_alone(api: Api) -> None:
    done = run_job(api, manifest(api, "assert os.environ['WORLD_SIZE'] == '1'", replicas=1), identity=identify(api))
    assert [p["metadata"]["name"] for p in pods(api, done["metadata"]["name"])] == [
        f"{done['metadata']['name']}-master-0"
    ]


def test_a_killed_worker_lets_all_replicas_begin_anew_together(api: Api, tmp_path: Path) -> None:
    kill = once(tmp_path / "mark", "os.kill(os.getpid(), 9)")
    # the Master waits for the worker's second life, as one that has lost its peer would end with 138
    code = counted(
        tmp_path,
        f"if rank == 1:\n    {kill.replace(chr(10), chr(10) + '    ')}\n"
        f"    open({str(tmp_path / 'met')!r}, 'w').close()\n"
        f"while not os.path.exists({str(tmp_path / 'met')!r}): time.sleep(0.02)",
    )
    done = run_job(api, manifest(api, code), identity=identify(api), restarts=1)
    assert done["metadata"]["annotations"][ATTEMPT] == "2"
    assert ran(tmp_path) == {"0": 2, "1": 2}


def test_a_job_that_loses_replicas_again_and_again_fails_after_its_restarts(api: Api, tmp_path: Path) -> None:
    code = counted(tmp_path, "print('step', 7)\nos.kill(os.getpid(), 9) if rank else time.sleep(600)")
    wanted = manifest(api, code)
    with pytest.raises(JobFailedError, match=r"failed in its attempt 2: .*first failed replica .*worker-0 .*137") as e:
        run_job(api, wanted, identity=identify(api), restarts=1)
    assert e.value.exit_code == 137
    assert e.value.tail == "step 7"
    assert ran(tmp_path)["1"] == 2
    until(lambda: not running(api, wanted["metadata"]["name"]), what="no replica runs on")


def test_the_replica_that_failed_by_itself_is_named_not_the_one_that_lost_it(api: Api, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    code = (
        f"if rank == 0:\n    while not os.path.exists({str(gone)!r}): time.sleep(0.02)\n    sys.exit(138)\n"
        f"print('no memory', flush=True)\nopen({str(gone)!r}, 'w').close()\nos._exit(9)"
    )
    with pytest.raises(JobFailedError) as caught:
        run_job(api, manifest(api, code), identity=identify(api))
    assert caught.value.replica.endswith("-worker-0")
    assert caught.value.exit_code == 9
    assert caught.value.tail == "no memory"


def test_an_input_that_no_restart_helps_fails_at_once(api: Api, tmp_path: Path) -> None:
    wanted = manifest(api, counted(tmp_path, "sys.exit(65) if rank == 0 else time.sleep(600)"))
    with pytest.raises(JobFailedError, match=r"master-0 \(Error, exit code 65\)"):
        run_job(api, wanted, identity=identify(api), restarts=5)
    assert ran(tmp_path)["0"] == 1
    until(lambda: not running(api, wanted["metadata"]["name"]), what="no replica runs on")


def test_a_master_that_hangs_is_ended_by_the_deadline_and_the_job_is_gone(api: Api) -> None:
    wanted = manifest(api, "time.sleep(600) if rank == 0 else None")
    name = wanted["metadata"]["name"]
    with pytest.raises(DeadlineError, match=rf"must end within 2 s, it still runs: {name}-master-0 is Running"):
        run_job(api, wanted, identity=identify(api), deadline_s=2)
    until(lambda: not pods(api, name), what="its replicas are gone")
    assert api.get(PYTORCH_JOB, name) is None


def test_the_controllers_deadline_is_a_deadline_too(api: Api) -> None:
    wanted = manifest(api, HANG, ends=Ends(deadline_s=1))
    with pytest.raises(DeadlineError, match="must end in time"):
        run_job(api, wanted, identity=identify(api), restarts=3)
    until(lambda: not pods(api, wanted["metadata"]["name"]), what="its replicas are gone")


def test_a_retried_step_makes_a_failed_job_anew_and_takes_a_succeeded_one(api: Api, tmp_path: Path) -> None:
    wanted = manifest(api, counted(tmp_path, once(tmp_path / "mark", "sys.exit(3)")), replicas=1)
    with pytest.raises(JobFailedError):
        run_job(api, wanted, identity=identify(api))
    second = run_job(api, wanted, identity=identify(api))
    third = run_job(api, wanted, identity=identify(api))
    assert second["metadata"]["uid"] == third["metadata"]["uid"]
    assert ran(tmp_path) == {"0": 2}


def test_a_step_told_to_end_leaves_the_job_and_its_retry_attaches_whatever_its_span(api: Api, tmp_path: Path) -> None:
    go = tmp_path / "go"
    wanted = manifest(api, counted(tmp_path, f"while not os.path.exists({str(go)!r}): time.sleep(0.02)"))
    name = wanted["metadata"]["name"]

    def end() -> None:
        until(lambda: len(ran(tmp_path)) == 2)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=end)
    thread.start()
    with pytest.raises(sigterm.TerminatedError):
        run_job(
            api, add_env(wanted, {"TRACEPARENT": "00-" + "a" * 32 + "-" + "b" * 16 + "-01"}), identity=identify(api)
        )
    thread.join()
    assert len(running(api, name)) == 2
    go.touch()
    again = add_env(wanted, {"TRACEPARENT": "00-" + "a" * 32 + "-" + "c" * 16 + "-01"})
    run_job(api, again, identity=identify(api))
    assert ran(tmp_path) == {"0": 1, "1": 1}


def test_a_pod_that_someone_deletes_costs_a_restart_of_all(api: Api, tmp_path: Path) -> None:
    mark = tmp_path / "again"
    wanted = manifest(api, counted(tmp_path, f"while not os.path.exists({str(mark)!r}): time.sleep(0.02)"))
    name = wanted["metadata"]["name"]

    def delete() -> None:
        until(lambda: len(ran(tmp_path)) == 2)
        api.delete(("v1", "Pod"), f"{name}-worker-0")
        until(lambda: ran(tmp_path)["1"] == 2)
        mark.touch()

    thread = threading.Thread(target=delete)
    thread.start()
    done = run_job(api, wanted, identity=identify(api), restarts=1)
    thread.join()
    assert condition(done, "Succeeded")


def test_restarts_that_the_operator_makes_are_counted(api: Api, tmp_path: Path) -> None:
    code = counted(tmp_path, "os.kill(os.getpid(), 9) if rank else time.sleep(600)")
    wanted = manifest(api, code, patch=policies("ExitCode", "Master", "Worker"))
    with pytest.raises(JobFailedError, match=r"more than the 1 restarts that it may have; first failed .*worker-0"):
        run_job(api, wanted, identity=identify(api), restarts=1, patience=Patience(look_s=0.2))
    until(lambda: not pods(api, wanted["metadata"]["name"]), what="its replicas are gone")
    assert ran(tmp_path)["1"] >= 2


def test_a_hopeless_input_ends_a_job_that_the_operator_would_restart(api: Api, tmp_path: Path) -> None:
    wanted = manifest(api, counted(tmp_path, "sys.exit(65)"), replicas=1, patch=policies("OnFailure", "Master"))
    with pytest.raises(JobFailedError, match=r"no restart helps; first failed replica .*exit code 65"):
        run_job(api, wanted, identity=identify(api), restarts=50, patience=Patience(look_s=0.2))
    until(lambda: not pods(api, wanted["metadata"]["name"]), what="its replicas are gone")


def test_a_container_that_cannot_start_fails_the_step_with_the_reason(api: Api) -> None:
    key = {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "not-there", "key": "token"}}}
    wanted = manifest(api, "", replicas=1, env=[key])
    says = r"must have its replicas start, .*master-0 could not within 0.5 s: CreateContainerConfigError: .*not-there"
    with pytest.raises(LaunchError, match=says):
        run_job(api, wanted, identity=identify(api), patience=Patience(blocked_s=0.5, look_s=0.2))
    until(lambda: not pods(api, wanted["metadata"]["name"]), what="its replicas are gone")


def test_a_program_that_is_not_in_the_image_is_named(api: Api) -> None:
    wanted = manifest(api, "", replicas=1)
    wanted["spec"]["pytorchReplicaSpecs"]["Master"]["template"]["spec"]["containers"][0]["command"] = ["no-program"]
    with pytest.raises(JobFailedError, match=r"master-0 \(StartError: .*no-program.*, exit code 128\)"):
        run_job(api, wanted, identity=identify(api))


def test_cancelling_a_run_deletes_its_pytorchjobs(api: Api) -> None:
    going = create_or_attach(api, manifest(api, HANG + " # cancelled"))["metadata"]["name"]
    done = run_job(api, manifest(api, "pass # done", replicas=1), identity=identify(api))["metadata"]["name"]
    assert cancel_left(["another-run"]) == []
    assert going in cancel("run-1", unfinished_only=True)
    assert api.get(PYTORCH_JOB, done) is not None
    assert done in cancel("run-1")
    until(lambda: not pods(api, going) and not pods(api, done), what="their replicas are gone")


def test_a_laptop_killed_in_mid_run_comes_back_and_no_replica_runs_twice(
    tmp_path: Path, api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    laptop = TestLaptop(tmp_path / "home").start()
    try:
        monkeypatch.setenv("KUBECONFIG", str(laptop.kubeconfig))
        own, gate = Api.connect(), tmp_path / "gate"
        code = counted(tmp_path, f"while not os.path.exists({str(gate)!r}): time.sleep(0.02)\nprint('end', flush=True)")
        wanted = manifest(own, code)

        def crash() -> None:
            until(lambda: len(ran(tmp_path)) == 2)
            laptop.kill()
            laptop.start()
            gate.touch()

        thread = threading.Thread(target=crash)
        thread.start()
        done = run_job(own, wanted, identity=identify(own))
        thread.join()
        assert condition(done, "Succeeded")
        assert ran(tmp_path) == {"0": 1, "1": 1}
        assert [r for r in caplog.records if r.name == "seaway.replica" and r.getMessage() == "end"]
    finally:
        laptop.end(signal.SIGTERM)


def test_the_job_is_a_span_of_the_steps_log(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    done = run_job(api, manifest(api, "pass # span"), identity=identify(api))
    name = done["metadata"]["name"]
    [span] = [r.fields["span"] for r in caplog.records if r.name == "seaway.span" and hasattr(r, "fields")]
    assert span["name"] == f"job {name}"
    assert span["attributes"] == {"job": name, "replicas": 2}
    assert span["end"] > span["start"]
