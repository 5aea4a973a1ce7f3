"""Every scikit-learn estimator becomes a package whose graph agrees with it, or an error that says what to do."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import polars as pl
import pytest
from onnx import numpy_helper

from seaway.errors import DataError, InputError, PackageError, SeawayError
from seaway.model import package
from seaway.model.columns import feeds
from seaway.model.contract import Contract, Task
from seaway.training.bundles import Bundles
from seaway.training.sklearn import convert as convert_sklearn
from seaway.training.sklearn import fit as worker
from seaway.training.sklearn.estimators import ESTIMATORS
from seaway.training.spec import TrainSpec
from seaway.training.tables import TARGET
from tests.support.tiny_features import tiny_contract
from tests.support.tiny_package import make_inputs, tiny_rows

SMALL: dict[str, dict[str, Any]] = {
    "hist_gradient_boosting": {"max_iter": 15},
    "random_forest": {"n_estimators": 10},
    "logistic": {},
    "ridge": {},
}


def answer(spec: TrainSpec, contract: Contract, rows: int = 40) -> list[Any]:
    loaded = package.load(Path(spec.output))
    outputs: list[Any] = loaded.session().run(None, feeds(tiny_rows(rows, contract, seed=9), contract))
    return outputs


@pytest.mark.parametrize(("task", "name"), [(t, n) for t, table in ESTIMATORS.items() for n in table])
def test_every_estimator_agrees_with_its_graph(tmp_path: Path, task: Task, name: str) -> None:
    contract = tiny_contract(task)
    spec = make_inputs(tmp_path, contract, params={"estimator": name, **SMALL[name]})
    trained = worker.train(spec)
    assert trained.agreement.rows == 200
    assert trained.agreement.max_difference <= trained.agreement.tolerance / 20
    assert trained.metrics["auc" if task == "classification" else "r2"] > (0.8 if task == "classification" else 0.5)
    assert len(answer(spec, contract)[0]) == 40


@pytest.mark.parametrize("name", ESTIMATORS["classification"])
@pytest.mark.parametrize("classes", [("früh", "pünktlich", "spät 🛬"), (5, 1, 9, 7)], ids=["text", "numbers"])
def test_more_than_two_classes_of_text_or_numbers(tmp_path: Path, name: str, classes: tuple[Any, ...]) -> None:
    contract = tiny_contract(classes=classes, names=("✈️", "距离", "t°"))
    spec = make_inputs(tmp_path, contract, params={"estimator": name, **SMALL[name]})
    trained = worker.train(spec)
    assert trained.metrics["auc"] > 0.7
    labels, probabilities = answer(spec, contract)
    assert probabilities.shape == (40, len(classes))
    assert set(labels.tolist()) <= set(classes)


def test_the_native_checkpoint_loads_without_pickle_and_answers_alike(tmp_path: Path) -> None:
    import skops.io

    contract = tiny_contract("regression")
    spec = make_inputs(tmp_path, contract, params={"max_iter": 10})
    worker.train(spec)
    native = package.load(Path(spec.output)).info["native"]
    fitted = skops.io.load(Path(spec.output) / native["file"], trusted=native["trusted"])
    rows = pl.read_parquet(spec.validation).drop(TARGET).to_numpy()
    bundles = Bundles(**native["bundles"])
    raw = fitted.predict(bundles.apply(rows))
    values = raw * native["target"]["std"] + native["target"]["mean"]
    found = package.load(Path(spec.output)).session().run(None, feeds(pl.read_parquet(spec.validation_rows), contract))
    np.testing.assert_allclose(found[0], values, atol=1e-4)


def test_the_same_spec_gives_the_same_graph(tmp_path: Path) -> None:
    graphs = []
    for i in range(2):
        spec = make_inputs(tmp_path, tiny_contract(), params={"max_iter": 5}, output=f"package{i}")
        worker.train(spec)
        graphs.append((Path(spec.output) / "model.onnx").read_bytes())
    assert graphs[0] == graphs[1]


def test_training_needs_no_validation_features(tmp_path: Path) -> None:
    spec = dataclasses.replace(make_inputs(tmp_path, tiny_contract(), params={"max_iter": 5}), validation="")
    trained = worker.train(spec)
    assert trained.metrics == {}
    assert trained.agreement.rows == 200


def test_a_doctored_graph_is_refused_and_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    convert = convert_sklearn.convert

    def doctored(estimator: Any, width: int) -> onnx.ModelProto:
        model = convert(estimator, width)
        for node in model.graph.node:
            for attribute in node.attribute:
                if attribute.name == "nodes_values":
                    attribute.floats[:] = [v * 1.01 for v in attribute.floats]
        return model

    monkeypatch.setattr(convert_sklearn, "convert", doctored)
    spec = make_inputs(tmp_path, tiny_contract(), params={"max_iter": 10})
    before = sorted(p.name for p in tmp_path.iterdir())
    with pytest.raises(PackageError, match=r"rows over it.*choose another estimator"):
        worker.train(spec)
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_the_gate_compares_from_raw_rows_on(tmp_path: Path) -> None:
    """Stored features that the graph does not make: the gate looks at the graph's, and the metrics tell."""
    spec = make_inputs(tmp_path, tiny_contract(), params={"max_iter": 10})
    shuffled = pl.read_parquet(spec.validation)
    shuffled.with_columns(pl.col("^f.*$").shuffle(seed=1)).write_parquet(spec.validation)
    trained = worker.train(spec)
    assert trained.agreement.rows_over_tolerance == 0
    assert trained.metrics["auc"] < 0.75


