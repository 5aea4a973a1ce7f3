from __future__ import annotations

from datetime import UTC, datetime
from importlib.machinery import PathFinder
from pathlib import Path

import polars as pl
import pytest

from seaway.data import flights


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> flights.FlightsReport:
    return flights.write(tmp_path_factory.mktemp("flights"))


def test_all_flights_of_the_year_are_there_and_those_without_target_counted(written: flights.FlightsReport) -> None:
    table = pl.read_parquet(written.path)
    assert (written.rows, written.without_target) == (336_776, 9_430)
    assert table.height == 336_776
    assert table["late"].null_count() == table["delay_minutes"].null_count() == 9_430


def test_late_is_an_arrival_of_more_than_fifteen_minutes(written: flights.FlightsReport) -> None:
    table = pl.read_parquet(written.path, columns=["late", "delay_minutes"]).drop_nulls()
    assert table.select((pl.col("late") == (pl.col("delay_minutes") > 15)).all()).item()
    assert 0.2 < table["late"].mean() < 0.3  # type: ignore[operator]


def test_only_what_is_known_before_departure_is_there(written: flights.FlightsReport) -> None:
    schema = pl.read_parquet_schema(written.path)
    assert not {"dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"} & set(schema)
    assert len(schema) == 27
    assert schema["scheduled_departure"] == pl.Datetime("us", "UTC")
    assert schema["late"] == pl.Boolean
    assert schema["delay_minutes"] == pl.Float64


def test_the_first_flight_is_as_the_bureau_has_it(written: flights.FlightsReport) -> None:
    # UA 1545, N14228, EWR to IAH, 05:15 in New York on 2013-01-01; 8:19 scheduled, arrived 11 minutes late
    row = pl.read_parquet(written.path).row(0, named=True)
    assert row["scheduled_departure"] == datetime(2013, 1, 1, 10, 15, tzinfo=UTC)
    assert (row["departure_minute_of_day"], row["arrival_minute_of_day"]) == (5 * 60 + 15, 8 * 60 + 19)
    assert (row["carrier"], row["flight"], row["tailnum"], row["origin"], row["dest"]) == (
        "UA",
        1545,
        "N14228",
        "EWR",
        "IAH",
    )
    assert (row["delay_minutes"], row["late"], row["manufacturer"]) == (11.0, False, "BOEING")


def test_no_text_says_na(written: flights.FlightsReport) -> None:
    table = pl.read_parquet(written.path)
    assert table.select((pl.col(pl.String) == "NA").any()).row(0) == (False,) * len(
        table.select(pl.col(pl.String)).columns
    )


def test_the_error_names_what_to_install_when_the_files_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PathFinder, "find_spec", classmethod(lambda cls, name, path=None, target=None: None))
    with pytest.raises(ImportError, match=r"pip install 'seaway\[demo\]'"):
        flights.write(tmp_path)
    assert not list(tmp_path.iterdir())
