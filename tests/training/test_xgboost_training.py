"""Boosted trees of xgboost: from features to a package whose graph agrees, on this machine alone."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import xgboost as xgb

from seaway.errors import DataError, InputError
from seaway.model import package
from seaway.model.columns import feeds
from seaway.model.contract import Contract, Task
from seaway.training import tables
from seaway.training.bundles import Bundles, find_bundles
from seaway.training.layout import read_layout
from seaway.training.network.rows import BOUND_ENV
from seaway.training.peers import Alone
from seaway.training.spec import TrainSpec
from seaway.training.tables import TARGET
from seaway.training.xgboost import hyperparameters
from seaway.training.xgboost.columns import Columns, Tally, worthwhile
from seaway.training.xgboost.fit import train
from seaway.training.xgboost.state import Checkpoint
from tests.support.tiny_features import tiny_contract
from tests.support.tiny_package import make_inputs, tiny_rows
from tests.training.inputs import weather_spec

SMALL = {"n_estimators": 12, "max_depth": 4, "min_child_weight": 1}


def weather(folder: Path, kind: str, **params: Any) -> TrainSpec:
    return dataclasses.replace(weather_spec(folder, kind, **{**SMALL, **params}), framework="xgboost")


def tiny(folder: Path, contract: Contract, *, rows: int = 600, **params: Any) -> TrainSpec:
    made = make_inputs(folder, contract, rows=rows, params={**SMALL, **params})
    return dataclasses.replace(made, framework="xgboost")


def info(spec: TrainSpec) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((Path(spec.output) / "model.json").read_text())
    return loaded


def graph(spec: TrainSpec) -> bytes:
    return (Path(spec.output) / "model.onnx").read_bytes()


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_the_graph_agrees_with_xgboost(tmp_path: Path, task: Task) -> None:
    trained = train(tiny(tmp_path, tiny_contract(task)))
    assert trained.agreement is not None
    assert trained.agreement.rows == 200
    assert trained.agreement.max_difference <= trained.agreement.tolerance / 20
    assert trained.metrics["auc" if task == "classification" else "r2"] > (0.8 if task == "classification" else 0.5)


@pytest.mark.parametrize("classes", [("früh", "pünktlich", "spät 🛬"), (5, 1, 9, 7)], ids=["text", "numbers"])
def test_more_than_two_classes_of_text_or_numbers(tmp_path: Path, classes: tuple[Any, ...]) -> None:
    contract = tiny_contract(classes=classes, names=("✈️", "距离", "t°"))
    spec = tiny(tmp_path, contract, class_weight="balanced")
    trained = train(spec)
    assert trained.metrics["auc"] > 0.7
    rows = feeds(tiny_rows(40, contract, seed=9), contract)
    labels, probabilities = package.load(Path(spec.output)).session().run(None, rows)
    assert probabilities.shape == (40, len(classes))
    assert set(labels.tolist()) <= set(classes)


def test_the_native_checkpoint_is_xgboosts_own_and_answers_alike(tmp_path: Path) -> None:
    spec = tiny(tmp_path, tiny_contract("regression"))
    train(spec)
    native = info(spec)["native"]
    booster = xgb.Booster(model_file=Path(spec.output) / native["file"])
    rows = pl.read_parquet(spec.validation).drop(TARGET).to_numpy()
    values = booster.inplace_predict(rows) * native["target"]["std"] + native["target"]["mean"]
    raw = feeds(pl.read_parquet(spec.validation_rows), tiny_contract("regression"))
    np.testing.assert_allclose(package.load(Path(spec.output)).session().run(None, raw)[0], values, atol=1e-4)


def test_the_same_spec_gives_the_same_graph_whatever_fits_into_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = weather(tmp_path, "two", subsample=0.7, colsample_bynode=0.6)
    trained = train(spec)
    assert trained.metrics["auc"] > 0.8
    assert info(spec)["native"]["bundles"]["columns"]
    monkeypatch.setattr(tables.Part.batches, "__defaults__", (250,))
    batches = dataclasses.replace(spec, output=str(tmp_path / "batches"))
    train(batches)
    monkeypatch.setenv(BOUND_ENV, "0.0001")
    outside = dataclasses.replace(spec, output=str(tmp_path / "outside"))
    built: list[str] = []
    made = xgb.ExtMemQuantileDMatrix.__init__

    def noted(self: Any, *args: Any, **kwargs: Any) -> None:
        built.append("outside")
        made(self, *args, **kwargs)

    monkeypatch.setattr(xgb.ExtMemQuantileDMatrix, "__init__", noted)
    train(outside)
    assert built == ["outside", "outside"]
    assert graph(batches) == graph(outside)
    assert info(batches)["native"]["losses"] == pytest.approx(info(spec)["native"]["losses"], rel=0.05)


def test_training_stops_when_the_validation_loss_gets_no_better(tmp_path: Path) -> None:
    spec = tiny(tmp_path, tiny_contract(), n_estimators=400, early_stopping_rounds=5, learning_rate=1)
    train(spec)
    losses = info(spec)["native"]["losses"]
    best = losses.index(min(losses)) + 1
    assert len(losses) == best + 5 < 400
    booster = xgb.Booster(model_file=Path(spec.output) / "native" / "booster.ubj")
    assert booster.num_boosted_rounds() == best


def test_training_needs_no_validation_features(tmp_path: Path) -> None:
    spec = dataclasses.replace(tiny(tmp_path, tiny_contract()), validation="")
    trained = train(spec)
    assert trained.metrics == {}
    assert info(spec)["native"]["losses"] == []


def test_missing_values_are_learnt_from(tmp_path: Path) -> None:
    """The features' graph gives none, so the stored ones are made to: only what is left tells the target."""
    spec = tiny(tmp_path, tiny_contract(), n_estimators=5)
    for uri in (spec.train, spec.validation):
        frame = pl.read_parquet(uri)
        gone = pl.when(pl.col(TARGET) == 1).then(pl.lit(float("nan"))).otherwise(pl.col("f3")).cast(pl.Float32)
        frame.with_columns(gone.alias("f3")).write_parquet(uri)
    assert train(spec).metrics["auc"] > 0.999


