"""A table made to fit a contract's columns, or the reason in words why it cannot.

In: a table of any source and a contract that may be older or younger than it (the version now served). Out: the
contract's columns alone, in its order and dtypes. Only conversions that change no value are made: a text that would
have to be parsed is refused, not guessed.
"""

from __future__ import annotations

import polars as pl

from seaway.data import dtypes
from seaway.errors import ContractError, Violation
from seaway.model.contract import Column, Contract


def conform(frame: pl.LazyFrame, contract: Contract) -> pl.LazyFrame:
    """The contract's columns of ``frame``, in its order and dtypes; nothing is read.

    Raises:
        ContractError: columns are missing or of another dtype; it names them all.
    """
    schema = frame.collect_schema()
    wrong = [v for v in (_violation(c, schema.get(c.name)) for c in contract.columns) if v is not None]
    if wrong:
        raise ContractError(wrong, advice="Give a table with the columns of the contract, or train anew on this table")
    return frame.select(dtypes.convert(c.name, schema[c.name], c.dtype) for c in contract.columns)


def _violation(column: Column, found: pl.DataType | None) -> Violation | None:
    if found is None:
        return Violation(column=column.name, rule=f"a column of {column.dtype}", found="no such column in the table")
    widened = column.dtype == "float64" and found.is_integer()
    if dtypes.lossless(found, column.dtype) or widened:
        return None
    return Violation(column=column.name, rule=column.dtype, found=str(found))
