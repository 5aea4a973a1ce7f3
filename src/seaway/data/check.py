"""Rows against a contract.

In: a lazy frame and a contract. Out: every rule that some row breaks, with how many rows and the first of them; or the
frame in the contract's dtypes.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from seaway.data.dtypes import convert, convertible, lossless, present
from seaway.errors import ContractError, Violation
from seaway.model.contract import Column, Contract


def violations(frame: pl.LazyFrame, contract: Contract) -> list[Violation]:
    """The rules that rows break, in the order of the contract's columns; empty if all hold.

    One streaming pass; a second over the few first offending rows if there are any. Rows count from 0. The target may
    be missing in a row, but must be of its dtype and one of the classes where it is there.
    """
    schema = frame.collect_schema()
    target = contract.target
    goal = Column(
        name=target.name,
        dtype=target.dtype,
        nullable=True,
        values=None if target.dtype == "bool" else target.classes,
    )
    every = (*contract.columns, goal)
    return _violations(frame, schema, every, values_too=True)


def conform(
    frame: pl.LazyFrame, contract: Contract, *, with_target: bool = True, keep: Sequence[str] = ()
) -> pl.LazyFrame:
    """The contract's columns, in its order and dtypes, then the target; other columns are dropped.

    Columns named in ``keep`` that are not the contract's stay behind them as they are.

    Missing values (null, NaN, "") become null. Ranges and enumerations are not looked at: that is `violations`.

    Raises:
        ContractError: a column is missing or holds what cannot become its dtype.
    """
    schema = frame.collect_schema()
    goal = Column(name=contract.target.name, dtype=contract.target.dtype, nullable=True)
    every = (*contract.columns, goal) if with_target else contract.columns
    if broken := _violations(frame, schema, every, values_too=False):
        raise ContractError(broken, advice="Mend the table or the contract")
    names = {c.name for c in every}
    return frame.select(
        *(convert(c.name, schema[c.name], c.dtype) for c in every), *(pl.col(k) for k in keep if k not in names)
    )


def _violations(
    frame: pl.LazyFrame, schema: pl.Schema, columns: tuple[Column, ...], *, values_too: bool
) -> list[Violation]:
    found: dict[tuple[int, str], Violation] = {}
    broken: dict[tuple[int, str], pl.Expr] = {}
    for k, column in enumerate(columns):
        name = column.name
        if name not in schema:
            found[k, "there"] = Violation(column=name, rule="a column of the table", found="no such column")
        elif not convertible(schema[name], column.dtype):
            found[k, "dtype"] = Violation(column=name, rule=column.dtype, found=f"dtype {schema[name]}")
        else:
            rules = _rules(column, schema[name], values_too=values_too)
            broken.update({(k, rule): bad for rule, bad in rules.items()})
    if broken:
        asked = [bad.sum().alias(f"{n} rows") for n, bad in enumerate(broken.values())]
        asked += [pl.when(bad).then(pl.col(_ROW)).min().alias(f"{n} first") for n, bad in enumerate(broken.values())]
        numbered = frame.with_row_index(_ROW)
        counts = numbered.select(asked).collect(engine="streaming").row(0, named=True)
        hit = {key: (counts[f"{n} rows"], counts[f"{n} first"]) for n, key in enumerate(broken) if counts[f"{n} rows"]}
        cells = _cells(numbered, {row for _, row in hit.values()}) if hit else {}
        for (k, rule), (rows, row) in hit.items():
            value = cells[row][columns[k].name]
            found[k, rule] = Violation(column=columns[k].name, rule=rule, found=_shown(value), rows=rows, row=row)
    return [found[key] for key in sorted(found, key=lambda key: key[0])]


def _rules(column: Column, source: pl.DataType, *, values_too: bool) -> dict[str, pl.Expr]:
    """What must hold, in words, to the rows where it does not: bool expressions without nulls."""
    there = present(column.name, source, column.dtype)
    value = convert(column.name, source, column.dtype)
    rules: dict[str, pl.Expr] = {}
    if not lossless(source, column.dtype):
        rules[column.dtype] = there & value.is_null()
    if not values_too:
        return rules
    if not column.nullable:
        rules["not null"] = ~there
    # an infinite number would pass for a bound that is not set
    if column.dtype == "float64":
        rules["finite"] = value.is_infinite().fill_null(value=False)
    if column.minimum is not None:
        rules[f"at least {column.minimum}"] = (value < column.minimum).fill_null(value=False)
    if column.maximum is not None:
        rules[f"at most {column.maximum}"] = (value > column.maximum).fill_null(value=False)
    if column.values is not None:
        few = ", ".join(repr(v) for v in column.values[:6])
        words = f"one of {few}" if len(column.values) <= 6 else f"one of {len(column.values)} values ({few} ...)"
        rules[words] = ~value.is_in(list(column.values)).fill_null(value=True)
    return rules


def _cells(numbered: pl.LazyFrame, rows: set[int]) -> dict[int, dict[str, object]]:
    picked = numbered.filter(pl.col(_ROW).is_in(sorted(rows))).collect(engine="streaming")
    return {row[_ROW]: row for row in picked.iter_rows(named=True)}


def _shown(value: object) -> str:
    text = repr(value) if isinstance(value, str) else str(value)
    return "null" if value is None else text if len(text) <= 80 else text[:77] + "..."


_ROW = "\x00row"
