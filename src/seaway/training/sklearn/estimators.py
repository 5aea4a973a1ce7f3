"""The scikit-learn estimators that a user may name, with defaults that do well on some 200,000 rows and 100 features.

In: ``estimator`` and hyperparameters, as JSON, KFP or Katib hand them over (numbers may come as text). Out: an
estimator that scikit-learn itself has validated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from seaway.errors import InputError
from seaway.model.contract import Task
from seaway.training.params import near, plain


@dataclass(frozen=True, kw_only=True)
class Estimator:
    """One row of the table."""

    make: str
    """``module:class`` of scikit-learn."""
    defaults: Mapping[str, Any]
    params: tuple[str, ...]
    """Names a user may set; what is not here cannot become ONNX, or is the worker's to choose."""
    bundled: bool = False
    """Whether one-hot columns are bundled first, see `bundles`."""
    scaled: bool = False
    """Whether features are standardised first."""
    wide: bool = False
    """Whether it is fitted in float64: one-hot columns sum to one, which float32 cannot tell from singular."""
    missing: bool = False
    """Whether it takes missing values."""
    parallel: bool = False
    """Whether it takes n_jobs."""


_BOOSTED = (
    "learning_rate",
    "max_iter",
    "max_leaf_nodes",
    "max_depth",
    "min_samples_leaf",
    "l2_regularization",
    "max_features",
    "max_bins",
    "early_stopping",
    "n_iter_no_change",
    "tol",
)
_BOOSTED_DEFAULTS = {"learning_rate": 0.15, "max_iter": 100, "max_leaf_nodes": 127, "early_stopping": True}
_FOREST = (
    "n_estimators",
    "criterion",
    "max_depth",
    "min_samples_split",
    "min_samples_leaf",
    "max_features",
    "max_leaf_nodes",
    "min_impurity_decrease",
    "max_samples",
    "ccp_alpha",
)
_FOREST_DEFAULTS = {"n_estimators": 50, "max_depth": 14, "min_samples_leaf": 20, "max_samples": 0.5}

ESTIMATORS: dict[Task, dict[str, Estimator]] = {
    "classification": {
        "hist_gradient_boosting": Estimator(
            make="sklearn.ensemble:HistGradientBoostingClassifier",
            defaults=_BOOSTED_DEFAULTS,
            params=(*_BOOSTED, "class_weight"),
            bundled=True,
            missing=True,
        ),
        "logistic": Estimator(
            make="sklearn.linear_model:LogisticRegression",
            defaults={"max_iter": 300},
            params=("C", "max_iter", "tol", "class_weight", "fit_intercept"),
            scaled=True,
        ),
        "random_forest": Estimator(
            make="sklearn.ensemble:RandomForestClassifier",
            defaults=_FOREST_DEFAULTS,
            params=(*_FOREST, "class_weight"),
            bundled=True,
            parallel=True,
        ),
    },
    "regression": {
        "hist_gradient_boosting": Estimator(
            make="sklearn.ensemble:HistGradientBoostingRegressor",
            defaults=_BOOSTED_DEFAULTS,
            params=(*_BOOSTED, "loss", "quantile"),
            bundled=True,
            missing=True,
        ),
        "ridge": Estimator(
            make="sklearn.linear_model:Ridge",
            defaults={"alpha": 1.0},
            params=("alpha", "max_iter", "tol", "fit_intercept"),
            scaled=True,
            wide=True,
        ),
        "random_forest": Estimator(
            make="sklearn.ensemble:RandomForestRegressor",
            defaults=_FOREST_DEFAULTS | {"max_features": "sqrt"},
            params=_FOREST,
            bundled=True,
            parallel=True,
        ),
    },
}
"""By task and name; the first of a task is the default."""

_LOSSES = ("squared_error", "absolute_error", "quantile")
"""Losses of boosted trees whose answer is the plain sum of the trees: the converter knows no other link."""


def choose(task: Task, params: Mapping[str, Any]) -> tuple[str, Estimator, dict[str, Any]]:
    """The estimator's name, its row and all hyperparameters that are not left to scikit-learn.

    Raises:
        InputError: there is no such estimator for the task, or it has no such hyperparameter.
    """
    table = ESTIMATORS[task]
    given = dict(params)
    name = given.pop("estimator", None) or next(iter(table))
    if name not in table:
        raise InputError(f"estimator must be one of {list(table)} for {task}, found {name!r}{near(str(name), table)}")
    row = table[name]
    for key in given:
        if key in ("random_state", "seed"):
            raise InputError(f"params must not hold {key!r}: every training takes the spec's seed")
        if key not in row.params:
            raise InputError(f"{name} takes the params {sorted(row.params)}, found {key!r}{near(key, row.params)}")
    chosen = {**row.defaults, **{k: plain(v) for k, v in given.items()}}
    if chosen.get("loss", _LOSSES[0]) not in _LOSSES:
        raise InputError(f"loss must be one of {list(_LOSSES)}, found {chosen['loss']!r}: no other becomes ONNX")
    return name, row, chosen


def build(row: Estimator, params: dict[str, Any], *, seed: int) -> Any:
    """An estimator that scikit-learn has validated; ``params`` takes the types scikit-learn wants.

    Raises:
        InputError: a hyperparameter's type or range.
    """
    import importlib

    from sklearn.utils._param_validation import InvalidParameterError, make_constraint

    module, _, cls = row.make.partition(":")
    kind = getattr(importlib.import_module(module), cls)
    for key, value in params.items():
        # JSON and KFP turn 200 into 200.0
        constraints = [make_constraint(c) for c in kind._parameter_constraints[key]]
        if isinstance(value, float) and value.is_integer() and not any(c.is_satisfied_by(value) for c in constraints):
            params[key] = int(value)
    fixed: dict[str, Any] = {"random_state": seed}
    if row.parallel:
        fixed["n_jobs"] = -1
    estimator = kind(**params, **fixed)
    try:
        estimator._validate_params()
    except InvalidParameterError as e:
        raise InputError(str(e)) from None
    return estimator
