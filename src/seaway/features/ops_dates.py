"""Parts of UTC timestamps by table: whole-number arithmetic finds the row, the table holds sin, cos and the number.

No sine is computed at run time, and one row passes few nodes. The proleptic Gregorian calendar, before 1970 too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from seaway.features.fitted import Fitted
from seaway.features.kinds import DateParts
from seaway.features.nodes import Nodes
from seaway.model.contract import MISSING_INT64

if TYPE_CHECKING:
    from numpy.typing import NDArray

MINUTE = 60_000_000
DAY = 1440 * MINUTE
"""Microseconds."""
_CYCLE, _CENTURY, _FOUR_YEARS = 146_097, 36_524, 1_461
"""Days in 400, 100 and 4 years; one century of four has a day more."""
_EPOCH = 719_468
"""Days from 0000-03-01 to 1970-01-01. With years that begin in March, the day that varies is the last."""

PARTS: dict[str, tuple[str, int, int]] = {
    # part: the table it is in, its least value, how many values it has
    "hour": ("time", 0, 24),
    "minute_of_day": ("time", 0, 1440),
    "day_of_week": ("week", 0, 7),
    "day_of_month": ("year", 1, 31),
    "month": ("year", 1, 12),
    "day_of_year": ("year", 1, 366),
    "week": ("year", 1, 53),
}


class DateBlock:
    """Date parts; columns with the same options go together."""

    def takes(self, fitted: Fitted) -> bool:
        """Only those."""
        return isinstance(fitted.feature, DateParts)

    def names(self, features: Sequence[Fitted]) -> list[str]:
        """``column.part.sin``, ``column.part.cos``, ``column.part``, ``column.is_weekend``."""
        return [
            f"{c}.{suffix}" for options, columns in _groups(features) for _, suffix in _wanted(options) for c in columns
        ]

    def numbers(self, features: Sequence[Fitted]) -> list[str]:
        """None: a double holds microseconds exactly for 285 years only."""
        return []

    def emit(self, nodes: Nodes, features: Sequence[Fitted]) -> str:
        """All groups."""
        parts = [_emit_group(nodes, options, columns) for options, columns in _groups(features)]
        return parts[0] if len(parts) == 1 else nodes.add("Concat", *parts, axis=0)


def _groups(features: Sequence[Fitted]) -> list[tuple[DateParts, list[str]]]:
    groups: dict[tuple[object, ...], tuple[DateParts, list[str]]] = {}
    for f in features:
        if isinstance(f.feature, DateParts):
            key = (f.feature.cyclic, f.feature.raw, f.feature.is_weekend)
            groups.setdefault(key, (f.feature, []))[1].append(f.column)
    return list(groups.values())


def _wanted(options: DateParts) -> list[tuple[str, str]]:
    """(table, suffix) of every output, table by table."""
    suffixes = [f"{p}.{wave}" for p in options.cyclic for wave in ("sin", "cos")] + list(options.raw)
    found = [(PARTS[s.split(".")[0]][0], s) for s in suffixes]
    if options.is_weekend:
        found.append(("week", "is_weekend"))
    return sorted(found, key=lambda f: ("time", "week", "year").index(f[0]))


def _emit_group(nodes: Nodes, options: DateParts, columns: Sequence[str]) -> str:
    wanted = _wanted(options)
    stamp = nodes.rows(columns)
    absent = nodes.add("Equal", stamp, nodes.constant(MISSING_INT64, np.int64))
    # Mod rounds down, Div toward zero: only exact multiples and what is positive may be divided
    shifted = nodes.add("Add", stamp, nodes.constant(_EPOCH * DAY, np.int64))
    micros = nodes.add("Mod", shifted, nodes.constant(DAY, np.int64))
    tables = {table for table, _ in wanted}
    index = {}
    if "time" in tables:
        index["time"] = nodes.add("Div", micros, nodes.constant(MINUTE, np.int64))
    if tables & {"week", "year"}:
        days = nodes.add("Div", nodes.add("Sub", shifted, micros), nodes.constant(DAY, np.int64))
        if "week" in tables:
            index["week"] = nodes.add("Mod", days, nodes.constant(7, np.int64))
        if "year" in tables:
            index["year"] = _day_in_four_years(nodes, days)
    looked_up = []
    for table in dict.fromkeys(t for t, _ in wanted):
        values = _table(table, [s for t, s in wanted if t == table])
        looked_up.append(nodes.add("Gather", nodes.constant(values, np.float32), index[table], axis=1))
    found = looked_up[0] if len(looked_up) == 1 else nodes.add("Concat", *looked_up, axis=0)
    instead = np.array([-1.0 if s in PARTS else 0.0 for _, s in wanted], np.float32).reshape(-1, 1, 1)
    if not instead.any():
        instead = np.zeros((), np.float32)
    found = nodes.add("Where", absent, nodes.constant(instead, np.float32), found)
    return nodes.add("Reshape", found, nodes.constant([len(wanted) * len(columns), -1], np.int64))


def _day_in_four_years(nodes: Nodes, days: str) -> str:
    """Days since 0000-03-01 as an index of the table of four years that end with a leap day.

    Three of four centuries lack their last day: one is added for each such gap passed. The four years after a gap have
    an own table, since the calendar year in which they begin is no leap year.
    """
    of_cycle = nodes.add("Mod", days, nodes.constant(_CYCLE, np.int64))
    gaps = nodes.add("Div", of_cycle, nodes.constant(_CENTURY, np.int64))
    even = nodes.add("Add", of_cycle, gaps)
    group = nodes.add("Div", even, nodes.constant(_FOUR_YEARS, np.int64))
    start = -_FOUR_YEARS * np.arange(101)
    start[[25, 50, 75]] += _FOUR_YEARS
    start[100] = _FOUR_YEARS - 1 - 100 * _FOUR_YEARS  # the last day of the cycle, where one gap too many was counted
    return nodes.add("Add", even, nodes.add("Gather", nodes.constant(start, np.int64), group, axis=0))


def _table(table: str, suffixes: Sequence[str]) -> NDArray[np.float32]:
    """The outputs for every index of a table, [outputs, indices]."""
    raw = _raw(table)
    rows: list[NDArray[Any]] = []
    for suffix in suffixes:
        if suffix == "is_weekend":
            rows.append(raw["day_of_week"] >= 5)
            continue
        part, _, wave = suffix.partition(".")
        _, least, count = PARTS[part]
        angle = (raw[part] - least) * (2 * np.pi / count)
        rows.append(np.sin(angle) if wave == "sin" else np.cos(angle) if wave == "cos" else raw[part])
    return np.stack(rows).astype(np.float32)


def _raw(table: str) -> dict[str, NDArray[np.int64]]:
    if table == "time":
        minute = np.arange(1440)
        return {"minute_of_day": minute, "hour": minute // 60}
    if table == "week":
        # 0000-03-01 was a Wednesday
        return {"day_of_week": (np.arange(7) + 2) % 7}
    # after a leap year's February, then after the February of 1900, which was none
    day = np.concatenate([np.datetime64(start, "D") + np.arange(_FOUR_YEARS) for start in ("2000-03-01", "1900-03-01")])
    month = day.astype("datetime64[M]")
    of_year = (day - day.astype("datetime64[Y]").astype("datetime64[D]")).astype(np.int64)
    return {
        "day_of_month": (day - month.astype("datetime64[D]")).astype(np.int64) + 1,
        "month": month.astype(np.int64) % 12 + 1,
        "day_of_year": of_year + 1,
        "week": of_year // 7 + 1,
    }
