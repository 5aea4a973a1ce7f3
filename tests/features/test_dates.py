from __future__ import annotations

import datetime as dt
from typing import get_args

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from seaway.features.kinds import DateParts, MissingIndicator, Part
from tests.features.reference import check, contract, fit_and_run, frame

TIMES = contract(t="timestamp", u="timestamp")
MOMENTS = st.one_of(st.none(), st.datetimes(timezones=st.just(dt.UTC)))
EVERYTHING = DateParts(column="t", cyclic=get_args(Part), raw=get_args(Part), is_weekend=True)


@given(rows=st.lists(st.tuples(MOMENTS, MOMENTS), min_size=1, max_size=30))
@settings(max_examples=40, deadline=None)
def test_any_moment_from_the_year_1_to_9999_has_the_parts_of_the_calendar(rows):
    table = frame(TIMES, t=[t for t, _ in rows], u=[u for _, u in rows])
    fitted, got = fit_and_run(TIMES, table, EVERYTHING, DateParts(column="u"), MissingIndicator(column="t"))
    check(fitted, got, table)


def test_every_day_of_five_centuries_and_the_moments_around_midnight():
    start = dt.datetime(1599, 12, 31, tzinfo=dt.UTC)
    days = [start + dt.timedelta(days=k, microseconds=-1 if k % 2 else 0) for k in range(366 * 510)]
    table = pl.DataFrame({"t": days}, schema={"t": pl.Datetime("us", "UTC")}).with_columns(u=pl.col("t"))
    parts = ("month", "day_of_month", "day_of_year", "day_of_week", "hour", "week")
    fitted, got = fit_and_run(TIMES, table, DateParts(column="t", cyclic=(), raw=parts))
    t = pl.col("t").dt
    expected = table.select(
        month=t.month(),
        day_of_month=t.day(),
        day_of_year=t.ordinal_day(),
        day_of_week=t.weekday() - 1,
        hour=t.hour(),
        week=(t.ordinal_day() - 1) // 7 + 1,
    )
    for k, name in enumerate(fitted.feature_names):
        np.testing.assert_array_equal(got[:, k], expected[name.removeprefix("t.")].to_numpy(), err_msg=name)


def test_columns_with_the_same_parts_go_together_and_keep_their_values():
    moments = [dt.datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=dt.UTC), None]
    table = frame(TIMES, t=moments, u=moments[::-1])
    fitted, got = fit_and_run(
        TIMES, table, DateParts(column="t", cyclic=(), raw=("hour",)), DateParts(column="u", cyclic=(), raw=("hour",))
    )
    assert fitted.feature_names == ("t.hour", "u.hour")
    assert got.tolist() == [[23, -1], [-1, 23]]
