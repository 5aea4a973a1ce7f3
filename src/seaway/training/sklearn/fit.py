"""The scikit-learn worker: ``python -m seaway.training.sklearn`` with a TrainSpec in the environment.

In: features in Parquet. Out: a model package whose native checkpoint is skops, which loads only types that it is told
to trust.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seaway.errors import DataError
from seaway.training import tables, worker
from seaway.training.bundles import Bundles, find_bundles
from seaway.training.evidence.meter import Meter
from seaway.training.evidence.report import reports
from seaway.training.sklearn import convert as convert_sklearn
from seaway.training.sklearn import estimators
from seaway.training.spec import TrainSpec
from seaway.training.worker import TrainingData

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

CHECKPOINT = "estimator.skops"


@dataclass(frozen=True, kw_only=True)
class SklearnModel:
    """A fitted estimator; values are trained on the standardised target, trees on bundled columns."""

    estimator: str
    params: Mapping[str, Any]
    fitted: Any
    width: int
    """Features that the model is given."""
    bundles: Bundles | None
    classifies: bool
    target_mean: float = 0.0
    target_std: float = 1.0
    libraries: tuple[str, ...] = ("scikit-learn", "skl2onnx", "skops")
    reports: Mapping[str, str] = field(default_factory=dict)
    """What the training used of the machine, texts by file name."""

    def to_onnx(self) -> onnx.ModelProto:
        """The graph."""
        model = convert_sklearn.convert(self.fitted, self.bundles.width if self.bundles else self.width)
        if self.bundles:
            model = self.bundles.prepend(model, self.width)
        return model if self.classifies else convert_sklearn.standardised(model, self.target_mean, self.target_std)

    def predict(self, features: NDArray[np.float32]) -> NDArray[Any]:
        """Probabilities [n, K], or values [n] in the target's unit."""
        if self.bundles:
            features = self.bundles.apply(features)
        if self.classifies:
            probabilities: NDArray[Any] = self.fitted.predict_proba(features)
            return probabilities
        raw: NDArray[Any] = self.fitted.predict(features).reshape(-1).astype(np.float64)
        return raw * self.target_std + self.target_mean

    def save_native(self, folder: Path) -> dict[str, Any]:
        """Write the skops file; the types that a reader must trust are in model.json, for people to judge."""
        import skops.io

        skops.io.dump(self.fitted, folder / CHECKPOINT)
        trusted = skops.io.get_untrusted_types(file=folder / CHECKPOINT)
        out: dict[str, Any] = {"format": "skops", "file": f"native/{CHECKPOINT}", "trusted": list(trusted)}
        if self.bundles:
            out["bundles"] = self.bundles.to_dict()
        if not self.classifies:
            out["target"] = {"mean": self.target_mean, "std": self.target_std}
        return out


def fit(spec: TrainSpec, data: TrainingData) -> SklearnModel:
    """Train the estimator that the spec names, in this process alone.

    Raises:
        InputError: an estimator or a hyperparameter that is not one.
        DataError: missing values for an estimator that takes none.
    """
    meter = Meter(data.peers, rows_total=data.train.total)
    task = data.contract.target.task
    name, row, params = estimators.choose(task, spec.params)
    estimator = estimators.build(row, params, seed=spec.seed)
    table = data.train.read()
    if task == "classification":
        classes = data.contract.target.classes or ()
        tables.check_classes(np.bincount(table.target, minlength=len(classes)), data.contract.target)
    if not row.missing and (missing := np.isnan(table.features).any(axis=0)).any():
        column = table.names[int(missing.argmax())]
        raise DataError(f"{name} takes no missing values, found some in {column!r}: impute it in the feature plan")
    target, mean, std = table.target, 0.0, 1.0
    if task == "regression":
        mean, std = float(target.mean()), float(target.std()) or 1.0
        target = (target - mean) / std
    features, bundles = table.features, None
    if row.bundled:
        bundles = find_bundles(features, target, classes=len(data.contract.target.classes or ()))
        features = bundles.apply(features) if bundles else features
    extra: dict[str, Any] = {}
    if data.validation is not None and params.get("early_stopping") is True:
        held_out = data.validation.read()
        extra = {
            "X_val": bundles.apply(held_out.features) if bundles else held_out.features,
            "y_val": held_out.target if task == "classification" else (held_out.target - mean) / std,
        }
    if row.scaled:
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        estimator = make_pipeline(StandardScaler(), estimator)
    estimator.fit(features.astype(np.float64) if row.wide else features, target, **extra)
    return SklearnModel(
        estimator=name,
        params=params,
        fitted=estimator,
        width=len(table.names),
        bundles=bundles,
        classifies=task == "classification",
        target_mean=mean,
        target_std=std,
        reports=reports(evidence) if (evidence := meter.finish()) else {},
    )


def train(spec: TrainSpec) -> worker.Trained:
    """Train and package, in this process."""
    return worker.train(spec, fit)
