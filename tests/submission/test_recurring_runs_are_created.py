"""What kfp.Client sends for a recurring run."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from seaway.errors import InputError
from seaway.submission import schedule
from tests.submission.conftest import GIVEN, HELPER, MODULE
from tests.support.pipelines_api import PipelinesApi


def test_a_crontab_is_sent_with_seconds_and_the_scheduled_time(api: PipelinesApi) -> None:
    made = schedule(
        "train_and_serve",
        host=api.url,
        cron="0 2 * * *",
        parameters=GIVEN,
        experiment="nightly",
        job_name="fares at night",
        description="all fares",
        start="2026-01-01T00:00:00Z",
        end="2036-01-01",
        service_account="pipeline-runner",
    )
    (sent,) = api.posted("recurringruns")
    body = dict(sent.body)
    assert body.pop("pipeline_spec").keys() == {"pipeline_spec", "platform_spec"}
    assert body == {
        "display_name": "fares at night",
        "description": "all fares",
        "experiment_id": "experiments-1",
        "trigger": {
            "cron_schedule": {
                "cron": "0 0 2 * * *",
                "start_time": "2026-01-01T00:00:00Z",
                "end_time": "2036-01-01T00:00:00Z",
            }
        },
        "mode": "ENABLE",
        "max_concurrency": 1,
        "no_catchup": True,
        "runtime_config": {"parameters": {**GIVEN, "scheduled_time": "[[ScheduledTime]]"}},
        "service_account": "pipeline-runner",
    }
    assert made.id == "recurringruns-1"
    assert made.url == f"{api.url}/#/recurringrun/details/recurringruns-1"
    assert made.words.startswith("At 02:00 AM, UTC, from 2026-01-01")
    assert [t.hour for t in made.next] == [2, 2, 2]
    assert made.request["body"] == sent.body


def test_an_interval_catchup_and_pause_are_sent(api: PipelinesApi) -> None:
    made = schedule(
        "train_and_serve",
        host=api.url,
        interval_s=21_600,
        parameters={**GIVEN, "scheduled_time": "[[ScheduledTime.2006-01-02]]"},
        max_concurrency=10,
        no_catchup=False,
        enabled=False,
    )
    (sent,) = api.posted("recurringruns")
    assert sent.body["trigger"] == {"periodic_schedule": {"interval_second": 21_600}}
    assert (sent.body["mode"], sent.body["max_concurrency"], sent.body["no_catchup"]) == ("DISABLE", 10, False)
    assert sent.body["runtime_config"]["parameters"]["scheduled_time"] == "[[ScheduledTime.2006-01-02]]"
    assert made.words == "Every 6 h"


@pytest.fixture
def timeless(tmp_path: Path) -> Path:
    """A pipeline without the parameter scheduled_time."""
    (tmp_path / "helper.py").write_text(HELPER)
    path = tmp_path / "mine.py"
    text = MODULE.replace(', scheduled_time: str = ""', ', day: str = ""')
    path.write_text(text.replace("note=scheduled_time", "note=day"))
    return path


def caching(api: PipelinesApi) -> list[object]:
    return [
        s.body["pipeline_spec"]["root"]["dag"]["tasks"]["add"]["cachingOptions"] for s in api.posted("recurringruns")
    ]


def test_a_pipeline_that_the_cache_would_answer_for_is_not_cached(api: PipelinesApi, timeless: Path) -> None:
    with pytest.warns(
        UserWarning, match="every run of one would have the same parameters .* the cache is switched off"
    ):
        schedule(timeless, host=api.url, cron="@daily")
    assert caching(api) == [{}]
    assert api.posted("recurringruns")[0].body["runtime_config"] == {"parameters": {}}


def test_the_cache_stays_if_told_so_or_if_a_text_differs_each_time(api: PipelinesApi, timeless: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        schedule(timeless, host=api.url, cron="@daily", enable_caching=True, job_name="a")
        schedule(
            timeless, host=api.url, cron="@daily", parameters={"day": "[[ScheduledTime.2006-01-02]]"}, job_name="b"
        )
        schedule(timeless, host=api.url, cron="@daily", enable_caching=False, job_name="c")
    assert caching(api) == [{"enableCache": True}, {"enableCache": True}, {}]


def test_a_second_one_of_the_same_name_is_refused(api: PipelinesApi, small: Path) -> None:
    schedule(small, host=api.url, cron="@daily")
    with pytest.raises(InputError, match=r"job_name must be new .* found a recurring run 'one': delete it"):
        schedule(small, host=api.url, cron="@hourly")
    assert len(api.posted("recurringruns")) == 1
    schedule(small, host=api.url, cron="@hourly", job_name="hourly")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"cron": "@daily", "max_concurrency": 0}, "max_concurrency must be 1 to 10, found 0"),
        ({"cron": "@daily", "max_concurrency": 11}, "max_concurrency must be 1 to 10, found 11"),
        ({"cron": "99 * * * *"}, "the field minute must be"),
        ({}, "one of them"),
        ({"cron": "@daily", "parameters": {"data": "x"}}, r"must be given \['name', 'target'\]"),
    ],
)
def test_nothing_is_sent_for_what_does_not_hold(api: PipelinesApi, given: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        schedule("train_and_serve", host=api.url, **{"parameters": GIVEN, **given})  # type: ignore[arg-type]
    assert api.sent == []


def test_a_dry_run_shows_what_would_be_sent(api: PipelinesApi) -> None:
    dry = schedule("train_and_serve", cron="0 2 * * 1-5", parameters=GIVEN, dry_run=True)
    assert api.sent == []
    assert dry.request["path"] == "/apis/v2beta1/recurringruns"
    assert dry.request["body"]["trigger"] == {"cron_schedule": {"cron": "0 0 2 * * 1-5"}}
    assert dry.words == "At 02:00 AM, Monday through Friday, UTC"
