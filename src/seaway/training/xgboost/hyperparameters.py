"""The estimators of xgboost that a user may name and their hyperparameters, by xgboost's own names.

In: ``estimator`` and hyperparameters, as JSON, KFP or Katib hand them over (numbers may come as text). Out: all of
them, each in its own type and range, and what xgboost is told.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from seaway.errors import InputError
from seaway.model.contract import Task
from seaway.training.params import Kind, near, number, one_of, plain, whole

ESTIMATORS = ("gbtree",)
"""The first is the default."""


@dataclass(frozen=True, kw_only=True)
class Hyperparameters:
    """All that a training is decided by, but for the data and the seed.

    Defaults measured on 229,142 rows of flights: AUC .8075; trees of 10 levels are as good and take longer, sampling
    rows or columns gains nothing.
    """

    n_estimators: int = 500
    """Boosting rounds at most; early stopping ends most trainings before."""
    early_stopping_rounds: int = 10
    """Rounds without a better validation loss after which the training stops; 0 never stops."""
    learning_rate: float = 0.15
    max_depth: int = 12
    """0 sets no bound, which takes max_leaves."""
    max_leaves: int = 0
    """0 sets no bound."""
    grow_policy: str = "depthwise"
    """``lossguide`` splits where the loss gains most; between ranks it costs a message a node, not one a level."""
    min_child_weight: float = 10.0
    """Least sum of second derivatives in a leaf."""
    gamma: float = 0.0
    """Least gain of a split."""
    reg_lambda: float = 5.0
    reg_alpha: float = 0.0
    max_delta_step: float = 0.0
    subsample: float = 1.0
    colsample_bytree: float = 1.0
    colsample_bylevel: float = 1.0
    colsample_bynode: float = 1.0
    max_bin: int = 256
    """Intervals that each column is cut into."""
    class_weight: str = "none"
    """Classification: ``balanced`` weighs each class by the inverse of its rows."""
    loss: str = "log_loss"
    """``log_loss``; of the target, standardised: ``squared_error``; ``absolute_error`` or ``huber``, which a wild value
    moves less."""

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return dataclasses.asdict(self)


_SHARE = number(0, 1, above=True)
_TREES: dict[str, Kind] = {
    "n_estimators": whole(1, 100_000),
    "early_stopping_rounds": whole(0, 100_000),
    "learning_rate": number(0, 10, above=True),
    "max_depth": whole(0, 32),
    "max_leaves": whole(0, 65_536),
    "grow_policy": one_of("depthwise", "lossguide"),
    "min_child_weight": number(0, 1e9),
    "gamma": number(0, 1e9),
    "reg_lambda": number(0, 1e9),
    "reg_alpha": number(0, 1e9),
    "max_delta_step": number(0, 1e9),
    "subsample": _SHARE,
    "colsample_bytree": _SHARE,
    "colsample_bylevel": _SHARE,
    "colsample_bynode": _SHARE,
    "max_bin": whole(2, 65_536),
}
KINDS: dict[Task, dict[str, Kind]] = {
    "classification": _TREES | {"class_weight": one_of("none", "balanced")},
    "regression": _TREES | {"loss": one_of("squared_error", "absolute_error", "huber")},
}
"""What a user may set, by task."""

ALIASES = {
    "eta": "learning_rate",
    "lambda": "reg_lambda",
    "alpha": "reg_alpha",
    "min_split_loss": "gamma",
    "num_boost_round": "n_estimators",
}
"""Other names that xgboost itself has for some of them."""

_OBJECTIVES = {
    "squared_error": ("reg:squarederror", "rmse"),
    "absolute_error": ("reg:absoluteerror", "mae"),
    "huber": ("reg:pseudohubererror", "mphe"),
}
"""Of each loss of values: objective and metric. The answer of each is the plain sum of the trees."""
_OURS = ("n_estimators", "early_stopping_rounds", "class_weight", "loss")
"""What xgboost's own parameters do not hold."""


def choose(task: Task, params: Mapping[str, Any]) -> tuple[str, Hyperparameters]:
    """The estimator's name and all its hyperparameters.

    Raises:
        InputError: there is no such estimator, it has no such hyperparameter, or one is not what it may be.
    """
    given = dict(params)
    name = given.pop("estimator", None) or ESTIMATORS[0]
    if name not in ESTIMATORS:
        raise InputError(
            f"estimator must be one of {list(ESTIMATORS)} for {task}, found {name!r}{near(str(name), ESTIMATORS)}"
        )
    kinds = KINDS[task]
    chosen: dict[str, Any] = {"loss": "log_loss" if task == "classification" else "squared_error"}
    for key, value in given.items():
        if key in ("random_state", "seed"):
            raise InputError(f"params must not hold {key!r}: every training takes the spec's seed")
        own = ALIASES.get(key, key)
        if own not in kinds:
            raise InputError(f"{name} takes the params {sorted(kinds)}, found {key!r}{near(key, (*kinds, *ALIASES))}")
        if own != key and own in given:
            raise InputError(f"params must name {own!r} once, found it and {key!r}")
        try:
            chosen[own] = kinds[own].read(plain(value))
        except (ValueError, TypeError, OverflowError):
            raise InputError(f"{key} must be {kinds[own].must}, found {value!r}") from None
    found = Hyperparameters(**chosen)
    if found.max_depth == 0 and found.max_leaves == 0:
        raise InputError("max_depth=0 must come with max_leaves, found max_leaves=0: a tree must end somewhere")
    return name, found


def booster_params(chosen: Hyperparameters, *, classes: int, seed: int, threads: int) -> dict[str, Any]:
    """What xgboost is told.

    Args:
        chosen: the hyperparameters.
        classes: K; 0 for values.
        seed: of everything random.
        threads: of this rank.
    """
    own = {k: v for k, v in chosen.to_dict().items() if k not in _OURS}
    if classes > 2:
        objective: dict[str, Any] = {"objective": "multi:softprob", "num_class": classes, "eval_metric": "mlogloss"}
    elif classes:
        objective = {"objective": "binary:logistic", "eval_metric": "logloss"}
    else:
        objective = dict(zip(("objective", "eval_metric"), _OBJECTIVES[chosen.loss], strict=True))
    return {
        **own,
        **objective,
        "booster": "gbtree",
        "tree_method": "hist",
        "seed": seed % 2**31,  # xgboost's is an int32
        "seed_per_iteration": True,  # so that a training that goes on draws what it would have drawn
        "nthread": threads,
        "verbosity": 1,
    }
