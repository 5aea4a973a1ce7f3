"""``seaway run``: from a table to an answered question, and what happens when something goes wrong on the way."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from seaway.launch.api import Api
from seaway.launch.job import JOB
from tests.cli.conftest import Seaway
from tests.support.waiting import until

STEPS = ["ingest", "featurize", "train", "evaluate", "promote", "smoke_test"]


def last(seaway: Seaway) -> dict[str, object]:
    found: dict[str, object] = json.loads(seaway("runs", "last", "--json"))
    return found


@pytest.fixture(scope="module")
def fares(seaway: Seaway, taxis: Path) -> str:
    """What a whole run prints: boosted trees on fares."""
    return seaway(
        *("run", "train_and_serve", "--data", str(taxis), "--param", "target=fare", "--param", "name=fares"),
        *("--param", 'exclude=["tipped"]', "--param", 'params={"max_iter": 60}'),
    )


def test_a_run_ends_with_a_real_question_and_answer(fares: str) -> None:
    for step in STEPS:
        assert f"-{step} succeeded" in fares
    assert "beats the linear baseline" in fares
    assert "InferenceService fares version" in fares
    answer = json.loads(fares.strip().splitlines()[-1])
    assert isinstance(answer["predictions"][0]["value"], float)


def test_every_step_is_recorded_with_inputs_outputs_and_one_trace(seaway: Seaway, fares: str) -> None:
    run = fares.splitlines()[0].split()[1]
    found = json.loads(seaway("runs", run, "--json"))
    assert found["state"] == "succeeded"
    assert [s["component"] for s in found["steps"]] == STEPS
    assert {s["trace_id"] for s in found["steps"]} == {found["trace_id"]}
    assert found["steps"][0]["outputs"]["rows"] == 4_000
    line = seaway("logs", run, "--step", "train", "--json").splitlines()
    replicas = [json.loads(x) for x in line if "replica" in x]
    assert replicas
    assert {r["logging.googleapis.com/trace"] for r in replicas} == {found["trace_id"]}


def test_predict_answers_for_csv_and_json_lines(seaway: Seaway, fares: str, taxis: Path) -> None:
    csv = seaway("predict", "fares", "--rows", str(taxis), "--json").splitlines()
    assert len(csv) == 4_000
    row = json.dumps({"zone ⚓": "harbour", "hour": 23, "distance": 5.0})
    (one,) = seaway("predict", "fares", "--rows", "-", "--json", stdin=row + "\n").splitlines()
    assert 25 < json.loads(one)["value"] < 45  # 3 + 2 * 5 * 1.8 + 15
    refused = seaway("predict", "fares", "--rows", "-", check=False, stdin=row.replace("harbour", "moon"))
    assert "'zone ⚓'" in refused
    assert "moon" in refused


def test_a_second_model_of_the_same_name_must_not_be_worse(seaway: Seaway, fares: str, taxis: Path) -> None:
    said = seaway(
        *("run", "train_and_serve", "--data", str(taxis), "--param", "target=fare", "--param", "name=fares"),
        *("--param", 'exclude=["tipped"]', "--param", 'params={"max_iter": 3}'),
    )
    assert "not promoted" in said
    assert "smoke_test" not in said
    assert last(seaway)["state"] == "succeeded"
    red = seaway(
        *("run", "train_and_serve", "--data", str(taxis), "--param", "target=fare", "--param", "name=fares"),
        *("--param", 'exclude=["tipped"]', "--param", 'params={"max_iter": 3}'),
        *("--param", "fail_if_not_promoted=true"),
        check=False,
    )
    assert "error: NotPromotedError" in red


@pytest.mark.parametrize(
    ("params", "words"),
    [
        (("target=fair", "name=x"), "fare"),
        (("target=fare", "name=x", "framework=fortran"), "framework must be one of"),
        (("target=fare", "name=x", 'params={"max_iterations": 3}'), "max_iter"),
    ],
)
def test_a_failed_run_shows_the_failing_steps_last_words(
    seaway: Seaway, taxis: Path, params: tuple[str, ...], words: str
) -> None:
    given = [word for p in params for word in ("--param", p)]
    said = seaway("run", "train_and_serve", "--data", str(taxis), *given, check=False)
    assert "error: " in said
    assert words in said
    assert "seaway logs" in said
    assert last(seaway)["state"] == "failed"


def test_a_killed_command_leaves_no_process_and_no_job_behind(seaway: Seaway, taxis: Path) -> None:
    command = seaway.start(
        *("run", "train_and_serve", "--data", str(taxis), "--param", "target=fare", "--param", "name=orphan"),
        *("--param", 'exclude=["tipped"]', "--param", 'params={"max_iter": 3000, "early_stopping": "false"}'),
    )
    api = Api(seaway.laptop.client(), namespace="default")

    def running() -> list[str]:
        found = [*api.list(("v1", "Pod")), *api.list(JOB)]
        return [o["metadata"]["name"] for o in found if o["metadata"]["name"].startswith("train-orphan")]

    until(running, timeout_s=60, what="training runs")
    runner = int(str(last(seaway)["runner_pid"]))
    command.send_signal(signal.SIGKILL)
    command.wait()
    until(lambda: gone(runner), what="the runner is gone")
    until(lambda: not running(), what="its job is gone")
    assert last(seaway)["state"] in ("cancelled", "interrupted")


def gone(pid: int) -> bool:
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return True
    return False
