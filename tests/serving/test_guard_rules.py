"""A guard lets through the same values whether they come alone or in a batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seaway.errors import Violation
from seaway.model.contract import MISSING_INT64, Column
from seaway.serving.guard import Guard

COLUMNS = [
    Column(name="s", dtype="string"),
    Column(name="s", dtype="string", nullable=True, values=("a", "b", "")),
    Column(name="i", dtype="int64"),
    Column(name="i", dtype="int64", nullable=True, minimum=-5, maximum=5),
    Column(name="i", dtype="int64", values=(1, 2, 3)),
    Column(name="f", dtype="float64"),
    Column(name="f", dtype="float64", nullable=True, minimum=-1.5, maximum=3),
    Column(name="b", dtype="bool"),
    Column(name="b", dtype="bool", nullable=True, values=(True,)),
    Column(name="t", dtype="timestamp"),
    Column(name="t", dtype="timestamp", nullable=True),
]
VALUES = st.sampled_from(
    [
        *(None, "a", "b", "", "c", 0, 1, 2, -5, 6, True, False, 0.0, -0.0, 1.0, 2.5, 1e300, [], {}, [1]),
        *(float("inf"), float("-inf"), 1.8446744073709552e19, -9.3e18),
        *(2**53, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), -(2**63) + 1, 2**64 - 1),
        *("2013-01-01", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"),
    ]
)


def check(guard: Guard, values: list[Any]) -> tuple[Any, list[Violation]]:
    broken: list[Violation] = []
    return guard.check(values, broken), broken


@pytest.mark.parametrize("column", COLUMNS, ids=lambda c: f"{c.dtype}-{c.nullable}")
@given(values=st.lists(VALUES, min_size=1, max_size=6))
def test_a_batch_is_checked_as_its_rows_are(column: Column, values: list[Any]) -> None:
    guard = Guard(column)
    array, broken = check(guard, values)
    alone = [check(guard, [v]) for v in values]
    assert (array is None) == bool(broken) == any(b for _, b in alone)
    if array is None:
        assert sum(v.rows for v in broken) == sum(bool(b) for _, b in alone)
        assert min(v.row or 0 for v in broken) == next(i for i, (_, b) in enumerate(alone) if b)
    else:
        assert array.shape == (len(values),)
        np.testing.assert_array_equal(array, np.concatenate([a for a, _ in alone]))
        assert array.dtype == alone[0][0].dtype


def test_missing_enters_as_the_graph_expects_it() -> None:
    missing = [
        Guard(Column(name="x", dtype=d, nullable=True)).absent(2, []) for d in ("string", "int64", "bool", "float64")
    ]
    assert [list(m) for m in missing[:3]] == [["", ""], [MISSING_INT64] * 2, [MISSING_INT64] * 2]
    assert np.isnan(missing[3]).all()
