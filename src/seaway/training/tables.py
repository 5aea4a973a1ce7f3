"""What a training worker reads: features as a float32 matrix with their target, and raw rows as inputs of a graph.

In: URIs of the files that the features step wrote. Out: NumPy arrays, checked. Nothing here knows a framework.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from seaway.errors import DataError
from seaway.model.columns import feeds, polars_dtype
from seaway.model.contract import Contract, Target
from seaway.observe import logs, spans
from seaway.storage import uri as storage
from seaway.training import source as sources
from seaway.training.place import ALONE, Place
from seaway.training.source import Source

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

TARGET = "__target__"
"""The Parquet column that holds the class's index (int64) or the value (float64)."""
BATCH_ROWS = 32_768
"""Rows of one batch: two row groups of what `featurize` writes."""
_GREATEST = 1e18
"""Of a target's values: their squares are still numbers in float32, which frameworks and graphs compute in."""

_logger = logging.getLogger(__name__)


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


@dataclass(frozen=True, kw_only=True)
class Part:
    """The rows of a features file that one rank works on. Nothing is read before it is asked for."""

    uri: str
    what: str
    """Names the rows in errors: ``training`` or ``validation``."""
    target: Target
    names: tuple[str, ...]
    """Of the features."""
    total: int
    """Rows of the whole file."""
    place: Place
    """Whose part this is."""
    source: Source

    def __len__(self) -> int:
        return self.place.part(self.total)[1]

    def read(self) -> Table:
        """All rows of the part at once.

        Raises:
            DataError: as `batches`.
        """
        return next(self.batches(len(self)))

    def batches(self, rows: int = BATCH_ROWS) -> Iterator[Table]:
        """The part's rows in order, at most ``rows`` at a time.

        Raises:
            DataError: a feature is infinite, a target is no class or number, or the file is damaged.
        """
        began = time.time()
        first, total = self.place.part(self.total)
        end = first + total
        for frame in self.source.frames(first, total, columns=(*self.names, TARGET), most=rows):
            table = self._table(frame, first)
            first += len(frame)
            if first == end:
                self._log(began)
            yield table

    def _log(self, began: float) -> None:
        whose: dict[str, Any] = {"rank": self.place.rank, "world_size": self.place.world_size, "rows": len(self)}
        spans.record(f"read {self.what} rows", start=began, end=time.time(), **whose)
        seconds = round(time.time() - began, 3)
        logs.info(_logger, f"read the {self.what} data", **whose, features=len(self.names), seconds=seconds)

    def _table(self, frame: pl.DataFrame, first: int) -> Table:
        matrix = np.ascontiguousarray(frame.drop(TARGET).to_numpy())
        infinite = np.isinf(matrix)
        if infinite.any():
            column = self.names[int(infinite.any(axis=0).argmax())]
            raise DataError(
                f"the {self.what} features must be finite, found an infinite {column!r}: clip or leave out its column"
            )
        return Table(features=matrix, target=_target(frame[TARGET], self.target, self.what, first), names=self.names)


@contextmanager
def opened(uri: str, target: Target, *, what: str, place: Place = ALONE) -> Iterator[Part]:
    """The part of a Parquet file or folder that falls to one rank: contiguous, all parts alike but for one row.

    Args:
        uri: what the features step wrote: float32 columns, then ``__target__``.
        target: decides what the target's values may be.
        what: names the rows in errors: ``training`` or ``validation``.
        place: whose part.

    Raises:
        DataError: there are no rows or features, or one is not float32.
    """
    import polars as pl

    with sources.opened(uri) as source:
        schema, total = source.schema, source.rows
        if TARGET not in schema or len(schema) < 2:
            raise DataError(f"{uri}: must have features and the column {TARGET!r}, found {list(schema)[:5]}")
        if total == 0:
            raise DataError(f"the {what} rows must be at least one, found none in {uri}: give more data or split anew")
        if total < place.world_size:
            raise DataError(
                f"the {what} rows must be at least one a rank, found {total} for {place.world_size} ranks: train on "
                "fewer replicas, or give more rows"
            )
        features = {c: d for c, d in schema.items() if c != TARGET}
        if wrong := [c for c, d in features.items() if d != pl.Float32]:
            raise DataError(f"{uri}: features must be float32, found {features[wrong[0]]} in {wrong[0]!r}")
        names = tuple(features)
        yield Part(uri=uri, what=what, target=target, names=names, total=total, place=place, source=source)


def _target(series: pl.Series, target: Target, what: str, first: int) -> NDArray[Any]:
    """The target of rows of which ``first`` is the first."""
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
        if not (np.abs(values) <= _GREATEST).all():
            row = int((~(np.abs(values) <= _GREATEST)).argmax())
            raise DataError(
                f"the {what} target {target.name!r} must be finite and at most {_GREATEST:g} in size, found "
                f"{values[row]} at row {first + row}: drop that row, or give the target in another unit"
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


def check_classes(rows: NDArray[np.int64], target: Target) -> None:
    """Refuse training rows in which a class of the contract never comes.

    Args:
        rows: [K] training rows of each class, those of all ranks together.
        target: its classes are named in the error.

    Raises:
        DataError: the classes are named.
    """
    if absent := [c for c, n in zip(target.classes or (), rows.tolist(), strict=True) if n == 0]:
        raise DataError(
            f"the training rows must hold every class of {target.name!r}, found none of {absent[:10]} in "
            f"{int(rows.sum()):,} rows: take the class out of the contract and the data, or split with another seed"
        )


def read_rows(uri: str, contract: Contract, *, limit: int) -> dict[str, NDArray[Any]]:
    """The first raw rows as inputs of a graph, by column name.

    Raises:
        DataError: a column is missing or of another type.
    """
    import polars as pl

    with storage.localized(uri) as path, sources.reading(uri):
        lazy = pl.scan_parquet(sources.files(uri, path))
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
