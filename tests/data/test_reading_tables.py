from __future__ import annotations

import gzip
from datetime import UTC, datetime
from pathlib import Path

import fsspec
import polars as pl
import pytest

from seaway.data.table import opened, scan
from seaway.errors import DataError, InputError


def put(path: Path, text: str | bytes) -> str:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return str(path)


def types(uri: str) -> dict[str, pl.DataType]:
    return dict(scan(uri).collect_schema())


def test_csv_dtypes_hold_for_every_row(tmp_path: Path) -> None:
    uri = put(
        tmp_path / "t.csv",
        "whole,part,flag,when,word\n1,1.5,true,2013-01-01,a\n2,2,FALSE,2013-01-01T10:00:00Z,\n,,,,b\n",
    )
    frame = scan(uri).collect()
    assert frame.dtypes == [pl.Int64, pl.Float64, pl.Boolean, pl.Datetime("us", "UTC"), pl.String]
    assert frame["flag"].to_list() == [True, False, None]
    assert frame["when"].to_list() == [
        datetime(2013, 1, 1, tzinfo=UTC),
        datetime(2013, 1, 1, 10, tzinfo=UTC),
        None,
    ]
    assert frame["word"].to_list() == ["a", None, "b"]


@pytest.mark.parametrize(
    "text",
    [
        "2013-01-01T12:00",
        "2013-01-01 12:00:00",
        "2013-01-01T12:00:00.000",
        "2013-01-01T12:00:00Z",
        "2013-01-01T14:00:00+02:00",
        "2013-01-01T10:00-0200",
    ],
)
def test_every_way_to_write_an_iso_time_is_the_same_moment(tmp_path: Path, text: str) -> None:
    frame = scan(put(tmp_path / "t.csv", f"t,x\n{text},1\n")).collect()
    assert frame["t"].item() == datetime(2013, 1, 1, 12, tzinfo=UTC)


def test_whole_numbers_that_become_fractions_late_are_floats(tmp_path: Path) -> None:
    rows = "".join(f"{k},x\n" for k in range(20_000)) + "0.5,x\n"
    frame = scan(put(tmp_path / "t.csv", "n,w\n" + rows)).collect()
    assert frame["n"].dtype == pl.Float64
    assert frame["n"][-1] == 0.5


def test_words_for_missing_are_null_in_a_column_of_numbers_and_text_in_a_column_of_text(tmp_path: Path) -> None:
    frame = scan(put(tmp_path / "t.csv", "n,w\n1,NA\nNA,x\nnull,y\n")).collect()
    assert frame["n"].to_list() == [1, None, None]
    assert frame["w"].to_list() == ["NA", "x", "y"]


def test_a_column_that_changes_its_type_half_way_is_named_with_line_and_value(tmp_path: Path) -> None:
    rows = [f'{k},"two\nlines"\n' if k == 3 else f"{k},x\n" for k in range(15_000)]
    rows[12_000] = "twelve thousand,x\n"
    with pytest.raises(DataError, match=r"column 'n'.*after 12,000 numbers line 12003 has 'twelve thousand'"):
        scan(put(tmp_path / "t.csv", "n,w\n" + "".join(rows)))


def test_a_change_of_type_is_found_in_the_second_file_of_a_folder(tmp_path: Path) -> None:
    put(tmp_path / "a.csv", "n,w\n" + "1,x\n" * 100)
    put(tmp_path / "b.csv", "n,w\n2,x\nsome,x\n")
    with pytest.raises(DataError, match=r"b\.csv: column 'n'.*after 101 numbers line 3 has 'some'"):
        scan(str(tmp_path))


def test_times_that_turn_into_words_are_a_change_of_type(tmp_path: Path) -> None:
    rows = "2013-01-01,1\n" * 50 + "tomorrow,1\n"
    with pytest.raises(DataError, match=r"column 't'.*after 50 times line 52 has 'tomorrow'"):
        scan(put(tmp_path / "t.csv", "t,x\n" + rows))


def test_codes_of_digits_and_letters_are_text(tmp_path: Path) -> None:
    frame = scan(put(tmp_path / "t.csv", "code\n" + "12\nA4\n77\nB1\n" * 30)).collect()
    assert frame["code"].dtype == pl.String
    assert frame["code"][0] == "12"


