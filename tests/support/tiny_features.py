"""A small features graph made by hand: what the features step writes, without it.

Columns: ``carrier`` string, ``distance`` int64, ``temp`` float64, all with missing values.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from seaway.model.contract import MISSING_INT64, Column, Contract, Target, Task
from seaway.model.versions import IR_VERSION, ML_OPSET, OPSET

CARRIERS = ("AA", "B6", "UA")
NAMES = ("carrier", "distance", "temp")
WIDTH = len(CARRIERS) + 4
"""Features: one a carrier, distance, its missing indicator, temp, its missing indicator."""


def tiny_contract(
    task: Task = "classification",
    *,
    names: tuple[str, str, str] = NAMES,
    classes: tuple[Any, ...] = (False, True),
    target: str = "late",
) -> Contract:
    """The contract of the three columns."""
    kinds: dict[type, Any] = {bool: "bool", str: "string", int: "int64"}
    carrier, distance, temp = names
    return Contract(
        columns=(
            Column(name=carrier, dtype="string", nullable=True),
            Column(name=distance, dtype="int64", nullable=True, minimum=0, maximum=10_000),
            Column(name=temp, dtype="float64", nullable=True, minimum=-50, maximum=60),
        ),
        target=Target(name=target, task="classification", dtype=kinds[type(classes[0])], classes=classes)
        if task == "classification"
        else Target(name=target, task="regression", dtype="float64"),
    )


def tiny_features(names: tuple[str, str, str] = NAMES) -> onnx.ModelProto:
    """Raw columns in, float32 [n, WIDTH] out."""
    carrier, distance, temp = names
    constants: list[onnx.TensorProto] = []
    nodes: list[onnx.NodeProto] = []

    def constant(name: str, value: Any) -> str:
        constants.append(numpy_helper.from_array(np.asarray(value), "tiny constant/" + name))
        return "tiny constant/" + name

    def node(operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(operator, inputs, ["tiny/" + output], **attributes))
        return "tiny/" + output

    code = node(
        "LabelEncoder",
        [carrier],
        "code",
        domain="ai.onnx.ml",
        keys_strings=list(CARRIERS),
        values_int64s=list(range(len(CARRIERS))),
        default_int64=-1,
    )
    axis = constant("axis", np.array([1], np.int64))
    column = node("Unsqueeze", [code, axis], "code_column")
    one_hot = node("Equal", [column, constant("codes", np.arange(len(CARRIERS))[None, :])], "one_hot")
    far_missing = node("Equal", [distance, constant("missing", np.int64(MISSING_INT64))], "far_missing")
    far = node("Where", [far_missing, constant("usual", np.int64(1000)), distance], "far")
    cold_missing = node("IsNaN", [temp], "cold_missing")
    cold = node("Where", [cold_missing, constant("mild", np.float64(10.0)), temp], "cold")
    parts = [node("Cast", [one_hot], "one_hot_float", to=TensorProto.FLOAT)]
    for i, name in enumerate((far, far_missing, cold, cold_missing)):
        as_float = node("Cast", [name], f"float_{i}", to=TensorProto.FLOAT)
        parts.append(node("Unsqueeze", [as_float, axis], f"column_{i}"))
    matrix = node("Concat", parts, "features", axis=1)
    types = (TensorProto.STRING, TensorProto.INT64, TensorProto.DOUBLE)
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(n, t, ["n"]) for n, t in zip(names, types, strict=True)],
        [helper.make_tensor_value_info(matrix, TensorProto.FLOAT, ["n", WIDTH])],
        constants,
    )
    return helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)],
        ir_version=IR_VERSION,
    )