def rewrite(uri: str, change: Any) -> None:
    change(pl.read_parquet(uri)).write_parquet(uri)


def with_target(value: Any) -> Any:
    dtype = pl.Int64 if isinstance(value, int) else pl.Float64
    return lambda f: f.with_columns(
        pl.when(pl.int_range(pl.len()) == 3).then(pl.lit(value)).otherwise(pl.col(TARGET)).cast(dtype).alias(TARGET)
    )


BAD: dict[str, tuple[Task, str, Any, str]] = {
    "no training rows": ("classification", "train", lambda f: f.head(0), "training rows must be at least one"),
    "no validation rows": ("classification", "validation", lambda f: f.head(0), "validation rows must be at least one"),
    "no raw rows": ("classification", "validation_rows", lambda f: f.head(0), "validation rows must be at least one"),
    "one class only": (
        "classification",
        "train",
        lambda f: f.filter(pl.col(TARGET) == 0),
        r"every class of 'late', found none of \[True\]",
    ),
    "a class nobody knows": ("classification", "validation", with_target(2), "1 rows of another"),
    "a class that is null": (
        "classification",
        "validation",
        lambda f: f.with_columns(pl.when(pl.int_range(pl.len()) > 1).then(TARGET).alias(TARGET)),
        "2 rows without",
    ),
    "an infinite target": ("regression", "train", with_target(float("inf")), "found inf at row 3"),
    "a target that is not a number": ("regression", "train", with_target(float("nan")), "found nan at row 3"),
    "no target": ("classification", "train", lambda f: f.drop(TARGET), "'__target__'"),
    "an infinite feature": (
        "classification",
        "train",
        lambda f: f.with_columns(pl.lit(float("inf"), pl.Float32).alias("f2")),
        "infinite 'f2'",
    ),
    "features of another type": (
        "classification",
        "train",
        lambda f: f.with_columns(pl.col("f1").cast(pl.Float64)),
        "float32, found Float64 in 'f1'",
    ),
    "fewer features than the graph makes": ("classification", "train", lambda f: f.drop("f1"), "makes 7 features"),
    "other validation features": (
        "classification",
        "validation",
        lambda f: f.rename({"f1": "g1"}),
        "must have the training features",
    ),
    "a raw column that is missing": ("classification", "validation_rows", lambda f: f.drop("temp"), r"no \['temp'\]"),
    "a raw column of another type": (
        "classification",
        "validation_rows",
        lambda f: f.with_columns(pl.lit("warm").alias("temp")),
        "contract's types",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_refused_and_nothing_is_written(tmp_path: Path, what: str) -> None:
    task, file, change, reason = BAD[what]
    spec = make_inputs(tmp_path, tiny_contract(task), rows=60, params={"max_iter": 3})
    rewrite(getattr(spec, file), change)
    with pytest.raises(SeawayError, match=reason):
        worker.train(spec)
    assert not Path(spec.output).exists()


def test_a_parquet_file_cut_in_the_middle_is_refused(tmp_path: Path) -> None:
    spec = make_inputs(tmp_path, tiny_contract(), rows=60)
    whole = Path(spec.train).read_bytes()
    Path(spec.train).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="must be Parquet that can be read"):
        worker.train(spec)


def test_missing_values_are_refused_where_an_estimator_takes_none(tmp_path: Path) -> None:
    spec = make_inputs(tmp_path, tiny_contract(), rows=60, params={"estimator": "logistic"})
    rewrite(spec.train, lambda f: f.with_columns(pl.lit(float("nan"), pl.Float32).alias("f5")))
    with pytest.raises(DataError, match="logistic takes no missing values, found some in 'f5': impute"):
        worker.train(spec)


def test_another_features_graph_or_contract_is_refused(tmp_path: Path) -> None:
    spec = make_inputs(tmp_path, tiny_contract(), rows=60, params={"max_iter": 3})
    other = tiny_contract(names=("a", "b", "c"))
    (tmp_path / "other.json").write_text(other.to_json())
    with pytest.raises(DataError, match=r"found no \['a', 'b', 'c'\]"):
        worker.train(dataclasses.replace(spec, contract=str(tmp_path / "other.json")))
    with pytest.raises(InputError, match="must be a file that can be read"):
        worker.train(dataclasses.replace(spec, contract=str(tmp_path / "nowhere.json")))
    with pytest.raises(PackageError, match=r"must hold features\.onnx"):
        worker.train(dataclasses.replace(spec, features=str(tmp_path)))


def test_a_features_graph_with_data_outside_is_refused_before_it_runs(tmp_path: Path) -> None:
    spec = make_inputs(tmp_path, tiny_contract(), rows=60)
    path = Path(spec.features) / "features.onnx"
    model = onnx.load(path)
    tensor = model.graph.initializer.add()
    tensor.CopyFrom(numpy_helper.from_array(np.ones(2, np.float32), "outside"))
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../secret")
    path.write_bytes(model.SerializeToString())
    with pytest.raises(PackageError, match="found a reference to"):
        worker.train(spec)


def test_a_constant_target_is_learnt(tmp_path: Path) -> None:
    spec = make_inputs(tmp_path, tiny_contract("regression"), rows=60, params={"max_iter": 3})
    for uri in (spec.train, spec.validation):
        rewrite(uri, lambda f: f.with_columns(pl.lit(5.0).alias(TARGET)))
    trained = worker.train(spec)
    assert "r2" not in trained.metrics
    assert answer(spec, tiny_contract("regression"))[0].tolist() == [5.0] * 40


def test_a_large_target_with_a_small_spread_keeps_its_digits(tmp_path: Path) -> None:
    spec = make_inputs(tmp_path, tiny_contract("regression"), params={"max_iter": 10})
    for uri in (spec.train, spec.validation):
        rewrite(uri, lambda f: f.with_columns(pl.col(TARGET) / 30 + 1e8))
    trained = worker.train(spec)
    assert trained.metrics["r2"] > 0.5


def test_params_in_the_package_are_those_that_were_used(tmp_path: Path) -> None:
    spec = make_inputs(tmp_path, tiny_contract(), rows=60, params={"max_iter": "3", "max_leaf_nodes": 4.0})
    worker.train(spec)
    info = json.loads((Path(spec.output) / "model.json").read_text())
    assert info["params"]["max_iter"] == 3
    assert info["params"]["max_leaf_nodes"] == 4
    assert info["params"]["early_stopping"] is True
