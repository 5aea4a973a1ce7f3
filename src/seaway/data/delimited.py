"""CSV files as one typed lazy frame.

In: files with a header and the same columns. Out: a Polars LazyFrame whose dtypes hold for EVERY row: one streaming
pass reads all cells as text and looks, column by column, for the first one that is no number, bool or time. So a column
that changes its type half-way is found with its line, instead of being guessed from the first rows.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import polars as pl

from seaway.data.dtypes import convert, present
from seaway.errors import DataError
from seaway.model.contract import DType

HEAD_ROWS = 10_000
"""A column with text among so many first values is not tried as anything else later."""
STEADY_ROWS = 20
"""So many numbers before the first text make a column of numbers that changed, not one of text such as "12", "A4"."""

_LAST_BYTES = 1 << 16
"""So much of a file's end is looked at for its last line."""
_LADDER: tuple[DType, ...] = ("int64", "float64", "bool", "timestamp")
"""Tried in this order; text is what remains."""
_KIND = {"int64": "numbers", "float64": "numbers", "bool": "true or false", "timestamp": "times"}


@dataclass
class _Tally:
    """What one column's cells were, over all files."""

    values: int = 0
    unfit: dict[DType, int] = field(default_factory=lambda: dict.fromkeys(_LADDER, 0))
    first: dict[DType, tuple[int, int, int]] = field(default_factory=dict)
    """First value that is not of the dtype: file, row in it, values of the column before it."""


def scan(files: Sequence[Path], names: Sequence[str], dtypes: Mapping[str, DType]) -> pl.LazyFrame:
    """The files as one frame.

    Args:
        files: at least one, all with the same header.
        names: how error messages call them.
        dtypes: columns that a contract describes: they stay text.

    Raises:
        DataError: no header, no rows, two columns of one name, not text, or a column that changes its type.
    """
    headers = [_header(path, name) for path, name in zip(files, names, strict=True)]
    columns, separator = headers[0]
    for (other, _), name in zip(headers, names, strict=True):
        if other != columns:
            raise DataError(f"{name}: must have the header of {names[0]}, found {other[:8]} instead of {columns[:8]}")
    for path, name in zip(files, names, strict=True):
        _must_end(path, name, columns, separator)
    raw = [_raw(path, columns, separator) for path in files]
    try:
        tallies, rows = _tally(raw, [c for c in columns if c not in dtypes])
    except pl.exceptions.ComputeError as e:
        if "more fields" in str(e):
            _must_fit(files, names, columns, separator)
        raise
    if rows == 0:
        raise DataError(f"{names[0]}: must have rows, found only the header ({', '.join(columns[:5])})")
    chosen = {c: _choose(c, t, files, names, separator) for c, t in tallies.items()}
    frame = pl.concat(raw) if len(raw) > 1 else raw[0]
    return frame.select(convert(c, pl.String(), chosen.get(c, "string")) for c in columns)


def _raw(path: Path, columns: Sequence[str], separator: str) -> pl.LazyFrame:
    # Polars keeps doubled quotes in a header's names as they stand, so the names are given
    return pl.scan_csv(path, separator=separator, infer_schema=False, new_columns=list(columns), glob=False)


def _header(path: Path, name: str) -> tuple[list[str], str]:
    """Column names and the separator."""
    try:
        with _text(path) as f:
            sample = f.read(1 << 20)
    except UnicodeDecodeError as e:
        raise DataError(
            f"{name}: must be CSV in UTF-8 or Parquet, found byte {e.object[e.start]:#04x}: convert it to UTF-8"
        ) from None
    except (OSError, EOFError) as e:
        raise DataError(f"{name}: must be a whole gzip file: {e}: copy it again") from None
    if "\x00" in sample:
        raise DataError(f"{name}: must be CSV or Parquet, found binary data (a zero byte)")
    if not sample.strip():
        raise DataError(f"{name}: must have a header and rows, found only white space")
    line = sample.lstrip("\ufeff").split("\n", 1)[0]
    outside = "".join(line.split('"')[::2])
    separator = max(",;\t|", key=outside.count)
    header = next(csv.reader(io.StringIO(sample.lstrip("\ufeff")), delimiter=separator))
    if twice := sorted({c for c in header if header.count(c) > 1}):
        raise DataError(f"{name}: column names must be distinct, found twice: {twice[:5]}: rename them in the header")
    if "" in header:
        raise DataError(f"{name}: every column must have a name, the header's column {header.index('') + 1} has none")
    return header, separator


def _must_end(path: Path, name: str, columns: Sequence[str], separator: str) -> None:
    """Refuse a file whose last line stops early: Polars would take the cells that were cut off for empty ones."""
    if path.name.lower().endswith(".gz"):  # a cut one does not unpack
        return
    with path.open("rb") as f:
        size = f.seek(0, io.SEEK_END)
        f.seek(max(0, size - _LAST_BYTES))
        end = f.read()
    last = end.rsplit(b"\n", 1)[-1].decode("utf-8", "replace")
    # a quote may hold line breaks, and then this is not the whole line
    if not last.strip() or '"' in last or len(last) == len(end):
        return
    cells = len(last.split(separator))
    if cells < len(columns):
        raise DataError(
            f"{name}: must be a whole file, but its last line has {cells} of {len(columns)} cells and no end of line "
            f"({last[:60]!r}): it was cut, copy it again"
        )


