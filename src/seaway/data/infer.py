"""The contract that a table keeps: what `ingest` infers when nobody gave one.

In: a lazy frame, the target, the task. Out: a `Contract` that every row of the frame keeps, and warnings for people.
Two streaming passes: one of aggregates, one of the distinct values of columns that have few.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from seaway.data.dtypes import contract_dtype, convert
from seaway.errors import DataError, InputError
from seaway.model.contract import Column, Contract, DType, Target, Task, Value, check_name

Wish = Literal["auto", "classification", "regression"]

MAX_ENUMERATED = 100
"""A string column with more distinct values gets no enumeration."""
MAX_INT_CLASSES = 20
"""An int target with more distinct values is a value to predict, unless the task says otherwise."""
MAX_CLASSES = 1_000
MANY_VALUES = 10_000
"""A string column with more distinct values looks like an identifier."""
_INT64 = (-(2**63) + 1, 2**63 - 1)
"""The least int64 means missing in the ONNX graph, so it is not a value."""
_YEARS = (-62_135_596_800_000_000, 253_402_300_800_000_000)
"""Microseconds from 1970 to the years 1 and 10000; what Python, databases and JSON readers call a date lies between."""
_ABOUT = 1.5
"""Polars' approximate count of distinct values was seen to be up to 20 % off."""
_FLOAT64 = 1.7976931348623157e308


@dataclass(frozen=True, kw_only=True)
class Inference:
    """A contract and what a person should know about the table."""

    contract: Contract
    rows: int
    rows_without_target: int
    warnings: tuple[str, ...] = ()


def infer(frame: pl.LazyFrame, *, target: str, task: str = "auto", exclude: Sequence[str] = ()) -> Contract:
    """The contract of a table; as `inspect`, without the rest."""
    return inspect(frame, target=target, task=task, exclude=exclude).contract


def inspect(frame: pl.LazyFrame, *, target: str, task: str = "auto", exclude: Sequence[str] = ()) -> Inference:
    """What a table holds.

    dtypes: all ints are int64, floats and decimals float64, dates and datetimes timestamps (microseconds, UTC; without
    a zone taken as UTC), categoricals strings. Nullable if any value is missing (null, NaN or ""). Numbers get the
    observed range widened by its own span on either side, not past zero if no value was beyond it; strings of at most
    100 values an enumeration.

    Args:
        frame: the table.
        target: name of the column to predict; rows without it are counted and still shape the contract.
        task: auto, classification or regression; auto takes bool, string and ints of at most 20 values as classes.
        exclude: columns to leave out.

    Raises:
        DataError: a missing or empty target, infinite values, integers past int64, nested or binary columns.
        InputError: one class only, too many classes, or a task that does not fit the target.
    """
    if task not in ("auto", "classification", "regression"):
        raise InputError(f"task must be auto, classification or regression, found {task!r}")
    schema = frame.collect_schema()
    _must_have(target, list(schema), "target")
    for name in exclude:
        _must_have(name, list(schema), "excluded column")
    if target in exclude:
        raise InputError(f"the target {target!r} must not be excluded: take it out of exclude")
    for name in schema:
        if name not in exclude:
            check_name(name)
    warnings: list[str] = []
    dtypes = _dtypes({c: t for c, t in schema.items() if c not in exclude}, target, warnings)
    _must_fit(frame, {c: schema[c] for c in dtypes})
    table = frame.select(convert(c, schema[c], d) for c, d in dtypes.items())
    seen = _observe(table, dtypes, target)
    if not seen[target, "values"]:
        raise DataError(
            f"target {target!r} must have values, but all {seen['', 'rows']:,} rows are null: choose another target"
        )
    _must_be_finite(seen)
    _must_be_dates(dtypes, seen)
    distinct = _distinct(table, [c for c, d in dtypes.items() if _few(c, d, target, seen)])
    goal = _target(target, dtypes[target], task, seen, distinct.get(target))
    columns = []
    for name, dtype in dtypes.items():
        if name != target and (column := _column(name, dtype, seen, distinct.get(name), warnings)) is not None:
            columns.append(column)
    if not columns:
        raise DataError(f"a table must have a column beside the target {target!r}, found none with values")
    rows = seen["", "rows"]
    without = rows - seen[target, "values"]
    if without:
        warnings.insert(0, f"{without:,} of {rows:,} rows have no target {target!r} and are left out")
    contract = Contract(columns=tuple(columns), target=goal)
    return Inference(contract=contract, rows=rows, rows_without_target=without, warnings=tuple(warnings))


