"""Intervals, moments, and what does not go together."""

from __future__ import annotations

import datetime as dt

import pytest

from seaway.errors import InputError
from seaway.submission.trigger import interval, moment, rfc3339, shown, spoken, trigger

NOON = dt.datetime(2026, 11, 22, 12, 0, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("text", "seconds", "said"),
    [
        ("90s", 90, "1 m 30 s"),
        ("15m", 900, "15 m"),
        ("6h", 21_600, "6 h"),
        ("1d12h", 129_600, "1 d 12 h"),
        ("1W", 604_800, "1 w"),
    ],
)
def test_intervals_are_read_and_said(text: str, seconds: int, said: str) -> None:
    assert interval(text) == seconds
    assert spoken(seconds) == said


@pytest.mark.parametrize("text", ["", "6", "h", "0s", "-1h", "1.5h", "6 hours", "6h!", "1h 30"])
def test_what_is_no_interval_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="must be numbers with units"):
        interval(text)


def test_moments_without_a_zone_are_utc() -> None:
    assert rfc3339(moment("2027-01-31", "start")) == "2027-01-31T00:00:00Z"
    assert rfc3339(moment("2027-01-31T06:00:00+02:00", "start")) == "2027-01-31T04:00:00Z"
    assert rfc3339(moment(NOON, "start")) == "2026-11-22T12:00:00Z"
    assert rfc3339(moment("", "start")) is None
    assert shown(NOON) == "2026-11-22 12:00 UTC"


def test_times_lie_between_start_and_end() -> None:
    made = trigger(cron="0 2 * * *", start="2026-12-01", end="2026-12-03T00:00:00Z", now=NOON)
    assert [t.day for t in made.next(NOON)] == [1, 2]
    assert made.words() == "At 02:00 AM, UTC, from 2026-12-01 00:00 UTC, until 2026-12-03 00:00 UTC"
    hourly = trigger(interval_s=3600, now=NOON)
    assert [t.hour for t in hourly.next(NOON)] == [13, 14, 15]
    assert hourly.words() == "Every 1 h"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "give a cron schedule or an interval, one of them"),
        ({"cron": "@daily", "interval_s": 5}, "one of them"),
        ({"interval_s": -1}, "interval_s must be whole seconds, 1 or more, found -1"),
        ({"interval_s": 0.5}, "whole seconds"),
        ({"interval_s": True}, "whole seconds"),
        (
            {"interval_s": 5, "start": "tomorrow"},
            "start must be a moment such as 2027-01-31T06:00:00Z, found 'tomorrow'",
        ),
        ({"interval_s": 5, "end": "2026-11-01"}, "end must come after now, 2026-11-22 12:00 UTC"),
        ({"interval_s": 5, "start": "2027-02-01", "end": "2027-01-01"}, "end must come after start"),
        ({"cron": "0 0 1 1 *", "end": "2026-12-01"}, "must come up before its end, 2026-12-01 00:00 UTC"),
        ({"interval_s": 864_000, "end": "2026-11-25"}, "must come up before its end"),
    ],
)
def test_what_never_starts_is_refused(given: dict[str, object], words: str) -> None:
    with pytest.raises(InputError) as caught:
        trigger(**given, now=NOON)  # type: ignore[arg-type]
    assert words in str(caught.value)
