"""The evaluation of one model: plain finite numbers and words, for the gate, for KFP's metadata and for people.

In: what `seaway.evaluation.step` measured. Out: the same as JSON and back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, cast

from seaway.errors import InputError
from seaway.evaluation.metrics import DIRECTIONS
from seaway.model.contract import Task
from seaway.storage import uri as storage

FORMAT = 1

Metrics = Mapping[str, float | None]


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What a model is worth on the holdout, beside what it must beat."""

    task: Task
    target: str
    """Name of the target column."""
    model: Mapping[str, str]
    """``name``, ``version``, ``framework`` and ``uri`` of the package."""
    rows: int
    """Holdout rows with a target."""
    primary: str
    """The metric that the model is judged by when nobody names one."""
    directions: Mapping[str, str]
    """``higher`` or ``lower``: which is better, for each metric that has a better side."""
    metrics: Metrics
    """None: not defined on these rows; ``notes`` says why."""
    baselines: Mapping[str, Metrics]
    """``trivial`` and ``linear``: the same metrics on the same rows."""
    champion: Mapping[str, Any] | None = None
    """The version now served: ``uri``, ``version`` and ``metrics`` on the same rows, or ``uri`` and ``error``."""
    classes: tuple[str, ...] = ()
    """As text, in the order of the probabilities; empty for regression."""
    confusion_matrix: tuple[tuple[int, ...], ...] = ()
    """Row: true class, column: answered class."""
    roc: Mapping[str, list[float]] | None = None
    """``fpr``, ``tpr`` and ``thresholds``, at most 200 points; None unless two classes are in the holdout."""
    rows_per_second: float = 0.0
    """Of the model's graph on the holdout, raw rows to answers."""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.task not in DIRECTIONS:
            raise InputError(f"an evaluation's task must be one of {list(DIRECTIONS)}, found {self.task!r}")
        if self.primary not in self.directions:
            raise InputError(f"the primary metric must be one of {sorted(self.directions)}, found {self.primary!r}")

    @property
    def direction(self) -> str:
        """Whether a ``higher`` or a ``lower`` primary metric is better."""
        return self.directions[self.primary]

    @property
    def headline(self) -> str:
        """The primary metric of the model and of the others, for people."""
        others = {f"{name} baseline": found for name, found in self.baselines.items()}
        if self.champion and "metrics" in self.champion:
            others[f"version {self.champion['version']}"] = self.champion["metrics"]
        known = {name: value for name, found in others.items() if (value := found.get(self.primary)) is not None}
        texts = [f"{name} {value:.4g}" for name, value in known.items()]
        own = self.metrics.get(self.primary)
        return ", ".join([f"{self.primary} {'-' if own is None else f'{own:.4g}'}", *texts]) + f" on {self.rows:,} rows"

    @property
    def flat_metrics(self) -> dict[str, float | None]:
        """The metrics of the model, and those of each baseline as ``linear_auc`` and the like."""
        beside = {f"{name}_{key}": value for name, found in self.baselines.items() for key, value in found.items()}
        return {**self.metrics, **beside}

    @property
    def classification_metrics(self) -> dict[str, Any] | None:
        """What KFP's ClassificationMetrics shows: classes, confusion matrix and ROC; None for regression."""
        if self.task != "classification":
            return None
        matrix = [list(row) for row in self.confusion_matrix]
        return {"classes": list(self.classes), "confusion_matrix": matrix, "roc": self.roc}

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Evaluation:
        """The evaluation that ``to_dict`` wrote.

        Raises:
            InputError: it is not one.
        """
        if raw.get("format") != FORMAT:
            raise InputError(f"an evaluation's format must be {FORMAT}, found {raw.get('format')!r}")
        known = {f.name for f in fields(cls)}
        values = {k: v for k, v in raw.items() if k != "format"}
        if unknown := set(values) - known:
            raise InputError(f"an evaluation's keys must be among {sorted(known)}, found {sorted(unknown)}")
        for name in ("classes", "notes"):
            values[name] = tuple(values.get(name, ()))
        values["confusion_matrix"] = tuple(tuple(row) for row in values.get("confusion_matrix", ()))
        try:
            return cls(**values)
        except TypeError as e:
            raise InputError(f"an evaluation must have all of its keys: {e}") from None

    def to_json(self) -> str:
        """As indented JSON.

        Raises:
            ValueError: a number is not finite.
        """
        return json.dumps(self.to_dict(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    def write(self, uri: str) -> None:
        """Write the JSON whole."""
        storage.write_bytes(uri, self.to_json().encode())

    @classmethod
    def read(cls, uri: str) -> Evaluation:
        """The evaluation at a URI.

        Raises:
            InputError: there is none.
        """
        try:
            raw = json.loads(storage.read_bytes(uri))
        except ValueError as e:
            if isinstance(e, InputError):
                raise
            raise InputError(f"{uri}: must be an evaluation as JSON: {e}") from None
        if not isinstance(raw, dict):
            raise InputError(f"{uri}: must be a JSON object, found {type(raw).__name__}")
        return cls.from_dict(cast(dict[str, Any], raw))
