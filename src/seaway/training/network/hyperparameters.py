"""The networks that a user may name and their hyperparameters: what each may be, and what it is by default.

In: ``estimator`` and hyperparameters, as JSON, KFP or Katib hand them over (numbers may come as text). Out: all of
them, each in its own type and range.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from seaway.errors import InputError
from seaway.model.contract import Task
from seaway.training.params import Kind, near, number, one_of, plain, whole


@dataclass(frozen=True, kw_only=True)
class Hyperparameters:
    """All that a training is decided by, but for the data and the seed."""

    hidden: tuple[int, ...]
    """Width of each hidden layer; a layer as wide as the one before adds to it (residual)."""
    embedding_dim: int
    """Numbers that stand for a category, or for the interval that a number lies in."""
    bins: int
    """Intervals of a number with many values, cut at quantiles; with few values each has its own. 0: none."""
    dropout: float
    learning_rate: float
    """The greatest of the one-cycle schedule."""
    weight_decay: float
    """Of AdamW."""
    batch_size: int
    """Rows of one step, those of all ranks together: the same training whatever the world size."""
    epochs: int
    patience: int
    """Epochs without a better validation loss after which the training stops; 0 never stops."""
    class_weight: str
    """Classification: ``balanced`` weighs each class by the inverse of its rows."""
    loss: str
    """Of the target, standardised: ``cross_entropy``; ``mse`` or ``huber``, which a wild value moves less."""
    batch_rule: str = "fixed"
    """What more ranks do to a step: ``fixed`` parts batch_size among them, ``linear`` and ``sqrt`` give each as many
    rows and multiply the learning rate by the number of ranks or by its square root (see `for_world`)."""
    accumulate: int = 1
    """Parts that each rank's rows of a step go through one after the other: less memory, the same step."""
    precision: str = "float32"
    """What a network's layers compute in: ``float32``, ``bfloat16`` (weights stay float32), or ``auto``: bfloat16 on
    a GPU that has it."""
    compile: bool = False
    """Whether to compile the network first: some seconds to a minute, which pays for long trainings of wide ones."""
    sharding: str = "none"
    """``full`` parts weights and optimizer among the ranks, for networks that do not fit into one's memory."""

    def for_world(self, world_size: int) -> tuple[int, float]:
        """Rows of one step, of all ranks together, and the learning rate, as ``batch_rule`` makes them.

        A gradient of k times as many rows has a k-th of the variance: with plain gradient descent k steps of before are
        one with k times the rate (Goyal et al. 2017), with Adam the square root is what keeps the noise (Malladi et al.
        2022).
        """
        if self.batch_rule == "fixed":
            return self.batch_size, self.learning_rate
        factor = world_size if self.batch_rule == "linear" else world_size**0.5
        return self.batch_size * world_size, self.learning_rate * factor

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(self).items()}


def _widths(value: Any) -> tuple[int, ...]:
    if isinstance(value, str):  # as Katib writes them: its parameters are single values
        value = [plain(part) for part in value.split(",")]
    one = whole(1, 8192)
    found = tuple(one.read(v) for v in (value if isinstance(value, list | tuple) else [value]))
    if not 1 <= len(found) <= 16:
        raise ValueError
    return found


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


OPTIONAL: dict[str, tuple[str, ...]] = {
    "accumulate": ("pytorch", "tensorflow"),
    "precision": ("pytorch", "jax", "tensorflow"),
    "compile": ("pytorch", "tensorflow"),
    "sharding": ("pytorch",),
}
"""Hyperparameters that not every framework has, and the frameworks that do."""