def test_columns_of_a_contract_stay_text(tmp_path: Path) -> None:
    frame = scan(put(tmp_path / "t.csv", "zip,n\n00123,1\n"), {"zip": "string"}).collect()
    assert frame["zip"].item() == "00123"
    assert frame["n"].item() == 1


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    for name in ("t.csv", "t.parquet", "table"):
        with pytest.raises(DataError, match="the file is empty"):
            scan(put(tmp_path / name, ""))


def test_a_file_of_white_space_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="only white space"):
        scan(put(tmp_path / "t.csv", "\n \n"))


def test_a_header_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"must have rows, found only the header \(a, b\)"):
        scan(put(tmp_path / "t.csv", "a,b\n"))
    pl.DataFrame({"a": [], "b": []}, schema={"a": pl.Int64, "b": pl.String}).write_parquet(tmp_path / "t.parquet")
    with pytest.raises(DataError, match="must have rows, found only column names"):
        scan(str(tmp_path / "t.parquet"))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_parquet_cut_in_the_middle_is_refused(tmp_path: Path, share: float) -> None:
    path = tmp_path / "t.parquet"
    pl.DataFrame({"a": range(10_000)}).write_parquet(path)
    whole = path.read_bytes()
    with pytest.raises(DataError, match="cut"):
        scan(put(path, whole[: int(len(whole) * share)]))


def test_a_parquet_with_a_hole_inside_is_refused_when_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pl.DataFrame({"a": [f"value {k}" for k in range(10_000)]}).write_parquet(path)
    whole = bytearray(path.read_bytes())
    whole[8:2_000] = b"\xff" * 1_992
    with (
        pytest.raises(DataError, match=r"t\.parquet: must be a table that can be read whole"),
        opened(put(path, bytes(whole))) as (frame, _),
    ):
        frame.collect(engine="streaming")


def test_text_called_parquet_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not begin with PAR1"):
        scan(put(tmp_path / "t.parquet", "a,b\n1,2\n"))


@pytest.mark.parametrize("junk", [bytes(range(256)) * 50, b"\x00" * 1000, b"\x89PNG\r\n\x1a\n" + b"\xff" * 100])
def test_binary_rubbish_is_refused(tmp_path: Path, junk: bytes) -> None:
    with pytest.raises(DataError, match="must be CSV"):
        scan(put(tmp_path / "t.csv", junk))


def test_bytes_that_are_no_utf8_late_in_the_file_are_refused(tmp_path: Path) -> None:
    rows = b"a,b\n" + b"x,1\n" * 500_000 + "é,1\n".encode("latin-1")
    with pytest.raises(DataError, match=r"(?i)utf-?8"):
        scan(put(tmp_path / "t.csv", rows))


def test_duplicate_column_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"must be distinct, found twice: \['a'\]"):
        scan(put(tmp_path / "t.csv", 'a,b,"a"\n1,2,3\n'))


def test_a_column_without_a_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="column 2 has none"):
        scan(put(tmp_path / "t.csv", "a,,b\n1,2,3\n"))


def test_names_beyond_ascii_work(tmp_path: Path) -> None:
    names = ["größe", "年", "🛫 gate", 'say "hi", twice', "a b"]
    frame = pl.DataFrame({n: [1, 2] for n in names})
    frame.write_csv(tmp_path / "t.csv")
    frame.write_parquet(tmp_path / "t.parquet")
    for name in ("t.csv", "t.parquet"):
        assert scan(str(tmp_path / name)).collect().to_dict(as_series=False) == frame.to_dict(as_series=False)


def test_a_row_with_too_many_cells_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"the header's 2 cells, but line 4 has 3: quote cells that contain ','"):
        scan(put(tmp_path / "t.csv", 'a,b\n1,"2\n"\n3,4,5\n'))


@pytest.mark.parametrize("cut", [1, 3, 5])
def test_a_csv_cut_in_its_last_line_is_refused(tmp_path: Path, cut: int) -> None:
    whole = "a,b,c\n" + "10,20,30\n" * 500
    with pytest.raises(DataError, match=r"its last line has \d of 3 cells and no end of line .* copy it again"):
        scan(put(tmp_path / "t.csv", whole + "10,20,30"[:cut]))


def test_a_csv_need_not_end_with_an_end_of_line(tmp_path: Path) -> None:
    assert scan(put(tmp_path / "t.csv", "a,b\n1,2\n3,4")).collect()["b"].to_list() == [2, 4]
    assert scan(put(tmp_path / "one.csv", "a\n1\n2")).collect()["a"].to_list() == [1, 2]
    assert scan(put(tmp_path / "quoted.csv", 'a,b\n1,"x\ny"')).collect()["b"].to_list() == ["x\ny"]


