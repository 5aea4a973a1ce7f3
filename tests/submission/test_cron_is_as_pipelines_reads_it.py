"""Crontab's five fields become six, wrong ones are named, and the next times are those that a patient look finds."""

from __future__ import annotations

import contextlib
import datetime as dt

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from seaway.errors import InputError
from seaway.submission.cron import DAYS, MONTHS, Cron, parse

NOON = dt.datetime(2026, 11, 22, 12, 0, tzinfo=dt.UTC)  # a Sunday


def next_times(text: str, count: int = 3, after: dt.datetime = NOON) -> list[str]:
    return [f"{t:%a %Y-%m-%d %H:%M:%S}" for t in parse(text).times(after, count)]


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("0 2 * * *", "0 0 2 * * *"),
        ("  */5 9-17 * jan-mar MON-FRI ", "0 */5 9-17 * jan-mar MON-FRI"),
        ("0 15 10 ? * 2-6", "0 15 10 ? * 2-6"),
        ("@daily", "0 0 0 * * *"),
        ("@Hourly", "0 0 * * * *"),
        ("@weekly", "0 0 0 * * 0"),
        ("@yearly", "0 0 0 1 1 *"),
    ],
)
def test_six_fields_are_sent_and_seconds_come_first(text: str, sent: str) -> None:
    cron = parse(text)
    assert cron.text == sent
    assert cron.six_given == (len(text.split()) == 6)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("60 2 * * *", "the field minute must be 0 to 59, found '60'"),
        ("0 24 * * *", "the field hour must be 0 to 23, found '24'"),
        ("0 0 0 * *", "the field day of month must be 1 to 31, found '0'"),
        ("0 0 1 13 *", "the field month must be 1 to 12 or JAN to DEC, found '13'"),
        ("0 0 * * 7", "the field day of week must be 0 to 6 or SUN to SAT, found '7': Sunday is 0"),
        ("0 0 * * FRI-MON", "day of week must be a range from low to high, found 'FRI-MON': write FRI-6,0-MON"),
        ("61 0 0 * * *", "the field second must be 0 to 59"),
        ("*/0 * * * *", "the field minute must be a step of 1 or more after the slash, found '*/0'"),
        ("1/2/3 * * * *", "the field minute must be a step"),
        ("1-2-3 * * * *", "the field minute must be 0 to 59, *, ranges and steps of them, found '1-2-3'"),
        ("1,,2 * * * *", "the field minute must be 0 to 59"),
        ("0 0 L * *", "the field day of month must be"),
        ("0 0 * * MON#1", "the field day of week must be"),
        ("0 0 * foo *", "the field month must be 1 to 12 or JAN to DEC"),
        ("-1 0 * * *", "the field minute must be"),
        ("² 0 * * *", "the field minute must be"),
        ("0 2 * *", "must have five fields (minute, hour, day of month, month, day of week) or six"),
        ("", "found 0 in ''"),
        ("@reboot", "must be five fields or one of @yearly"),
        ("@every 6h", "an interval is --every 6h"),
        ("0 0 30 2 *", "the time must come within 5 years"),
        ("0 0 31 4,6,9,11 ?", "the time must come within 5 years"),
    ],
)
def test_what_is_wrong_is_named(text: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        parse(text)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "times"),
    [
        ("0 2 * * *", ["Mon 2026-11-23 02:00:00", "Tue 2026-11-24 02:00:00"]),
        ("30 12 * * *", ["Sun 2026-11-22 12:30:00", "Mon 2026-11-23 12:30:00"]),
        ("0 12 * * *", ["Mon 2026-11-23 12:00:00"]),  # now is not later than now
        ("0 0 29 2 *", ["Tue 2028-02-29 00:00:00"]),
        ("0 0 1 * MON", ["Mon 2026-11-23 00:00:00", "Mon 2026-11-30 00:00:00", "Tue 2026-12-01 00:00:00"]),  # either
        ("0 0 */2 * MON", ["Mon 2026-11-23 00:00:00", "Mon 2026-12-07 00:00:00"]),  # a star with a step: both
        ("0 0 ? * 6", ["Sat 2026-11-28 00:00:00"]),
        ("5/20 0 1 1 ?", ["Fri 2027-01-01 00:05:00", "Fri 2027-01-01 00:25:00", "Fri 2027-01-01 00:45:00"]),
        ("59 59 23 31 12 *", ["Thu 2026-12-31 23:59:59"]),
        ("*/30 * * * * *", ["Sun 2026-11-22 12:00:30", "Sun 2026-11-22 12:01:00"]),
    ],
)
def test_the_next_times_are_known(text: str, times: list[str]) -> None:
    assert next_times(text, len(times)) == times