def _must_have(name: str, names: Sequence[str], what: str) -> None:
    if name not in names:
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.5) or list(names)[:10]
        raise DataError(f"the {what} {name!r} must be a column of the table, found none: did you mean {near}?")


def _dtypes(schema: dict[str, pl.DataType], target: str, warnings: list[str]) -> dict[str, DType]:
    dtypes: dict[str, DType] = {}
    for name, source in schema.items():
        found = contract_dtype(source)
        if found is None and source == pl.Null:
            if name == target:
                raise DataError(f"target {target!r} must have values, but all rows are null: choose another target")
            warnings.append(_all_null(name))
        elif found is None:
            raise DataError(
                f"column {name!r} must hold strings, numbers, bools or times, found {source}: "
                "exclude it, or unnest it first"
            )
        else:
            dtypes[name] = found
    return dtypes


def _all_null(name: str) -> str:
    return f"column {name!r} is left out: it has no value in any row with a target"


def _must_fit(frame: pl.LazyFrame, schema: dict[str, pl.DataType]) -> None:
    wide = [c for c, t in schema.items() if t in (pl.UInt64, pl.Int128, pl.UInt128)]
    if not wide:
        return
    ends = frame.select(
        *(pl.col(c).min().alias(f"{k} min") for k, c in enumerate(wide)),
        *(pl.col(c).max().alias(f"{k} max") for k, c in enumerate(wide)),
    ).collect(engine="streaming")
    for k, name in enumerate(wide):
        for end in (ends[f"{k} min"].item(), ends[f"{k} max"].item()):
            if end is not None and not _INT64[0] <= end <= _INT64[1]:
                raise DataError(f"column {name!r} must fit int64, found {end}: make it a string or exclude it")


def _observe(table: pl.LazyFrame, dtypes: dict[str, DType], target: str) -> dict[tuple[str, str], Any]:
    """Aggregates by (column, what), in one streaming pass."""
    labelled = pl.col(target).is_not_null()
    asked: dict[tuple[str, str], pl.Expr] = {("", "rows"): pl.len()}
    for name, dtype in dtypes.items():
        column = pl.col(name)
        asked[name, "values"] = column.count()
        asked[name, "labelled"] = (column.is_not_null() & labelled).sum()
        if dtype == "string" or name == target:
            asked[name, "distinct"] = column.approx_n_unique()
        if dtype != "string":
            ends = column.cast(pl.Int64) if dtype == "timestamp" else column
            asked[name, "min"], asked[name, "max"] = ends.min(), ends.max()
        if dtype == "float64":
            infinite = column.is_infinite()
            asked[name, "infinite"] = infinite.sum()
            asked[name, "first"] = pl.when(infinite).then(pl.col(_ROW)).min()
    found = table.with_row_index(_ROW).select(e.alias(str(k)) for k, e in enumerate(asked.values()))
    return dict(zip(asked, found.collect(engine="streaming").row(0), strict=True))


def _must_be_finite(seen: dict[tuple[str, str], Any]) -> None:
    for (name, what), count in seen.items():
        if what == "infinite" and count:
            raise DataError(
                f"column {name!r} must be finite, found {count:,} infinite values, the first in row "
                f"{seen[name, 'first']}: replace them by null or exclude the column"
            )


def _must_be_dates(dtypes: dict[str, DType], seen: dict[tuple[str, str], Any]) -> None:
    for name, dtype in dtypes.items():
        for end in ("min", "max"):
            moment = seen[name, end] if dtype == "timestamp" else None
            if moment is not None and not _YEARS[0] <= moment < _YEARS[1]:
                raise DataError(
                    f"column {name!r} must hold times of the years 1 to 9999, found {moment} microseconds from 1970: "
                    "check its unit, or exclude it"
                )


def _few(name: str, dtype: DType, target: str, seen: dict[tuple[str, str], Any]) -> bool:
    """Whether the column may have few enough values to list; the count is approximate."""
    if name == target:
        return bool(seen[name, "distinct"] <= _ABOUT * MAX_CLASSES)
    return dtype == "string" and bool(seen[name, "distinct"] <= _ABOUT * MAX_ENUMERATED)