def test_semicolons_tabs_a_byte_order_mark_and_gzip_are_understood(tmp_path: Path) -> None:
    wanted = {"a": [1], "b": ["x,y"]}
    texts = {"s.csv": "a;b\n1;x,y\n", "t.tsv": "a\tb\n1\tx,y\n", "m.csv": '\ufeffa,b\r\n1,"x,y"\r\n'}
    for name, text in texts.items():
        assert scan(put(tmp_path / name, text)).collect().to_dict(as_series=False) == wanted, name
    packed = put(tmp_path / "z.csv.gz", gzip.compress(b'a,b\n1,"x,y"\n'))
    assert scan(packed).collect().to_dict(as_series=False) == wanted
    with pytest.raises(DataError, match="whole gzip file"):
        scan(put(tmp_path / "z.csv.gz", gzip.compress(b"a,b\n" + b"1,2\n" * 9999)[:40]))


def test_a_folder_is_one_table_in_the_order_of_names(tmp_path: Path) -> None:
    for k in (2, 0, 1):
        pl.DataFrame({"k": [k, k]}).write_parquet(tmp_path / f"part-{k}.parquet")
    put(tmp_path / "_SUCCESS", "")
    assert scan(str(tmp_path)).collect()["k"].to_list() == [0, 0, 1, 1, 2, 2]


def test_a_folder_may_be_named_by_a_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for k in (1, 2):
        put(tmp_path / f"{k}.csv", f"k\n{k}\n")
    monkeypatch.chdir(tmp_path.parent)
    assert scan(tmp_path.name).collect()["k"].to_list() == [1, 2]
    put(tmp_path / "3.csv", "")
    with pytest.raises(DataError, match=f"{tmp_path.name}/3.csv: must hold a table"):
        scan(f"../{tmp_path.parent.name}/{tmp_path.name}/")


def test_a_folder_of_files_with_different_columns_is_refused(tmp_path: Path) -> None:
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "a.parquet")
    pl.DataFrame({"a": ["x"]}).write_parquet(tmp_path / "b.parquet")
    with pytest.raises(
        DataError, match=r"b\.parquet: must have the columns and dtypes of a\.parquet, but differs in \['a'\]"
    ):
        scan(str(tmp_path))


def test_csv_files_with_different_headers_are_refused(tmp_path: Path) -> None:
    put(tmp_path / "a.csv", "a,b\n1,2\n")
    put(tmp_path / "b.csv", "b,a\n1,2\n")
    with pytest.raises(DataError, match="must have the header of"):
        scan(str(tmp_path))


def test_a_folder_without_tables_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "notes.txt", "hello")
    with pytest.raises(DataError, match="found 1 other files"):
        scan(str(tmp_path))


def test_a_folder_of_mixed_formats_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "a.csv", "a\n1\n")
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "b.parquet")
    with pytest.raises(DataError, match="tables of one format"):
        scan(str(tmp_path))


def test_a_path_with_nothing_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing is there"):
        scan(str(tmp_path / "none.csv"))


def test_a_name_with_glob_signs_is_only_a_name(tmp_path: Path) -> None:
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "a[1]*.parquet")
    put(tmp_path / "b[1].csv", "a\n1\n")
    assert scan(str(tmp_path / "a[1]*.parquet")).collect().height == 1
    assert scan(str(tmp_path / "b[1].csv")).collect().height == 1


def test_a_remote_table_is_read_through_fsspec(tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    for k in range(2):
        pl.DataFrame({"k": [k]}).write_parquet(tmp_path / f"{k}.parquet")
        memory.pipe(f"/bucket/table/{k}.parquet", (tmp_path / f"{k}.parquet").read_bytes())
    assert scan("memory://bucket/table").collect()["k"].to_list() == [0, 1]
    assert scan("memory://bucket/table/1.parquet").collect()["k"].to_list() == [1]
    with opened("memory://bucket/table") as (frame, found):
        assert frame.collect().height == 2
    assert not found[0].exists()


def test_a_file_without_a_suffix_is_known_by_its_content(tmp_path: Path) -> None:
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "data")
    assert types(str(tmp_path / "data")) == {"a": pl.Int64}
    assert types(put(tmp_path / "text", "a\n1.5\n")) == {"a": pl.Float64}
