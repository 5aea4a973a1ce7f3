"""Training, validation and test rows.

In: a lazy frame. Out: three lazy frames that together hold every row once. The random split depends on the seed and the
row's place alone: not on chunks, threads, files or the version of a library.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from seaway.data.dtypes import contract_dtype, convert
from seaway.errors import DataError, InputError

EXACT_ROWS = 2**22
"""Up to so many rows a random split has exactly the rounded sizes; beyond it nearly: within about 0.1 %."""


@dataclass(frozen=True, kw_only=True)
class Split:
    """Three frames with the columns of the one that was split."""

    train: pl.LazyFrame
    validation: pl.LazyFrame
    test: pl.LazyFrame
    sizes: tuple[int, int, int]
    """Rows of train, validation and test."""
    boundaries: str = ""
    """How a time split was cut, in words."""


def split(
    frame: pl.LazyFrame,
    *,
    method: str = "random",
    time_column: str = "",
    test_fraction: float = 0.2,
    validation_fraction: float = 0.1,
    seed: int = 0,
) -> Split:
    """Split a table.

    Args:
        frame: the table, in a fixed order of rows.
        method: random; or time: the latest rows are the test, the latest before them the validation, and rows of the
            same time as a boundary stand on its earlier side.
        time_column: for method=time; times, numbers or ISO 8601 text without nulls.
        test_fraction: share of all rows, above 0.
        validation_fraction: share of all rows, above 0; together below 1.
        seed: any integer; for method=random.

    Raises:
        InputError: fractions or method out of what they may be.
        DataError: one part would be empty, or the time column has nulls.
    """
    if not (test_fraction > 0 and validation_fraction > 0 and test_fraction + validation_fraction < 1):
        raise InputError(
            "test_fraction and validation_fraction must be above 0 and below 1 together, found "
            f"{test_fraction} and {validation_fraction}"
        )
    if method == "random":
        return _random(frame, test_fraction, validation_fraction, seed)
    if method == "time":
        return _by_time(frame, time_column, test_fraction, validation_fraction)
    raise InputError(f"split must be random or time, found {method!r}")


def _random(frame: pl.LazyFrame, test: float, validation: float, seed: int) -> Split:
    rows = frame.select(pl.len()).collect(engine="streaming").item()
    test_rows, validation_rows = round(rows * test), round(rows * validation)
    start = (seed * _GOLDEN + _GOLDEN) % 2**64
    if rows <= EXACT_ROWS:
        hashes = mix(np.arange(rows, dtype=np.uint64) + np.uint64(start))
        ends = [_cut(hashes, test_rows), _cut(hashes, test_rows + validation_rows)]
        sizes = (rows - test_rows - validation_rows, validation_rows, test_rows)
    else:
        ends = [int(test * 2**64), int((test + validation) * 2**64)]
        sizes = (0, 0, 0)
    hash_ = _mix(pl.col(_ROW).cast(pl.UInt64) + pl.lit(start, dtype=pl.UInt64))
    low, high = (pl.lit(end, dtype=pl.UInt64) for end in ends)
    numbered = frame.with_row_index(_ROW)
    parts = [numbered.filter(p).drop(_ROW) for p in (hash_ >= high, (hash_ >= low) & (hash_ < high), hash_ < low)]
    return _checked(parts, sizes, rows, "")


def _by_time(frame: pl.LazyFrame, column: str, test: float, validation: float) -> Split:
    schema = frame.collect_schema()
    if column not in schema:
        raise DataError(
            f"split=time needs time_column to be a column of the table, found {column!r}: it has {list(schema)[:20]}"
        )
    kind = contract_dtype(schema[column])
    if kind is None or kind == "bool":
        raise DataError(f"the time column {column!r} must hold times or numbers, found {schema[column]}")
    moment = convert(column, schema[column], "timestamp" if kind == "string" else kind)
    moments = frame.select(moment.alias("t")).collect(engine="streaming")["t"].sort()
    if moments.null_count():
        raise DataError(
            f"the time column {column!r} must have a time in every row, {moments.null_count():,} of {len(moments):,} "
            "have none: fill them or split at random"
        )
    rows = len(moments)
    first_end = moments[max(0, round(rows * (1 - test - validation)) - 1)]
    second_end = moments[max(0, round(rows * (1 - test)) - 1)]
    dtype = moments.dtype
    low, high = pl.lit(first_end, dtype=dtype), pl.lit(second_end, dtype=dtype)
    parts = [frame.filter(p) for p in (moment <= low, (moment > low) & (moment <= high), moment > high)]
    until = int(moments.search_sorted(first_end, side="right")), int(moments.search_sorted(second_end, side="right"))
    sizes = (until[0], until[1] - until[0], rows - until[1])
    words = f"train up to {first_end}, validation up to {second_end}, test up to {moments[-1]} ({column})"
    return _checked(parts, sizes, rows, words)


def _checked(parts: list[pl.LazyFrame], sizes: tuple[int, int, int], rows: int, boundaries: str) -> Split:
    if rows > EXACT_ROWS and sizes == (0, 0, 0):
        counts = pl.collect_all([p.select(pl.len()) for p in parts], engine="streaming")
        sizes = (counts[0].item(), counts[1].item(), counts[2].item())
    if min(sizes) == 0:
        raise DataError(
            f"training, validation and test must all have rows, found {sizes[0]}, {sizes[1]} and {sizes[2]} of {rows}: "
            "give more rows, larger fractions, or a time column with more different times"
        )
    return Split(train=parts[0], validation=parts[1], test=parts[2], sizes=sizes, boundaries=boundaries)


def _cut(hashes: NDArray[np.uint64], rows: int) -> int:
    """The hash below which exactly ``rows`` lie; hashes are distinct since the mix is a permutation."""
    return int(np.partition(hashes, rows)[rows]) if rows < len(hashes) else 2**64 - 1


def mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The output function of splitmix64 (Steele, Lea, Flood 2014), a permutation of 64-bit integers."""
    with np.errstate(over="ignore"):
        x = (x ^ (x >> np.uint64(30))) * np.uint64(_M1)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(_M2)
    return x ^ (x >> np.uint64(31))


def _mix(x: pl.Expr) -> pl.Expr:
    """`mix` as an expression; a right shift is a division by a power of two."""
    x = (x ^ (x // 2**30)) * pl.lit(_M1, dtype=pl.UInt64)
    x = (x ^ (x // 2**27)) * pl.lit(_M2, dtype=pl.UInt64)
    return x ^ (x // 2**31)


_GOLDEN = 0x9E3779B97F4A7C15
_M1 = 0xBF58476D1CE4E5B9
_M2 = 0x94D049BB133111EB
_ROW = "\x00row"
