"""The baselines find what is there to be found, and say what they left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from seaway.errors import DataError
from seaway.evaluation.baselines import FeatureGraph, Linear, TrainFeatures, Trivial
from seaway.evaluation.predict import score
from tests.support import weather


def features(matrix: np.ndarray, target: np.ndarray) -> TrainFeatures:
    return TrainFeatures(matrix.astype(np.float32), target, tuple(f"f{k}" for k in range(matrix.shape[1])), len(target))


def test_the_trivial_baseline_answers_the_shares_of_training() -> None:
    train = features(np.zeros((4, 1)), np.array([0, 0, 0, 1]))
    got = Trivial(train, weather.TARGETS["two"]).answer(2)
    assert got.probabilities is not None
    assert got.labels is not None
    assert got.probabilities.tolist() == [[0.75, 0.25]] * 2
    assert got.labels.tolist() == [0, 0]


def test_the_trivial_baseline_of_a_value_is_the_mean() -> None:
    got = Trivial(features(np.zeros((3, 1)), np.array([1.0, 2.0, 6.0])), weather.TARGETS["value"]).answer(2)
    assert got.values is not None
    assert got.values.tolist() == [3.0, 3.0]


@pytest.mark.parametrize(
    ("kind", "metric", "least"), [("two", "auc", 0.86), ("three", "auc", 0.84), ("value", "r2", 0.8)]
)
def test_the_linear_baseline_learns_a_linear_world(tmp_path: Path, kind: str, metric: str, least: float) -> None:
    world = weather.World.make(tmp_path, kind)
    linear = Linear(TrainFeatures.read(world.train_features), weather.TARGETS[kind])
    raw = weather.rows(kind, 1000, seed=9)
    target = weather.TARGETS[kind]
    values = raw[target.name].to_list()
    truth = np.array(values if target.classes is None else [target.classes.index(v) for v in values])
    got = score(truth, linear.answer(FeatureGraph(Path(world.features)).matrix(raw))).metrics[metric]
    assert got is not None
    assert got > least
    assert linear.notes == []


def test_missing_infinite_constant_and_huge_features_do_no_harm() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 6))
    y = (x[:, 0] > 0).astype(np.int64)
    x[:, 1], x[:, 2], x[:, 3] = np.nan, 7.0, x[:, 3] * 1e30
    x[::7, 4], x[::5, 5] = np.inf, np.nan
    got = Linear(features(x, y), weather.TARGETS["two"]).answer(x.astype(np.float32))
    assert got.probabilities is not None
    assert np.isfinite(got.probabilities).all()
    assert got.labels is not None
    assert (got.labels == y).mean() > 0.95


def test_a_class_that_training_never_saw_has_probability_zero() -> None:
    x = np.random.default_rng(0).normal(size=(100, 2))
    got = Linear(features(x, np.where(x[:, 0] > 0, 2, 0)), weather.TARGETS["three"]).answer(x.astype(np.float32))
    assert got.probabilities is not None
    assert (got.probabilities[:, 1] == 0).all()
    assert np.allclose(got.probabilities.sum(axis=1), 1)


def test_one_class_in_training_is_answered_always_and_said() -> None:
    linear = Linear(features(np.ones((5, 1)), np.ones(5, np.int64)), weather.TARGETS["two"])
    got = linear.answer(np.ones((3, 1), np.float32))
    assert got.probabilities is not None
    assert got.probabilities.tolist() == [[0, 1]] * 3
    assert "one class" in linear.notes[0]


def test_a_long_file_is_read_as_rows_spread_evenly(tmp_path: Path) -> None:
    path = tmp_path / "train.parquet"
    pl.DataFrame({"f": np.arange(1000, dtype=np.float32), "__target__": np.arange(1000) % 2}).write_parquet(path)
    assert len(TrainFeatures.read(str(path), max_cells=400).target) == 400
    train = TrainFeatures.read(str(path), max_rows=300)
    assert (len(train.target), train.rows) == (300, 1000)
    assert np.diff(train.matrix[:, 0]).max() <= 4
    assert "300 of 1,000 rows" in Linear(train, weather.TARGETS["two"]).notes[0]


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (pl.DataFrame({"f": [1.0]}), "__target__"),
        (pl.DataFrame({"__target__": [1], "f": [1.0]}), "__target__"),
        (pl.DataFrame({"f": [1.0], "__target__": [1]}).head(0), "rows"),
    ],
)
def test_a_file_that_is_no_training_features_is_refused(tmp_path: Path, frame: pl.DataFrame, words: str) -> None:
    frame.write_parquet(tmp_path / "t.parquet")
    with pytest.raises(DataError, match=words):
        TrainFeatures.read(str(tmp_path / "t.parquet"))


@pytest.mark.parametrize("target", [np.array([0, 2]), np.array([-1, 0]), np.array([0.0, 1.0])])
def test_class_indices_out_of_range_are_refused(target: np.ndarray) -> None:
    with pytest.raises(DataError, match="indices of the 2 classes"):
        Trivial(features(np.zeros((2, 1)), target), weather.TARGETS["two"])
