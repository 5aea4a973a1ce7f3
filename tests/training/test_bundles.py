"""Bundles lose nothing that a tree could ask, and the graph codes as NumPy does."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from seaway.model.session import open_session
from seaway.training.bundles import Bundles, find_bundles


def table(seed: int, rows: int = 200) -> np.ndarray:
    """A number, a category of 5 values and "none", a number with missing values, a category of 3."""
    draw = np.random.default_rng(seed)
    first = np.eye(6)[draw.integers(0, 6, rows)][:, :5]
    second = np.eye(3)[draw.integers(0, 3, rows)]
    middle = draw.normal(size=rows)
    middle[::9] = np.nan
    return np.column_stack([draw.normal(size=rows), first, middle, second]).astype(np.float32)


def found(seed: int, classes: int) -> tuple[np.ndarray, np.ndarray, Bundles]:
    features = table(seed)
    target = np.random.default_rng(seed + 1).integers(0, max(classes, 2), len(features))
    bundles = find_bundles(features, target if classes else target.astype(np.float64), classes=classes)
    assert bundles is not None
    return features, target, bundles


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.sampled_from([0, 2, 3]))
def test_each_category_keeps_a_code_of_its_own(seed: int, classes: int) -> None:
    features, _, bundles = found(seed, classes)
    assert bundles.kept == (0, 6)
    assert bundles.columns == ((1, 2, 3, 4, 5), (7, 8, 9))
    coded = bundles.apply(features)
    assert coded.shape == (len(features), bundles.width)
    np.testing.assert_array_equal(coded[:, :2], features[:, [0, 6]])
    for i, columns in enumerate(bundles.columns):
        rows = [tuple(r) for r in features[:, columns]]
        assert len(set(zip(rows, coded[:, 2 + i], strict=True))) == len(set(rows)) == len(set(coded[:, 2 + i]))


def test_codes_follow_the_mean_target() -> None:
    features, _, _ = found(0, 0)
    worth = np.array([3.0, -2.0, 5.0, 0.5, 1.0])
    target = features[:, 1:6].astype(np.float64) @ worth  # none of them: 0
    bundles = find_bundles(features, target)
    assert bundles is not None
    codes = np.append(bundles.codes[0], 0.0)
    order = np.argsort(codes).tolist()
    assert order in ([1, 5, 3, 4, 0, 2], [2, 0, 4, 3, 5, 1])


def test_columns_that_come_together_or_hold_other_numbers_stay() -> None:
    draw = np.random.default_rng(0)
    together = (draw.random((100, 4)) < 0.5).astype(np.float32)
    assert find_bundles(together, np.zeros(100)) is None
    assert find_bundles(draw.normal(size=(100, 4)).astype(np.float32), np.zeros(100)) is None


def test_the_graph_codes_as_numpy_does() -> None:
    features, _, bundles = found(3, 2)
    inner = helper.make_model(
        helper.make_graph(
            [helper.make_node("Identity", ["features"], ["y"])],
            "inner",
            [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, bundles.width])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, bundles.width])],
        ),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=9,
    )
    session = open_session(bundles.prepend(inner, features.shape[1]).SerializeToString())
    for rows in (features, features[:1], features[:0]):
        np.testing.assert_array_equal(session.run(None, {session.get_inputs()[0].name: rows})[0], bundles.apply(rows))
