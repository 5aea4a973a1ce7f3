"""What a person reads when a run, a disk or a process fails."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from seaway.cli import main
from seaway.cli.doctor import doctor_command
from seaway.cli.run import end_group, explain
from seaway.local.kfp import runs
from tests.support.waiting import until


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> runs.Run:
    monkeypatch.setenv("SEAWAY_HOME", str(tmp_path / "home"))
    made = runs.create("my-pipeline", "pipeline.yaml", {})
    (made.folder / "steps").mkdir()
    (made.folder / "run.log").write_text("one\nTask 'boom' finished with status FAILURE\n")
    return made


def record(run: runs.Run, **state: object) -> None:
    path = run.folder / "steps" / "01-train.json"
    path.write_text(json.dumps({"step": "01-train", "component": "train", "pid": os.getpid(), **state}))
    lines = [{"message": "epoch 1"}, {"message": "train failed: no rows", "severity": "ERROR"}]
    path.with_suffix(".log").write_text("".join(json.dumps(x) + "\n" for x in lines))


def test_a_failed_step_shows_its_last_lines_and_its_error_once(
    run: runs.Run, capsys: pytest.CaptureFixture[str]
) -> None:
    record(run, state="failed", error="DataError: no rows")
    run.update(state="failed")
    explain(run)
    said = capsys.readouterr().err
    assert "epoch 1" in said
    assert said.count("no rows") == 1
    assert "error: DataError: no rows" in said


def test_a_step_that_was_killed_is_said_to_be(run: runs.Run, capsys: pytest.CaptureFixture[str]) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    record(run, state="running", pid=dead.pid)
    run.update(state="failed", error="the run's own process was ended by SIGKILL: run it again")
    explain(run)
    said = capsys.readouterr().err
    assert "step 01-train interrupted" in said
    assert "it was killed, by hand or for lack of memory" in said
    assert "ended by SIGKILL" in said


def test_a_step_without_a_record_shows_the_runs_own_log(run: runs.Run, capsys: pytest.CaptureFixture[str]) -> None:
    run.update(state="failed")
    explain(run)
    said = capsys.readouterr().err
    assert str(run.folder / "run.log") in said
    assert "'boom' finished with status FAILURE" in said


def test_a_cancelled_run_is_not_a_failed_one(run: runs.Run, capsys: pytest.CaptureFixture[str]) -> None:
    record(run, state="failed", error="TerminatedError: SIGTERM")
    run.update(state="cancelled")
    explain(run)
    said = capsys.readouterr().err
    assert "cancelled" in said
    assert "error" not in said


@pytest.mark.parametrize("stubborn", [False, True])
def test_a_group_ends_though_its_leader_is_gone(stubborn: bool) -> None:
    ignore = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " if stubborn else ""
    child = f"{ignore}print('up', flush=True); import time; time.sleep(60)"
    code = f"import os, subprocess, sys; subprocess.Popen([sys.executable, '-c', {child!r}]); os.wait()"
    leader = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True)
    assert leader.stdout is not None
    with leader.stdout:
        assert leader.stdout.readline() == b"up\n"
        leader.kill()
        leader.wait()
        os.killpg(leader.pid, 0)  # the child lives on
        end_group(leader, grace_s=0.3)
        # the pipe ends when nobody holds it any more, also where nobody reaps what is dead
        assert leader.stdout.read() == b""


def test_a_full_disk_is_one_line_and_not_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> list[runs.Run]:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/home/x/run.json")

    monkeypatch.setattr(runs, "every", full)
    with pytest.raises(SystemExit, match="1"):
        main(["runs"])
    assert "error: /home/x/run.json: No space left on device: free some space there" in capsys.readouterr().err


def test_the_doctor_says_that_the_home_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SEAWAY_HOME", str(tmp_path / "file" / "home"))
    found = CliRunner().invoke(doctor_command)
    assert found.exit_code == 1
    assert "home must be writable, found Not a directory: set SEAWAY_HOME" in found.output


def test_down_cancels_the_runs_that_need_the_laptop(run: runs.Run) -> None:
    runner = subprocess.Popen(["sleep", "60"], start_new_session=True)
    run.update(runner_pid=runner.pid, runner_started=runs.started(runner.pid))
    from seaway.cli.laptop import down_command

    found = CliRunner().invoke(down_command)
    assert f"run {run.id} cancelled" in found.output
    until(lambda: runner.poll() == -signal.SIGTERM, what="its process is gone")
    assert run.read()["state"] == "cancelled"
