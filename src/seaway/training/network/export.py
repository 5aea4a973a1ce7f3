"""The network as an ONNX graph, written node by node.

In: an encoding and a network's weights, by the names of `NetworkSpec.shapes`. Out: a graph with the input ``features``
[n, F] and the output ``probabilities`` [n, K] or ``value`` [n]. The network is small and its shape is fixed, so the
graph is some thirty standard operators, made in milliseconds, whichever framework trained it, and without that
framework's converter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from seaway.model import versions
from seaway.training.encoding import BOUND, Encoding

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

    from seaway.training.network.learner import Arrays


class _Graph:
    """Nodes and constants, in order."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, array: Any) -> str:
        from onnx import numpy_helper

        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def add(self, operator: str, *inputs: str | NDArray[Any] | np.generic, output: str = "", **attributes: Any) -> str:
        """A node; arrays among its inputs become constants. The name of its output."""
        from onnx import helper

        output = output or f"t{len(self.nodes)}"
        names = [i if isinstance(i, str) else self.constant(i) for i in inputs]
        self.nodes.append(helper.make_node(operator, names, [output], **attributes))
        return output


def to_onnx(
    encoding: Encoding, weights: Arrays, *, classifies: bool, target_mean: float = 0.0, target_std: float = 1.0
) -> onnx.ModelProto:
    """The graph of features, encoding and network.

    Args:
        encoding: of the feature matrix.
        weights: of the trained network; dropout is left out.
        classifies: ends in ``probabilities`` float32 [n, K], else in ``value`` float64 [n].
        target_mean: what a value of 0 means.
        target_std: what a value of 1 is above that.
    """
    from onnx import TensorProto, helper

    graph = _Graph()
    x = _encoded(graph, encoding, weights["table.weight"])
    layer = 0
    while (weight := weights.get(f"layers.{layer}.weight")) is not None:
        y = graph.add("Relu", graph.add("Gemm", x, weight, weights[f"layers.{layer}.bias"], transB=1))
        x = graph.add("Add", x, y) if weight.shape[0] == weight.shape[1] else y
        layer += 1
    scores = graph.add("Gemm", x, weights["head.weight"], weights["head.bias"], transB=1)
    if classifies:
        graph.add("Softmax", scores, output="probabilities", axis=1)
        shape: list[Any] = ["n", len(weights["head.bias"])]
        answer = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, shape)
    else:
        wide = graph.add("Cast", graph.add("Squeeze", scores, np.array([1])), to=TensorProto.DOUBLE)
        graph.add("Add", graph.add("Mul", wide, np.float64(target_std)), np.float64(target_mean), output="value")
        answer = helper.make_tensor_value_info("value", TensorProto.DOUBLE, ["n"])
    given = helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", encoding.layout.width])
    return helper.make_model(
        helper.make_graph(graph.nodes, "network", [given], [answer], graph.constants),
        opset_imports=[helper.make_opsetid("", versions.OPSET), helper.make_opsetid("ai.onnx.ml", versions.ML_OPSET)],
        ir_version=versions.IR_VERSION,
    )


def _encoded(graph: _Graph, encoding: Encoding, table: NDArray[np.float32]) -> str:
    """What `Encoding.apply` and the table give, side by side."""
    layout, parts = encoding.layout, []
    if len(layout.numbers):
        numbers = _columns(graph, layout.numbers)
        standard = graph.add("Div", graph.add("Sub", numbers, encoding.mean), encoding.std)
        known = graph.add("Where", graph.add("IsNaN", numbers), np.float32(0), standard)
        parts.append(graph.add("Clip", known, np.float32(-BOUND), np.float32(BOUND)))
    codes = []
    if layout.categories:
        codes.append(_categories(graph, encoding))
    if len(encoding.binned):
        codes.append(_intervals(graph, encoding))
    if codes:
        both = codes[0] if len(codes) == 1 else graph.add("Concat", *codes, axis=1)
        rows = graph.add("Gather", table, both)
        width = len(encoding.offsets) * table.shape[1]
        parts.append(graph.add("Reshape", rows, np.array([0, width])))
    return parts[0] if len(parts) == 1 else graph.add("Concat", *parts, axis=1)


def _columns(graph: _Graph, chosen: NDArray[np.int64]) -> str:
    """Some of the features; side by side they are copied whole, which is ten times as fast as one by one."""
    first, last = int(chosen[0]), int(chosen[-1])
    if last - first == len(chosen) - 1:
        return graph.add("Slice", "features", np.array([first]), np.array([last + 1]), np.array([1]))
    return graph.add("Gather", "features", chosen, axis=1)


def _categories(graph: _Graph, encoding: Encoding) -> str:
    """Row of the table for each category, [n, categories]."""
    from onnx import TensorProto

    layout = encoding.layout
    code = graph.add("MatMul", _columns(graph, layout.hot), layout.ordinals)
    code = graph.add("Cast", code, to=TensorProto.INT64)
    # no feature graph makes others, but a lookup beyond the table would fail the whole request
    held = graph.add("Min", graph.add("Max", code, np.int64(0)), layout.sizes)
    return graph.add("Add", held, encoding.offsets[: len(layout.categories)])


def _intervals(graph: _Graph, encoding: Encoding) -> str:
    """Row of the table for each number that is looked up, [n, binned]."""
    from onnx import TensorProto

    columns = encoding.layout.numbers[encoding.binned]
    gone = graph.add("IsNaN", graph.add("Gather", "features", columns, axis=1))
    offsets = encoding.offsets[len(encoding.layout.categories) :]
    if trees := _bisections(encoding, columns):
        interval = graph.add("TreeEnsembleRegressor", "features", domain="ai.onnx.ml", n_targets=len(columns), **trees)
        row: Any = graph.add("Add", graph.add("Cast", interval, to=TensorProto.INT64), offsets)
    else:
        row = offsets
    return graph.add("Where", gone, offsets + encoding.missing, row)


def _bisections(encoding: Encoding, columns: NDArray[np.int64]) -> dict[str, Any]:
    """Attributes of a tree for each number that finds its interval by bisection; empty where no number has edges.

    Nothing in onnxruntime looks a sorted list up faster, and a comparison with every edge takes thousands of numbers
    for each row in memory.
    """
    out: dict[str, list[Any]] = {}
    nodes = ("treeids", "nodeids", "featureids", "modes", "values", "truenodeids", "falsenodeids")
    leaves = ("treeids", "nodeids", "ids", "weights")

    def append(kind: str, names: tuple[str, ...], values: tuple[Any, ...]) -> None:
        for name, value in zip(names, values, strict=True):
            out.setdefault(f"{kind}_{name}", []).append(value)

    for target, edges in enumerate(encoding.edges.values()):
        if not len(edges):
            continue  # of no tree: 0
        count, stack = 1, [(0, 0, len(edges))]  # node, first and last interval below it
        while stack:
            node, low, high = stack.pop()
            if low == high:
                append("nodes", nodes, (target, node, 0, "LEAF", 0.0, 0, 0))
                append("target", leaves, (target, node, target, float(low)))
                continue
            middle = (low + high) // 2
            less, more, count = count, count + 1, count + 2
            append("nodes", nodes, (target, node, int(columns[target]), "BRANCH_LT", float(edges[middle]), less, more))
            stack += [(more, middle + 1, high), (less, low, middle)]
    return out
