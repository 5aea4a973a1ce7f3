from __future__ import annotations

import json
import math
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from seaway.data import profile as module
from seaway.data.infer import infer
from seaway.data.profile import profile


def described(frame: pl.LazyFrame, name: str = "x", target: str = "y") -> dict[str, Any]:
    found = profile(frame, infer(frame, target=target))
    json.loads(json.dumps(found, allow_nan=False))
    return next(c for c in [*found["columns"], found["target"]] if c["name"] == name)


def table(values: Any) -> pl.LazyFrame:
    return pl.LazyFrame({"y": [k % 4 == 0 for k in range(len(values))], "x": values})


def test_numbers_are_described_as_numpy_does() -> None:
    values = np.random.default_rng(1).gamma(2.0, size=5_000)
    found = described(table([*values, None, math.nan]))
    assert (found["count"], found["nulls"], found["distinct"], found["exact_distinct"]) == (5_000, 2, 5_000, True)
    assert found["min"] == values.min()
    assert found["max"] == values.max()
    assert found["mean"] == pytest.approx(values.mean())
    assert found["std"] == pytest.approx(values.std(ddof=1))
    counts, edges = np.histogram(values, bins=20)
    assert found["histogram"]["counts"] == counts.tolist()
    assert found["histogram"]["edges"] == pytest.approx(edges.tolist())
    for percent in (5, 25, 50, 75, 95):
        # the nearest value, not a mean of two
        below = (values <= found["quantiles"][str(percent)]).mean()
        assert below == pytest.approx(percent / 100, abs=1e-3)


def test_text_is_described_by_its_top_values_ties_in_order() -> None:
    found = described(table(["b", "a", "c", "b", "", None, "a", "d"]))
    assert (found["count"], found["nulls"], found["distinct"]) == (6, 2, 4)
    assert found["top"][:4] == [
        {"value": "a", "count": 2},
        {"value": "b", "count": 2},
        {"value": "c", "count": 1},
        {"value": "d", "count": 1},
    ]
    assert "histogram" not in found


def test_times_are_described_as_text_with_a_histogram() -> None:
    found = described(table([datetime(2020, 1, 1) + timedelta(days=k) for k in range(40)]))
    assert (found["min"], found["max"]) == ("2020-01-01T00:00:00.000000Z", "2020-02-09T00:00:00.000000Z")
    assert sum(found["histogram"]["counts"]) == 40


def test_the_target_is_described_with_its_balance_and_rows_without_it_do_not_count() -> None:
    frame = pl.LazyFrame({"y": ["a", "b", "a", None], "x": [1, 2, 3, 4]})
    found = profile(frame, infer(frame, target="y"))
    assert found["rows"] == 3
    assert found["target"]["balance"] == [
        {"class": "a", "rows": 2, "share": pytest.approx(2 / 3)},
        {"class": "b", "rows": 1, "share": pytest.approx(1 / 3)},
    ]
    assert found["columns"][0]["max"] == 3


def test_a_number_to_predict_has_a_histogram_and_no_balance() -> None:
    frame = pl.LazyFrame({"y": [0.5, 1.5, 2.5], "x": [1, 2, 3]})
    found = profile(frame, infer(frame, target="y"))
    assert "balance" not in found["target"]
    assert sum(found["target"]["histogram"]["counts"]) == 3


def test_extreme_numbers_stay_json() -> None:
    found = described(table([-1.7e308, 1.7e308, 0.0, 1.7e308]))
    assert found["max"] == 1.7e308
    found = described(table([-(2**63) + 1, 2**63 - 1, 0, 1]))
    assert (found["min"], found["max"]) == (-(2**63) + 1, 2**63 - 1)
    assert sum(found["histogram"]["counts"]) == 4


def test_constant_columns_have_no_histogram() -> None:
    found = described(table([3, 3, 3, 3]))
    assert (found["min"], found["max"], found["distinct"]) == (3, 3, 1)
    assert "histogram" not in found


def test_very_many_values_are_counted_about_and_quantiles_taken_from_every_nth_row(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_COUNTED", 1_000)
    monkeypatch.setattr(module, "QUANTILE_ROWS", 2_000)
    found = described(table(list(range(10_000))))
    assert not found["exact_distinct"]
    assert found["distinct"] == pytest.approx(10_000, rel=0.25)
    assert "top" not in found
    assert found["quantiles"]["50"] == pytest.approx(5_000, abs=20)
