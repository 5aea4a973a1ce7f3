"""The rows that `seaway predict` asks about."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from seaway.cli.predict import read_rows
from seaway.errors import InputError


@pytest.mark.parametrize("name", ["t.csv", "t.parquet", "t.json", "t.jsonl"])
def test_every_format_gives_the_same_rows_and_nan_is_missing(tmp_path: Path, name: str) -> None:
    rows = [{"größe": 1.5, "n": 1, "c": "x"}, {"größe": float("nan"), "n": 2, "c": "y"}]
    path = tmp_path / name
    if path.suffix == ".csv":
        pl.DataFrame(rows).write_csv(path)
    elif path.suffix == ".parquet":
        pl.DataFrame(rows).write_parquet(path)
    else:
        path.write_text(json.dumps(rows) if path.suffix == ".json" else "\n".join(map(json.dumps, rows)))
    assert read_rows(str(path)) == [rows[0], {**rows[1], "größe": None}]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("t.json", '[{"a": Infinity}]', "column 'a' must be finite, found inf in row 0"),
        ("t.csv", "a,b\n1.5,x\n-inf,y\n", "column 'a' must be finite, found -inf in row 1"),
        ("t.json", "[]", "at least one row"),
        ("t.jsonl", '{"a": 1}\n{"a":', "must be a JSON list of objects, or one object a line"),
        ("t.jsonl", "3", "a row must be a JSON object, found 3"),
        ("t.csv", "", "the file is empty"),
    ],
)
def test_rows_that_cannot_be_asked_about_are_refused(tmp_path: Path, name: str, text: str, words: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=words):
        read_rows(str(tmp_path / name))
