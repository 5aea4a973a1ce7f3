from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest

from seaway.errors import DataError
from seaway.features.fit import fit
from seaway.features.graph import to_onnx
from seaway.features.kinds import DateParts, Hash, MissingIndicator, Numeric, OneHot
from seaway.features.transform import transform, write
from seaway.model.contract import Column, Contract, Target
from tests.features.reference import plan, run

COLUMNS = (
    Column(name="x", dtype="float64", nullable=True),
    Column(name="s", dtype="string", nullable=True),
    Column(name="k", dtype="int64", nullable=True),
    Column(name="t", dtype="timestamp", nullable=True),
)
CLASSES = Contract(
    columns=COLUMNS, target=Target(name="y", task="classification", dtype="string", classes=("no", "yes"))
)
VALUES = Contract(columns=COLUMNS, target=Target(name="y", task="regression", dtype="float64"))
PLAN = plan(
    Numeric(column="x"),
    MissingIndicator(column="x"),
    OneHot(column="s"),
    Hash(column="s", buckets=3),
    OneHot(column="k"),
    DateParts(column="t"),
)


def _rows(n: int) -> pl.DataFrame:
    start = dt.datetime(1969, 1, 1, tzinfo=dt.UTC)
    return pl.DataFrame(
        {
            "x": [None if k % 5 == 0 else k / 7 for k in range(n)],
            "s": [None if k % 7 == 0 else "" if k % 11 == 0 else f"é{k % 13}" for k in range(n)],
            "k": [None if k % 9 == 0 else k % 3 for k in range(n)],
            "t": [None if k % 8 == 0 else start + dt.timedelta(hours=k) for k in range(n)],
            "y": ["yes" if k % 4 == 0 else "no" for k in range(n)],
        },
        schema_overrides={"t": pl.Datetime("us", "UTC")},
    )


@pytest.fixture(scope="module")
def fitted():
    return fit(PLAN, CLASSES, _rows(1000))


@pytest.fixture(scope="module")
def graph(fitted):
    return to_onnx(fitted, CLASSES).SerializeToString()


@pytest.mark.parametrize("layout", ["frame", "small groups", "one group", "no dictionaries", "folder", "other order"])
def test_every_way_in_gives_the_rows_in_order(layout, fitted, graph, tmp_path):
    table = _rows(1000)
    expected = run(fitted, CLASSES, table)
    source: object = tmp_path / "t.parquet"
    match layout:
        case "frame":
            source = table
        case "small groups":
            table.write_parquet(source, row_group_size=33)
        case "one group":
            table.write_parquet(source)
        case "no dictionaries":
            pq.write_table(table.to_arrow(), source, use_dictionary=False)
        case "folder":
            source = tmp_path / "many"
            source.mkdir()
            table[:400].write_parquet(source / "part-0.parquet")
            table[400:].write_parquet(source / "part-1.parquet")
        case "other order":
            table.select("y", "t", pl.lit(1).alias("more"), "k", "s", "x").write_parquet(source)
    batches = list(transform(graph, source, CLASSES, batch_rows=128, threads=3))
    assert max(len(b) for b in batches) <= 128
    assert np.concatenate(batches).tobytes() == expected.tobytes()


def test_columns_of_like_dtypes_become_the_contracts(fitted, graph):
    table = _rows(50).with_columns(
        pl.col("k").cast(pl.Int8),
        pl.col("s").cast(pl.Categorical),
        pl.col("t").dt.replace_time_zone(None).cast(pl.Datetime("ms")),
        pl.col("x").cast(pl.Float32).cast(pl.Float64),
    )
    (got,) = transform(graph, table, CLASSES)
    assert got[:, 1:].tobytes() == run(fitted, CLASSES, _rows(50))[:, 1:].tobytes()


def test_the_file_has_the_names_and_the_target_last(fitted, graph, tmp_path):
    out = tmp_path / "deep" / "features.parquet"
    table = _rows(1000)
    table.write_parquet(tmp_path / "t.parquet")
    written = write(graph, tmp_path / "t.parquet", CLASSES, fitted.feature_names, str(out), batch_rows=300)
    found = pl.read_parquet(out)
    assert written == found.height == 1000
    assert tuple(found.columns) == (*fitted.feature_names, "__target__")
    assert set(found.dtypes[:-1]) == {pl.Float32}
    assert found["__target__"].dtype == pl.Int64
    assert found["__target__"].to_list() == [int(y == "yes") for y in table["y"]]
    np.testing.assert_array_equal(found.drop("__target__").to_numpy(), run(fitted, CLASSES, table))
    assert [p.name for p in out.parent.iterdir()] == ["features.parquet"]


