"""Features and estimator become one graph that answers as the two in turn, whatever the columns are called."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from seaway.errors import PackageError
from seaway.model import answer, graph
from seaway.model.columns import feeds
from seaway.model.compose import compose
from seaway.model.contract import Column, Contract
from seaway.model.session import open_session
from tests.support.tiny_features import NAMES, WIDTH, tiny_contract, tiny_features
from tests.support.tiny_package import tiny_rows


def linear(
    k: int = 2, *, opset: int = 18, ir_version: int = 9, output: str = "", width: int = WIDTH
) -> onnx.ModelProto:
    """Softmax of a linear map to K probabilities, or with k = 1 its value [n, 1]."""
    weights = np.random.default_rng(0).normal(size=(width, k)).astype(np.float32) / 100
    name = output or ("value" if k == 1 else "probabilities")
    nodes = [helper.make_node("MatMul", ["input", "features"], ["value" if k == 1 else "scores"])]
    if k > 1:
        nodes.append(helper.make_node("Softmax", ["scores"], [name], axis=1))
    return helper.make_model(
        helper.make_graph(
            nodes,
            "linear",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", width])],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", k])],
            [numpy_helper.from_array(weights, "features")],  # named as the features' own output
        ),
        opset_imports=[helper.make_opsetid("", opset)],
        ir_version=ir_version,
    )


def run(model: onnx.ModelProto, inputs: dict[str, Any]) -> dict[str, Any]:
    session = open_session(model.SerializeToString())
    names = [o.name for o in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def check_answers(contract: Contract, estimator: onnx.ModelProto, rows: int = 50) -> dict[str, Any]:
    features = tiny_features(contract.names[:3])
    whole = compose(features, estimator, contract)
    graph.check(whole)
    onnx.checker.check_model(whole)
    inputs = feeds(tiny_rows(rows, contract), contract)
    (matrix,) = run(features, inputs).values()
    wanted = next(iter(run(estimator, {"input": matrix}).values()))
    found = run(whole, inputs)
    assert list(found) == [o.name for o in answer.outputs(contract)]
    main = answer.output_name(contract, "probabilities" if contract.target.classes else "value")
    np.testing.assert_allclose(found[main].reshape(wanted.shape), wanted, rtol=1e-6)
    return found


CLASSES: list[tuple[tuple[Any, ...], Any]] = [
    ((False, True), np.bool_),
    (("no", "yes"), np.object_),
    (("low", "mittel", "höchst ✈"), np.object_),
    ((3, 7), np.int64),
    ((10, 20, 30, 40), np.int64),
]


@pytest.mark.parametrize(("classes", "dtype"), CLASSES)
def test_labels_are_the_likeliest_class_in_the_targets_dtype(classes: tuple[Any, ...], dtype: Any) -> None:
    found = check_answers(tiny_contract(classes=classes), linear(len(classes)))
    assert found["label"].dtype == dtype
    assert found["label"].tolist() == [classes[i] for i in found["probabilities"].argmax(axis=1)]
    assert ("probability" in found) == (len(classes) == 2)
    if len(classes) == 2:
        np.testing.assert_array_equal(found["probability"], found["probabilities"][:, 1])


def test_a_value_is_float64_and_flat() -> None:
    found = check_answers(tiny_contract("regression"), linear(1))
    assert found["value"].dtype == np.float64
    assert found["value"].shape == (50,)


HOSTILE = [
    ("✈️ airline", "距离", "t°"),
    ("features", "input", "scores"),
    ("features/tiny/features", "estimator/scores", "answer/best"),
    ("label", "probabilities", "probability"),
    ("a b", 'quote"\\', "line\nbreak"),
]


@pytest.mark.parametrize("names", HOSTILE)
def test_columns_may_have_any_name(names: tuple[str, str, str]) -> None:
    check_answers(tiny_contract(names=names), linear(2))


def test_an_output_steps_aside_for_a_column_of_its_name() -> None:
    contract = tiny_contract("regression", names=("value", "value_", "label"))
    assert [o.name for o in answer.outputs(contract)] == ["value__"]
    check_answers(contract, linear(1))


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("rows", [0, 1])
def test_an_empty_and_a_single_row_batch_work(task: Any, rows: int) -> None:
    contract = tiny_contract(task)
    whole = compose(tiny_features(), linear(2 if task == "classification" else 1), contract)
    inputs = {name: column[:rows] for name, column in feeds(tiny_rows(3, contract), contract).items()}
    for output in run(whole, inputs).values():
        assert len(output) == rows


def test_a_column_that_no_feature_uses_is_an_input_all_the_same() -> None:
    known = tiny_contract()
    contract = Contract(columns=(*known.columns, Column(name="unused", dtype="timestamp")), target=known.target)
    whole = compose(tiny_features(), linear(2), contract)
    assert tuple(i.name for i in whole.graph.input) == (*NAMES, "unused")
    inputs = feeds(tiny_rows(5, known), known) | {"unused": np.zeros(5, np.int64)}
    assert len(run(whole, inputs)["label"]) == 5


def test_versions_meet_at_the_greater_one() -> None:
    whole = compose(tiny_features(), linear(2, opset=20, ir_version=10), tiny_contract())
    assert {o.domain: o.version for o in whole.opset_import} == {"": 20, "ai.onnx.ml": 3}
    assert whole.ir_version == 10
    check_answers(tiny_contract(), linear(2, opset=20, ir_version=10))


def test_an_operator_whose_meaning_changed_between_opsets_is_refused() -> None:
    with pytest.raises(PackageError, match=r"Softmax.*opsets 12 and 18"):
        compose(tiny_features(), linear(2, opset=12), tiny_contract())


def test_neither_model_is_changed() -> None:
    features, estimator = tiny_features(), linear(2)
    before = features.SerializeToString(), estimator.SerializeToString()
    compose(features, estimator, tiny_contract())
    assert (features.SerializeToString(), estimator.SerializeToString()) == before


def test_parts_that_do_not_fit_are_refused() -> None:
    contract = tiny_contract()
    with pytest.raises(PackageError, match=rf"takes 3 features .* makes {WIDTH}"):
        compose(tiny_features(), linear(2, width=3), contract)
    with pytest.raises(PackageError, match="output 'probabilities', found \\['odds'\\]"):
        compose(tiny_features(), linear(2, output="odds"), contract)
    with pytest.raises(PackageError, match="2 probabilities, one a class, found 3"):
        compose(tiny_features(), linear(3), contract)
    with pytest.raises(PackageError, match="columns of the contract, found 'other'"):
        compose(tiny_features(("other", "distance", "temp")), linear(2), contract)
    swapped = Contract(columns=(*contract.columns[:2], Column(name="temp", dtype="int64")), target=contract.target)
    with pytest.raises(PackageError, match="'temp' must be INT64 for a column of int64, found DOUBLE"):
        compose(tiny_features(), linear(2), swapped)


def test_a_branch_of_the_estimator_keeps_its_outer_names() -> None:
    estimator = linear(2)
    branches = {
        b: helper.make_graph(
            [helper.make_node("Softmax", ["scores"], [f"{b}_out"], axis=1)],
            b,
            [],
            [helper.make_tensor_value_info(f"{b}_out", TensorProto.FLOAT, None)],
        )
        for b in ("then_branch", "else_branch")
    }
    del estimator.graph.node[-1]
    estimator.graph.initializer.append(numpy_helper.from_array(np.array(True), "yes"))
    estimator.graph.node.append(helper.make_node("If", ["yes"], ["probabilities"], **branches))
    check_answers(tiny_contract(), estimator)
