"""Cron expressions as Kubeflow Pipelines reads them: six fields, seconds first, UTC.

In: what people write, the five fields of a crontab. Out: KFP's six fields, the next times, and words. KFP parses with
robfig/cron v1.2, whose rules these are: names of months and days, `?` as `*`, `N/step` up to the field's end, days of
the week from 0 to 6. Of five fields it would take the first for seconds, and run far too often: six are sent always.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

from seaway.errors import InputError

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
YEARS = 5
"""How far KFP looks for the next time."""


@dataclass(frozen=True, kw_only=True)
class Field:
    """One of the six fields."""

    name: str
    lowest: int
    highest: int
    names: tuple[str, ...] = ()
    """Of its numbers, the lowest first."""

    def values(self, text: str, whole: str) -> frozenset[int]:
        """The numbers that a field's text stands for.

        Raises:
            InputError: it stands for none.
        """
        found: set[int] = set()
        for part in text.split(","):
            found.update(self._range(part, whole))
        return frozenset(found)

    def _range(self, part: str, whole: str) -> range:
        span, slash, step_text = part.partition("/")
        low_text, hyphen, high_text = span.partition("-")
        step = int(step_text) if step_text.isascii() and step_text.isdecimal() else 0
        if slash and step == 0:
            raise self._wrong(f"a step of 1 or more after the slash, found {part!r}", whole)
        if span in ("*", "?"):
            low, high = self.lowest, self.highest
        else:
            low = self._number(low_text, part, whole)
            high = self._number(high_text, part, whole) if hyphen else (self.highest if slash else low)
        if low > high:
            raise self._wrong(
                f"a range from low to high, found {part!r}: write {low_text}-{self.highest},{self.lowest}-{high_text}",
                whole,
            )
        return range(low, high + 1, step or 1)

    def _number(self, text: str, part: str, whole: str) -> int:
        if text.lower() in self.names:
            return self.lowest + self.names.index(text.lower())
        known = f"{self.lowest} to {self.highest}"
        if self.names:
            known += f" or {self.names[0].upper()} to {self.names[-1].upper()}"
        if not (text.isascii() and text.isdecimal()):
            raise self._wrong(f"{known}, *, ranges and steps of them, found {part!r}", whole)
        if not self.lowest <= int(text) <= self.highest:
            hint = ": Sunday is 0" if self.name == "day of week" and text == "7" else ""
            raise self._wrong(f"{known}, found {part!r}{hint}", whole)
        return int(text)

    def _wrong(self, rule: str, whole: str) -> InputError:
        return InputError(f"cron {whole!r}: the field {self.name} must be {rule}")


FIELDS = (
    Field(name="second", lowest=0, highest=59),
    Field(name="minute", lowest=0, highest=59),
    Field(name="hour", lowest=0, highest=23),
    Field(name="day of month", lowest=1, highest=31),
    Field(name="month", lowest=1, highest=12, names=MONTHS),
    Field(name="day of week", lowest=0, highest=6, names=DAYS),
)


@dataclass(frozen=True, kw_only=True)
class Cron:
    """A schedule; made by `parse`."""

    text: str
    """KFP's six fields."""
    six_given: bool
    """Whether it was written with six fields already."""
    fields: tuple[frozenset[int], ...]
    """The numbers of each field."""

    def next(self, after: dt.datetime) -> dt.datetime | None:
        """The first time later than ``after``, in UTC; None if none comes within five years."""
        start = after.astimezone(dt.UTC).replace(microsecond=0) + dt.timedelta(seconds=1)
        day, clock = start.date(), (start.hour, start.minute, start.second)
        while day.year <= start.year + YEARS and day < dt.date.max:
            if self._on(day) and (found := self._at(clock)) is not None:
                return dt.datetime.combine(day, found, dt.UTC)
            day, clock = day + dt.timedelta(days=1), (0, 0, 0)
        return None

    def times(self, after: dt.datetime, count: int) -> Iterator[dt.datetime]:
        """The next ``count`` times, or fewer if there are no more."""
        found: dt.datetime | None = after
        for _ in range(count):
            found = self.next(found) if found else None
            if found is None:
                return
            yield found

    def words(self) -> str:
        """The schedule in English."""
        from cron_descriptor import FormatException, Options, get_description

        options = Options(locale_code="en_US", use_24hour_time_format=False)
        plain = ("*" if self._whole(n) else ",".join(map(str, sorted(v))) for n, v in enumerate(self.fields))
        try:
            said = str(get_description(self.text.replace("?", "*"), options))
        except FormatException:  # it does not know lists with stars and the like
            said = str(get_description(" ".join(plain), options))
        if self._starred and not self._whole(3) and not self._whole(5):  # its words are those of either day
            said = said.replace(", or on ", ", and only on ").replace(", or ", ", and only ")
        return f"{said}, UTC"

    def _whole(self, n: int) -> bool:
        return len(self.fields[n]) == FIELDS[n].highest - FIELDS[n].lowest + 1

    def _on(self, day: dt.date) -> bool:
        if day.month not in self.fields[4]:
            return False
        fits = day.day in self.fields[3], day.isoweekday() % 7 in self.fields[5]
        return all(fits) if self._starred else any(fits)

    def _at(self, earliest: tuple[int, int, int]) -> dt.time | None:
        seconds, minutes, hours = self.fields[:3]
        for hour in sorted(h for h in hours if h >= earliest[0]):
            for minute in sorted(minutes):
                for second in sorted(seconds):
                    if (hour, minute, second) >= earliest:
                        return dt.time(hour, minute, second)
        return None

    @property
    def _starred(self) -> bool:
        """Whether a field of days begins with a star, also one with a step: then a day must fit both fields."""
        texts = self.text.split()
        return any(part[0] in "*?" for field in (texts[3], texts[5]) for part in field.split(","))


def parse(text: str) -> Cron:
    """Read five fields (minute, hour, day of month, month, day of week), KFP's six, or a nickname such as @daily.

    Raises:
        InputError: names the field that does not hold, or the times never come.
    """
    given = text.strip()
    if given.startswith("@"):
        if given.lower() not in NICKNAMES:
            every = ": an interval is --every 6h" if given.lower().startswith("@every") else ""
            raise InputError(f"cron must be five fields or one of {', '.join(NICKNAMES)}, found {given!r}{every}")
        given = NICKNAMES[given.lower()]
    fields = given.split()
    if len(fields) not in (5, 6):
        raise InputError(
            "cron must have five fields (minute, hour, day of month, month, day of week) or six (second first), "
            f"found {len(fields)} in {text!r}"
        )
    six = len(fields) == 6
    written = fields if six else ["0", *fields]
    values = tuple(field.values(part, text) for field, part in zip(FIELDS, written, strict=True))
    cron = Cron(text=" ".join(written), six_given=six, fields=values)
    if cron.next(dt.datetime(2024, 1, 1, tzinfo=dt.UTC)) is None:  # from a leap year on, every date comes once
        raise InputError(f"cron {text!r}: the time must come within {YEARS} years, found days that no such month has")
    return cron
