"""Rows of a features file, wherever it is: only those that are asked for are read.

In: the URI of a Parquet file or folder, and which rows. Out: frames. A local file is mapped and read where the rows
are; of one in a store only the footers and the row groups that hold some of the rows are fetched, one group ahead of
whoever works on them, and nothing goes to a disk.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from seaway.errors import DataError, InputError
from seaway.storage import uri as storage

if TYPE_CHECKING:
    import polars as pl


class Source(Protocol):
    """An open Parquet file or folder."""

    @property
    def schema(self) -> Mapping[str, pl.DataType]:
        """Type of each column."""
        ...

    @property
    def rows(self) -> int:
        """Of all files."""
        ...

    def frames(self, first: int, count: int, *, columns: tuple[str, ...], most: int) -> Iterator[pl.DataFrame]:
        """``count`` rows from ``first`` in order, at most ``most`` at a time."""
        ...


@contextmanager
def opened(uri: str) -> Iterator[Source]:
    """The rows of a Parquet file or folder.

    Raises:
        DataError: there is no Parquet, or it is damaged.
        InputError: it cannot be reached.
    """
    if storage.is_local(uri):
        with storage.localized(uri) as path:
            yield _Local(uri, files(uri, path))
        return
    if not storage.exists(uri):
        raise InputError(f"{uri}: must exist, nothing is there: check the URI and the credentials")
    with ExitStack() as stack:
        names = storage.list_files(uri, suffixes=(".parquet",)) if storage.is_folder(uri) else [uri]
        if not names:
            raise DataError(f"{uri}: must hold Parquet files, found none: run the features step again")
        yield _Remote(uri, [_file(stack, name) for name in names])


def files(uri: str, path: Path) -> list[Path]:
    """The Parquet files at a local path, of which there must be some."""
    found = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
    if not found:
        raise DataError(f"{uri}: must hold Parquet files, found none: run the features step again")
    return found


@contextmanager
def reading(uri: str) -> Iterator[None]:
    """Within the block, what is wrong with a file is a DataError."""
    import polars as pl
    import pyarrow as pa

    try:
        yield
    except (pl.exceptions.PolarsError, pa.ArrowException) as e:
        raise DataError(f"{uri}: must be Parquet that can be read: {e}") from e
    except OSError as e:
        if type(e) is not OSError or e.errno is not None:
            raise
        raise DataError(f"{uri}: must be Parquet that can be read: {e}") from e  # pyarrow's word for a damaged page


class _Local:
    def __init__(self, uri: str, files: list[Path]) -> None:
        import polars as pl

        self._uri = uri
        self._lazy = pl.scan_parquet(files)
        with reading(uri):
            self.schema: Mapping[str, pl.DataType] = self._lazy.collect_schema()
            self.rows = int(self._lazy.select(pl.len()).collect().item())

    def frames(self, first: int, count: int, *, columns: tuple[str, ...], most: int) -> Iterator[pl.DataFrame]:
        chosen = self._lazy.select(columns)
        for start in range(first, first + count, most):
            with reading(self._uri):
                frame = chosen.slice(start, min(most, first + count - start)).collect()
            yield frame


@dataclass(frozen=True)
class _File:
    """One file of a store, its footer read."""

    uri: str
    parquet: Any
    """pyarrow's ParquetFile."""

    @property
    def groups(self) -> list[int]:
        """Rows of each row group."""
        metadata = self.parquet.metadata
        return [metadata.row_group(k).num_rows for k in range(metadata.num_row_groups)]


def _file(stack: ExitStack, uri: str) -> _File:
    import pyarrow.parquet as pq

    content = stack.enter_context(storage.open_read(uri))
    with storage.reached(uri), reading(uri):
        return _File(uri, stack.enter_context(pq.ParquetFile(content, pre_buffer=True)))


class _Remote:
    def __init__(self, uri: str, files: list[_File]) -> None:
        import polars as pl

        self._files = files
        with reading(uri):
            self.schema: Mapping[str, pl.DataType] = pl.from_arrow(files[0].parquet.schema_arrow.empty_table()).schema  # type: ignore[union-attr]
        if other := next((f for f in files if f.parquet.schema_arrow.names != list(self.schema)), None):
            raise DataError(f"{other.uri}: must have the columns of {files[0].uri}: run the features step again")
        self.rows = sum(f.parquet.metadata.num_rows for f in files)

    def frames(self, first: int, count: int, *, columns: tuple[str, ...], most: int) -> Iterator[pl.DataFrame]:
        import polars as pl

        held: list[pl.DataFrame] = []
        have = 0
        for part in self._parts(first, first + count, columns):
            held.append(part)
            have += len(part)
            while have >= most:
                frame = pl.concat(held)
                yield frame[:most]
                held, have = [frame[most:]], have - most
        if have:
            yield pl.concat(held)

    def _parts(self, first: int, end: int, columns: tuple[str, ...]) -> Iterator[pl.DataFrame]:
        """Rows ``first`` to ``end``, a row group at a time."""
        import polars as pl

        at = 0
        for file in self._files:
            for group, rows in enumerate(file.groups):
                low, high = max(first - at, 0), min(end - at, rows)
                at += rows
                if low >= high:
                    continue
                with storage.reached(file.uri), reading(file.uri):
                    table = file.parquet.read_row_group(group, columns=list(columns), use_threads=False)
                frame = pl.from_arrow(table.slice(low, high - low))
                assert isinstance(frame, pl.DataFrame)
                yield frame
