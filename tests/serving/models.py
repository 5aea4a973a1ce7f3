"""Small real packages, written by hand so that a test can work out every answer itself."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto as T
from onnx import helper as h

from seaway.model import package
from seaway.model.contract import MISSING_INT64, Column, Contract, Target

FLIGHTS = Contract(
    columns=(
        Column(name="carrier", dtype="string", values=("AA", "B6", "UA")),
        Column(name="tailnum", dtype="string", nullable=True),
        Column(name="hour", dtype="int64", minimum=0, maximum=23),
        Column(name="distance", dtype="float64", minimum=0.0, maximum=6000.0),
        Column(name="temp", dtype="float64", nullable=True),
        Column(name="seats", dtype="int64", nullable=True),
        Column(name="weekend", dtype="bool", nullable=True),
        Column(name="departure", dtype="timestamp"),
        Column(name="unused ✈", dtype="int64", nullable=True, values=(1, 2)),
    ),
    target=Target(name="late", task="classification", dtype="bool", classes=(False, True)),
)
ROW: dict[str, Any] = {
    "carrier": "B6",
    "tailnum": "N1",
    "hour": 6,
    "distance": 500.0,
    "temp": 40.5,
    "seats": 150,
    "weekend": True,
    "departure": 1_357_034_400_000_000,  # 2013-01-01T10:00:00Z
    "unused ✈": 2,
}
WEIGHT = {"AA": 1.0, "B6": 2.0, "UA": 3.0}
RUN_ID = "run-42"


def probability(row: dict[str, Any]) -> float:
    """What the graph of `write_flights` answers."""
    number = WEIGHT[row["carrier"]] + (4.0 if row.get("tailnum") == "N1" else 0.0) + row["hour"] / 4
    number += row["distance"] / 1000
    number += 0.0 if row.get("temp") is None else row["temp"] / 100
    number += 8.0 if row.get("seats") is None else row["seats"] / 1000
    number += 2.0 if row.get("weekend") is None else float(row["weekend"])
    number += row["departure"] // 3_600_000_000 % 24 / 10
    return 1 / (1 + math.exp(10 - number))


def write_flights(folder: Path, *, name: str = "flights", version: str = "1") -> str:
    """Binary classification over every dtype; the answer is `probability`. The URI of the package."""
    nodes = [
        h.make_node("LabelEncoder", ["carrier"], ["a"], domain="ai.onnx.ml", keys_strings=[*WEIGHT],
                    values_floats=[*WEIGHT.values()], default_float=100.0),
        h.make_node("LabelEncoder", ["tailnum"], ["b"], domain="ai.onnx.ml", keys_strings=["N1"],
                    values_floats=[4.0], default_float=0.0),
    ]  # fmt: skip
    initializers = [
        h.make_tensor("missing", T.INT64, [], [MISSING_INT64]),
        h.make_tensor("an hour", T.INT64, [], [3_600_000_000]),
        h.make_tensor("a day", T.INT64, [], [24]),
        h.make_tensor("second", T.INT64, [], [1]),
        h.make_tensor("axis", T.INT64, [1], [1]),
    ]
    parts = ["a", "b"]

    def constant(name: str, value: float) -> str:
        initializers.append(h.make_tensor(name, T.FLOAT, [], [value]))
        return name

    def scaled(column: str, divisor: float, *, missing: float | None = None) -> None:
        out = f"{column}:scaled"
        nodes.append(h.make_node("Cast", [column], [f"{column}:f"], to=T.FLOAT))
        nodes.append(h.make_node("Div", [f"{column}:f", constant(f"{column}:by", divisor)], [out]))
        if missing is not None:
            is_missing = ["IsNaN", [column]] if column == "temp" else ["Equal", [column, "missing"]]
            nodes.append(h.make_node(*is_missing, [f"{column}:m"]))
            nodes.append(h.make_node("Where", [f"{column}:m", constant(f"{column}:d", missing), out], [f"{column}:w"]))
            out = f"{column}:w"
        parts.append(out)

    nodes.append(h.make_node("Div", ["departure", "an hour"], ["hours"]))
    nodes.append(h.make_node("Mod", ["hours", "a day"], ["of day"]))
    scaled("hour", 4)
    scaled("distance", 1000)
    scaled("temp", 100, missing=0)
    scaled("seats", 1000, missing=8)
    scaled("weekend", 1, missing=2)
    scaled("of day", 10)
    nodes += [
        h.make_node("Sum", parts, ["sum"]),
        h.make_node("Sub", ["sum", constant("ten", 10)], ["logit"]),
        h.make_node("Sigmoid", ["logit"], ["probability"]),
        h.make_node("Sub", [constant("one", 1), "probability"], ["other"]),
        h.make_node("Unsqueeze", ["probability", "axis"], ["p1"]),
        h.make_node("Unsqueeze", ["other", "axis"], ["p0"]),
        h.make_node("Concat", ["p0", "p1"], ["probabilities"], axis=1),
        h.make_node("Greater", ["probability", "other"], ["label"]),
    ]
    types = {"string": T.STRING, "float64": T.DOUBLE}
    inputs = [
        h.make_tensor_value_info(c.name, types.get(c.dtype, T.INT64), ["n"])
        for c in FLIGHTS.columns
        if c.name != "unused ✈"
    ]
    outputs = [
        h.make_tensor_value_info("label", T.BOOL, ["n"]),
        h.make_tensor_value_info("probabilities", T.FLOAT, ["n", 2]),
        h.make_tensor_value_info("probability", T.FLOAT, ["n"]),
    ]
    graph = h.make_graph(nodes, "flights", inputs, outputs, initializers)
    return _write(folder, graph, FLIGHTS, name=name, version=version)


def write_words(folder: Path) -> str:
    """Three classes that are texts: the label is the word itself."""
    classes = ("a", "b", "c")
    contract = Contract(
        columns=(Column(name="word", dtype="string"),),
        target=Target(name="kind", task="classification", dtype="string", classes=classes),
    )
    nodes = [
        h.make_node("LabelEncoder", ["word"], ["i"], domain="ai.onnx.ml", keys_strings=classes,
                    values_int64s=[0, 1, 2], default_int64=0),
        h.make_node("OneHot", ["i", "three", "off on"], ["probabilities"]),
        h.make_node("Gather", ["classes", "i"], ["label"]),
    ]  # fmt: skip
    initializers = [
        h.make_tensor("three", T.INT64, [], [3]),
        h.make_tensor("off on", T.FLOAT, [2], [0.0, 1.0]),
        h.make_tensor("classes", T.STRING, [3], [c.encode() for c in classes]),
    ]
    inputs = [h.make_tensor_value_info("word", T.STRING, ["n"])]
    outputs = [
        h.make_tensor_value_info("label", T.STRING, ["n"]),
        h.make_tensor_value_info("probabilities", T.FLOAT, ["n", 3]),
    ]
    return _write(folder, h.make_graph(nodes, "words", inputs, outputs, initializers), contract, name="words")


def write_double(folder: Path) -> str:
    """Regression: twice the number."""
    contract = Contract(
        columns=(Column(name="x", dtype="float64"),), target=Target(name="y", task="regression", dtype="float64")
    )
    graph = h.make_graph(
        [h.make_node("Add", ["x", "x"], ["value"])],
        "double",
        [h.make_tensor_value_info("x", T.DOUBLE, ["n"])],
        [h.make_tensor_value_info("value", T.DOUBLE, ["n"])],
    )
    return _write(folder, graph, contract, name="double")


def _write(folder: Path, graph: onnx.GraphProto, contract: Contract, *, name: str, version: str = "1") -> str:
    opsets = [h.make_opsetid("", 18), h.make_opsetid("ai.onnx.ml", 3)]
    model = h.make_model(graph, opset_imports=opsets, ir_version=9)
    uri = str(folder / f"{name}-{version}")
    with tempfile.TemporaryDirectory() as tmp:
        (Path(tmp) / package.GRAPH).write_bytes(model.SerializeToString())
        info = {"name": name, "version": version, "contract": contract.to_dict(), "provenance": {"run_id": RUN_ID}}
        package.write(Path(tmp), uri, info)
    return uri


def v2(*rows: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Rows as a request of the Open Inference Protocol."""
    datatypes = {"string": "BYTES", "float64": "FP64", "bool": "BOOL"}
    inputs = []
    for c in FLIGHTS.columns:
        data = [row.get(c.name) for row in rows]
        inputs.append({"name": c.name, "shape": [len(rows)], "datatype": datatypes.get(c.dtype, "INT64"), "data": data})
    return {"inputs": inputs, **more}


def column(request: dict[str, Any], name: str) -> dict[str, Any]:
    """One input of a request, to change it."""
    found: dict[str, Any] = next(i for i in request["inputs"] if i["name"] == name)
    return found
