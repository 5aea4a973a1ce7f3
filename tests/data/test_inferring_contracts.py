from __future__ import annotations

import math
from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seaway.data.check import conform, violations
from seaway.data.infer import infer, inspect, widened
from seaway.errors import DataError, InputError
from seaway.model.contract import Column, Contract


def table(**columns: Any) -> pl.LazyFrame:
    height = max(len(v) for v in columns.values())
    return pl.LazyFrame({"y": [k % 2 == 0 for k in range(height)]} | columns)


def column(frame: pl.LazyFrame, name: str = "x") -> Column:
    return infer(frame, target="y").column(name)


def test_every_source_dtype_has_its_contract_dtype() -> None:
    moment = datetime(2020, 1, 1, 12)
    frame = pl.LazyFrame(
        {
            "y": [0, 1],
            "int8": pl.Series([1, 2], dtype=pl.Int8),
            "uint64": pl.Series([1, 2], dtype=pl.UInt64),
            "float32": pl.Series([1, 2], dtype=pl.Float32),
            "decimal": pl.Series(["1.5", "2.5"]).cast(pl.Decimal(10, 2)),
            "flag": [True, False],
            "day": [date(2020, 1, 1), date(2020, 1, 2)],
            "naive": pl.Series([moment, moment], dtype=pl.Datetime("ms")),
            "zoned": pl.Series([moment, moment]).dt.replace_time_zone("Europe/Berlin"),
            "category": pl.Series(["a", "b"], dtype=pl.Categorical),
            "enum": pl.Series(["a", "b"], dtype=pl.Enum(["a", "b"])),
        }
    )
    contract = infer(frame, target="y")
    assert [c.dtype for c in contract.columns] == [
        *("int64", "int64", "float64", "float64", "bool", "timestamp", "timestamp", "timestamp", "string", "string")
    ]
    row = conform(frame, contract).collect().row(0, named=True)
    assert row["naive"] == datetime(2020, 1, 1, 12, tzinfo=UTC)
    assert row["zoned"] == datetime(2020, 1, 1, 11, tzinfo=UTC)
    assert row["day"] == datetime(2020, 1, 1, tzinfo=UTC)


def test_null_nan_and_the_empty_string_are_missing() -> None:
    assert column(table(x=[1.0, math.nan])).nullable
    assert column(table(x=["a", "", "b"])) == Column(name="x", dtype="string", nullable=True, values=("a", "b"))
    assert column(table(x=[1, None])).nullable
    assert not column(table(x=[1, 2])).nullable


def test_strings_of_few_values_get_an_enumeration_and_numbers_never() -> None:
    assert column(table(x=[f"v{k:03}" for k in range(100)])).values == tuple(f"v{k:03}" for k in range(100))
    assert column(table(x=[f"v{k}" for k in range(101)] * 3)).values is None
    assert column(table(x=[1, 2, 3])).values is None


@pytest.mark.parametrize(
    ("low", "high", "wanted"),
    [
        (10, 30, (0, 50)),
        (100, 110, (90, 120)),
        (-3, 4, (-10, 11)),
        (-30, -10, (-50, 0)),
        (0.5, 1.0, (0.0, 1.5)),
        (-1e308, 1e308, (-1.7976931348623157e308, 1.7976931348623157e308)),
        (-(2**63) + 1, 2**63 - 1, (-(2**63) + 1, 2**63 - 1)),
    ],
)
def test_ranges_are_widened_by_their_span_but_not_past_zero(
    low: float, high: float, wanted: tuple[float, float]
) -> None:
    assert widened(low, high) == wanted
    found = column(table(x=[low, high]))
    assert (found.minimum, found.maximum) == wanted


def test_infinite_values_are_refused_with_column_count_and_row() -> None:
    with pytest.raises(DataError, match="column 'x' must be finite, found 2 infinite values, the first in row 1"):
        infer(table(x=[1.0, math.inf, -math.inf]), target="y")


def test_integers_past_int64_are_refused() -> None:
    with pytest.raises(DataError, match="column 'x' must fit int64, found 18446744073709551615"):
        infer(table(x=pl.Series([1, 2**64 - 1], dtype=pl.UInt64)), target="y")


def test_nested_and_binary_columns_are_refused_unless_excluded() -> None:
    for values in ([[1], [2]], [{"a": 1}, {"a": 2}], [b"a", b"b"]):
        frame = table(x=values, z=[1, 2])
        with pytest.raises(DataError, match="column 'x' must hold strings"):
            infer(frame, target="y")
        assert infer(frame, target="y", exclude=["x"]).names == ("z",)


def test_an_all_null_column_is_left_out_with_a_warning() -> None:
    for nothing in ([None, None], pl.Series([None, None], dtype=pl.Float64), ["", ""], [math.nan, math.nan]):
        found = inspect(table(x=nothing, z=[1, 2]), target="y")
        assert found.contract.names == ("z",)
        assert any("'x' is left out" in w for w in found.warnings)


def test_a_column_with_values_only_where_the_target_is_missing_is_left_out() -> None:
    found = inspect(pl.LazyFrame({"y": [0, 1, None], "x": [None, None, 3.0], "z": [1, 2, 3]}), target="y")
    assert found.contract.names == ("z",)


def test_an_all_null_target_is_refused() -> None:
    for nothing in ([None, None], pl.Series([None, None], dtype=pl.Int64)):
        with pytest.raises(DataError, match="target 'y' must have values"):
            infer(pl.LazyFrame({"y": nothing, "x": [1, 2]}), target="y")


def test_a_constant_column_is_kept_with_a_warning() -> None:
    for value in (3, 1.5, "a", True):
        found = inspect(table(x=[value] * 4), target="y")
        assert found.contract.names == ("x",)
        assert any("'x' has one value only" in w for w in found.warnings), value


