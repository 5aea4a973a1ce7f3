"""The holdout: raw rows that no training saw, read in batches, each with its true target.

In: a URI of a table and the contract's target. Out: frames of raw rows beside class indices or values. Rows without a
target are left out and counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from seaway.data import dtypes, table
from seaway.errors import DataError
from seaway.model.columns import polars_dtype
from seaway.model.contract import Target

BATCH_ROWS = 50_000


@dataclass(frozen=True, kw_only=True)
class Holdout:
    """An open table with a target."""

    uri: str
    frame: pl.LazyFrame
    target: Target
    rows: int
    """With a target."""
    without_target: int
    """Rows left out."""

    def batches(self, *, size: int = BATCH_ROWS) -> Iterator[tuple[pl.DataFrame, NDArray[Any]]]:
        """At most ``size`` raw rows (all columns) at a time, and their target: class indices int64, or values float64.

        Raises:
            DataError: a target is none of the classes, or not finite.
        """
        kept = self.frame.filter(pl.col(self.target.name).is_not_null())
        for offset in range(0, self.rows, size):
            with table.reading(self.uri):
                batch = kept.slice(offset, size).collect()
            yield batch, truth(batch[self.target.name], self.target)


@contextmanager
def opened(uri: str, target: Target) -> Iterator[Holdout]:
    """The holdout at a URI, for the length of a block.

    Raises:
        DataError: it cannot be read, lacks the target column, or no row has a target.
    """
    with table.opened(uri) as (frame, _):
        schema = frame.collect_schema()
        if target.name not in schema:
            raise DataError(f"{uri}: must have the target column {target.name!r}, found {schema.names()}")
        found = schema[target.name]
        if not (dtypes.lossless(found, target.dtype) or (target.dtype == "float64" and found.is_integer())):
            raise DataError(f"{uri}: the target {target.name!r} must be {target.dtype}, found {found}")
        whole = frame.with_columns(dtypes.convert(target.name, found, target.dtype))
        counts = whole.select(pl.len().alias("all"), pl.col(target.name).count().alias("kept")).collect()
        rows, kept = int(counts["all"][0]), int(counts["kept"][0])
        if kept == 0:
            raise DataError(f"{uri}: must have rows with a target {target.name!r}, found none among {rows:,} rows")
        yield Holdout(uri=uri, frame=whole, target=target, rows=kept, without_target=rows - kept)


def truth(series: pl.Series, target: Target) -> NDArray[Any]:
    """A target column without nulls as class indices (int64) or values (float64), shape [n].

    Raises:
        DataError: a value is none of the classes, or not finite.
    """
    if target.classes is None:
        values: NDArray[Any] = series.cast(pl.Float64).to_numpy()
        if not np.isfinite(values).all():
            raise DataError(
                f"target {series.name!r}: must be finite, found infinity in {(~np.isfinite(values)).sum()} rows"
            )
        return values
    classes = pl.Series(list(target.classes), dtype=polars_dtype(target.dtype))
    index = series.replace_strict(classes, pl.Series(range(len(classes)), dtype=pl.Int64), default=None)
    if unknown := series.filter(index.is_null()).unique().sort().head(5).to_list():
        raise DataError(
            f"target {series.name!r}: must be one of the classes that the model knows, {list(target.classes)}; "
            f"found {unknown}: train anew on data with these classes"
        )
    return index.to_numpy()
