from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import fsspec
import polars as pl
import pytest
from pyarrow.parquet import ParquetFile

from seaway.data import flights
from seaway.data.ingest import IngestResult, ingest
from seaway.errors import ContractError, DataError, InputError
from seaway.model.columns import polars_dtype
from seaway.model.contract import Contract

OUTPUTS = ("train", "validation", "test", "contract_out", "profile_out", "report")


def take(folder: Path, data: Path | str, **parameters: Any) -> IngestResult:
    folder.mkdir(exist_ok=True)
    return ingest(data=str(data), **{k: str(folder / k) for k in OUTPUTS}, **{"target": "y", **parameters})


def small(rows: int = 200, **columns: Any) -> pl.DataFrame:
    base = {
        "x": [k / 7 for k in range(rows)],
        "city": [("Aachen", "Bonn", "Köln 🏰")[k % 3] for k in range(rows)],
        "t": range(rows),
        "y": [k % 2 for k in range(rows)],
    }
    return pl.DataFrame(base | columns)


@pytest.fixture(scope="module")
def year(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return flights.write(tmp_path_factory.mktemp("flights")).path


def test_the_flights_are_taken_in_whole(year: Path, tmp_path: Path) -> None:
    found = take(tmp_path, year, target="late", exclude=["delay_minutes"])
    assert (found.rows, found.rows_without_target, found.columns) == (336_776, 9_430, 25)
    assert found.train_rows + found.validation_rows + found.test_rows == 327_346
    assert (found.validation_rows, found.test_rows) == (32_735, 65_469)
    assert found.classes == (False, True)
    assert found.dataset_digest == hashlib.sha256(year.read_bytes()).hexdigest()
    contract = Contract.from_json((tmp_path / "contract_out").read_bytes())
    wanted = {c.name: polars_dtype(c.dtype) for c in contract.columns} | {"late": pl.Boolean}
    for part, rows in (("train", found.train_rows), ("validation", found.validation_rows), ("test", found.test_rows)):
        table = pl.read_parquet(tmp_path / part)
        assert table.height == rows
        assert dict(table.schema) == wanted
        assert table["late"].null_count() == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(OUTPUTS)
    profile = json.loads((tmp_path / "profile_out").read_text())
    assert profile["rows"] == 327_346
    page = (tmp_path / "report").read_text()
    assert "9,430 of 336,776 rows have no target" in page
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org", "")


def test_a_time_split_of_the_flights_leaks_nothing(year: Path, tmp_path: Path) -> None:
    take(tmp_path, year, target="late", exclude=["delay_minutes"], split="time", time_column="scheduled_departure")
    train, validation, test = (pl.read_parquet(tmp_path / p)["scheduled_departure"] for p in OUTPUTS[:3])
    assert train.max() < validation.min() <= validation.max() < test.min()  # type: ignore[operator]


def test_the_same_seed_writes_the_same_rows_and_csv_the_same_as_parquet(tmp_path: Path) -> None:
    small().write_parquet(tmp_path / "t.parquet")
    small().write_csv(tmp_path / "t.csv")
    take(tmp_path / "a", tmp_path / "t.parquet", seed=4)
    take(tmp_path / "b", tmp_path / "t.csv", seed=4)
    take(tmp_path / "c", tmp_path / "t.parquet", seed=5)
    for part in OUTPUTS[:3]:
        assert pl.read_parquet(tmp_path / "a" / part).equals(pl.read_parquet(tmp_path / "b" / part))
    assert (tmp_path / "a/contract_out").read_bytes() == (tmp_path / "b/contract_out").read_bytes()
    assert not pl.read_parquet(tmp_path / "a/test").equals(pl.read_parquet(tmp_path / "c/test"))


def test_a_time_column_need_not_be_a_feature(tmp_path: Path) -> None:
    small().write_parquet(tmp_path / "t.parquet")
    take(tmp_path / "o", tmp_path / "t.parquet", exclude=["t"], split="time", time_column="t")
    train, test = (pl.read_parquet(tmp_path / "o" / p) for p in ("train", "test"))
    assert train.columns == ["x", "city", "y"]
    assert train["x"].max() < test["x"].min()  # type: ignore[operator]


def test_large_parts_have_several_row_groups(tmp_path: Path) -> None:
    small(300_000).write_parquet(tmp_path / "t.parquet")
    take(tmp_path / "o", tmp_path / "t.parquet")
    metadata = ParquetFile(tmp_path / "o/train").metadata
    sizes = [metadata.row_group(k).num_rows for k in range(metadata.num_row_groups)]
    assert sum(sizes) == 210_000
    assert max(sizes) <= 120_000
    assert metadata.row_group(0).column(0).compression == "ZSTD"


def test_rows_that_break_the_given_contract_leave_a_report_and_nothing_else(tmp_path: Path) -> None:
    small().write_parquet(tmp_path / "t.parquet")
    take(tmp_path / "first", tmp_path / "t.parquet")
    later = small(city=["Ulm <b>"] + ["Bonn"] * 199)
    later.write_csv(tmp_path / "later.csv")
    with pytest.raises(ContractError, match=r"column 'city'.*found 'Ulm <b>' at row 0") as caught:
        take(tmp_path / "second", tmp_path / "later.csv", contract=str(tmp_path / "first/contract_out"))
    assert [v.column for v in caught.value.violations] == ["city"]
    assert [p.name for p in (tmp_path / "second").iterdir()] == ["report"]
    page = (tmp_path / "second/report").read_text()
    assert "refused" in page
    assert "Ulm &lt;b&gt;" in page


def test_a_given_contract_is_kept_and_written_again(tmp_path: Path) -> None:
    small().write_parquet(tmp_path / "t.parquet")
    take(tmp_path / "first", tmp_path / "t.parquet", exclude=["t"])
    later = small(100, y=[None, *(k % 2 for k in range(99))])
    later.write_csv(tmp_path / "later.csv")
    found = take(tmp_path / "second", tmp_path / "later.csv", target="", contract=str(tmp_path / "first/contract_out"))
    assert (found.rows, found.rows_without_target, found.columns) == (100, 1, 2)
    assert (tmp_path / "first/contract_out").read_bytes() == (tmp_path / "second/contract_out").read_bytes()
    for wrong, words in (({"target": "x"}, "target must be the contract's"), ({"task": "regression"}, "task must be")):
        with pytest.raises(InputError, match=words):
            take(tmp_path / "third", tmp_path / "later.csv", contract=str(tmp_path / "first/contract_out"), **wrong)


def test_one_class_in_the_rows_is_refused_though_the_contract_has_two(tmp_path: Path) -> None:
    small().write_parquet(tmp_path / "t.parquet")
    take(tmp_path / "first", tmp_path / "t.parquet")
    small(y=[1] * 200).write_parquet(tmp_path / "later.parquet")
    with pytest.raises(InputError, match="found only one"):
        take(tmp_path / "o", tmp_path / "later.parquet", contract=str(tmp_path / "first/contract_out"))


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"target": "z"}, "must be a column"),
        ({"target": "city", "task": "regression"}, "regression needs numbers"),
        ({"split": "time", "time_column": "when"}, "time_column to be a column"),
        ({"test_fraction": 0.001, "validation_fraction": 0.001}, "must all have rows"),
        ({"split": "sideways"}, "random or time"),
    ],
)
def test_a_refused_run_writes_nothing(tmp_path: Path, parameters: dict[str, Any], words: str) -> None:
    small().write_parquet(tmp_path / "t.parquet")
    with pytest.raises(InputError, match=words):
        take(tmp_path / "o", tmp_path / "t.parquet", **parameters)
    assert list((tmp_path / "o").iterdir()) == []


