"""Rows through a feature graph: matrices, or a Parquet file of features that training reads.

In: a graph and a table with the contract's columns. Out: float32 matrices in the rows' order, a batch at a time, so a
table larger than memory passes; several batches are under way at once, one a core, each in one thread.
"""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from seaway.data import table as tables
from seaway.data.dtypes import convert
from seaway.errors import DataError
from seaway.features.fitted import TARGET
from seaway.features.lookups import Graph, open_graph
from seaway.model.columns import feed
from seaway.model.contract import MISSING_INT64, Column, Contract, Target
from seaway.storage import uri as storage

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

BATCH_ROWS = 16_384
"""Few enough that a batch of some hundred features stays near the cache, enough that starting it costs nothing."""
PARQUET = {"compression": "zstd", "compression_level": 1, "use_dictionary": False, "write_statistics": False}
"""How features are written: a seventh slower than lz4, half its size; one-hot columns vanish with any."""


def transform(
    graph: bytes | Graph,
    table: pl.DataFrame | str | Path,
    contract: Contract,
    *,
    batch_rows: int = BATCH_ROWS,
    threads: int = 0,
) -> Iterator[NDArray[np.float32]]:
    """Run a feature graph over a table.

    Args:
        graph: ``features.onnx``, or that opened with `open_graph`.
        table: a frame, or the URI of a Parquet file or a folder of them.
        contract: the raw columns.
        batch_rows: rows of one matrix.
        threads: batches under way at once; 0 takes one for each core.

    Yields:
        Matrices [at most batch_rows, F], in the rows' order.

    Raises:
        DataError: a column is missing or has a dtype that cannot become the contract's; the file is damaged.
    """
    opened = open_graph(graph) if isinstance(graph, bytes) else graph
    with _batches(table, _used(opened, contract), batch_rows) as (batches, _):
        for features, _ in _run(opened, batches, _used(opened, contract), threads):
            yield features


def matrix(
    graph: bytes | Graph, table: pl.DataFrame | str | Path, contract: Contract, *, threads: int = 0
) -> NDArray[np.float32]:
    """All of a table's features in memory, [rows, F]; each batch is written in place.

    Takes and raises what `transform` does.
    """
    opened = open_graph(graph) if isinstance(graph, bytes) else graph
    with _batches(table, _used(opened, contract), BATCH_ROWS) as (batches, rows):
        out = np.empty((rows, opened.width), np.float32)
        for _ in _run(opened, batches, _used(opened, contract), threads, lambda start, n: out[start : start + n]):
            pass
    return out


def write(
    graph: bytes | Graph,
    table: pl.DataFrame | str | Path,
    contract: Contract,
    names: Sequence[str],
    out: str,
    *,
    batch_rows: int = BATCH_ROWS,
    threads: int = 0,
) -> int:
    """Write the features of a table, and its target, as Parquet.

    The file has one float32 column for each of ``names`` and then ``__target__``: the index among the contract's
    classes as int64, or the value as float64. It takes its name only when it is whole.

    Args:
        graph: ``features.onnx``, or that opened with `open_graph`.
        table: a frame, or the URI of a Parquet file or a folder of them.
        contract: the raw columns and the target.
        names: ``FittedPlan.feature_names``.
        out: URI of the file.
        batch_rows: rows of one row group.
        threads: batches under way at once; 0 takes one for each core.

    Returns:
        How many rows were written.

    Raises:
        DataError: as `transform`; or a row without a target, or one whose class the contract does not know.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    opened = open_graph(graph) if isinstance(graph, bytes) else graph
    used = _used(opened, contract)
    target = Column(name=contract.target.name, dtype=contract.target.dtype, nullable=True)
    kind = pa.float64() if contract.target.classes is None else pa.int64()
    schema = pa.schema(
        [*(pa.field(n, pa.float32(), nullable=False) for n in names), pa.field(TARGET, kind, nullable=False)]
    )
    rows, threads = 0, threads or cores()
    # one for each batch under way and one being written: fresh memory for every batch costs as much as the graph
    buffers = itertools.cycle([np.empty((batch_rows, opened.width), np.float32) for _ in range(threads + 2)])
    with (
        _batches(table, [*used, target], batch_rows) as (batches, _),
        storage.open_write(out) as f,
        pq.ParquetWriter(f, schema, **PARQUET) as writer,
    ):
        for features, batch in _run(opened, batches, used, threads, lambda _, n: next(buffers)[:n]):
            answer = _target(_column(batch, target), contract.target, rows)
            columns = [pa.array(c) for c in np.ascontiguousarray(features.T)]
            writer.write_table(pa.table([*columns, pa.array(answer)], schema=schema))
            rows += len(answer)
    return rows


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _used(graph: Graph, contract: Contract) -> list[Column]:
    return [contract.column(name) for name in graph.columns]


def _run(
    graph: Graph,
    batches: Iterator[pa.RecordBatch],
    columns: Sequence[Column],
    threads: int,
    place: Callable[[int, int], NDArray[np.float32]] | None = None,
) -> Iterator[tuple[NDArray[np.float32], pa.RecordBatch]]:
    """Each batch's features, in order; written to ``place(first row, rows)`` if it is given."""
    threads = threads or cores()

    def one(batch: pa.RecordBatch, out: NDArray[np.float32] | None) -> NDArray[np.float32]:
        numbers = {c.name: _number(batch, c) for c in columns if c.dtype != "string"}
        strings = {c.name: _text(batch, c) for c in columns if c.dtype == "string"}
        return graph.run(numbers, strings, out)

    under_way: deque[tuple[Future[NDArray[np.float32]], pa.RecordBatch]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="features")
    rows = 0
    try:
        for batch in batches:
            out = None if place is None else place(rows, len(batch))
            under_way.append((pool.submit(one, batch, out), batch))
            rows += len(batch)
            if len(under_way) > threads:
                future, first = under_way.popleft()
                yield future.result(), first
        while under_way:
            future, first = under_way.popleft()
            yield future.result(), first
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _batches(
    table: pl.DataFrame | str | Path, columns: Sequence[Column], rows: int
) -> Iterator[tuple[Iterator[pa.RecordBatch], int]]:
    """The columns in batches of Arrow, strings as Parquet holds them, in dictionaries; and how many rows there are."""
    import pyarrow.parquet as pq

    names = [c.name for c in columns]
    if isinstance(table, pl.DataFrame):
        _check_names(names, table.columns, "the table")
        chosen = table.select(names)
        yield (b for s in chosen.iter_slices(rows) for b in s.to_arrow().to_batches()), table.height
        return
    with storage.localized(str(table)) as local, _reading(str(table)):
        paths = tables.files(local, str(table))
        strings = [c.name for c in columns if c.dtype == "string"]
        total = sum(pq.read_metadata(path).num_rows for path in paths)
        yield (b for path in paths for b in _read(path, names, strings, rows, str(table))), total


