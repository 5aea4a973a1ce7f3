from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from seaway.data.check import conform, violations
from seaway.errors import ContractError
from seaway.model.contract import Column, Contract, Target

CONTRACT = Contract(
    columns=(
        Column(name="city", dtype="string", values=("Aachen", "Bonn")),
        Column(name="temp", dtype="float64", nullable=True, minimum=-50.0, maximum=50.0),
        Column(name="count", dtype="int64", minimum=0),
        Column(name="at", dtype="timestamp", nullable=True),
    ),
    target=Target(name="late", task="classification", dtype="bool", classes=(False, True)),
)
GOOD: dict[str, list[Any]] = {
    "city": ["Aachen", "Bonn", "Bonn"],
    "temp": [1.5, None, math.nan],
    "count": [0, 1, 2],
    "at": [datetime(2020, 1, 1, tzinfo=UTC)] * 3,
    "late": [True, None, False],
}


def broken(**columns: Any) -> list[str]:
    return [str(v) for v in violations(pl.LazyFrame(GOOD | columns), CONTRACT)]


def test_rows_that_keep_the_contract_break_nothing() -> None:
    assert broken() == []
    assert broken(extra=[1, 2, 3]) == []


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"city": ["Bonn", None, ""]}, "column 'city': must be not null, found null at row 1 (2 rows)"),
        (
            {"city": ["Bonn", "Ulm", "Jena"]},
            "column 'city': must be one of 'Aachen', 'Bonn', found 'Ulm' at row 1 (2 rows)",
        ),
        ({"temp": [0.0, 51.0, 60.0]}, "column 'temp': must be at most 50.0, found 51.0 at row 1 (2 rows)"),
        ({"count": [1, 2, -1]}, "column 'count': must be at least 0, found -1 at row 2"),
        ({"count": [1.0, 2.5, 3.0]}, "column 'count': must be int64, found 2.5 at row 1"),
        ({"count": ["1", " 2", "many"]}, "column 'count': must be int64, found 'many' at row 2"),
        ({"at": ["2020-01-01", "", "soon"]}, "column 'at': must be timestamp, found 'soon' at row 2"),
        ({"at": [1, 2, 3]}, "column 'at': must be timestamp, found dtype Int64"),
        ({"temp": [[1.0], [2.0], [3.0]]}, "column 'temp': must be float64, found dtype List(Float64)"),
        ({"late": ["true", "no", "false"]}, "column 'late': must be bool, found 'no' at row 1"),
        (
            {"count": pl.Series([1, 2, 2**63], dtype=pl.UInt64)},
            "column 'count': must be int64, found 9223372036854775808 at row 2",
        ),
    ],
)
def test_each_rule_that_rows_break_is_named_once_with_its_first_row(columns: dict[str, Any], words: str) -> None:
    assert broken(**columns) == [words]


def test_infinity_is_no_value_even_without_bounds() -> None:
    contract = Contract(columns=(Column(name="x", dtype="float64"),), target=CONTRACT.target)
    found = violations(pl.LazyFrame({"x": [1.0, -math.inf], "late": [True, False]}), contract)
    assert [str(v) for v in found] == ["column 'x': must be finite, found -inf at row 1"]


def test_a_missing_column_is_a_violation() -> None:
    found = violations(pl.LazyFrame(GOOD).drop("temp", "late"), CONTRACT)
    assert [(v.column, v.found) for v in found] == [("temp", "no such column"), ("late", "no such column")]


def test_an_unknown_class_is_a_violation() -> None:
    target = Target(name="kind", task="classification", dtype="string", classes=("low", "high"))
    contract = Contract(columns=(Column(name="x", dtype="int64"),), target=target)
    found = violations(pl.LazyFrame({"x": [1, 2, 3], "kind": ["low", "mid", None]}), contract)
    assert [str(v) for v in found] == ["column 'kind': must be one of 'low', 'high', found 'mid' at row 1"]


def test_several_broken_rules_come_in_the_order_of_the_contract() -> None:
    words = broken(count=[-1, 1, 1], city=["Ulm", None, "Bonn"])
    assert [w.split("'")[1] for w in words] == ["city", "city", "count"]


def test_conform_orders_casts_and_drops() -> None:
    frame = pl.LazyFrame(
        GOOD
        | {
            "count": ["1", "2", " 3"],
            "temp": ["1.5", "NA", ""],
            "at": ["2020-01-01T01:00+01:00", None, ""],
            "extra": [0] * 3,
        }
    ).select("extra", "late", "at", "count", "temp", "city")
    found = conform(frame, CONTRACT).collect()
    assert found.columns == ["city", "temp", "count", "at", "late"]
    assert found["count"].to_list() == [1, 2, 3]
    assert found["temp"].to_list() == [1.5, None, None]
    assert found["at"].to_list() == [datetime(2020, 1, 1, tzinfo=UTC), None, None]
    assert conform(frame, CONTRACT, with_target=False, keep=["extra"]).collect_schema().names()[-1] == "extra"


def test_conform_refuses_what_cannot_be_cast_instead_of_making_it_null() -> None:
    with pytest.raises(ContractError, match="column 'count': must be int64, found 'many' at row 1"):
        conform(pl.LazyFrame(GOOD | {"count": ["1", "many", "3"]}), CONTRACT)
    with pytest.raises(ContractError, match="column 'temp': must be a column of the table"):
        conform(pl.LazyFrame(GOOD).drop("temp"), CONTRACT)
