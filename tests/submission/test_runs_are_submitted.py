"""What kfp.Client sends for a run, and how its end is waited for."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from seaway.errors import DeadlineError, InputError, SubmissionError
from seaway.submission import submit, wait
from seaway.submission.source import find
from tests.submission.conftest import GIVEN
from tests.support.pipelines_api import PipelinesApi


def test_a_run_carries_the_whole_pipeline_and_its_parameters(api: PipelinesApi, tmp_path: Path) -> None:
    run = submit(
        "train_and_serve",
        host=api.url,
        parameters={**GIVEN, "exclude": ["tip"], "seed": "3"},
        run_name="first",
        pipeline_root="s3://bucket/root",
        service_account="pipeline-runner",
    )
    (sent,) = api.posted("runs")
    assert sent.body["display_name"] == "first"
    assert sent.body["experiment_id"] == "experiments-1"
    assert sent.body["service_account"] == "pipeline-runner"
    parameters = {**GIVEN, "exclude": ["tip"], "seed": 3}
    assert sent.body["runtime_config"] == {"parameters": parameters, "pipeline_root": "s3://bucket/root"}
    spec, platform = yaml.safe_load_all(find("train_and_serve", tmp_path).read_text())
    assert sent.body["pipeline_spec"]["platform_spec"] == platform
    shipped = sent.body["pipeline_spec"]["pipeline_spec"]
    assert shipped["root"]["dag"] == spec["root"]["dag"]
    assert shipped["components"] == spec["components"]
    assert shipped["deploymentSpec"] == spec["deploymentSpec"]
    assert (run.id, run.url) == ("runs-1", f"{api.url}/#/runs/details/runs-1")
    assert run.request["body"] == sent.body
    assert [e["display_name"] for e in api.things["experiments"]] == ["train-and-serve"]


def test_an_experiment_is_used_again_and_an_archived_one_refused(api: PipelinesApi, small: Path) -> None:
    for _ in range(2):
        submit(small, host=api.url, experiment="mine")
    assert len(api.things["experiments"]) == 1
    assert {r["experiment_id"] for r in api.things["runs"]} == {"experiments-1"}
    api.things["experiments"][0]["storage_state"] = "ARCHIVED"
    with pytest.raises(InputError, match="experiment 'mine' must not be archived"):
        submit(small, host=api.url, experiment="mine")


def test_an_experiment_that_appears_in_between_is_used(api: PipelinesApi, small: Path) -> None:
    api.fail("POST", "experiments", 409, "already exists", code=6)

    class Late(list[dict[str, str]]):
        """Empty at the first look."""

        looks = 0

        def __iter__(self):  # type: ignore[no-untyped-def]
            self.looks += 1
            return iter([] if self.looks == 1 else [{"experiment_id": "e", "display_name": "mine"}])

    api.things["experiments"] = Late()
    submit(small, host=api.url, experiment="mine")
    assert api.posted("runs")[0].body["experiment_id"] == "e"


def test_the_experiment_may_come_from_the_environment(
    api: PipelinesApi, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KF_PIPELINES_DEFAULT_EXPERIMENT_NAME", "team")
    assert submit(small, host=api.url).experiment == "team"
    assert submit(small, host=api.url, experiment="mine").experiment == "mine"


def test_the_cache_is_switched_off_everywhere_and_never_on(api: PipelinesApi) -> None:
    for choice in (None, True, False):
        submit("train_and_serve", host=api.url, parameters=GIVEN, enable_caching=choice)
    compiled, kept, off = (s.body["pipeline_spec"]["pipeline_spec"] for s in api.posted("runs"))
    assert compiled == kept
    assert kept["root"]["dag"]["tasks"]["ingest"]["cachingOptions"] == {"enableCache": True}
    assert kept["root"]["dag"]["tasks"]["train"]["cachingOptions"] == {}
    dags = [off["root"]["dag"], *(c["dag"] for c in off["components"].values() if "dag" in c)]
    assert len(dags) > 1
    assert all(task["cachingOptions"] == {} for dag in dags for task in dag["tasks"].values())


def test_a_dry_run_sends_nothing_and_shows_the_same_body(api: PipelinesApi) -> None:
    dry = submit("train_and_serve", host=api.url, parameters=GIVEN, run_name="x", dry_run=True)
    assert api.sent == []
    assert (dry.id, dry.url) == ("", "")
    submit("train_and_serve", host=api.url, parameters=GIVEN, run_name="x")
    (sent,) = api.posted("runs")
    assert dry.request["path"] == "/apis/v2beta1/runs"
    assert {**dry.request["body"], "experiment_id": "experiments-1"} == sent.body


def test_nothing_is_sent_for_parameters_that_do_not_fit(api: PipelinesApi) -> None:
    for given in ({"data": "x"}, {**GIVEN, "sed": 1}, {**GIVEN, "seed": "x"}):
        with pytest.raises(InputError):
            submit("train_and_serve", host=api.url, parameters=given)
    assert api.sent == []


@pytest.mark.parametrize(
    ("last", "state"),
    [("SUCCEEDED", "succeeded"), ("FAILED", "failed"), ("CANCELED", "canceled"), ("SKIPPED", "skipped")],
)
def test_every_end_is_seen(api: PipelinesApi, small: Path, last: str, state: str) -> None:
    run = submit(small, host=api.url)
    api.states = [{"state": s} for s in ("PENDING", "RUNNING", "RUNNING", "CANCELING", last)]
    seen: list[str] = []
    found = wait(run.id, host=api.url, every_s=0.01, on_state=seen.append)
    assert found.state == state
    assert seen == ["PENDING", "RUNNING", "CANCELING", last]
    assert found.url == run.url


def test_a_failed_run_names_its_failed_tasks(api: PipelinesApi, small: Path) -> None:
    run = submit(small, host=api.url)
    tasks = [
        {"display_name": "root", "state": "FAILED"},
        {"display_name": "ingest", "state": "SUCCEEDED"},
        {"display_name": "train", "state": "FAILED", "error": {"code": 1, "message": "job failed:\nno rows"}},
    ]
    api.states = [{"state": "FAILED", "run_details": {"task_details": tasks}, "error": {"message": "it failed"}}]
    found = wait(run.id, host=api.url, every_s=0.01)
    assert found.failed == ("train: job failed: no rows",)
    assert found.error == "it failed"


def test_a_server_that_fails_for_a_while_is_waited_for(api: PipelinesApi, small: Path) -> None:
    run = submit(small, host=api.url)
    api.fail("GET", f"runs/{run.id}", 503, times=9)
    assert wait(run.id, host=api.url, every_s=0.01).state == "succeeded"


def test_what_never_ends_is_left_and_what_is_not_there_is_said(api: PipelinesApi, small: Path) -> None:
    run = submit(small, host=api.url)
    api.states = [{"state": "RUNNING"}]
    with pytest.raises(DeadlineError, match=r"must end within 0.05 s, found it RUNNING; it goes on: http"):
        wait(run.id, host=api.url, every_s=0.01, timeout_s=0.05)
    with pytest.raises(SubmissionError, match="could not read the run nope"):
        wait("nope", host=api.url, every_s=0.01)