def test_a_large_target_with_a_small_spread_keeps_its_digits(tmp_path: Path) -> None:
    spec = tiny(tmp_path, tiny_contract("regression"))
    for uri in (spec.train, spec.validation):
        pl.read_parquet(uri).with_columns(pl.col(TARGET) / 30 + 1e8).write_parquet(uri)
    assert train(spec).metrics["r2"] > 0.5


def test_what_cannot_be_learnt_from_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    spec = tiny(tmp_path, tiny_contract(), rows=60)
    whole = pl.read_parquet(spec.train)
    whole.filter(pl.col(TARGET) == 0).write_parquet(spec.train)
    with pytest.raises(DataError, match=r"every class of 'late', found none of \[True\]"):
        train(spec)
    infinite = pl.lit(float("inf"), pl.Float32).alias("f2")
    whole.with_columns(infinite).write_parquet(spec.train)
    with pytest.raises(DataError, match="infinite 'f2'"):
        train(spec)
    assert not Path(spec.output).exists()


def test_codes_are_those_that_the_data_in_one_piece_gives(tmp_path: Path) -> None:
    spec = weather(tmp_path, "two")
    frame = pl.read_parquet(spec.train)
    features, target = frame.drop(TARGET).to_numpy(), frame[TARGET].to_numpy()
    layout = worthwhile(read_layout(spec.features, tuple(frame.columns[:-1])))
    numbers, hot = layout.split(features)
    tally = Tally(layout, classes=2)
    for some in (slice(0, 100), slice(100, None)):
        tally.add(hot[some].astype(np.int32), target[some])
    bundles = tally.bundles(Alone())
    assert bundles is not None
    found = find_bundles(features, target, classes=2)
    assert found is not None
    ours = dict(zip(bundles.columns, bundles.codes, strict=True))
    theirs = dict(zip(found.columns, found.codes, strict=True))
    assert [ours[c] for c in ours if c in theirs]
    for columns in set(ours) & set(theirs):
        assert ours[columns] == theirs[columns] or ours[columns] == tuple(-c for c in theirs[columns])
    matrix = Columns(layout=layout, bundles=bundles).matrix(numbers, hot.astype(np.int32))
    np.testing.assert_array_equal(matrix, bundles.apply(features))
    raw = json.loads(json.dumps(bundles.to_dict()))
    assert isinstance(bundles, Bundles)
    assert raw["kept"] == list(bundles.kept)


@pytest.mark.parametrize(
    ("task", "params", "reason"),
    [
        ("classification", {"learning_rat": 1}, "found 'learning_rat': did you mean 'learning_rate'"),
        ("classification", {"estimator": "gbtre"}, "found 'gbtre': did you mean 'gbtree'"),
        ("classification", {"max_depth": -1}, "max_depth must be a whole number from 0 to 32, found -1"),
        ("classification", {"subsample": "0"}, "subsample must be a number over 0 and at most 1, found '0'"),
        ("classification", {"loss": "huber"}, "found 'loss'"),
        ("regression", {"class_weight": "balanced"}, "found 'class_weight'"),
        ("regression", {"seed": 1}, "takes the spec's seed"),
        ("regression", {"eta": 0.1, "learning_rate": 0.1}, "must name 'learning_rate' once, found it and 'eta'"),
        ("regression", {"max_depth": 0}, "max_depth=0 must come with max_leaves"),
    ],
)
def test_a_hyperparameter_that_is_none_is_refused_by_name(task: Task, params: dict[str, Any], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        hyperparameters.choose(task, params)


def test_hyperparameters_may_come_as_text_and_by_xgboosts_other_names() -> None:
    name, chosen = hyperparameters.choose("classification", {"eta": "0.5", "max_depth": 4.0, "class_weight": None})
    assert name == "gbtree"
    assert (chosen.learning_rate, chosen.max_depth, chosen.class_weight) == (0.5, 4, "none")
    told = hyperparameters.booster_params(chosen, classes=2, seed=2**40 + 1, threads=1)
    assert told["learning_rate"] == 0.5
    assert told["seed"] == 1


@pytest.mark.parametrize(
    "damage", [lambda c: c[:-1], lambda c: c[: len(c) // 3], lambda c: b"", lambda c: b"\xff" * 99]
)
def test_a_damaged_checkpoint_is_told_from_a_whole_one(damage: Any) -> None:
    whole = Checkpoint(state={"losses": [1.0]}, booster=bytes(range(256))).to_bytes()
    assert Checkpoint.from_bytes(whole).state == {"losses": [1.0]}
    assert Checkpoint.from_bytes(whole).booster == bytes(range(256))
    with pytest.raises(ValueError, match=r"not whole|Expecting value|codec|Unterminated"):
        Checkpoint.from_bytes(damage(whole))


def test_a_checkpoint_is_a_safetensors_file() -> None:
    safetensors = pytest.importorskip("safetensors.numpy")
    content = Checkpoint(state={}, booster=b"booster").to_bytes()
    assert safetensors.load(content)["booster"].tobytes() == b"booster"
