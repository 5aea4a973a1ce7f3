"""The node that is written from a booster's JSON answers as the booster does, at the thresholds too."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import xgboost as xgb
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from seaway.errors import PackageError
from seaway.model import graph
from seaway.model.session import open_session
from seaway.training.xgboost.export import convert

WIDTH = 4
OBJECTIVES: dict[str, dict[str, Any]] = {
    "binary:logistic": {},
    "multi:softprob": {"num_class": 5},
    "reg:squarederror": {},
    "reg:absoluteerror": {},
    "reg:pseudohubererror": {},
}


def data(seed: int, rows: int = 300) -> NDArray[np.float32]:
    """Features with few values, so that thresholds are met, with neighbours in float32 and with gaps."""
    draw = np.random.default_rng(seed)
    values = draw.normal(size=(rows, WIDTH)).astype(np.float32)
    values[:, 0] = draw.integers(-2, 3, rows)
    values[:, 1] = np.nextafter(np.float32(0.1), np.float32(draw.integers(-1, 2, rows))) + np.float32(0)
    values[draw.random((rows, WIDTH)) < 0.15] = np.nan
    return values


def booster(
    objective: str, *, seed: int = 0, rounds: int = 6, **params: Any
) -> tuple[xgb.Booster, NDArray[np.float32]]:
    features = data(seed)
    score = np.nan_to_num(features[:, 0]) + np.isnan(features[:, 1]) * 2 + np.nan_to_num(features[:, 2])
    classes = OBJECTIVES[objective].get("num_class", 2)
    target = score if objective.startswith("reg") else np.digitize(score, np.linspace(-1, 2, classes + 1)[1:-1])
    told = {"objective": objective, "nthread": 1, "max_depth": 5, "seed": seed, **OBJECTIVES[objective], **params}
    return xgb.train(told, xgb.QuantileDMatrix(features, target), rounds), features


def answers(model: xgb.Booster, features: NDArray[np.float32]) -> NDArray[Any]:
    converted = convert(bytes(model.save_raw("json")), features.shape[1])
    graph.check(converted)
    found: NDArray[Any] = open_session(converted.SerializeToString()).run(None, {"features": features})[0]
    return found


def expected(model: xgb.Booster, features: NDArray[np.float32]) -> NDArray[Any]:
    found = model.inplace_predict(features)
    if json.loads(model.save_config())["learner"]["objective"]["name"] == "binary:logistic":
        return np.column_stack([1 - found, found])
    return found.reshape(len(features), -1)


def thresholds(model: xgb.Booster) -> NDArray[np.float32]:
    """Rows in which every feature is a threshold, or its neighbour."""
    trees = json.loads(bytes(model.save_raw("json")))["learner"]["gradient_booster"]["model"]["trees"]
    met = np.unique(np.concatenate([np.array(t["split_conditions"], np.float32) for t in trees]))
    met = np.unique(
        np.concatenate([met, np.nextafter(met, np.float32(-np.inf)), np.nextafter(met, np.float32(np.inf))])
    )
    return np.repeat(met[:, None], WIDTH, axis=1)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_objective_answers_alike(objective: str) -> None:
    model, features = booster(objective)
    for rows in (features, data(9, 2000), thresholds(model), np.full((1, WIDTH), np.nan, np.float32)):
        np.testing.assert_allclose(answers(model, rows), expected(model, rows), rtol=2e-6, atol=2e-7)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(sorted(OBJECTIVES)), st.integers(0, 3), st.booleans())
def test_any_booster_answers_alike(seed: int, objective: str, depth: int, lossguide: bool) -> None:
    shape: dict[str, Any] = {"grow_policy": "lossguide", "max_leaves": 7, "max_depth": 0} if lossguide else {}
    model, features = booster(objective, seed=seed, rounds=3, **{"max_depth": depth + 1, **shape})
    np.testing.assert_allclose(answers(model, features), expected(model, features), rtol=2e-6, atol=2e-7)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_trees_of_a_single_leaf_answer_alike(objective: str) -> None:
    model, features = booster(objective, gamma=1e6)
    assert len(model.get_dump()[0].splitlines()) == 1
    np.testing.assert_allclose(answers(model, features), expected(model, features), rtol=2e-6, atol=2e-7)


def test_many_rows_and_one_row_get_the_same() -> None:
    model, features = booster("binary:logistic", rounds=60)
    whole = answers(model, features)
    each = [answers(model, features[i : i + 1])[0] for i in (0, 7, 299)]
    np.testing.assert_array_equal(whole[[0, 7, 299]], each)


def test_what_is_not_written_is_refused() -> None:
    features = data(1)
    target = np.nan_to_num(features[:, 0])
    plain = {"nthread": 1, "max_depth": 2}
    poisson = xgb.train({"objective": "count:poisson", **plain}, xgb.DMatrix(features, np.abs(target)), 2)
    with pytest.raises(PackageError, match="'count:poisson' cannot become ONNX"):
        answers(poisson, features)
    dart = xgb.train({"booster": "dart", **plain}, xgb.DMatrix(features, target), 2)
    with pytest.raises(PackageError, match="must be gbtree to become ONNX, found 'dart'"):
        answers(dart, features)
    codes = np.nan_to_num(np.abs(features[:, :1]))
    known = xgb.DMatrix(codes, target, feature_types=["c"])
    with pytest.raises(PackageError, match="must split by thresholds"):
        answers(xgb.train({"max_cat_to_onehot": 1, **plain}, known, 2), codes)
