"""A world whose truth is known: raw rows, their target, the features' graph and packages of hand-made linear models.

The score of a row is ``temp`` (missing: 0) + 0.5 * ``count`` + 1 if ``city`` is Aachen.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import polars as pl
from onnx import TensorProto, helper, numpy_helper

from seaway.model import package, versions
from seaway.model.compose import compose
from seaway.model.contract import Column, Contract, Target

COLUMNS = (
    Column(name="city", dtype="string", nullable=True, values=("Aachen", "Bonn", "Köln")),
    Column(name="temp", dtype="float64", nullable=True, minimum=-50.0, maximum=50.0),
    Column(name="count", dtype="int64"),
    Column(name="at", dtype="timestamp", nullable=True),
    Column(name="flag", dtype="bool", nullable=True),
)
TARGETS = {
    "two": Target(name="late", task="classification", dtype="bool", classes=(False, True)),
    "three": Target(name="kind", task="classification", dtype="string", classes=("low", "mid", "high")),
    "value": Target(name="delay", task="regression", dtype="float64"),
}
TRUE_WEIGHTS: dict[str, list[list[float]]] = {
    "two": [[0, 1], [0, 0.5], [0, 1]],
    "three": [[-1, 0, 1], [-0.5, 0, 0.5], [-1, 0, 1]],
    "value": [[1], [0.5], [1]],
}
"""[features, answers]: temp, count, Aachen."""


def contract(kind: str) -> Contract:
    return Contract(columns=COLUMNS, target=TARGETS[kind])


def rows(kind: str, n: int, seed: int = 0) -> pl.DataFrame:
    """Raw rows with the target drawn from the true model; some values are missing."""
    rng = np.random.default_rng(seed)
    city = rng.choice(["Aachen", "Bonn", "Köln"], n)
    temp = rng.normal(size=n) * 2
    count = rng.integers(-3, 4, n)
    missing = rng.random(n) < 0.05
    raw = pl.DataFrame(
        {
            "city": city,
            "temp": np.where(missing, np.nan, temp),
            "count": count,
            "at": pl.Series(rng.integers(0, 10**15, n)).cast(pl.Datetime("us", "UTC")),
            "flag": rng.random(n) < 0.5,
        }
    ).with_columns(pl.col("temp").fill_nan(None))
    x = matrix(raw)
    answers = x @ np.array(TRUE_WEIGHTS[kind])
    if kind == "value":
        return raw.with_columns(delay=answers[:, 0] + rng.normal(size=n))
    p = np.exp(answers) / np.exp(answers).sum(axis=1, keepdims=True)
    drawn = (p.cumsum(axis=1) < rng.random(n)[:, None]).sum(axis=1)
    if kind == "two":
        return raw.with_columns(late=pl.Series(drawn == 1))
    return raw.with_columns(kind=pl.Series(np.array(["low", "mid", "high"])[drawn]))


def matrix(raw: pl.DataFrame) -> np.ndarray[Any, Any]:
    return np.stack(
        [raw["temp"].fill_null(0).to_numpy(), raw["count"].to_numpy(), (raw["city"] == "Aachen").to_numpy()], axis=1
    ).astype(np.float32)


def features_graph() -> onnx.ModelProto:
    """Raw columns temp, count, city to float32 [n, 3]."""
    zero, one = np.zeros(1), np.array([1], np.int64)
    node = helper.make_node
    nodes = [
        node("IsNaN", ["temp"], ["gone"]),
        node("Where", ["gone", "zero", "temp"], ["warm"]),
        node("Cast", ["warm"], ["f0"], to=TensorProto.FLOAT),
        node("Cast", ["count"], ["f1"], to=TensorProto.FLOAT),
        node(
            "LabelEncoder",
            ["city"],
            ["f2"],
            domain="ai.onnx.ml",
            keys_strings=["Aachen"],
            values_floats=[1.0],
            default_float=0.0,
        ),
        *(node("Unsqueeze", [f"f{k}", "one"], [f"u{k}"]) for k in range(3)),
        node("Concat", ["u0", "u1", "u2"], ["features"], axis=1),
    ]
    inputs = [("temp", TensorProto.DOUBLE), ("count", TensorProto.INT64), ("city", TensorProto.STRING)]
    return _model(
        nodes,
        [helper.make_tensor_value_info(n, t, ["n"]) for n, t in inputs],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", 3])],
        [numpy_helper.from_array(zero, "zero"), numpy_helper.from_array(one, "one")],
    )


def estimator_graph(kind: str, weights: Sequence[Sequence[float]]) -> onnx.ModelProto:
    w = np.array(weights, np.float32)
    nodes = [helper.make_node("MatMul", ["features", "w"], ["scores"])]
    if kind == "value":
        nodes.append(helper.make_node("Identity", ["scores"], ["value"]))
        output = helper.make_tensor_value_info("value", TensorProto.FLOAT, ["n", 1])
    else:
        nodes.append(helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1))
        output = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", w.shape[1]])
    return _model(
        nodes,
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", 3])],
        [output],
        [numpy_helper.from_array(w, "w")],
    )


def write_package(
    uri: Path, kind: str, *, scale: float = 1.0, version: str = "v2", contract_: Contract | None = None
) -> Path:
    """A package whose weights are the true ones times ``scale``."""
    declared = contract_ or contract(kind)
    weights = (np.array(TRUE_WEIGHTS[kind]) * scale).tolist()
    folder = uri.with_name(uri.name + ".made")
    folder.mkdir(parents=True)
    (folder / package.GRAPH).write_bytes(
        compose(features_graph(), estimator_graph(kind, weights), declared).SerializeToString()
    )
    info = {
        "name": "weather",
        "version": version,
        "task": declared.target.task,
        "framework": "by hand",
        "contract": declared.to_dict(),
        "agreement": {"rows": 100, "max_difference": 1e-7, "rows_over_tolerance": 0, "tolerance": 1e-4},
        "provenance": {"run_id": "run-1", "versions": {"seaway": "0"}},
    }
    package.write(folder, str(uri), info)
    return uri


@dataclass(frozen=True)
class World:
    """URIs of everything that an evaluation takes."""

    kind: str
    model: str
    test: str
    train_features: str
    features: str

    @classmethod
    def make(cls, folder: Path, kind: str, *, scale: float = 1.0, test: pl.DataFrame | None = None) -> World:
        train = rows(kind, 2000, seed=1)
        write_package(folder / "model", kind, scale=scale)
        (rows(kind, 1500, seed=2) if test is None else test).write_parquet(folder / "test.parquet")
        target = TARGETS[kind]
        truth = (
            train[target.name].to_numpy()
            if target.classes is None
            else np.array([target.classes.index(v) for v in train[target.name].to_list()], np.int64)
        )
        columns = {f"f{k}": column for k, column in enumerate(matrix(train).T)}
        pl.DataFrame({**columns, "__target__": truth}).write_parquet(folder / "train.parquet")
        (folder / "features").mkdir()
        (folder / "features" / "features.onnx").write_bytes(features_graph().SerializeToString())
        (folder / "features" / "contract.json").write_text(contract(kind).to_json())
        return cls(
            kind,
            *(str(folder / n) for n in ("model", "test.parquet", "train.parquet", "features")),
        )


def read_json(path: Path) -> Any:
    return json.loads(path.read_text())


def _model(nodes: Any, inputs: Any, outputs: Any, constants: Any) -> onnx.ModelProto:
    graph = helper.make_graph(nodes, "weather", inputs, outputs, constants)
    opsets = [helper.make_opsetid("", versions.OPSET), helper.make_opsetid("ai.onnx.ml", versions.ML_OPSET)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=versions.IR_VERSION)