def test_times_are_utc_whatever_the_zone_of_now() -> None:
    tokyo = NOON.astimezone(dt.timezone(dt.timedelta(hours=9)))
    assert next_times("0 2 * * *", 3, tokyo) == next_times("0 2 * * *")


@st.composite
def fields(draw: st.DrawFn, low: int, high: int, names: tuple[str, ...] = ()) -> str:
    """A field that is right."""

    def number(least: int = low) -> int:
        return draw(st.integers(least, high))

    def spelled(value: int) -> str:
        return names[value - low].upper() if names and draw(st.booleans()) else str(value)

    def part() -> str:
        kind = draw(st.sampled_from(["*", "?", "one", "range", "*/", "one/", "range/"]))
        begin = number()
        span = {"*": "*", "?": "?", "one": spelled(begin), "range": f"{spelled(begin)}-{spelled(number(begin))}"}
        step = f"/{draw(st.integers(1, high))}" if kind.endswith("/") else ""
        return span[kind.rstrip("/")] + step

    return ",".join(part() for _ in range(draw(st.integers(1, 2))))


@st.composite
def crontabs(draw: st.DrawFn) -> str:
    bounds: list[tuple[int, int, tuple[str, ...]]] = [
        (0, 59, ()),
        (0, 23, ()),
        (1, 31, ()),
        (1, 12, MONTHS),
        (0, 6, DAYS),
    ]
    return " ".join(draw(fields(*b)) for b in bounds)


@st.composite
def schedules(draw: st.DrawFn) -> Cron:
    text = draw(crontabs())
    with contextlib.suppress(InputError):
        return parse(text)
    assume(first_due(text, dt.datetime(2024, 1, 1, tzinfo=dt.UTC)) is not None)  # else it must not be refused
    raise AssertionError(f"{text} is right, and refused")


def holds(field: str, value: int, low: int, high: int, names: tuple[str, ...] = ()) -> bool:
    """Whether a field holds a value, read the other way round: from the value."""

    def number(text: str) -> int:
        return names.index(text.lower()) + low if text.lower() in names else int(text)

    for part in field.split(","):
        span, _, step = part.partition("/")
        ends = [low, high] if span in "*?" else [number(x) for x in span.split("-")]
        begin, end = ends[0], ends[1] if len(ends) == 2 else (high if step else ends[0])
        if begin <= value <= end and (value - begin) % int(step or 1) == 0:
            return True
    return False


def fits(text: str, day: dt.datetime) -> bool:
    _, _, of_month, month, of_week = text.split()
    days = holds(of_month, day.day, 1, 31), holds(of_week, (day.weekday() + 1) % 7, 0, 6, DAYS)
    starred = any(p.startswith(("*", "?")) for f in (of_month, of_week) for p in f.split(","))
    return holds(month, day.month, 1, 12, MONTHS) and (all(days) if starred else any(days))


def first_due(text: str, now: dt.datetime) -> dt.datetime | None:
    """By a look at every minute of every day that fits, for five years and the rest of the last."""
    minute, hour, *_ = text.split()
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    while day.year <= now.year + 5:
        if fits(text, day):
            for n in range(24 * 60):
                when = day + dt.timedelta(minutes=n)
                if when > now and holds(hour, when.hour, 0, 23) and holds(minute, when.minute, 0, 59):
                    return when
        day += dt.timedelta(days=1)
    return None


@settings(max_examples=40)
@given(schedules(), st.datetimes(dt.datetime(2024, 1, 1), dt.datetime(2030, 1, 1), timezones=st.just(dt.UTC)))
def test_the_next_time_is_the_first_that_a_look_at_every_minute_finds(schedule: Cron, now: dt.datetime) -> None:
    assert schedule.next(now) == first_due(schedule.text.removeprefix("0 "), now)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0 2 * * *", "At 02:00 AM, UTC"),
        ("*/5 * * * *", "Every 5 minutes, UTC"),
        ("? 2 * * mon-fri", "Every minute, between 02:00 AM and 02:59 AM, Monday through Friday, UTC"),
        ("0 0 1 * MON", "At 12:00 AM, on day 1 of the month, or on Monday, UTC"),
        ("0 0 */2 * MON", "At 12:00 AM, every 2 days, and only on Monday, UTC"),
        ("30 0 2 * * *", "At 02:00:30 AM, UTC"),
    ],
)
def test_a_schedule_is_said_in_words(text: str, words: str) -> None:
    assert parse(text).words() == words


@settings(max_examples=60)
@given(schedules())
def test_every_schedule_has_words(schedule: Cron) -> None:
    assert schedule.words().endswith(", UTC")
