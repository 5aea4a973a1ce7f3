"""The profile of a table: what its columns hold, in numbers.

In: a lazy frame and its contract. Out: a dict that is JSON. Two streaming passes: one of aggregates, one of value
counts, histograms and quantiles.
"""

from __future__ import annotations

import math
from typing import Any

import polars as pl

from seaway.data.check import conform
from seaway.data.infer import MAX_CLASSES
from seaway.model.contract import Column, Contract

QUANTILES = (5, 25, 50, 75, 95)
BINS = 20
TOP = 10
MAX_COUNTED = 100_000
"""Columns with more distinct values get no top values and an approximate count: counting holds them in memory."""
QUANTILE_ROWS = 500_000
"""Quantiles are exact up to so many rows, then those of every n-th row: they hold their rows in memory."""


def profile(frame: pl.LazyFrame, contract: Contract) -> dict[str, Any]:
    """The profile of the contract's columns and of the target; rows without a target do not count.

    Returns:
        ``rows``; ``columns``, a list of dicts with name, dtype, count (values there), nulls, distinct, exact_distinct,
        and by dtype min, max, mean, std, quantiles (percent to value), histogram (edges, counts), top (value, count);
        ``target``, the same with ``balance`` (class, rows, share) for classification. Times are ISO 8601 text, but
        microseconds since the epoch as edges.
    """
    target = Column(name=contract.target.name, dtype=contract.target.dtype, nullable=True)
    columns = (*contract.columns, target)
    table = conform(frame, contract).filter(pl.col(target.name).is_not_null())
    first = (
        table.select(e for k, c in enumerate(columns) for e in _aggregates(k, c))
        .collect(engine="streaming")
        .row(0, named=True)
    )
    rows = int(first["0 rows"])
    described = [_described(k, c, first, rows) for k, c in enumerate(columns)]
    _read_values(table, columns, described, rows)
    out: dict[str, Any] = {"version": 1, "rows": rows, "columns": described[:-1], "target": described[-1]}
    counts = described[-1].pop("all", {})
    if contract.target.classes is not None:
        out["target"]["balance"] = [
            {"class": c, "rows": counts.get(c, 0), "share": counts.get(c, 0) / max(rows, 1)}
            for c in contract.target.classes
        ]
    return out


def _aggregates(k: int, column: Column) -> list[pl.Expr]:
    value = pl.col(column.name)
    asked = {"values": value.count(), "distinct": value.approx_n_unique()}
    if k == 0:
        asked["rows"] = pl.len()
    if column.dtype == "timestamp":
        value = value.cast(pl.Int64)
    if column.dtype != "string":
        asked |= {"min": value.min(), "max": value.max()}
    if column.dtype in ("int64", "float64"):
        asked |= {"mean": value.mean(), "std": value.std()}
    return [e.alias(f"{k} {what}") for what, e in asked.items()]


def _described(k: int, column: Column, found: dict[str, Any], rows: int) -> dict[str, Any]:
    values = found[f"{k} values"]
    out: dict[str, Any] = {
        "name": column.name,
        "dtype": column.dtype,
        "count": values,
        "nulls": rows - values,
        "distinct": found[f"{k} distinct"],
        "exact_distinct": False,
    }
    for what in ("min", "max", "mean", "std"):
        if f"{k} {what}" in found:
            out[what] = _json(found[f"{k} {what}"])
    return out


def _read_values(table: pl.LazyFrame, columns: tuple[Column, ...], described: list[dict[str, Any]], rows: int) -> None:
    """Add what needs the values and not only sums: distinct and top values, histograms, quantiles."""
    asked: list[tuple[str, dict[str, Any], pl.LazyFrame]] = []
    sample = table
    if rows > QUANTILE_ROWS:
        sample = table.with_row_index(_ROW).filter(pl.col(_ROW) % math.ceil(rows / QUANTILE_ROWS) == 0)
    for column, out in zip(columns, described, strict=True):
        value = pl.col(column.name)
        if out["distinct"] <= MAX_COUNTED:
            values = value.cast(pl.Int64) if column.dtype == "timestamp" else value
            counts = table.select(values.alias("value")).drop_nulls().group_by("value").agg(pl.len().alias("count"))
            asked.append(("top", out, counts))
        if column.dtype in ("int64", "float64", "timestamp") and out["count"] and _spans(out):
            asked.append(("histogram", out, _binned(table, column, out)))
        if column.dtype in ("int64", "float64") and out["count"]:
            asked.append(("quantiles", out, sample.select(value.quantile(q / 100).alias(str(q)) for q in QUANTILES)))
    found: list[pl.DataFrame] = pl.collect_all([frame for _, _, frame in asked], engine="streaming")
    for (what, out, _), answer in zip(asked, found, strict=True):
        if what == "histogram":
            out["histogram"] = _histogram(answer, out)
        elif what == "quantiles":
            out["quantiles"] = {q: _json(value) for q, value in answer.row(0, named=True).items()}
        else:
            out["distinct"], out["exact_distinct"] = answer.height, True
            if out["dtype"] == "timestamp":
                continue
            # ties by value, so that the same table gives the same profile
            ordered = answer.sort(["count", "value"], descending=[True, False])
            out["top"] = [{"value": _json(v), "count": n} for v, n in ordered.head(TOP).iter_rows()]
            if out is described[-1] and answer.height <= MAX_CLASSES:
                out["all"] = dict(answer.iter_rows())
    for column, out in zip(columns, described, strict=True):
        if column.dtype == "timestamp":
            out["min"], out["max"] = (_moment(out[end]) for end in ("min", "max"))


def _histogram(bins: pl.DataFrame, out: dict[str, Any]) -> dict[str, Any]:
    rows = dict(bins.iter_rows())
    low, high = out["min"], out["max"]
    edges = [low + (high - low) * (k / BINS) for k in range(BINS)] + [high]
    return {"edges": edges, "counts": [rows.get(k, 0) for k in range(BINS)]}


def _spans(out: dict[str, Any]) -> bool:
    return bool(out["max"] > out["min"] and math.isfinite(float(out["max"]) - float(out["min"])))


def _binned(table: pl.LazyFrame, column: Column, out: dict[str, Any]) -> pl.LazyFrame:
    low, high = float(out["min"]), float(out["max"])
    value = pl.col(column.name).cast(pl.Int64) if column.dtype == "timestamp" else pl.col(column.name)
    place = (value.cast(pl.Float64) - low) / (high - low) * BINS
    return table.select(place.floor().clip(0, BINS - 1).cast(pl.Int64).alias("bin")).drop_nulls().group_by("bin").len()


def _json(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _moment(microseconds: int | None) -> str | None:
    if microseconds is None:
        return None
    return str(pl.Series([microseconds]).cast(pl.Datetime("us", "UTC")).dt.to_string("%Y-%m-%dT%H:%M:%S%.6fZ").item())


_ROW = "\x00row"
