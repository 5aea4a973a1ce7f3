"""What converters get wrong is mended or refused by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.kernel_approximation import RBFSampler
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, Normalizer

from seaway.errors import PackageError
from seaway.model.session import open_session
from seaway.training.sklearn import convert as convert_sklearn

draw = np.random.default_rng(0)
X = draw.normal(size=(300, 3)).astype(np.float32)
X[:, 2] = draw.integers(0, 4, 300)
Y = (X[:, 0] + (X[:, 2] == 2) > 0.3).astype(np.int64)


def answers(model: Any, x: Any = X) -> Any:
    return open_session(model.SerializeToString()).run(None, {"features": x})


WRONG: list[tuple[Any, str]] = [
    (HistGradientBoostingClassifier(max_iter=2, categorical_features=[2]), "categorical_features"),
    (HistGradientBoostingRegressor(max_iter=2, categorical_features=[2]), "categorical_features"),
    (HistGradientBoostingRegressor(max_iter=2, loss="poisson"), "exponential"),
    (LinearDiscriminantAnalysis(), "logistic regression"),
    (KNeighborsRegressor(weights="distance"), "weights=uniform"),
    (KNeighborsClassifier(weights="distance"), "weights=uniform"),
    (make_pipeline(Normalizer(norm="max"), LogisticRegression()), "norm=l2"),
]


@pytest.mark.parametrize(("estimator", "advice"), WRONG, ids=lambda p: type(p).__name__)
def test_a_known_wrong_converter_is_refused_with_advice(estimator: Any, advice: str) -> None:
    estimator.fit(X, Y)
    with pytest.raises(PackageError, match=advice):
        convert_sklearn.convert(estimator, 3)


def test_what_has_no_converter_is_refused_by_name() -> None:
    without = make_pipeline(FunctionTransformer(np.log1p), LogisticRegression())
    with pytest.raises(PackageError, match="Pipeline"):
        convert_sklearn.convert(without.fit(np.abs(X), Y), 3)
    sampled = make_pipeline(RBFSampler(n_components=5), LogisticRegression())
    with pytest.raises(PackageError, match="RBFSampler"):
        convert_sklearn.convert(sampled.fit(X, Y), 3)


def neighbours(n: int) -> Any:
    """n float32 numbers next to each other: midpoints between them are no float32."""
    found = [np.float32(0.7071)]
    for _ in range(n - 1):
        found.append(np.nextafter(found[-1], np.float32(2)))
    return np.array(found, np.float32)


def test_thresholds_between_neighbouring_numbers_are_mended() -> None:
    values = neighbours(40)
    x = np.repeat(values, 30)[:, None]
    y = np.tile(np.arange(40) % 2, (30, 1)).T.ravel()  # changes at every step from one number to the next
    trees = HistGradientBoostingClassifier(max_iter=20, min_samples_leaf=5, early_stopping=False).fit(x, y)
    before = trees.predict_proba(x)
    rounded = [
        float(t)
        for step in trees._predictors
        for tree in step
        for t in tree.nodes["num_threshold"][tree.nodes["is_leaf"] == 0]
        if float(np.float32(t)) > t
    ]
    assert rounded, "the case must hold thresholds that round up"
    model = convert_sklearn.convert(trees, 1)
    np.testing.assert_array_equal(trees.predict_proba(x), before)
    assert np.abs(answers(model, x)[1] - before).max() < 1e-6


@given(st.floats(allow_nan=False), st.floats(width=32, allow_nan=False))
def test_a_floored_threshold_sends_every_float32_the_same_way(threshold: float, x: float) -> None:
    floored = float(convert_sklearn.floored(np.array([threshold]))[0])
    assert floored == float(np.float32(floored))
    assert (x <= threshold) == (x <= floored)


def test_missing_values_go_the_same_way() -> None:
    x = X.copy()
    x[::7, 0] = np.nan
    trees = HistGradientBoostingClassifier(max_iter=10).fit(x, Y)
    model = convert_sklearn.convert(trees, 3)
    assert np.abs(answers(model, x)[1] - trees.predict_proba(x)).max() < 1e-6


def test_a_standardised_value_comes_back_in_the_targets_unit() -> None:
    trees = HistGradientBoostingRegressor(max_iter=5).fit(X, Y)
    model = convert_sklearn.standardised(convert_sklearn.convert(trees, 3), mean=1e9, std=0.5)
    wanted = trees.predict(X) * 0.5 + 1e9
    found = answers(model)[0]
    assert found.dtype == np.float64
    assert np.abs(found.ravel() - wanted).max() < 1e-6