def test_a_value_to_predict_is_written_as_it_is(fitted, graph, tmp_path):
    table = _rows(10).with_columns(y=pl.int_range(10) / 4)
    write(graph, table, VALUES, fitted.feature_names, str(tmp_path / "f.parquet"))
    assert pl.read_parquet(tmp_path / "f.parquet")["__target__"].to_list() == [k / 4 for k in range(10)]


def test_bool_and_int_classes_are_numbered_in_the_contracts_order(fitted, graph, tmp_path):
    for values, dtype, classes in (([True, False], "bool", (False, True)), ([7, 3], "int64", (7, 3))):
        signature = Contract(
            columns=COLUMNS, target=Target(name="y", task="classification", dtype=dtype, classes=classes)
        )
        table = _rows(2).with_columns(y=pl.Series(values))
        write(graph, table, signature, fitted.feature_names, str(tmp_path / "f.parquet"))
        found = pl.read_parquet(tmp_path / "f.parquet")["__target__"].to_list()
        assert found == [classes.index(v) for v in values]


@pytest.mark.parametrize(
    ("signature", "answers", "says"),
    [
        (CLASSES, ["no", "yes", "maybe"], "must be one of ['no', 'yes'], found 'maybe' at row 2"),
        (CLASSES, ["no", None, "no"], "found None at row 1"),
        (VALUES, [1.0, 2.0, float("inf")], "must be a finite number, found inf at row 2"),
        (VALUES, [None, 2.0, 3.0], "found None at row 0"),
    ],
)
def test_a_row_without_an_answer_ends_it_and_leaves_no_file(signature, answers, says, fitted, graph, tmp_path):
    out = tmp_path / "features.parquet"
    with pytest.raises(DataError) as e:
        write(
            graph, _rows(3).with_columns(y=pl.Series(answers)), signature, fitted.feature_names, str(out), batch_rows=1
        )
    assert says in str(e.value)
    assert list(tmp_path.iterdir()) == []


def test_no_rows_make_a_file_of_no_rows(fitted, graph, tmp_path):
    _rows(5)[:0].write_parquet(tmp_path / "t.parquet")
    out = tmp_path / "f.parquet"
    assert write(graph, tmp_path / "t.parquet", CLASSES, fitted.feature_names, str(out)) == 0
    assert pl.read_parquet(out).shape == (0, len(fitted.feature_names) + 1)


def test_a_missing_column_and_one_of_another_kind_are_named(graph, tmp_path):
    _rows(5).drop("k", "s").write_parquet(tmp_path / "t.parquet")
    with pytest.raises(DataError, match=r"must have the columns \['s', 'k'\]"):
        list(transform(graph, tmp_path / "t.parquet", CLASSES))
    wrong = _rows(5).with_columns(x=pl.Series([[1]] * 5))
    with pytest.raises(DataError, match="column 'x': must be float64"):
        list(transform(graph, wrong, CLASSES))


def test_a_file_cut_in_the_middle_is_refused_by_name(fitted, graph, tmp_path):
    path, out = tmp_path / "t.parquet", tmp_path / "f.parquet"
    _rows(5000).write_parquet(path, row_group_size=500)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"t\.parquet: must be"):
        write(graph, path, CLASSES, fitted.feature_names, str(out))
    # a page in the middle is damaged: only reading it shows
    path.write_bytes(content[:2000] + bytes(1500) + content[3500:])
    with pytest.raises(DataError, match=r"t\.parquet: must be"):
        write(graph, path, CLASSES, fitted.feature_names, str(out))
    assert not out.exists()


def test_a_consumer_that_stops_early_leaves_no_thread_behind(graph):
    import threading

    before = threading.active_count()
    matrices = transform(graph, _rows(1000), CLASSES, batch_rows=10, threads=2)
    next(matrices)
    matrices.close()
    assert threading.active_count() == before
