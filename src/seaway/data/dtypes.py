"""The dtypes of a contract and the dtypes of Polars: which one a column has, and how values become it.

One meaning of *missing* for every source, the ONNX graph's own: null, NaN, the empty string, the least int64. A text
that becomes a number, bool or timestamp may also say one of ``MISSING_WORDS``.
"""

from __future__ import annotations

import polars as pl

from seaway.model.columns import polars_dtype
from seaway.model.contract import MISSING_INT64, DType

MISSING_WORDS = ("NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "-")
"""What other programs write for a missing number; in a column of text they are text."""

_TEXT = (pl.String, pl.Categorical, pl.Enum)
_EXACT_INT = 2**53
"""Integers of this size or less are exact in float64."""


def contract_dtype(source: pl.DataType) -> DType | None:
    """The contract's dtype for a Polars dtype; None if there is none (nested, binary, duration, time, all null)."""
    if source in _TEXT:
        return "string"
    if source.is_integer():
        return "int64"
    if source.is_float() or source.is_decimal():
        return "float64"
    if source == pl.Boolean:
        return "bool"
    if source in (pl.Date, pl.Datetime):
        return "timestamp"
    return None


def convertible(source: pl.DataType, dtype: DType) -> bool:
    """Whether values of the Polars dtype can become the contract's dtype at all."""
    if source == pl.Null:
        return True
    found = contract_dtype(source)
    return found is not None and (found == dtype or dtype in _CAN_BECOME[found])


def lossless(source: pl.DataType, dtype: DType) -> bool:
    """Whether every value of the Polars dtype can become the contract's dtype: nothing needs checking."""
    if source == pl.Null:
        return True
    if source == pl.UInt64 or source in (pl.Int128, pl.UInt128):
        return False
    found = contract_dtype(source)
    return found == dtype or dtype == "string" or (found == "bool" and dtype in ("int64", "float64"))


def present(name: str, source: pl.DataType, dtype: DType) -> pl.Expr:
    """Whether a value is there, as a bool expression that is never null."""
    column = pl.col(name)
    if source.is_float():
        return column.is_not_null() & column.is_not_nan()
    if source in _TEXT:
        text = column.cast(pl.String)
        words = ("",) if dtype == "string" else ("", *MISSING_WORDS)
        stripped = text if dtype == "string" else text.str.strip_chars()
        return text.is_not_null() & ~stripped.is_in(words).fill_null(value=False)
    if source == pl.Int64:
        return column.is_not_null() & (column != MISSING_INT64)
    return column.is_not_null()


def convert(name: str, source: pl.DataType, dtype: DType) -> pl.Expr:
    """The column in the contract's dtype: missing values are null, and so are those that cannot become it.

    Times without a zone are taken as UTC. Integers beyond 2**53 lose digits as float64, as everywhere.
    """
    column = pl.col(name)
    wanted = polars_dtype(dtype)
    if source == pl.Null:
        return column.cast(wanted)
    if source in _TEXT:
        return _from_text(column.cast(pl.String), dtype).alias(name)
    if source.is_float() or source.is_decimal():
        number = column.cast(pl.Float64)
        number = pl.when(number.is_not_nan()).then(number)
        if dtype == "float64":
            return number.alias(name)
        if dtype == "string":
            return number.cast(pl.String).alias(name)
        whole = (
            pl.when((number == number.round()) & (number.abs() <= _EXACT_INT)).then(number).cast(pl.Int64, strict=False)
        )
        return _flag(whole).alias(name) if dtype == "bool" else whole.alias(name)
    if source == pl.Date or source == pl.Datetime:
        if dtype == "string":
            return column.cast(pl.Datetime("us")).dt.to_string("iso:strict").alias(name)
        zone = getattr(source, "time_zone", None)
        moment = column.cast(pl.Datetime("us", zone))
        moment = moment.dt.replace_time_zone("UTC") if zone is None else moment.dt.convert_time_zone("UTC")
        return moment.alias(name)
    if source == pl.Int64:
        column = pl.when(column != MISSING_INT64).then(column)
    if dtype == "bool" and source != pl.Boolean:
        return _flag(column).alias(name)
    return column.cast(wanted, strict=False).alias(name)


def _flag(number: pl.Expr) -> pl.Expr:
    return pl.when((number == 0) | (number == 1)).then(number == 1)


def _from_text(text: pl.Expr, dtype: DType) -> pl.Expr:
    if dtype == "string":
        return pl.when(text != "").then(text)
    text = text.str.strip_chars()
    if dtype == "bool":
        lower = text.str.to_lowercase()
        return pl.when(lower.is_in(["true", "false"])).then(lower == "true")
    if dtype == "timestamp":
        return _moment(text)
    number = text.cast(polars_dtype(dtype), strict=False)
    return pl.when(number.is_not_nan()).then(number) if dtype == "float64" else number


def _moment(text: pl.Expr) -> pl.Expr:
    """ISO 8601: a date, or date and time to minutes or finer, with or without an offset."""
    whole = (
        text.str.replace(r"^(\d{4}-\d\d-\d\d)$", "${1}T00:00")
        .str.replace(r"^(\d{4}-\d\d-\d\d)[ t](\d)", "${1}T${2}")
        .str.replace(r"^(.{10}T\d\d:\d\d)([Zz]|[+-]\d\d:?\d\d)?$", "${1}:00${2}")
        .str.replace(r"^([^T]*T[0-9:.]*)$", "${1}Z")
    )
    return whole.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%#z", time_unit="us", time_zone="UTC", strict=False)


_CAN_BECOME: dict[DType, tuple[DType, ...]] = {
    "string": ("int64", "float64", "bool", "timestamp"),
    "int64": ("float64", "string", "bool"),
    "float64": ("int64", "string", "bool"),
    "bool": ("int64", "float64", "string"),
    "timestamp": ("string",),
}