_CLASS_WEIGHT = {"class_weight": one_of("none", "balanced")}
_LOSS = {"loss": one_of("mse", "huber")}
_COMMON: dict[str, Kind] = {
    "bins": whole(0, 1024),
    "learning_rate": number(0, 10, above=True),
    "weight_decay": number(0, 10),
    "batch_size": whole(1, 2**20),
    "epochs": whole(1, 10_000),
    "patience": whole(0, 10_000),
    "batch_rule": one_of("fixed", "linear", "sqrt"),
    "accumulate": whole(1, 1024),
    "precision": one_of("float32", "bfloat16", "auto"),
    "compile": Kind(must="true or false", read=_flag),
    "sharding": one_of("none", "full"),
}
_NETWORK: dict[str, Kind] = {
    "hidden": Kind(must="1 to 16 widths from 1 to 8,192, as [128, 128] or 128,128", read=_widths),
    "embedding_dim": whole(1, 256),
    "dropout": number(0, 0.95),
    **_COMMON,
}
KINDS: dict[Task, dict[str, dict[str, Kind]]] = {
    "classification": {"mlp": _NETWORK | _CLASS_WEIGHT, "linear": _COMMON | _CLASS_WEIGHT},
    "regression": {"mlp": _NETWORK | _LOSS, "linear": _COMMON | _LOSS},
}
"""What a user may set, by task and estimator; the first estimator of a task is the default."""

DEFAULTS: dict[str, dict[str, Any]] = {
    # measured on 229,142 rows of flights: AUC .79 in some 15 s on two cores; wider or deeper is slower and no better
    "mlp": {
        "hidden": (128, 128),
        "embedding_dim": 8,
        "bins": 64,
        "dropout": 0.2,
        "learning_rate": 8e-3,
        "weight_decay": 0.1,
        "patience": 3,
    },
    # numbers as they are: straight lines, and a weight for each category
    "linear": {
        "hidden": (),
        "embedding_dim": 1,
        "bins": 0,
        "dropout": 0.0,
        "learning_rate": 2e-2,
        "weight_decay": 0.0,
        "patience": 3,
    },
}
_DEFAULT = {f.name: f.default for f in dataclasses.fields(Hyperparameters) if f.default is not dataclasses.MISSING}
STEPS = 700
"""Of a training whose ``epochs`` are not given, if that makes 6 to 60 epochs."""


def choose(
    task: Task, params: Mapping[str, Any], *, rows: int, framework: str = "pytorch", takes: Collection[str] = OPTIONAL
) -> tuple[str, Hyperparameters]:
    """The estimator's name and all its hyperparameters.

    Args:
        task: decides which there are.
        params: what the user set.
        rows: of training, all ranks together; batch_size and epochs follow them where they are not set.
        framework: that trains, for errors.
        takes: of `OPTIONAL`, what it has.

    Raises:
        InputError: there is no such estimator, it has no such hyperparameter, or one is not what it may be.
    """
    table = KINDS[task]
    given = dict(params)
    name = given.pop("estimator", None) or next(iter(table))
    if name not in table:
        raise InputError(f"estimator must be one of {list(table)} for {task}, found {name!r}{near(str(name), table)}")
    kinds = table[name]
    chosen = {"class_weight": "none", "loss": "cross_entropy" if task == "classification" else "mse", **DEFAULTS[name]}
    for key, value in given.items():
        if key in ("random_state", "seed"):
            raise InputError(f"params must not hold {key!r}: every training takes the spec's seed")
        if key not in kinds:
            raise InputError(f"{name} takes the params {sorted(kinds)}, found {key!r}{near(key, kinds)}")
        try:
            chosen[key] = kinds[key].read(plain(value))
        except (ValueError, TypeError, OverflowError):
            raise InputError(f"{key} must be {kinds[key].must}, found {value!r}") from None
    for key in OPTIONAL.keys() - set(takes):
        if chosen.get(key, _DEFAULT[key]) != _DEFAULT[key]:
            raise InputError(
                f"{key} must be {json.dumps(_DEFAULT[key])} with {framework}, found {json.dumps(chosen[key])}: leave "
                f"it out, or train with {' or '.join(OPTIONAL[key])}"
            )
    # small enough for some hundred steps an epoch, large enough to be worth a step
    chosen.setdefault("batch_size", min(2048, max(32, 1 << (rows // 200).bit_length())))
    steps = -(-rows // chosen["batch_size"])
    chosen.setdefault("epochs", min(60, max(6, round(STEPS / steps))))
    return name, Hyperparameters(**chosen)
