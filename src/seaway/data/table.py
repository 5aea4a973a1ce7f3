"""A table by URI as a lazy frame: CSV or Parquet, one file or a folder of files with the same columns.

In: a URI. Out: a Polars LazyFrame that nothing has been read into memory for, or a `DataError` that says what is wrong
with which file. CSV is typed by `seaway.data.delimited`.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from seaway.data import delimited
from seaway.errors import DataError
from seaway.model.contract import DType
from seaway.storage.uri import is_local, list_files, local_path, localized

PARQUET_SUFFIXES = (".parquet", ".pq")
CSV_SUFFIXES = (".csv", ".csv.gz", ".tsv", ".tsv.gz")

_MAGIC = b"PAR1"


def scan(uri: str, dtypes: Mapping[str, DType] | None = None) -> pl.LazyFrame:
    """The table at a URI.

    A remote table is copied to a temporary folder first, which lasts as long as the process; `opened` cleans up.

    Args:
        uri: file or folder; local path, file://, s3://, gs://, minio:// or what else fsspec knows.
        dtypes: columns whose dtype is known, from a contract: CSV columns of these names stay text here, to be checked
            and converted by the contract.

    Raises:
        DataError: nothing that can be read as a table is there.
    """
    if is_local(uri):
        return _scan(local_path(uri), uri, dtypes or {})
    folder = tempfile.TemporaryDirectory(prefix="seaway-")
    _KEPT.append(folder)
    with localized(uri) as copy:
        return _scan(copy.rename(Path(folder.name) / copy.name), uri, dtypes or {})


@contextmanager
def opened(uri: str, dtypes: Mapping[str, DType] | None = None) -> Iterator[tuple[pl.LazyFrame, list[Path]]]:
    """The table at a URI and its local files, for the length of a block.

    Errors of Polars inside the block come out as `DataError`: reading is lazy, so a broken page shows only then.
    """
    with localized(uri) as path, reading(uri):
        yield _scan(path, uri, dtypes or {}), files(path, uri)


@contextmanager
def reading(uri: str) -> Iterator[None]:
    """Errors of Polars inside the block come out as a `DataError` that names ``uri``."""
    try:
        yield
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as e:
        if isinstance(e, OSError) and e.filename is not None and e.errno is not None:
            raise  # a disk that is full or a file that may not be written is not the table's fault
        first = str(e).strip().splitlines()[0] if str(e).strip() else type(e).__name__
        raise DataError(f"{uri}: must be a table that can be read whole: {first}: write it again") from e


def files(path: Path, uri: str) -> list[Path]:
    """The table's files: the one, or all below a folder.

    Raises:
        DataError: there is none, or there are CSV and Parquet files in one folder.
    """
    if not path.exists():
        raise DataError(f"{uri}: must be a file or a folder, nothing is there: check the path")
    if path.is_file():
        return [path]
    below = [Path(p) for p in list_files(str(path))]
    parquet = [
        p for p in below if p.name.lower().endswith(PARQUET_SUFFIXES) or (not p.suffix and _starts_as_parquet(p))
    ]
    text = [p for p in below if p.name.lower().endswith(CSV_SUFFIXES)]
    if parquet and text:
        raise DataError(
            f"{uri}: must hold tables of one format, found {len(parquet)} Parquet files ({parquet[0].name} ...) and "
            f"{len(text)} CSV files ({text[0].name} ...): move one kind elsewhere"
        )
    if not parquet and not text:
        raise DataError(
            f"{uri}: must hold tables ({', '.join((*PARQUET_SUFFIXES, *CSV_SUFFIXES))}), found {len(below)} other files"
        )
    return parquet or text


def _scan(path: Path, uri: str, dtypes: Mapping[str, DType]) -> pl.LazyFrame:
    found = files(path, uri)
    if empty := [p for p in found if p.stat().st_size == 0]:
        raise DataError(f"{_name(empty[0], path, uri)}: must hold a table, the file is empty (0 bytes)")
    first = found[0]
    named_parquet = first.name.lower().endswith(PARQUET_SUFFIXES)
    if named_parquet or (not first.name.lower().endswith(CSV_SUFFIXES) and _starts_as_parquet(first)):
        frame = _scan_parquet(found, path, uri)
    else:
        with reading(uri):
            frame = delimited.scan(found, [_name(p, path, uri) for p in found], dtypes)
    return frame


def _scan_parquet(found: Sequence[Path], root: Path, uri: str) -> pl.LazyFrame:
    schemas = []
    for path in found:
        name = _name(path, root, uri)
        if not _starts_as_parquet(path):
            raise DataError(
                f"{name}: must be Parquet as its name says, but it does not begin with PAR1: write it again"
            )
        if not _ends_as_parquet(path):
            raise DataError(
                f"{name}: must be a whole Parquet file, but its end (the footer) is missing: it was cut, copy it again"
            )
        with reading(name):
            schemas.append(dict(pl.scan_parquet(path, glob=False).collect_schema()))
    for path, schema in zip(found, schemas, strict=True):
        if schema != schemas[0]:
            differing = sorted(c for c in {*schema, *schemas[0]} if schema.get(c) != schemas[0].get(c))
            raise DataError(
                f"{_name(path, root, uri)}: must have the columns and dtypes of {found[0].name}, "
                + (
                    f"but differs in {differing[:5]}: write both alike"
                    if differing
                    else "but they stand in another order"
                )
            )
    if not schemas[0]:
        raise DataError(f"{uri}: must have columns, found none")
    with reading(uri):
        frame = pl.scan_parquet(list(found), glob=False)
        if frame.select(pl.len()).collect(engine="streaming").item() == 0:
            raise DataError(f"{uri}: must have rows, found only column names ({', '.join(list(schemas[0])[:5])} ...)")
    return frame


def _name(path: Path, root: Path, uri: str) -> str:
    # by text, since the files of a folder come as absolute paths even if the folder was named by a relative one
    return uri if path == root else f"{uri.rstrip('/')}/{Path(os.path.relpath(path, root)).as_posix()}"


def _starts_as_parquet(path: Path) -> bool:
    with path.open("rb") as f:
        return f.read(4) == _MAGIC


def _ends_as_parquet(path: Path) -> bool:
    with path.open("rb") as f:
        f.seek(-min(4, path.stat().st_size), 2)
        return path.stat().st_size >= 12 and f.read() == _MAGIC


_KEPT: list[tempfile.TemporaryDirectory[str]] = []
"""Copies of remote tables that a lazy frame still reads."""
