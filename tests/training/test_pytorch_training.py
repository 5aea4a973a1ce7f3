"""Every network becomes a package whose graph agrees with it, alone in this process."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from seaway.errors import DataError, InputError
from seaway.model import package
from seaway.model.columns import feeds
from seaway.training import checkpoints
from seaway.training.network.model import restored
from seaway.training.place import Place
from seaway.training.pytorch import learner
from seaway.training.pytorch.fit import train
from seaway.training.pytorch.learner import FRAMEWORK
from seaway.training.spec import TrainSpec
from seaway.training.tables import TARGET
from tests.support import weather
from tests.support.object_store import ObjectStore
from tests.support.tiny_features import tiny_contract
from tests.support.tiny_package import make_inputs
from tests.training.inputs import weather_spec

QUICK: dict[str, Any] = {"epochs": 8, "hidden": [32, 32], "learning_rate": 0.02}


def answers(spec: TrainSpec, kind: str, rows: int = 50) -> list[Any]:
    raw = weather.rows(kind, rows, seed=9)
    outputs: list[Any] = package.load(Path(spec.output)).session().run(None, feeds(raw, weather.contract(kind)))
    return outputs


@pytest.mark.parametrize(
    ("kind", "metric", "least"), [("two", "auc", 0.88), ("three", "auc", 0.84), ("value", "r2", 0.7)]
)
def test_a_network_learns_the_truth_and_agrees_with_its_graph(
    tmp_path: Path, kind: str, metric: str, least: float
) -> None:
    spec = weather_spec(tmp_path, kind, **QUICK)
    trained = train(spec)
    assert trained.metrics[metric] > least
    assert trained.agreement is not None
    assert trained.agreement.rows == 300
    assert trained.agreement.max_difference <= trained.agreement.tolerance / 20
    info = json.loads((Path(spec.output) / "model.json").read_text())
    assert info["estimator"] == "mlp"
    assert info["params"]["hidden"] == [32, 32]
    assert {"torch", "safetensors"} <= set(info["provenance"]["libraries"])


def test_a_linear_model_has_no_hidden_layer(tmp_path: Path) -> None:
    spec = weather_spec(tmp_path, "value", estimator="linear", epochs=20)
    trained = train(spec)
    assert trained.metrics["r2"] > 0.7
    assert json.loads((Path(spec.output) / "model.json").read_text())["params"]["hidden"] == []


@pytest.mark.parametrize("rows", [0, 1])
def test_a_package_answers_no_row_and_one_row(tmp_path: Path, rows: int) -> None:
    spec = weather_spec(tmp_path, "three", **QUICK | {"epochs": 1})
    train(spec)
    label, probabilities = answers(spec, "three", rows)
    assert label.shape == (rows,)
    assert probabilities.shape == (rows, 3)


def test_features_without_a_plan_are_numbers(tmp_path: Path) -> None:
    spec = dataclasses.replace(make_inputs(tmp_path, tiny_contract(), params=QUICK), framework="pytorch")
    assert train(spec).metrics["auc"] > 0.8


def test_columns_of_two_values_alone_need_no_table(tmp_path: Path) -> None:
    spec = dataclasses.replace(make_inputs(tmp_path, tiny_contract(), params=QUICK), framework="pytorch")
    for uri in (spec.train, spec.validation):
        frame = pl.read_parquet(uri)
        frame.with_columns((pl.col("f3", "f5") > 5).cast(pl.Float32)).write_parquet(uri)
    agreement = train(spec).agreement
    assert agreement is not None
    assert agreement.rows_over_tolerance == 0
    assert json.loads((Path(spec.output) / "native" / "network.json").read_text())["encoding"]["edges"] == []


def test_missing_values_are_learnt_from(tmp_path: Path) -> None:
    """The target is whether a number is missing: only who sees that can learn it."""
    spec = dataclasses.replace(make_inputs(tmp_path, tiny_contract(), params=QUICK), framework="pytorch")
    for uri in (spec.train, spec.validation):
        frame = pl.read_parquet(uri)
        gone = pl.col(TARGET) == 1
        frame.with_columns(pl.when(gone).then(float("nan")).otherwise("f5").cast(pl.Float32).alias("f5")).write_parquet(
            uri
        )
    assert train(spec).metrics["auc"] > 0.99


def test_a_category_never_seen_in_training_says_nothing(tmp_path: Path) -> None:
    spec = weather_spec(tmp_path, "two", **QUICK | {"epochs": 2})
    train(spec)
    from safetensors.numpy import load_file

    table = load_file(Path(spec.output) / "native" / "network.safetensors")["table.weight"]
    config = json.loads((Path(spec.output) / "native" / "network.json").read_text())
    name, _, size = config["encoding"]["layout"]["categories"][0]
    assert (name, size) == ("city", 5)  # unknown, missing and three cities
    assert not table[:3].any()  # none of them, unknown, missing: no row is so
    assert table[3:6].any(axis=1).all()


def test_the_native_checkpoint_is_the_whole_model(tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    spec = weather_spec(tmp_path, "three", **QUICK)
    train(spec)
    native = Path(spec.output) / "native"
    config = json.loads((native / "network.json").read_text())
    weights = load_file(native / "network.safetensors")
    model = restored(config, weights, FRAMEWORK, losses=config["losses"], best_epoch=1)
    features = pl.read_parquet(spec.validation).drop(TARGET).to_numpy()
    raw = pl.read_parquet(spec.validation_rows)
    graph = package.load(Path(spec.output)).session().run(None, feeds(raw, weather.contract("three")))
    np.testing.assert_allclose(model.predict(features), graph[1], atol=1e-6)


def test_balanced_classes_weigh_the_rare_one_more(tmp_path: Path) -> None:
    rare = {}
    for weight in ("none", "balanced"):
        spec = weather_spec(tmp_path, "two", output=weight, class_weight=weight, **QUICK)
        frame = pl.read_parquet(spec.train)
        if weight == "none":
            kept = (pl.col(TARGET) == 0) | (pl.int_range(pl.len()) % 8 == 0)
            frame.filter(kept).write_parquet(spec.train)
        train(spec)
        rare[weight] = float(answers(spec, "two", 300)[1][:, 1].mean())
    assert rare["balanced"] > rare["none"] + 0.1


@pytest.mark.parametrize("loss", ["mse", "huber"])
def test_a_large_target_with_a_small_spread_keeps_its_digits(tmp_path: Path, loss: str) -> None:
    spec = weather_spec(tmp_path, "value", loss=loss, **QUICK)
    for uri in (spec.train, spec.validation):
        pl.read_parquet(uri).with_columns(pl.col(TARGET) / 30 + 1e8).write_parquet(uri)
    assert train(spec).metrics["r2"] > 0.7


def test_a_constant_target_is_learnt(tmp_path: Path) -> None:
    spec = weather_spec(tmp_path, "value", **QUICK)
    for uri in (spec.train, spec.validation):
        pl.read_parquet(uri).with_columns(pl.lit(5.0).alias(TARGET)).write_parquet(uri)
    assert train(spec).metrics["rmse"] < 0.1


def test_training_needs_no_validation_features_and_keeps_the_last_epoch(tmp_path: Path) -> None:
    spec = dataclasses.replace(weather_spec(tmp_path, "two", **QUICK | {"epochs": 3}), validation="")
    assert train(spec).metrics == {}
    assert json.loads((Path(spec.output) / "native" / "network.json").read_text())["best_epoch"] == 3


def test_a_training_that_gets_worse_stops_early_and_keeps_its_best(tmp_path: Path) -> None:
    spec = weather_spec(tmp_path, "two", rows=200, epochs=60, patience=2, learning_rate=0.1, weight_decay=0.0)
    train(spec)
    config = json.loads((Path(spec.output) / "native" / "network.json").read_text())
    losses = [e["validation_loss"] for e in config["losses"]]
    assert len(losses) < 60
    assert config["best_epoch"] == len(losses) - 2
    assert min(losses) == losses[config["best_epoch"] - 1]


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "another estimator": ({"estimator": "hist_gradient_boosting"}, r"one of \['mlp', 'linear'\] for classification"),
    "a misspelt name": ({"hiden": 3}, "did you mean 'hidden'"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_hyperparameters_are_refused_and_nothing_is_written(tmp_path: Path, what: str) -> None:
    params, reason = BAD[what]
    spec = weather_spec(tmp_path, "two", **params)
    with pytest.raises(InputError, match=reason):
        train(spec)
    assert not Path(spec.output).exists()


def test_a_loss_that_is_no_number_is_told_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learner, "_loss", lambda name, weights: lambda scores, target: scores.sum() * float("nan"))
    spec = weather_spec(tmp_path, "two", **QUICK)
    with pytest.raises(InputError, match=r"became nan in epoch 1, validation nan: lower learning_rate, found 0\.02"):
        train(spec)
    assert not Path(spec.output).exists()


def test_a_class_without_rows_and_features_of_another_step_are_refused(tmp_path: Path) -> None:
    spec = weather_spec(tmp_path, "three", **QUICK)
    frame = pl.read_parquet(spec.train)
    frame.rename({frame.columns[0]: "else"}).write_parquet(tmp_path / "other")
    with pytest.raises(DataError, match="one features step"):
        train(dataclasses.replace(spec, train=str(tmp_path / "other"), validation=""))
    frame.filter(pl.col(TARGET) != 1).write_parquet(spec.train)
    with pytest.raises(DataError, match=r"every class of 'kind', found none of \['mid'\]"):
        train(spec)


class CutError(Exception):
    """Stands for whatever ends a process."""


def cut_off(monkeypatch: pytest.MonkeyPatch, spec: TrainSpec, *, epoch: int) -> None:
    """Train until a checkpoint of ``epoch`` is written, and no further."""
    write, last = checkpoints.write, epoch

    def then_end(spec: TrainSpec, place: Place, content: bytes, *, epoch: int, ended: bool = False) -> None:
        write(spec, place, content, epoch=epoch, ended=ended)
        if epoch == last:
            raise CutError

    with monkeypatch.context() as patched:
        patched.setattr(checkpoints, "write", then_end)
        with pytest.raises(CutError):
            train(spec)


def losses(spec: TrainSpec) -> Any:
    return json.loads((Path(spec.output) / "native" / "network.json").read_text())["losses"]


def test_a_training_that_was_cut_off_goes_on_as_if_it_had_not_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = weather_spec(tmp_path, "two", **QUICK)
    train(whole)
    cut = dataclasses.replace(whole, output=str(tmp_path / "cut"), checkpoints=str(tmp_path / "kept"))
    cut_off(monkeypatch, cut, epoch=3)
    kept = sorted((tmp_path / "kept").iterdir())
    assert [p.name[-17:] for p in kept] == ["00002.safetensors", "00003.safetensors"]
    kept[1].write_bytes(kept[1].read_bytes()[:1000])  # as a disk may lose it: the one before is taken
    train(cut)
    assert losses(cut) == losses(whole)
    assert (Path(cut.output) / "model.onnx").read_bytes() == (Path(whole.output) / "model.onnx").read_bytes()
    assert not (tmp_path / "kept").exists()


def test_checkpoints_may_be_in_an_object_store(
    tmp_path: Path, s3: ObjectStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    spec = weather_spec(tmp_path, "value", **QUICK)
    spec = dataclasses.replace(spec, checkpoints="s3://box/models/weather.checkpoints")
    cut_off(monkeypatch, spec, epoch=3)
    assert [k[-17:] for k in s3.keys("box")] == ["00002.safetensors", "00003.safetensors"]
    caplog.set_level("INFO")
    train(spec)
    assert "goes on from a checkpoint" in caplog.text
    assert [e["epoch"] for e in losses(spec)][:4] == [1, 2, 3, 4]
    assert s3.keys("box") == []


def test_a_checkpoint_of_other_data_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    spec = weather_spec(tmp_path, "two", **QUICK, patience=0)
    spec = dataclasses.replace(spec, checkpoints=str(tmp_path / "kept"))
    cut_off(monkeypatch, spec, epoch=2)
    caplog.set_level("INFO")
    train(dataclasses.replace(spec, dataset_digest="1" * 64))
    assert "checkpoints of another training are not used" in caplog.text
    assert len(list((tmp_path / "kept").iterdir())) == 2  # whose they are may still want them
    caplog.clear()
    frame = pl.read_parquet(spec.train)
    frame.with_columns(pl.col(pl.Float32) * 2).write_parquet(spec.train)  # under the same name and digest
    train(spec)
    assert "the rows in the same files are others now" in caplog.text
    assert len(losses(spec)) == 8


def test_a_training_that_had_ended_is_packaged_without_the_other_ranks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = dataclasses.replace(weather_spec(tmp_path, "two", **QUICK), checkpoints=str(tmp_path / "kept"))
    with monkeypatch.context() as patched:
        patched.setattr(checkpoints, "remove", lambda spec: None)
        train(spec)
    [ended] = (tmp_path / "kept").iterdir()
    assert ended.name.endswith("-ended.safetensors")
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    again = dataclasses.replace(spec, output=str(tmp_path / "again"))
    train(again)
    assert (Path(again.output) / "model.onnx").read_bytes() == (Path(spec.output) / "model.onnx").read_bytes()
    assert not (tmp_path / "kept").exists()


def test_a_store_that_refuses_checkpoints_does_not_stop_the_training(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    spec = dataclasses.replace(
        weather_spec(tmp_path, "two", **QUICK | {"epochs": 2}), checkpoints=str(tmp_path / "file" / "kept")
    )
    train(spec)
    assert "the checkpoint of epoch 1 could not be written" in caplog.text
    assert Path(spec.output).exists()


def test_the_seed_decides(tmp_path: Path) -> None:
    graphs = []
    for seed in (1, 1, 2):
        spec = dataclasses.replace(weather_spec(tmp_path, "two", **QUICK | {"epochs": 2}), seed=seed)
        train(spec)
        graphs.append((Path(spec.output) / "model.onnx").read_bytes())
    assert graphs[0] == graphs[1] != graphs[2]
