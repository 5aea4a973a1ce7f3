"""A booster's trees as one ONNX node, from xgboost's own JSON.

In: the model as `Booster.save_raw("json")` gives it. Out: a graph with the input ``features`` [n, F] and the output
``probabilities`` [n, K] or ``value`` [n, 1]. xgboost asks ``x < threshold`` in float32, and so does the node with
BRANCH_LT and the very same numbers; a missing value goes where the split's default says. No converter is asked: those
that are kept know neither xgboost 3's vector of intercepts nor trees of a single leaf.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from seaway.errors import PackageError
from seaway.model import versions

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

PLAIN = frozenset({"reg:squarederror", "reg:absoluteerror", "reg:pseudohubererror"})
"""Objectives whose answer is the sum of the trees."""
_NO_CHILD = -1


def convert(raw: bytes, width: int) -> onnx.ModelProto:
    """The graph of a model on ``width`` float32 features.

    Args:
        raw: the model in xgboost's JSON.
        width: F.

    Raises:
        PackageError: it holds what this does not write: another booster or objective, or splits by category.
    """
    from onnx import TensorProto, helper, numpy_helper

    learner = json.loads(raw)["learner"]
    booster = learner["gradient_booster"]
    if booster["name"] != "gbtree":
        raise PackageError(f"xgboost's booster must be gbtree to become ONNX, found {booster['name']!r}")
    objective = learner["objective"]["name"]
    answers = max(1, int(learner["learner_model_param"]["num_class"]))
    constants, nodes = [], []

    def constant(name: str, value: Any) -> str:
        constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    model = booster["model"]
    attributes = _ensemble(model["trees"], model["tree_info"])
    attributes |= {"n_targets": answers, "base_values": _intercepts(learner, objective, answers)}
    scores = node(
        "TreeEnsembleRegressor",
        ["features"],
        "value" if objective in PLAIN else "scores",
        domain="ai.onnx.ml",
        aggregate_function="SUM",
        post_transform="NONE",
        **attributes,
    )
    if objective == "binary:logistic":
        positive = node("Sigmoid", [scores], "positive")
        negative = node("Sub", [constant("one", np.float32(1)), positive], "negative")
        node("Concat", [negative, positive], "probabilities", axis=1)
        output = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 2])
    elif objective == "multi:softprob":
        node("Softmax", [scores], "probabilities", axis=1)
        output = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, answers])
    elif objective in PLAIN:
        output = helper.make_tensor_value_info("value", TensorProto.FLOAT, [None, 1])
    else:
        raise PackageError(f"xgboost's objective {objective!r} cannot become ONNX: use log_loss, or one of {PLAIN}")
    graph = helper.make_graph(
        nodes,
        "xgboost",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, width])],
        [output],
        constants,
    )
    opsets = [helper.make_opsetid("", versions.OPSET), helper.make_opsetid("ai.onnx.ml", versions.ML_OPSET)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=versions.IR_VERSION)


def _intercepts(learner: Mapping[str, Any], objective: str, answers: int) -> list[float]:
    """What the trees add to: xgboost keeps a probability for two classes, and scores for all else."""
    text = learner["learner_model_param"]["base_score"]
    found = np.array(json.loads(text), np.float64).reshape(-1)  # a number before xgboost 3.1, then a list
    if objective == "binary:logistic":
        found = np.log(found) - np.log1p(-found)
    # as float32, in which xgboost adds
    values: list[float] = np.broadcast_to(found.astype(np.float32), (answers,)).astype(float).tolist()
    return values


def _ensemble(trees: list[Mapping[str, Any]], targets: list[int]) -> dict[str, Any]:
    """Attributes of the node: all trees' nodes one after another, then all leaves."""
    parts: list[dict[str, NDArray[Any]]] = []
    leaves: list[dict[str, NDArray[Any]]] = []
    for number, (tree, target) in enumerate(zip(trees, targets, strict=True)):
        if np.any(tree["split_type"]) or int(tree["tree_param"]["size_leaf_vector"]) > 1:
            raise PackageError("xgboost's trees must split by thresholds and have one value a leaf to become ONNX")
        left, right = np.array(tree["left_children"], np.int64), np.array(tree["right_children"], np.int64)
        values = np.array(tree["split_conditions"], np.float32)
        ids = np.arange(len(left))
        is_leaf = left == _NO_CHILD
        parts.append(
            {
                "treeids": np.full(len(ids), number),
                "nodeids": ids,
                "featureids": np.where(is_leaf, 0, np.array(tree["split_indices"], np.int64)),
                "values": np.where(is_leaf, np.float32(0), values),
                "modes": np.where(is_leaf, "LEAF", "BRANCH_LT"),
                "truenodeids": np.where(is_leaf, 0, left),
                "falsenodeids": np.where(is_leaf, 0, right),
                "missing_value_tracks_true": np.where(is_leaf, 0, np.array(tree["default_left"], np.int64)),
            }
        )
        leaves.append(
            {
                "treeids": np.full(int(is_leaf.sum()), number),
                "nodeids": ids[is_leaf],
                "ids": np.full(int(is_leaf.sum()), target),
                "weights": values[is_leaf],
            }
        )
    return {
        f"{kind}_{name}": np.concatenate([part[name] for part in group]).tolist()
        for kind, group in (("nodes", parts), ("target", leaves))
        for name in group[0]
    }
