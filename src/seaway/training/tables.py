"""What a training worker reads: features as a float32 matrix with their target, and raw rows as inputs of a graph.

In: URIs of the files that the features step wrote. Out: NumPy arrays, checked. Nothing here knows a framework.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from seaway.errors import DataError
from seaway.model.columns import feeds, polars_dtype
from seaway.model.contract import Contract, Target
from seaway.storage import uri as storage

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

TARGET = "__target__"
"""The Parquet column that holds the class's index (int64) or the value (float64)."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Features and their target."""

    features: NDArray[np.float32]
    """[n, F], C order."""
    target: NDArray[Any]
    """[n]: int64 class indices, or float64 values."""
    names: tuple[str, ...]
    """Of the F features."""

    def __len__(self) -> int:
        return len(self.target)


@contextmanager
def _read(uri: str) -> Iterator[pl.LazyFrame]:
    import polars as pl

    with storage.localized(uri) as path:
        files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
        if not files:
            raise DataError(f"{uri}: must hold Parquet files, found none: run the features step again")
        try:
            yield pl.scan_parquet(files)
        except pl.exceptions.PolarsError as e:
            raise DataError(f"{uri}: must be Parquet that can be read: {e}") from e


def read_table(uri: str, target: Target, *, what: str) -> Table:
    """Features and target of a Parquet file or folder.

    Args:
        uri: what the features step wrote: float32 columns, then ``__target__``.
        target: decides what the target's values may be.
        what: names the rows in errors: ``training`` or ``validation``.

    Raises:
        DataError: there are no rows or features, one is not float32 or infinite, or a target is no class or number.
    """
    import polars as pl

    with _read(uri) as lazy:
        frame = lazy.collect()
    if TARGET not in frame.columns or frame.width < 2:
        raise DataError(f"{uri}: must have features and the column {TARGET!r}, found {frame.columns[:5]}")
    if frame.height == 0:
        raise DataError(f"the {what} rows must be at least one, found none in {uri}: give more data or another split")
    features = frame.drop(TARGET)
    if wrong := [c for c, d in features.schema.items() if d != pl.Float32]:
        raise DataError(f"{uri}: features must be float32, found {features.schema[wrong[0]]} in {wrong[0]!r}")
    matrix = np.ascontiguousarray(features.to_numpy())
    infinite = np.isinf(matrix)
    if infinite.any():
        column = features.columns[int(infinite.any(axis=0).argmax())]
        raise DataError(
            f"the {what} features must be finite, found an infinite {column!r}: clip or leave out its column"
        )
    return Table(features=matrix, target=_target(frame[TARGET], target, what), names=tuple(features.columns))


def _target(series: pl.Series, target: Target, what: str) -> NDArray[Any]:
    import polars as pl

    if nulls := series.null_count():
        raise DataError(
            f"the {what} rows' target {target.name!r} must be known, found {nulls:,} rows without: "
            + (
                "their class is not in the contract; split so that training sees every class"
                if target.classes
                else "drop them"
            )
        )
    if target.classes is None:
        values = series.cast(pl.Float64).to_numpy()
        if not np.isfinite(values).all():
            row = int((~np.isfinite(values)).argmax())
            raise DataError(
                f"the {what} target {target.name!r} must be finite, found {values[row]} at row {row}: drop it"
            )
        return values
    if not series.dtype.is_integer():
        raise DataError(
            f"the {what} target must be class indices (int64), found {series.dtype}: run the features step again"
        )
    indices = series.cast(pl.Int64).to_numpy()
    if (outside := (indices < 0) | (indices >= len(target.classes))).any():
        raise DataError(
            f"the {what} rows' target {target.name!r} must be one of {len(target.classes)} classes, found "
            f"{int(outside.sum()):,} rows of another: split so that training sees every class"
        )
    return indices


def check_classes(table: Table, target: Target) -> None:
    """Refuse training rows in which a class of the contract never comes.

    Raises:
        DataError: the classes are named.
    """
    if target.classes is None:
        return
    seen = np.bincount(table.target, minlength=len(target.classes))
    if absent := [c for c, n in zip(target.classes, seen.tolist(), strict=True) if n == 0]:
        raise DataError(
            f"the training rows must hold every class of {target.name!r}, found none of {absent[:10]} in "
            f"{len(table):,} rows: take the class out of the contract and the data, or split with another seed"
        )


def read_rows(uri: str, contract: Contract, *, limit: int) -> dict[str, NDArray[Any]]:
    """The first raw rows as inputs of a graph, by column name.

    Raises:
        DataError: a column is missing or of another type.
    """
    import polars as pl

    with _read(uri) as lazy:
        have = lazy.collect_schema().names()
        if missing := [c for c in contract.names if c not in have]:
            raise DataError(f"{uri}: must have the contract's columns, found no {missing}: split the data again")
        try:
            frame = (
                lazy.select(pl.col(c.name).cast(polars_dtype(c.dtype)) for c in contract.columns).head(limit).collect()
            )
        except pl.exceptions.InvalidOperationError as e:
            raise DataError(f"{uri}: the columns must have the contract's types: {e}") from e
    return feeds(frame, contract)
