"""A fitted plan as one ONNX graph: raw columns in, the float32 feature matrix out.

In: a `FittedPlan`. Out: a ModelProto whose inputs are the columns that the plan uses, each [n], under their raw names
(columns that it does not use are no inputs), and whose one output is [n, F], its columns named by ``feature_names``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from seaway.errors import PlanError
from seaway.features.families import BLOCKS, ONE_HOT
from seaway.features.fitted_plan import FittedPlan
from seaway.features.hashing import DOMAIN
from seaway.features.nodes import Nodes
from seaway.model.contract import Contract
from seaway.model.versions import IR_VERSION, ML_OPSET, OPSET

if TYPE_CHECKING:
    import onnx

OUTPUT = "features"
"""Name of the output; if a raw column has this name, as many ``_`` follow as it takes."""


def to_onnx(fitted: FittedPlan, contract: Contract) -> onnx.ModelProto:
    """The feature graph.

    Args:
        fitted: the plan and its statistics.
        contract: the raw columns; one that the plan uses must be there with the dtype it was fitted with.

    Raises:
        PlanError: the contract is not the one the plan was fitted with.
    """
    from onnx import TensorProto, helper

    fitted.plan.check(contract)
    inputs = {name: contract.column(name).dtype for name in fitted.plan.columns}
    if other := [f for f in fitted.features if f.dtype != inputs[f.column]]:
        raise PlanError(
            f"column {other[0].column!r} was fitted as {other[0].dtype}, the contract has {inputs[other[0].column]}: "
            "run `featurize` again"
        )
    nodes = Nodes(inputs)
    matrix = _assemble(nodes, fitted)
    output = OUTPUT
    while output in inputs:
        output += "_"
    nodes.nodes[-1].output[0] = output
    assert matrix
    kinds = {"string": TensorProto.STRING, "float64": TensorProto.DOUBLE}
    graph = helper.make_graph(
        nodes.nodes,
        "features",
        [helper.make_tensor_value_info(c, kinds.get(d, TensorProto.INT64), ["n"]) for c, d in inputs.items()],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["n", len(fitted.feature_names)])],
        nodes.initializers,
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
    if any(node.domain == DOMAIN for node in nodes.nodes):
        opsets.append(helper.make_opsetid(DOMAIN, 1))
    return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="seaway")


def _assemble(nodes: Nodes, fitted: FittedPlan) -> str:
    """The matrix [n, F]: numbers, then zeros with the ones of the one-hot columns scattered into them."""
    parts = [(b, found) for b in BLOCKS if (found := [f for f in fitted.features if b.takes(f)])]
    nodes.want_numbers([c for block, features in parts for c in block.numbers(features)])
    rows = [block.emit(nodes, features) for block, features in parts if block is not ONE_HOT]
    dense = sum(len(block.names(features)) for block, features in parts if block is not ONE_HOT)
    matrix = ""
    if rows:
        matrix = nodes.add("Concat", *rows, axis=0) if len(rows) > 1 else rows[0]
        matrix = nodes.add("Transpose", matrix, perm=[1, 0])
    hot = [f for f in fitted.features if ONE_HOT.takes(f)]
    if not hot:
        return matrix
    width = len(ONE_HOT.names(hot))
    codes = nodes.add("Transpose", ONE_HOT.emit(nodes, hot, start=dense), perm=[1, 0])
    if matrix:
        matrix = nodes.add("Pad", matrix, nodes.constant([0, 0, 0, width], np.int64))
    else:
        count = nodes.add("Shape", codes, start=0, end=1)
        shape = nodes.add("Concat", count, nodes.constant([width], np.int64), axis=0)
        matrix = nodes.add("ConstantOfShape", shape)
    ones = nodes.add("ConstantOfShape", nodes.add("Shape", codes), value=_one())
    return nodes.add("ScatterElements", matrix, codes, ones, axis=1)


def _one() -> onnx.TensorProto:
    from onnx import numpy_helper

    return numpy_helper.from_array(np.ones(1, np.float32))