def test_a_broken_contract_is_named(tmp_path: Path) -> None:
    small().write_parquet(tmp_path / "t.parquet")
    (tmp_path / "mine.json").write_text("{")
    with pytest.raises(InputError, match=r"mine\.json: a contract must be JSON"):
        take(tmp_path / "o", tmp_path / "t.parquet", contract=str(tmp_path / "mine.json"))


def test_an_excluded_column_must_be_one_of_the_table_or_of_the_contract(tmp_path: Path) -> None:
    small().write_parquet(tmp_path / "t.parquet")
    take(tmp_path / "first", tmp_path / "t.parquet")
    contract = str(tmp_path / "first/contract_out")
    small().drop("city").write_parquet(tmp_path / "less.parquet")
    assert take(tmp_path / "o", tmp_path / "less.parquet", contract=contract, exclude=["city"]).rows == 200
    with pytest.raises(DataError, match=r"exclude must name columns of the table, found \['cty'\]"):
        take(tmp_path / "p", tmp_path / "less.parquet", contract=contract, exclude=["cty"])


def test_a_parquet_broken_inside_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    small(50_000).write_parquet(path)
    whole = bytearray(path.read_bytes())
    whole[100:20_000] = b"\xff" * 19_900
    path.write_bytes(bytes(whole))
    with pytest.raises(DataError, match="must be a table that can be read whole"):
        take(tmp_path / "o", path)
    assert list((tmp_path / "o").iterdir()) == []


def test_regression_an_identifier_emoji_names_and_a_constant_pass_with_warnings(tmp_path: Path) -> None:
    frame = small(
        30_000,
        y=[k * 0.5 for k in range(30_000)],
        **{"🪪": [f"user-{k}" for k in range(30_000)], "größe": [1] * 30_000, "nothing": [None] * 30_000},
    )
    frame.write_csv(tmp_path / "t.csv")
    found = take(tmp_path / "o", tmp_path / "t.csv")
    assert found.classes is None
    assert [w for w in found.warnings if "🪪" in w and "identifier" in w]
    assert [w for w in found.warnings if "größe" in w and "one value only" in w]
    assert [w for w in found.warnings if "nothing" in w and "left out" in w]
    assert pl.read_parquet_schema(tmp_path / "o/train").names() == ["x", "city", "t", "🪪", "größe", "y"]
    assert "🪪" in (tmp_path / "o/report").read_text()


def test_a_remote_folder_is_taken_in_with_the_digest_of_its_bytes(tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    (tmp_path / "t").mkdir()
    for k in range(2):
        small().write_parquet(tmp_path / f"t/{k}.parquet")
        memory.pipe(f"/ingest/t/{k}.parquet", (tmp_path / f"t/{k}.parquet").read_bytes())
    local = take(tmp_path / "a", tmp_path / "t")
    remote = take(tmp_path / "b", "memory://ingest/t")
    assert local == remote
    assert local.rows == 400


def test_a_rerun_over_old_outputs_replaces_them(tmp_path: Path) -> None:
    small().write_parquet(tmp_path / "t.parquet")
    take(tmp_path / "o", tmp_path / "t.parquet")
    small(100).write_parquet(tmp_path / "t.parquet")
    assert take(tmp_path / "o", tmp_path / "t.parquet").train_rows == 70
    assert pl.read_parquet(tmp_path / "o/train").height == 70