def _must_fit(files: Sequence[Path], names: Sequence[str], columns: Sequence[str], separator: str) -> None:
    """Name the first line that has more cells than the header; Polars says only that there is one."""
    for path, name in zip(files, names, strict=True):
        with _text(path, errors="replace") as f:
            lines = csv.reader(f, delimiter=separator)
            for cells in lines:
                if len(cells) > len(columns):
                    raise DataError(
                        f"{name}: every line must have the header's {len(columns)} cells, but line {lines.line_num} "
                        f"has {len(cells)}: quote cells that contain {separator!r}, or mend the line"
                    )


def _text(path: Path, *, errors: str = "strict") -> IO[str]:
    if path.name.lower().endswith(".gz"):
        return gzip.open(path, "rt", encoding="utf-8", errors=errors, newline="")
    return path.open(encoding="utf-8", errors=errors, newline="")


def _tally(raw: Sequence[pl.LazyFrame], columns: Sequence[str]) -> tuple[dict[str, _Tally], int]:
    """Every column's cells over all files, in one streaming pass a file; and the number of rows."""
    tallies = {c: _Tally() for c in columns}
    head = raw[0].head(HEAD_ROWS).collect()
    tried = {c: _possible(head, c) for c in columns}
    rows = 0
    for number, frame in enumerate(raw):
        asked: list[pl.Expr] = [pl.len().alias("rows")]
        for k, name in enumerate(columns):
            there = present(name, pl.String(), "float64")
            asked.append(there.sum().alias(f"{k} there"))
            for dtype in tried[name]:
                unfit = there & convert(name, pl.String(), dtype).is_null()
                asked.append(unfit.sum().alias(f"{k} {dtype}"))
                asked.append(pl.when(unfit).then(pl.col(_ROW)).min().alias(f"{k} {dtype} first"))
        found = frame.with_row_index(_ROW).select(asked).collect(engine="streaming").row(0, named=True)
        for k, name in enumerate(columns):
            tally = tallies[name]
            for dtype in _LADDER:
                count = found[f"{k} {dtype}"] if dtype in tried[name] else found[f"{k} there"]
                tally.unfit[dtype] += count
                if count and dtype in tried[name] and dtype not in tally.first:
                    row = found[f"{k} {dtype} first"]
                    before = frame.head(row).select(present(name, pl.String(), "float64").sum()).collect().item()
                    tally.first[dtype] = (number, row, tally.values + before)
            tally.values += found[f"{k} there"]
        rows += found["rows"]
    return tallies, rows


def _possible(head: pl.DataFrame, name: str) -> list[DType]:
    """The dtypes worth trying on every row: those that at least the first values had."""
    there = head.filter(present(name, pl.String(), "float64"))
    if there.is_empty():
        return list(_LADDER)
    first = there.head(max(3, min(STEADY_ROWS, there.height // 2)))
    return [d for d in _LADDER if first.select(convert(name, pl.String(), d).is_not_null().all()).item()]


def _choose(name: str, tally: _Tally, files: Sequence[Path], names: Sequence[str], separator: str) -> DType:
    if not tally.values:
        return "string"
    for dtype in _LADDER:
        if not tally.unfit[dtype]:
            return dtype
    # nearly all of one kind, or that kind alone at the beginning: text among them is an error, not a column of text
    for dtype in ("float64", "timestamp", "bool"):
        if dtype not in tally.first:
            continue
        number, row, before = tally.first[dtype]
        if before >= max(3, min(STEADY_ROWS, tally.values // 2)):
            line, value = _cell(files[number], row, name, separator)
            raise DataError(
                f"{names[number]}: column {name!r} must be of one type, but after {before:,} {_KIND[dtype]} "
                f"line {line} has {value!r} ({tally.unfit[dtype]:,} such of {tally.values:,} values): mend or empty "
                "these cells, exclude the column, or give a contract that says string"
            )
    return "string"


def _cell(path: Path, row: int, name: str, separator: str) -> tuple[int, str]:
    """Line in the file (from 1, the header's) and text of one cell; quoted line breaks are counted."""
    with _text(path) as f:
        reader = csv.reader(_without_mark(f), delimiter=separator)
        header = next(reader)
        for k, cells in enumerate(reader):
            if k == row:
                place = header.index(name)
                return reader.line_num, cells[place] if place < len(cells) else ""
    raise DataError(f"{path}: must have a row {row}: the file changed while it was read")


def _without_mark(lines: Iterable[str]) -> Iterable[str]:
    for k, line in enumerate(lines):
        yield line.removeprefix("\ufeff") if k == 0 else line


_ROW = "\x00row"
