"""seaway submit: options, what is printed, and exit statuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from seaway.cli.submit import submit_command
from seaway.errors import InputError
from tests.submission.conftest import GIVEN, HELPER, MODULE
from tests.support.pipelines_api import PipelinesApi

PARAMS = [word for key, value in GIVEN.items() for word in ("--param", f"{key}={value}")]


def command(*arguments: str) -> Result:
    return CliRunner().invoke(submit_command, ["train_and_serve", *arguments])


def done(*arguments: str) -> Result:
    found = command(*arguments)
    assert found.exit_code == 0, (found.output, found.exception)
    return found


def test_a_run_is_submitted_and_its_page_printed(api: PipelinesApi, tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text("target: fare\nname: wrong\nseed: 3\nexclude: [tip]\nparams: {max_iter: 5}\n")
    token = tmp_path / "token"
    token.write_text("secret")
    api.token = "secret"
    found = done(
        *("--host", api.url, "--params", str(file), "--param", "data=s3://b/t", "-p", "name=fares"),
        *("--experiment", "mine", "--name", "first", "--token-file", str(token), "--no-cache"),
    )
    assert found.stdout == f"run runs-1  'first' in experiment 'mine'\n{api.url}/#/runs/details/runs-1\n"
    (sent,) = api.posted("runs")
    assert sent.body["runtime_config"]["parameters"] == {
        "data": "s3://b/t",
        "target": "fare",
        "name": "fares",
        "seed": 3,
        "exclude": ["tip"],
        "params": {"max_iter": 5},
    }
    ingest = sent.body["pipeline_spec"]["pipeline_spec"]["root"]["dag"]["tasks"]["ingest"]
    assert ingest["cachingOptions"] == {}


def test_a_schedule_is_said_in_words(api: PipelinesApi) -> None:
    found = done(*PARAMS, "--host", api.url, "--cron", "0 2 * * 1-5", "--max-concurrency", "2", "--catchup", "--paused")
    lines = found.stdout.splitlines()
    assert lines[0] == "recurring run recurringruns-1  'train-and-serve' in experiment 'train-and-serve'"
    assert lines[1] == "At 02:00 AM, Monday through Friday, UTC  (0 0 2 * * 1-5)"
    assert lines[2].startswith("next 20")
    assert lines[2].count("02:00 UTC") == 3
    assert lines[3] == f"{api.url}/#/recurringrun/details/recurringruns-1"
    body = api.posted("recurringruns")[0].body
    assert (body["mode"], body["max_concurrency"], body["no_catchup"]) == ("DISABLE", 2, False)


def test_six_fields_are_taken_as_given_and_said_so() -> None:
    found = done(*PARAMS, "--cron", "0 0 2 * * *", "--dry-run")
    assert "(0 0 2 * * *, taken as given: seconds first)" in found.stderr
    assert json.loads(found.stdout)["body"]["trigger"] == {"cron_schedule": {"cron": "0 0 2 * * *"}}


def test_an_interval_and_its_bounds_are_sent(api: PipelinesApi) -> None:
    done(*PARAMS, "--host", api.url, "--every", "1h30m", "--start", "2027-01-01", "--end", "2099-01-01T00:00:00Z")
    assert api.posted("recurringruns")[0].body["trigger"] == {
        "periodic_schedule": {
            "interval_second": 5400,
            "start_time": "2027-01-01T00:00:00Z",
            "end_time": "2099-01-01T00:00:00Z",
        }
    }


def test_a_dry_run_needs_no_server() -> None:
    found = json.loads(done(*PARAMS, "--dry-run").stdout)
    assert (found["method"], found["path"]) == ("POST", "/apis/v2beta1/runs")
    assert found["body"]["runtime_config"] == {"parameters": GIVEN}


def test_a_pipeline_without_a_scheduled_time_gets_a_note(api: PipelinesApi, tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text(HELPER)
    (tmp_path / "mine.py").write_text(MODULE.replace(", note=scheduled_time", ""))
    arguments = [str(tmp_path / "mine.py"), "--host", api.url, "--cron", "@daily"]
    found = CliRunner().invoke(submit_command, arguments)
    assert found.exit_code == 0, (found.output, found.exception)
    assert "note: every run of one would have the same parameters" in found.stderr


@pytest.mark.parametrize(("state", "status"), [("SUCCEEDED", 0), ("FAILED", 1), ("CANCELED", 3), ("SKIPPED", 0)])
def test_the_exit_status_says_how_a_run_ended(api: PipelinesApi, small: Path, state: str, status: int) -> None:
    api.states = [{"state": state, "error": {"message": "because"}}]
    found = CliRunner().invoke(submit_command, [str(small), "--host", api.url, "--wait", "--timeout", "1m"])
    assert found.exit_code == status
    assert found.stdout.splitlines()[-1] == state.lower()
    assert "because" in found.stderr


def test_a_pipeline_is_uploaded_once(api: PipelinesApi) -> None:
    assert done("--upload", "--host", api.url, "--description", "d").stdout == (
        f"train-and-serve uploaded\n{api.url}/#/pipelines/details/pipelines-1\n"
    )
    done("--upload", "--host", api.url)
    assert "(was there already)" in done("--upload", "--host", api.url).stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--param", "x"], "--param must be KEY=VALUE, found 'x'"),
        (["--cron", "@daily", "--every", "6h"], "give --cron or --every, not both"),
        (["--paused"], "--paused belongs to a recurring run"),
        (["--max-concurrency", "2"], "--max-concurrency belongs to a recurring run"),
        (["--cron", "@daily", "--wait"], "leave out --wait and --upload"),
        (["--wait", "--dry-run"], "give --wait or --dry-run, not both"),
        (["--timeout", "5m"], "--timeout belongs to --wait"),
        (["--every", "6"], "must be numbers with units"),
        ([*PARAMS, "--cron", "0 0 * * 7"], "Sunday is 0"),
        (PARAMS, "host must be the URL of Kubeflow Pipelines, found none"),
    ],
)
def test_options_that_do_not_go_together_are_refused(arguments: list[str], words: str) -> None:
    found = command(*arguments)
    assert isinstance(found.exception, InputError)
    assert words in str(found.exception)


@pytest.mark.parametrize("text", ["[1]", "a: [", "1: 2", "a: 2020-01-01"])
def test_a_file_of_parameters_must_hold_names_and_plain_values(tmp_path: Path, text: str) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(text)
    found = command("--params", str(file), "--dry-run")
    assert isinstance(found.exception, InputError)
    missing = command("--params", str(tmp_path / "nope"))
    assert isinstance(missing.exception, InputError)


def test_an_error_is_one_line_and_kfp_prints_nothing(api: PipelinesApi) -> None:
    environment = {**os.environ, "SEAWAY_KFP_HOST": api.url}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-m", "seaway", "submit", "train_and_serve", *arguments]
        return subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60)

    good = run(*PARAMS, "--name", "x")
    assert good.stdout.splitlines() == [
        "run runs-1  'x' in experiment 'train-and-serve'",
        f"{api.url}/#/runs/details/runs-1",
    ]
    assert good.stderr == ""
    api.token = "secret"
    bad = run(*PARAMS)
    assert bad.returncode == 1
    assert len(bad.stderr.splitlines()) == 1
    assert bad.stderr.startswith("error: could not find Kubeflow Pipelines at http://127.0.0.1")
