"""dense_graph: dense layers as an ONNX graph, for users' scripts in frameworks whose ONNX exporter is not at hand.

In: weights as arrays. Out: a graph with the input ``features`` [n, F] and the output ``probabilities`` [n, K] or
``value`` [n, 1].
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from seaway.errors import InputError
from seaway.model import versions

if TYPE_CHECKING:
    import onnx


def dense_graph(layers: Sequence[tuple[Any, Any]], *, classifies: bool, missing: float = 0.0) -> onnx.ModelProto:
    """Layers with ReLU between them; a softmax behind the last where it classifies.

    Args:
        layers: weight [inputs, outputs] and bias [outputs] of each, as JAX and Keras have them.
        classifies: ends in ``probabilities`` [n, K], else in ``value`` [n, 1].
        missing: what a missing feature counts as.

    Raises:
        InputError: the layers do not follow one another.
    """
    from onnx import TensorProto, helper, numpy_helper

    arrays = [(np.asarray(w, np.float32), np.asarray(b, np.float32)) for w, b in layers]
    shapes = [(w.shape, b.shape) for w, b in arrays]
    fits = bool(arrays) and all(w.ndim == 2 and b.shape == w.shape[1:] for w, b in arrays)
    if not fits or any(a[0].shape[1] != b[0].shape[0] for a, b in itertools.pairwise(arrays)):
        raise InputError(f"layers must be weights [inputs, outputs] and biases [outputs] in a row, found {shapes}")
    constants = [numpy_helper.from_array(np.float32(missing), "missing")]
    nodes = [
        helper.make_node("IsNaN", ["features"], ["unknown"]),
        helper.make_node("Where", ["unknown", "missing", "features"], ["layer0"]),
    ]
    name = "probabilities" if classifies else "value"
    last = len(arrays) - 1
    for i, (weight, bias) in enumerate(arrays):
        constants += [numpy_helper.from_array(weight, f"weight{i}"), numpy_helper.from_array(bias, f"bias{i}")]
        scores = name if i == last and not classifies else f"scores{i}"
        nodes.append(helper.make_node("Gemm", [f"layer{i}", f"weight{i}", f"bias{i}"], [scores]))
        if i < last:
            nodes.append(helper.make_node("Relu", [scores], [f"layer{i + 1}"]))
        elif classifies:
            nodes.append(helper.make_node("Softmax", [scores], [name], axis=1))
    graph = helper.make_graph(
        nodes,
        "dense",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", arrays[0][0].shape[0]])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", arrays[-1][0].shape[1]])],
        constants,
    )
    opset = [helper.make_opsetid("", versions.OPSET)]
    return helper.make_model(graph, opset_imports=opset, ir_version=versions.IR_VERSION)
