"""A program in any language by the written contract: prepare, the program, package; each as the process that it is."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from seaway.errors import DataError, PackageError
from seaway.model import package as packages
from seaway.model.contract import Contract
from seaway.training.own import package, prepare
from seaway.training.own.container import Work, variables
from seaway.training.spec import ENV, TrainSpec
from seaway.training.tables import TARGET
from tests.support.tiny_features import WIDTH, tiny_contract
from tests.support.tiny_package import make_inputs
from tests.training.graphs import linear_graph

LOGISTIC = Path(__file__).parent / "workers" / "logistic.mjs"


def told(spec: TrainSpec, root: Path) -> dict[str, str]:
    target = Contract.from_json(Path(spec.contract).read_text()).target
    known = {k: v for k, v in os.environ.items() if not k.startswith("SEAWAY_")}
    found = variables(spec, str(root), task=target.task, classes=target.classes)
    return known | {ENV: spec.to_json(), "SEAWAY_LOG_FORMAT": "json", **found}


def run(*command: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.needs_node
def test_a_program_in_javascript_trains_a_model_that_answers_as_it_does(tmp_path: Path) -> None:
    spec = make_inputs(tmp_path, tiny_contract(), params={"epochs": 40})
    spec = dataclasses.replace(spec, framework="container")
    env = told(spec, tmp_path / "work")
    for command in (
        [sys.executable, "-m", "seaway.training.own.prepare"],
        ["node", str(LOGISTIC)],
        [sys.executable, "-m", "seaway.training.own.package"],
    ):
        done = run(*command, env=env)
        assert done.returncode == 0, done.stderr
    found = packages.load(Path(spec.output))
    assert found.info["framework"] == "container"
    assert found.info["params"] == {"epochs": 40}
    assert found.info["agreement"]["rows"] == 200
    assert found.info["agreement"]["max_difference"] < 1e-5
    assert found.info["metrics"]["validation"]["auc"] > 0.85
    assert "auc=" in done.stdout


@pytest.mark.needs_node
def test_a_program_says_by_its_exit_code_that_no_retry_helps(tmp_path: Path) -> None:
    spec = make_inputs(tmp_path, tiny_contract("regression"))
    done = run("node", str(LOGISTIC), env=told(spec, tmp_path / "work"))
    assert done.returncode == 65
    assert done.stderr.startswith("error: this program")


def prepared(tmp_path: Path, contract: Contract | None = None, **inputs: Any) -> tuple[TrainSpec, Work]:
    spec = dataclasses.replace(make_inputs(tmp_path, contract or tiny_contract(), **inputs), framework="container")
    work = Work.below(str(tmp_path / "work"))
    prepare.prepare(spec, work)
    return spec, work


def test_features_are_written_as_csv_and_parquet_with_empty_cells_for_missing_values(tmp_path: Path) -> None:
    spec = make_inputs(tmp_path, tiny_contract(), rows=50)
    frame = pl.read_parquet(spec.train)
    frame = frame.with_columns(pl.when(pl.int_range(pl.len()) == 3).then(float("nan")).otherwise("f0").alias("f0"))
    frame.with_columns(pl.col("f0").cast(pl.Float32)).write_parquet(spec.train)
    work = Work.below(str(tmp_path / "work"))
    prepare.prepare(spec, work)
    csv, parquet = pl.read_csv(work.train_csv), pl.read_parquet(work.train_parquet)
    assert csv.columns == [*(f"f{i}" for i in range(WIDTH)), TARGET] == parquet.columns
    assert csv["f0"].null_count() == 1
    assert np.isnan(parquet["f0"][3])
    np.testing.assert_array_equal(csv.drop("f0").to_numpy().astype(np.float32), frame.drop("f0").to_numpy())
    assert len(pl.read_csv(work.validation_csv)) == 16


def test_a_class_without_training_rows_is_refused_before_the_program_runs(tmp_path: Path) -> None:
    spec = make_inputs(tmp_path, tiny_contract())
    pl.read_parquet(spec.train).filter(pl.col(TARGET) == 0).write_parquet(spec.train)
    with pytest.raises(DataError, match=r"every class of 'late', found none of \[True\]"):
        prepare.prepare(spec, Work.below(str(tmp_path / "work")))


def test_a_program_without_predictions_is_packaged_and_the_package_says_so(tmp_path: Path) -> None:
    spec, work = prepared(tmp_path)
    (work.model_out / "model.onnx").write_bytes(linear_graph(WIDTH, 2).SerializeToString())
    (work.model_out / "native").mkdir()
    (work.model_out / "native" / "weights.json").write_text("[]")
    written = package.package(spec, work)
    assert not written.compared
    found = packages.load(Path(spec.output))
    assert found.info["agreement"]["said"].startswith("not compared")
    assert found.info["native"]["files"] == ["native/weights.json"]


def test_values_are_compared_in_the_targets_unit(tmp_path: Path) -> None:
    spec, work = prepared(tmp_path, tiny_contract("regression"))
    graph = linear_graph(WIDTH, 1)
    (work.model_out / "model.onnx").write_bytes(graph.SerializeToString())
    features = pl.read_parquet(work.validation_parquet).drop(TARGET).to_numpy()
    answers = features @ np.linspace(-1, 1, WIDTH, dtype=np.float32)
    pl.DataFrame({"value": answers}).write_csv(work.model_out / "predictions.csv")
    assert package.package(spec, work).agreement.rows == len(answers)
    pl.DataFrame({"value": answers + 1}).write_csv(work.model_out / "predictions.csv")
    with pytest.raises(PackageError, match="must agree with the framework within"):
        package.package(spec, work)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, r"must write its model to \$SEAWAY_MODEL_OUT/model.onnx .* found nothing"),
        ({"model.pkl": b"x"}, r"found \['model.pkl'\] there"),
        ({"format": b"tensorflow\n", "saved_model.pb": b"x"}, "as ONNX .* found the format 'tensorflow'"),
        ({"model.onnx": b"not a model"}, "must be ONNX"),
        ({"model.onnx": b""}, "must be an ONNX graph with nodes"),
        ({"model.onnx": linear_graph(3, 2).SerializeToString()}, "takes 3 features and the features' graph makes 7"),
        ({"model.onnx": linear_graph(7, 3).SerializeToString()}, "must give 2 probabilities, one a class, found 3"),
        ({"model.onnx": linear_graph(7, 2, bias=float("nan")).SerializeToString()}, "must answer finite numbers"),
        ({"model.onnx": linear_graph(7, 1).SerializeToString()}, "an output 'probabilities'"),
    ],
)
def test_what_is_no_model_is_refused_in_words(tmp_path: Path, files: dict[str, bytes], said: str) -> None:
    spec, work = prepared(tmp_path)
    for name, content in files.items():
        (work.model_out / name).write_bytes(content)
    with pytest.raises(PackageError, match=said):
        package.package(spec, work)
    assert not Path(spec.output).exists()


@pytest.mark.parametrize(
    ("predictions", "said"),
    [
        ("a\n0.5\n", r"must have 2 columns, one a class, found 1"),
        ("a,b\n0.5,0.5\n", "a row for every validation row"),
        ("a,b\n0.5,x\n", "CSV file of numbers"),
        ("a,b\n" + "0.9,0.1\n" * 200, "must agree with the framework"),
        ("a,b\n" + "nan,0.1\n" * 200, "finite"),
    ],
)
def test_predictions_that_do_not_fit_are_refused_in_words(tmp_path: Path, predictions: str, said: str) -> None:
    spec, work = prepared(tmp_path)
    (work.model_out / "model.onnx").write_bytes(linear_graph(WIDTH, 2).SerializeToString())
    (work.model_out / "predictions.csv").write_text(predictions)
    with pytest.raises(PackageError, match=said):
        package.package(spec, work)


def test_what_is_told_is_json_and_plain_text(tmp_path: Path) -> None:
    spec = make_inputs(tmp_path, tiny_contract(classes=("no", "maybe", "yes")), params={"a": 1})
    found = told(spec, Path("/w"))
    assert json.loads(found["SEAWAY_CLASSES"]) == ["no", "maybe", "yes"]
    assert json.loads(found["SEAWAY_PARAMS"]) == {"a": 1}
    assert (found["SEAWAY_SEED"], found["SEAWAY_TASK"], found["SEAWAY_MODEL_OUT"]) == (
        "7",
        "classification",
        "/w/model",
    )
