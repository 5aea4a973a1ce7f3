"""Hyperparameters are taken as people and Katib write them, or refused with the names that exist."""

from __future__ import annotations

from typing import Any

import pytest

from seaway.errors import InputError
from seaway.model.contract import Task
from seaway.training.sklearn.estimators import ESTIMATORS, build, choose

EVERY: list[tuple[Task, str]] = [(task, name) for task, table in ESTIMATORS.items() for name in table]


@pytest.mark.parametrize(("task", "name"), EVERY)
def test_defaults_and_names_are_scikit_learns(task: Task, name: str) -> None:
    chosen, row, params = choose(task, {"estimator": name})
    assert chosen == name
    estimator = build(row, params, seed=3)
    assert set(row.params) <= set(estimator.get_params())
    assert estimator.get_params()["random_state"] == 3


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_boosted_trees_are_the_default(task: Task) -> None:
    assert choose(task, {})[0] == "hist_gradient_boosting"


def made(task: Task, params: dict[str, Any]) -> Any:
    _, row, chosen = choose(task, params)
    return build(row, chosen, seed=0)


REFUSED: list[tuple[Task, dict[str, Any], str]] = [
    ("classification", {"estimator": "random_forrest"}, "did you mean 'random_forest'"),
    ("regression", {"estimator": "logistic"}, r"one of \['hist_gradient_boosting', 'ridge', 'random_forest'\]"),
    ("classification", {"learning_rates": 0.1}, "found 'learning_rates': did you mean 'learning_rate'"),
    ("classification", {"categorical_features": [0]}, "found 'categorical_features'"),
    ("classification", {"random_state": 3}, "takes the spec's seed"),
    ("classification", {"max_iter": -1}, "max_iter"),
    ("classification", {"max_iter": "many"}, "max_iter"),
    ("classification", {"max_iter": 2.5}, "max_iter"),
    ("regression", {"loss": "poisson"}, "loss must be one of"),
    ("regression", {"estimator": "ridge", "alpha": "-1"}, "alpha"),
]


@pytest.mark.parametrize(("task", "params", "reason"), REFUSED)
def test_what_does_not_hold_is_refused_by_name(task: Task, params: dict[str, Any], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        made(task, params)


@pytest.mark.parametrize(
    ("given", "taken"),
    [(200.0, 200), ("200", 200), ("200.0", 200), (200, 200)],
)
def test_a_whole_number_may_come_as_a_float_or_as_text(given: Any, taken: int) -> None:
    _, row, params = choose("classification", {"max_iter": given})
    assert build(row, params, seed=0).max_iter == taken
    assert params["max_iter"] == taken
    assert isinstance(params["max_iter"], int)


@pytest.mark.parametrize(("given", "taken"), [("null", None), ("None", None), ("8", 8), (None, None)])
def test_none_may_come_as_text(given: Any, taken: Any) -> None:
    _, row, params = choose("classification", {"max_depth": given})
    assert build(row, params, seed=0).max_depth == taken


def test_a_fraction_of_features_stays_a_fraction() -> None:
    _, row, params = choose("classification", {"estimator": "random_forest", "max_features": 1.0})
    assert isinstance(build(row, params, seed=0).max_features, float)