def _read(path: Path, names: Sequence[str], strings: Sequence[str], rows: int, uri: str) -> Iterator[pa.RecordBatch]:
    import pyarrow.parquet as pq

    _check_names(names, pq.read_schema(path).names, uri)
    with pq.ParquetFile(path, read_dictionary=list(strings)) as file:
        for group in range(file.num_row_groups):
            # a reader of all groups keeps the bytes of those it has passed
            yield from file.iter_batches(rows, row_groups=[group], columns=list(names))


@contextmanager
def _reading(uri: str) -> Iterator[None]:
    import pyarrow as pa

    try:
        with tables.reading(uri):
            yield
    except pa.ArrowException as e:
        first = str(e).strip().splitlines()[0]
        raise DataError(f"{uri}: must be a whole Parquet file: {first}: write the file again") from e


def _check_names(wanted: Sequence[str], found: Sequence[str], where: str) -> None:
    if missing := [n for n in wanted if n not in found]:
        raise DataError(f"{where}: must have the columns {missing}, found {list(found)[:50]}: run `ingest` on it first")


def _number(batch: pa.RecordBatch, column: Column) -> NDArray[Any]:
    """A column of any dtype but string as the graph's input."""
    import pyarrow as pa

    array = batch.column(column.name)
    if array.type == pa.timestamp("us", "UTC") and column.dtype == "timestamp":
        array = array.cast(pa.int64())  # the same bits
    elif array.type != {"float64": pa.float64(), "int64": pa.int64()}.get(column.dtype):
        return feed(_column(batch, column), column)
    if array.null_count:
        array = array.fill_null(float("nan") if column.dtype == "float64" else MISSING_INT64)
    return array.to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]


def _text(batch: pa.RecordBatch, column: Column) -> pa.DictionaryArray:
    """A column of strings as codes and their dictionary."""
    import pyarrow as pa

    array = batch.column(column.name)
    if pa.types.is_dictionary(array.type) and pa.types.is_string(array.type.value_type):
        return array
    return _column(batch, column).to_arrow().cast(pa.large_string()).dictionary_encode()


def _column(batch: pa.RecordBatch, column: Column) -> pl.Series:
    """A column in the contract's dtype."""
    frame = pl.DataFrame(pl.from_arrow(batch.select([column.name])))
    try:
        return frame.select(convert(column.name, frame.schema[column.name], column.dtype)).to_series()
    except pl.exceptions.PolarsError as e:
        found = frame.schema[column.name]
        raise DataError(
            f"column {column.name!r}: must be {column.dtype}, found {found}: run `ingest` on it first"
        ) from e


def _target(series: pl.Series, target: Target, before: int) -> NDArray[Any]:
    """Class indices as int64, or values as float64; ``before`` rows came earlier."""
    if target.classes is None:
        value = series.cast(pl.Float64)
        wrong = ~value.is_finite().fill_null(value=False)
        must = "a finite number"
    else:
        value = series.replace_strict(
            list(target.classes), list(range(len(target.classes))), default=None, return_dtype=pl.Int64
        )
        wrong = value.is_null()
        must = f"one of {list(target.classes)[:20]}"
    if wrong.any():
        row = int(wrong.arg_max() or 0)
        raise DataError(
            f"target {target.name!r}: must be {must}, found {series[row]!r} at row {before + row}: run `ingest` on it"
        )
    return value.to_numpy()
