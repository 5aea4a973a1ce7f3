"""Small estimators as ONNX graphs, for tests of what users hand over."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from seaway.model.versions import IR_VERSION, OPSET


def linear_graph(width: int, answers: int, *, bias: float = 0.0) -> onnx.ModelProto:
    """Softmax over as many classes, or one value for ``answers=1``: weights from -1 to 1."""
    weights = np.linspace(-1, 1, width * answers, dtype=np.float32).reshape(width, answers) / (answers * 10 - 9)
    name = "probabilities" if answers > 1 else "value"
    nodes = [
        helper.make_node("MatMul", ["features", "weights"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["sum" if answers > 1 else name]),
    ]
    if answers > 1:
        nodes.append(helper.make_node("Softmax", ["sum"], [name], axis=1))
    constants = [
        numpy_helper.from_array(weights, "weights"),
        numpy_helper.from_array(np.array([bias], np.float32), "bias"),
    ]
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", width])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", answers])],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
