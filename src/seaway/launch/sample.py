"""Rows of a table as JSON for a model server: some, spread evenly, with the columns that models take.

In: a table by URI and the columns with their datatypes in the Open Inference Protocol. Out: a list of objects; a
missing value is null. Columns that no model takes, such as targets, are left out.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from typing import Any


def json_rows(uri: str, columns: Mapping[str, str], n: int) -> list[dict[str, Any]]:
    """Up to ``n`` rows, spread evenly over the table.

    Args:
        uri: of Parquet or CSV, a file or a folder.
        columns: datatype by name; those that the table has are taken.
        n: at least 1.

    Raises:
        DataError: the table cannot be read.
    """
    import polars as pl

    from seaway.data import table

    with table.opened(uri) as (frame, _):
        rows = int(frame.select(pl.len()).collect().item())
        taken = [name for name in frame.collect_schema() if name in columns]
        at = pl.int_range(pl.len(), dtype=pl.Int64)
        found = frame.filter(at * n % rows < n).select(taken).collect()
    return [{k: json_value(v, columns[k]) for k, v in row.items()} for row in found.iter_rows(named=True)]


def json_value(value: Any, datatype: str) -> Any:
    """A table's value as a model server takes it for a column of this datatype; null if it is missing."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, dt.datetime | dt.date | dt.time):
        return value.isoformat()
    if datatype == "BYTES":
        return value if isinstance(value, str) else str(value)
    if datatype == "BOOL":
        return bool(value) if value in (0, 1) else value
    return int(value) if isinstance(value, bool) else value