def test_a_category_of_two_hundred_thousand_levels_works_with_a_warning() -> None:
    found = inspect(table(x=[f"user-{k}" for k in range(200_000)]), target="y")
    assert found.contract.column("x") == Column(name="x", dtype="string")
    assert any("'x' looks like an identifier" in w for w in found.warnings)


def test_rows_without_a_target_are_counted() -> None:
    found = inspect(pl.LazyFrame({"y": [0, 1, None, None], "x": [1, 2, 3, 4]}), target="y")
    assert (found.rows, found.rows_without_target) == (4, 2)
    assert "2 of 4 rows have no target" in found.warnings[0]


@pytest.mark.parametrize(
    ("values", "task", "dtype", "classes"),
    [
        ([True, False], "classification", "bool", (False, True)),
        (["no", "yes", "maybe"], "classification", "string", ("maybe", "no", "yes")),
        ([3, 1, 2], "classification", "int64", (1, 2, 3)),
        (list(range(20)), "classification", "int64", tuple(range(20))),
        (list(range(21)), "regression", "int64", None),
        ([0.0, 1.0], "regression", "float64", None),
    ],
)
def test_the_task_follows_from_the_target(values: list[Any], task: str, dtype: str, classes: Any) -> None:
    goal = infer(pl.LazyFrame({"y": values, "x": range(len(values))}), target="y").target
    assert (goal.task, goal.dtype, goal.classes) == (task, dtype, classes)


def test_whole_floats_can_be_classes_when_asked() -> None:
    frame = pl.LazyFrame({"y": [0.0, 1.0, None], "x": [1, 2, 3]})
    goal = infer(frame, target="y", task="classification").target
    assert (goal.dtype, goal.classes) == ("int64", (0, 1))
    with pytest.raises(InputError, match="must be strings, bools or whole numbers"):
        infer(pl.LazyFrame({"y": [0.5, 1.0], "x": [1, 2]}), target="y", task="classification")


@pytest.mark.parametrize("values", [[True, True], ["a", "a", None], [7, 7]])
def test_one_class_only_is_refused(values: list[Any]) -> None:
    with pytest.raises(InputError, match="at least two classes, found only"):
        infer(pl.LazyFrame({"y": values, "x": range(len(values))}), target="y")


def test_a_target_that_does_not_fit_the_task_is_refused() -> None:
    with pytest.raises(InputError, match="regression needs numbers"):
        infer(pl.LazyFrame({"y": ["a", "b"], "x": [1, 2]}), target="y", task="regression")
    with pytest.raises(InputError, match="values that differ"):
        infer(pl.LazyFrame({"y": [1.5, 1.5], "x": [1, 2]}), target="y")
    with pytest.raises(InputError, match=r"at most 1,000 classes, found about"):
        infer(pl.LazyFrame({"y": [f"{k}" for k in range(3_000)], "x": range(3_000)}), target="y")
    with pytest.raises(InputError, match="found times"):
        infer(pl.LazyFrame({"y": [date(2020, 1, 1), date(2020, 1, 2)], "x": [1, 2]}), target="y")


def test_a_missing_target_names_the_near_ones() -> None:
    frame = pl.LazyFrame({"delayed": [0, 1], "late_minutes": [1, 2], "x": [1, 2]})
    with pytest.raises(DataError, match=r"the target 'delay' must be a column.*'delayed'"):
        infer(frame, target="delay")
    with pytest.raises(DataError, match=r"the excluded column 'z' must be a column"):
        infer(frame, target="delayed", exclude=["z"])


def test_a_table_of_the_target_alone_is_refused() -> None:
    with pytest.raises(DataError, match="a column beside the target"):
        infer(pl.LazyFrame({"y": [0, 1]}), target="y")


NAMES = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=8)
CELLS = st.sampled_from(
    [
        (pl.Int64, st.none() | st.integers(-(2**63), 2**63 - 1)),
        (pl.Float64, st.none() | st.floats(allow_infinity=False)),
        (pl.Float32, st.none() | st.floats(allow_infinity=False, width=32)),
        (pl.String, st.none() | st.text(max_size=4)),
        (pl.Boolean, st.none() | st.booleans()),
        (pl.Datetime("us"), st.none() | st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1))),
    ]
)


def usable(name: str) -> bool:
    return name not in ("target", "*") and not (name.startswith("^") and name.endswith("$"))


@st.composite
def tables(draw: st.DrawFn) -> pl.DataFrame:
    height = draw(st.integers(2, 12))
    names = draw(st.lists(NAMES.filter(usable), min_size=1, max_size=5, unique=True))
    columns = {"always": list(range(height)), "target": [k % 2 == 0 for k in range(height)]}
    for name in names:
        dtype, cells = draw(CELLS)
        columns[name] = pl.Series(draw(st.lists(cells, min_size=height, max_size=height)), dtype=dtype)  # type: ignore[assignment]
    return pl.DataFrame(columns)


@given(frame=tables())
@settings(max_examples=60, deadline=None)
def test_data_never_violates_its_own_contract(frame: pl.DataFrame) -> None:
    contract = infer(frame.lazy(), target="target")
    assert violations(frame.lazy(), contract) == []
    conformed = conform(frame.lazy(), contract)
    assert infer(conformed, target="target") == contract
    assert Contract.from_json(contract.to_json()) == contract


def test_times_past_the_calendar_are_refused() -> None:
    far = pl.Series([0, 10**15], dtype=pl.Int64).cast(pl.Datetime("ms"))
    with pytest.raises(DataError, match="column 'x' must hold times of the years 1 to 9999"):
        infer(table(x=far), target="y")
