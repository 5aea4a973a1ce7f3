"""When a recurring run starts: by cron or by interval, between two moments."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass

from seaway.errors import InputError
from seaway.submission import cron as crons

UNITS: Mapping[str, int] = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
"""Seconds of each unit of an interval."""


@dataclass(frozen=True, kw_only=True)
class Trigger:
    """Either a cron schedule or an interval."""

    cron: crons.Cron | None = None
    interval_s: int = 0
    """Counted from the start, or from when the recurring run is made."""
    start: dt.datetime | None = None
    end: dt.datetime | None = None

    def words(self) -> str:
        """When it starts, for people."""
        said = self.cron.words() if self.cron else f"Every {spoken(self.interval_s)}"
        said += f", from {shown(self.start)}" if self.start else ""
        return said + (f", until {shown(self.end)}" if self.end else "")

    def next(self, now: dt.datetime, count: int = 3) -> tuple[dt.datetime, ...]:
        """The next times, in UTC."""
        begin = max(now, self.start) if self.start else now
        if self.cron:
            found = tuple(self.cron.times(begin, count))
        else:
            found = tuple(begin + n * dt.timedelta(seconds=self.interval_s) for n in range(1, count + 1))
        return tuple(t for t in found if self.end is None or t <= self.end)


def trigger(
    *,
    cron: str = "",
    interval_s: int = 0,
    start: str | dt.datetime = "",
    end: str | dt.datetime = "",
    now: dt.datetime | None = None,
) -> Trigger:
    """A trigger from what a person gave.

    Raises:
        InputError: both or none of cron and interval, an interval below 1 s, or an end that is over before it starts.
    """
    if bool(cron) == bool(interval_s):
        raise InputError(f"give a cron schedule or an interval, one of them; found {cron=}, {interval_s=}")
    if isinstance(interval_s, bool) or not isinstance(interval_s, int) or interval_s < 0:
        raise InputError(f"interval_s must be whole seconds, 1 or more, found {interval_s!r}")
    begin, finish = moment(start, "start"), moment(end, "end")
    earliest = begin or now or dt.datetime.now(dt.UTC)
    if finish is not None and finish <= earliest:
        raise InputError(f"end must come after {'start' if begin else 'now'}, {shown(earliest)}, found {shown(finish)}")
    made = Trigger(cron=crons.parse(cron) if cron else None, interval_s=interval_s, start=begin, end=finish)
    if not made.next(earliest, 1):
        raise InputError(f"the schedule must come up before its end, {shown(finish)}: it does not")
    return made


def interval(text: str) -> int:
    """Seconds of an interval such as 90s, 15m, 6h, 1d, 1h30m.

    Raises:
        InputError: it is none, or shorter than a second.
    """
    parts = re.findall(r"(\d+)([smhdw])", text.strip().lower())
    if "".join(n + unit for n, unit in parts) != text.strip().lower() or not sum(int(n) for n, _ in parts):
        raise InputError(f"an interval must be numbers with units s, m, h, d or w, such as 6h or 1h30m, found {text!r}")
    return sum(int(n) * UNITS[unit] for n, unit in parts)


def spoken(seconds: int) -> str:
    """An interval in its largest units, for instance 1 h 30 m."""
    said = []
    for unit, size in sorted(UNITS.items(), key=lambda u: -u[1]):
        count, seconds = divmod(seconds, size)
        said += [f"{count} {unit}"] if count else []
    return " ".join(said)


def moment(given: str | dt.datetime, name: str) -> dt.datetime | None:
    """A moment in UTC; without a zone it is UTC. Empty is None.

    Raises:
        InputError: it is no moment.
    """
    if given == "":
        return None
    try:
        found = dt.datetime.fromisoformat(given) if isinstance(given, str) else given
    except ValueError:
        raise InputError(f"{name} must be a moment such as 2027-01-31T06:00:00Z, found {given!r}") from None
    return (found if found.tzinfo else found.replace(tzinfo=dt.UTC)).astimezone(dt.UTC).replace(microsecond=0)


def rfc3339(given: dt.datetime | None) -> str | None:
    """A moment as the API takes it."""
    return given.strftime("%Y-%m-%dT%H:%M:%SZ") if given else None


def shown(given: dt.datetime | None) -> str:
    """A moment for people."""
    return given.strftime("%Y-%m-%d %H:%M:%S UTC").replace(":00 UTC", " UTC") if given else ""
