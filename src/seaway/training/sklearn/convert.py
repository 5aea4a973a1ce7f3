"""scikit-learn to ONNX, through skl2onnx, with what it is known to get wrong refused or mended.

In: a fitted estimator or pipeline on float32 features. Out: a graph with one input ``features`` [n, F] and the output
``probabilities`` [n, K] or ``value`` [n, 1]. What slips through is caught by the packaging gate.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from seaway.errors import PackageError
from seaway.model import versions

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

Wrong = tuple[Callable[[Any], bool], str]

_CATEGORICAL: Wrong = (
    lambda e: getattr(e, "is_categorical_", None) is not None and bool(np.any(e.is_categorical_)),
    "categorical_features are read as numbers; one-hot or ordinal encode them in the feature plan",
)
_LINK: Wrong = (
    lambda e: getattr(e, "loss", None) in ("poisson", "gamma"),
    "the exponential of this loss is left out; use loss=squared_error, on the logarithm of the target if need be",
)

KNOWN_WRONG: dict[str, tuple[Wrong, ...]] = {
    # measured: up to 0.42 in probability, every row; the splits' category sets are not written
    "HistGradientBoostingClassifier": (_CATEGORICAL,),
    "HistGradientBoostingRegressor": (_CATEGORICAL, _LINK),
    # measured: 0.15 in probability though the labels are right
    "LinearDiscriminantAnalysis": ((lambda e: True, "its probabilities differ; use logistic regression"),),
    # measured: 0.5 on held-out rows; a distance of zero is handled otherwise
    "KNeighborsRegressor": ((lambda e: e.weights == "distance", "weights by distance differ; use weights=uniform"),),
    "KNeighborsClassifier": ((lambda e: e.weights == "distance", "weights by distance differ; use weights=uniform"),),
    # the greatest value is taken in place of the greatest absolute value
    "Normalizer": ((lambda e: e.norm == "max", "norm=max differs on negative values; use norm=l2"),),
}
"""Converters that write a graph which runs and answers wrongly, by class: when, and what to do instead."""


def convert(estimator: Any, width: int) -> onnx.ModelProto:
    """The graph of a fitted estimator on ``width`` float32 features.

    Raises:
        PackageError: part of it has no converter, or one that is known to be wrong.
    """
    import skl2onnx
    from skl2onnx.common.data_types import FloatTensorType

    for part in _parts(estimator):
        _refuse(part)
        if hasattr(part, "_predictors"):
            floor_thresholds(part)
    classifier = hasattr(estimator, "predict_proba")
    try:
        with warnings.catch_warnings():
            # skl2onnx hands bools to an attribute of ints, which protobuf dislikes
            warnings.filterwarnings("ignore", "Field onnx.AttributeProto.ints", DeprecationWarning)
            model = skl2onnx.convert_sklearn(
                estimator,
                initial_types=[("features", FloatTensorType([None, width]))],
                target_opset={"": versions.OPSET, "ai.onnx.ml": versions.ML_OPSET},
                options={"zipmap": False} if classifier else None,
            )
    except (RuntimeError, ValueError, TypeError, AttributeError) as e:  # its own errors are all four of these
        raise PackageError(f"{type(estimator).__name__} must become ONNX and cannot: {str(e)[:500]}") from e
    model.ir_version = versions.IR_VERSION
    _name_output(model.graph, "probabilities" if classifier else "value", position=1 if classifier else 0)
    return model


def standardised(model: onnx.ModelProto, mean: float, std: float) -> onnx.ModelProto:
    """The graph whose answer is ``value * std + mean`` in float64, where ``value`` was trained to be around 0."""
    from onnx import TensorProto, helper, numpy_helper

    graph = model.graph
    _name_output(graph, "raw_value", position=0)
    graph.initializer.extend(
        [
            numpy_helper.from_array(np.float64(std), "target_std"),
            numpy_helper.from_array(np.float64(mean), "target_mean"),
        ]
    )
    graph.node.extend(
        [
            helper.make_node("Cast", ["raw_value"], ["wide_value"], to=TensorProto.DOUBLE),
            helper.make_node("Mul", ["wide_value", "target_std"], ["spread_value"]),
            helper.make_node("Add", ["spread_value", "target_mean"], ["value"]),
        ]
    )
    graph.output[0].name = "value"
    graph.output[0].type.tensor_type.elem_type = TensorProto.DOUBLE
    return model


def floor_thresholds(estimator: Any) -> None:
    """Round the thresholds of boosted trees down to float32, in place.

    A tree asks ``x <= threshold`` in float64 and the graph in float32. A threshold between two neighbouring float32
    numbers may round up to the greater one, which then goes the other way. Rounded down, no float32 ``x`` changes its
    side, so the estimator's own answers stay as they are.
    """
    for predictors in estimator._predictors:
        for predictor in predictors:
            nodes = predictor.nodes
            nodes["num_threshold"] = floored(nodes["num_threshold"])


def floored(thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    """The greatest float32 not above each threshold; infinities stay."""
    with np.errstate(over="ignore"):
        near = thresholds.astype(np.float32)
        down = np.nextafter(near, np.float32(-np.inf))
    return np.where(near.astype(np.float64) > thresholds, down, near).astype(np.float64)


def _refuse(part: Any) -> None:
    name = type(part).__name__
    for applies, advice in KNOWN_WRONG.get(name, ()):
        if applies(part):
            raise PackageError(f"{name} cannot become ONNX as it is, the graph would answer wrongly: {advice}")


def _parts(estimator: Any) -> Iterator[Any]:
    """The estimator and every estimator inside it."""
    yield estimator
    for value in estimator.get_params(deep=True).values():
        if hasattr(value, "get_params") and not isinstance(value, type):
            yield value


def _name_output(graph: onnx.GraphProto, name: str, *, position: int) -> None:
    """Give an output its name; a name in its way is the output's own."""
    old = graph.output[position].name
    if old == name:
        return
    for node in graph.node:
        node.output[:] = [name if n == old else n for n in node.output]
        node.input[:] = [name if n == old else n for n in node.input]
    graph.output[position].name = name
