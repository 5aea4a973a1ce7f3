"""The smoke test asks in the open protocol and tells every difference from the package's own answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from seaway.errors import ContractError, DataError, InputError
from seaway.model import package
from seaway.promotion import smoke
from tests.support import weather


@pytest.fixture
def test_table(tmp_path: Path) -> str:
    weather.rows("two", 100).write_parquet(tmp_path / "test.parquet")
    return str(tmp_path / "test.parquet")


def answer(outputs: dict[str, np.ndarray[Any, Any]]) -> dict[str, Any]:
    return {
        "model_name": "weather",
        "outputs": [
            {"name": n, "shape": list(a.shape), "datatype": "FP32", "data": a.reshape(-1).tolist()}
            for n, a in outputs.items()
        ],
    }


def test_rows_are_spread_over_the_table_and_hold_only_the_contracts_columns(test_table: str) -> None:
    contract = weather.contract("two")
    rows = smoke.sample_rows(test_table, contract, 10)
    assert rows.equals(weather.rows("two", 100).gather_every(10).select(contract.names))
    assert len(smoke.sample_rows(test_table, contract, 1000)) == 100
    assert len(smoke.sample_rows(test_table, contract, 1)) == 1


def test_the_request_is_json_with_null_for_what_is_missing() -> None:
    contract = weather.contract("two")
    frame = pl.DataFrame(
        {
            "city": ["Köln", None],
            "temp": [float("nan"), 1.5],
            "count": [2**60 + 1, 0],
            "at": pl.Series([1, None], dtype=pl.Int64).cast(pl.Datetime("us", "UTC")),
            "flag": [True, None],
        }
    )
    request = json.loads(json.dumps(smoke.request_v2(frame, contract), allow_nan=False))
    assert {i["name"]: (i["datatype"], i["data"]) for i in request["inputs"]} == {
        "city": ("BYTES", ["Köln", None]),
        "temp": ("FP64", [None, 1.5]),
        "count": ("INT64", [2**60 + 1, 0]),
        "at": ("INT64", [1, None]),
        "flag": ("BOOL", [True, None]),
    }
    assert all(i["shape"] == [2] for i in request["inputs"])


def test_the_packages_own_answer_has_no_difference(test_table: str, tmp_path: Path) -> None:
    for kind in weather.TARGETS:
        served = package.load(weather.write_package(tmp_path / kind, kind))
        own = smoke.expected(served, smoke.sample_rows(test_table, served.contract, 20))
        assert smoke.compare(answer(own), own) == []


def outputs() -> dict[str, np.ndarray[Any, Any]]:
    return {
        "label": np.array(["a", "b"], object),
        "probabilities": np.array([[0.75, 0.25], [0.25, 0.75]], np.float32),
    }


def test_what_is_within_the_tolerance_is_no_difference() -> None:
    near = {**outputs(), "probabilities": outputs()["probabilities"] + 5e-5}
    assert smoke.compare(answer(near), outputs()) == []
    assert len(smoke.compare(answer(near), outputs(), tolerance=1e-5)) == 4


def test_nested_data_are_the_same_as_flat() -> None:
    nested = answer(outputs())
    nested["outputs"][1]["data"] = outputs()["probabilities"].tolist()
    assert smoke.compare(nested, outputs()) == []


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"label": np.array(["a", "c"], object)}, r"'label', row 1: the endpoint answers 'c', the package 'b'"),
        ({"probabilities": np.array([[0.75, 0.25], [0.35, 0.65]])}, r"'probabilities', row 1"),
        ({"probabilities": np.array([0.75, 0.25])}, r"shape \[2, 2\], found \[2\]"),
        ({"probabilities": np.array([["x", "y"], ["x", "y"]])}, "answers 'x'"),
        ({"probabilities": np.array([[None] * 2] * 2)}, "answers None"),
    ],
)
def test_a_difference_is_told_with_row_and_values(changed: dict[str, np.ndarray[Any, Any]], words: str) -> None:
    told = smoke.compare(answer({**outputs(), **changed}), outputs())
    assert told
    assert any(__import__("re").search(words, t) for t in told)


def test_many_differences_are_counted_not_listed() -> None:
    own = {"value": np.zeros(100)}
    told = smoke.compare(answer({"value": np.ones(100)}), own)
    assert len(told) == 6
    assert "95 more" in told[-1]


def test_an_error_or_a_missing_output_is_a_difference() -> None:
    assert "no such model" in smoke.compare({"error": "no such model"}, outputs())[0]
    assert "'label'" in smoke.compare(answer({"probabilities": outputs()["probabilities"]}), outputs())[0]
    cut = answer(outputs())
    cut["outputs"][1]["data"] = [0.75]
    assert "must hold 4 values, found 1" in smoke.compare(cut, outputs())[0]


def test_rows_that_cannot_be_had_are_refused_in_words(test_table: str, tmp_path: Path) -> None:
    contract = weather.contract("two")
    with pytest.raises(InputError, match="at least one row"):
        smoke.sample_rows(test_table, contract, 0)
    weather.rows("two", 5).drop("temp").write_parquet(tmp_path / "narrow.parquet")
    with pytest.raises(ContractError, match="'temp'"):
        smoke.sample_rows(str(tmp_path / "narrow.parquet"), contract, 3)
    weather.rows("two", 0).write_parquet(tmp_path / "empty.parquet")
    with pytest.raises(DataError, match="rows"):
        smoke.sample_rows(str(tmp_path / "empty.parquet"), contract, 3)