def _distinct(table: pl.LazyFrame, names: Sequence[str]) -> dict[str, list[Any]]:
    """Distinct values without null, sorted."""
    frames = pl.collect_all([table.select(pl.col(n).drop_nulls().unique()) for n in names], engine="streaming")
    return {n: sorted(f[n].to_list()) for n, f in zip(names, frames, strict=True)}


def _target(name: str, dtype: DType, task: str, seen: dict[tuple[str, str], Any], values: list[Any] | None) -> Target:
    if dtype == "timestamp":
        raise InputError(f"target {name!r} must be a class or a number, found times: choose another target")
    if task == "auto":
        few_ints = dtype == "int64" and values is not None and len(values) <= MAX_INT_CLASSES
        task = "classification" if dtype in ("bool", "string") or few_ints else "regression"
    kind: Task = "classification" if task == "classification" else "regression"
    if kind == "regression":
        if dtype not in ("int64", "float64"):
            raise InputError(f"target {name!r}: regression needs numbers, found {dtype}: choose task=classification")
        if seen[name, "min"] == seen[name, "max"]:
            raise InputError(f"target {name!r}: regression needs values that differ, all are {seen[name, 'min']!r}")
        return Target(name=name, task=kind, dtype=dtype)
    if values is None or len(values) > MAX_CLASSES:
        raise InputError(
            f"target {name!r}: classification takes at most {MAX_CLASSES:,} classes, found about "
            f"{seen[name, 'distinct']:,}: choose task=regression or another target"
        )
    if dtype == "float64":
        if any(v != round(v) for v in values):
            raise InputError(f"target {name!r}: classes must be strings, bools or whole numbers, found {values[:5]}")
        dtype, values = "int64", [int(v) for v in values]
    if len(values) < 2:
        raise InputError(
            f"target {name!r}: classification needs at least two classes, found only the class {values[0]!r} "
            f"in {seen[name, 'values']:,} rows: check how the table was selected, or choose another target"
        )
    return Target(name=name, task=kind, dtype=dtype, classes=tuple(values))


def _column(
    name: str, dtype: DType, seen: dict[tuple[str, str], Any], values: list[Value] | None, warnings: list[str]
) -> Column | None:
    """The contract's column; None if it has nothing to learn from."""
    if not seen[name, "labelled"]:
        warnings.append(_all_null(name))
        return None
    nullable = seen[name, "values"] < seen["", "rows"]
    if dtype == "string":
        enumeration = tuple(values) if values is not None and len(values) <= MAX_ENUMERATED else None
        if enumeration is not None and len(enumeration) == 1:
            warnings.append(f"column {name!r} has one value only ({enumeration[0]!r}): nothing can be learnt from it")
        about = seen[name, "distinct"]
        if enumeration is None and (about > MANY_VALUES or about > seen[name, "values"] / 2):
            warnings.append(
                f"column {name!r} looks like an identifier: about {about:,} different values in "
                f"{seen[name, 'values']:,} rows; exclude it unless its values come back"
            )
        return Column(name=name, dtype=dtype, nullable=nullable, values=enumeration)
    low, high = seen[name, "min"], seen[name, "max"]
    if low == high:
        shown = "one time" if dtype == "timestamp" else low
        warnings.append(f"column {name!r} has one value only ({shown}): nothing can be learnt from it")
    if dtype not in ("int64", "float64"):
        return Column(name=name, dtype=dtype, nullable=nullable)
    minimum, maximum = widened(low, high)
    return Column(name=name, dtype=dtype, nullable=nullable, minimum=minimum, maximum=maximum)


def widened(low: float | int, high: float | int) -> tuple[float | int, float | int]:
    """The range a contract allows around an observed one: a span more on either side, but not past zero.

    >>> widened(10, 30)
    (0, 50)
    """
    span = high - low
    if not span:  # a constant says nothing of what may come
        span = abs(high) or 1
    least, most = low - span, high + span
    if low >= 0:
        least = max(least, type(low)(0))
    if high <= 0:
        most = min(most, type(high)(0))
    if isinstance(low, int):
        return max(least, _INT64[0]), min(most, _INT64[1])
    return (least if math.isfinite(least) else -_FLOAT64), (most if math.isfinite(most) else _FLOAT64)


_ROW = "\x00row"
