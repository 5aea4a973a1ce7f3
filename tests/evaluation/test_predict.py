"""A package answers raw rows as its weights say, and what does not fit is said in words."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from seaway.errors import ContractError, DataError, PackageError
from seaway.evaluation import holdout
from seaway.evaluation.predict import interpret, predict
from seaway.model import package
from seaway.model.contract import Contract, Target
from tests.support import weather


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, package.Package]:
    folder = tmp_path_factory.mktemp("packages")
    return {k: package.load(weather.write_package(folder / k, k)) for k in weather.TARGETS}


def parquet(folder: Path, frame: pl.DataFrame) -> str:
    path = folder / "test.parquet"
    frame.write_parquet(path)
    return str(path)


def test_probabilities_are_those_of_the_weights(packages: dict[str, package.Package], tmp_path: Path) -> None:
    raw = weather.rows("three", 200)
    answers, truth = predict(packages["three"], parquet(tmp_path, raw))
    scores = weather.matrix(raw) @ np.array(weather.TRUE_WEIGHTS["three"])
    expected = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    assert answers.probabilities is not None
    assert answers.labels is not None
    assert np.abs(answers.probabilities - expected).max() < 1e-5
    assert (answers.labels == expected.argmax(axis=1)).all()
    assert truth.tolist() == [("low", "mid", "high").index(v) for v in raw["kind"]]


def test_values_are_those_of_the_weights(packages: dict[str, package.Package], tmp_path: Path) -> None:
    raw = weather.rows("value", 100)
    answers, truth = predict(packages["value"], parquet(tmp_path, raw))
    assert answers.values is not None
    assert np.abs(answers.values - (weather.matrix(raw) @ weather.TRUE_WEIGHTS["value"])[:, 0]).max() < 1e-5
    assert (truth == raw["delay"].to_numpy()).all()


def test_the_size_of_a_batch_changes_nothing(packages: dict[str, package.Package], tmp_path: Path) -> None:
    test = parquet(tmp_path, weather.rows("two", 101))
    whole, truth = predict(packages["two"], test)
    small, again = predict(packages["two"], test, batch_rows=7)
    assert whole.probabilities is not None
    assert small.probabilities is not None
    assert (whole.probabilities == small.probabilities).all()
    assert (truth == again).all()


def test_rows_without_a_target_are_left_out_and_counted(packages: dict[str, package.Package], tmp_path: Path) -> None:
    raw = weather.rows("two", 10).with_columns(pl.when(pl.int_range(pl.len()) > 2).then("late").alias("late"))
    test = parquet(tmp_path, raw)
    answers, truth = predict(packages["two"], test)
    assert answers.probabilities is not None
    assert len(answers.probabilities) == len(truth) == 7
    with holdout.opened(test, weather.TARGETS["two"]) as rows:
        assert (rows.rows, rows.without_target) == (7, 3)


def test_a_table_of_wider_dtypes_gives_the_same_answers(packages: dict[str, package.Package], tmp_path: Path) -> None:
    raw = weather.rows("two", 50)
    narrow = raw.with_columns(
        pl.col("city").cast(pl.Categorical), pl.col("count").cast(pl.Int8), pl.col("at").dt.cast_time_unit("ms")
    )
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one, _ = predict(packages["two"], parquet(tmp_path / "a", raw))
    two, _ = predict(packages["two"], parquet(tmp_path / "b", narrow))
    assert one.probabilities is not None
    assert two.probabilities is not None
    assert (one.probabilities == two.probabilities).all()


def test_a_table_that_breaks_the_contract_is_refused_with_every_column(
    packages: dict[str, package.Package], tmp_path: Path
) -> None:
    test = parquet(tmp_path, weather.rows("two", 5).drop("flag").with_columns(pl.col("temp").cast(pl.String)))
    with pytest.raises(ContractError) as caught:
        predict(packages["two"], test)
    assert [v.column for v in caught.value.violations] == ["temp", "flag"]
    assert "must be float64, found String" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: f.head(0), "must have rows"),
        (lambda f: f.drop("late"), "must have the target column 'late'"),
        (lambda f: f.with_columns(late=pl.lit(None, pl.Boolean)), "rows with a target 'late', found none among 20"),
        (lambda f: f.with_columns(late=pl.lit("yes")), "the target 'late' must be bool, found String"),
    ],
)
def test_a_holdout_without_usable_targets_is_refused(
    packages: dict[str, package.Package], tmp_path: Path, change: object, words: str
) -> None:
    test = parquet(tmp_path, change(weather.rows("two", 20)))  # type: ignore[operator]
    with pytest.raises(DataError, match=words):
        predict(packages["two"], test)


def test_a_class_that_the_model_does_not_know_is_named(packages: dict[str, package.Package], tmp_path: Path) -> None:
    raw = weather.rows("three", 20).with_columns(kind=pl.lit("huge"))
    with pytest.raises(DataError, match=r"found \['huge'\]"):
        predict(packages["three"], parquet(tmp_path, raw))


def test_an_infinite_target_value_is_refused(packages: dict[str, package.Package], tmp_path: Path) -> None:
    raw = weather.rows("value", 20).with_columns(delay=pl.lit(float("inf")))
    with pytest.raises(DataError, match="finite"):
        predict(packages["value"], parquet(tmp_path, raw))


def outputs(**changed: np.ndarray) -> dict[str, np.ndarray]:
    good = {
        "label": np.array([True, False]),
        "probabilities": np.array([[0.2, 0.8], [0.7, 0.3]], np.float32),
        "probability": np.array([0.8, 0.3], np.float32),
    }
    return {**good, **changed}


def test_the_models_own_label_counts() -> None:
    got = interpret(outputs(), weather.contract("two"), name="m")
    assert got.labels is not None
    assert got.labels.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (
            {"probabilities": np.array([[np.nan, 1], [0.5, 0.5]])},
            "must be finite, found 1 that are not, the first at row 0",
        ),
        ({"probabilities": np.array([[0.5, 0.5], [0.9, 0.9]])}, "sum to 1, found .* at row 1"),
        ({"probabilities": np.array([[1.5, -0.5], [0.5, 0.5]])}, "from 0 to 1"),
        ({"probabilities": np.zeros((2, 3))}, r"shape \[n, 2\], found \[2, 3\]"),
        ({"label": np.array(["yes", "no"], object)}, "must be among the classes"),
    ],
)
def test_an_answer_that_is_no_probability_is_refused(changed: dict[str, np.ndarray], words: str) -> None:
    with pytest.raises(PackageError, match=words):
        interpret(outputs(**changed), weather.contract("two"), name="m")


def test_a_missing_output_is_named() -> None:
    with pytest.raises(PackageError, match=r"must have the outputs \['value'\]"):
        interpret(outputs(), weather.contract("value"), name="m")


def test_outputs_are_found_where_a_column_has_their_name() -> None:
    contract = weather.contract("value")
    named = dataclasses.replace(contract.columns[2], name="value")
    renamed = Contract(columns=(named,), target=Target(name="y", task="regression", dtype="float64"))
    got = interpret({"value_": np.array([1.5])}, renamed, name="m")
    assert got.values is not None
    assert got.values.tolist() == [1.5]
