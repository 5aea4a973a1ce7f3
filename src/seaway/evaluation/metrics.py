"""Metrics of a task on holdout rows, as numbers that JSON and KFP metadata take: finite, or None with a note.

In: class indices and probabilities, or values; finite (`seaway.evaluation.predict` has checked). Out: plain Python
numbers. What cannot be computed, for instance the AUC of a holdout with one class, is None and a sentence says why.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seaway.errors import InputError
from seaway.model.contract import Task

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]

DIRECTIONS: dict[Task, dict[str, str]] = {
    "classification": {
        "auc": "higher",
        "log_loss": "lower",
        "brier": "lower",
        "accuracy": "higher",
        "f1": "higher",
        "precision": "higher",
        "recall": "higher",
    },
    "regression": {"rmse": "lower", "mae": "lower", "r2": "higher"},
}
"""Whether a higher or a lower value is better. A metric that is not here (the bias, a quantile) has no better side."""

ERROR_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
ROC_POINTS = 200
CALIBRATION_BINS = 10


@dataclass(frozen=True)
class Scores:
    """Metrics by name, and why some are None."""

    metrics: dict[str, float | None]
    notes: tuple[str, ...] = field(default=())


def primary(task: Task, classes: int = 0) -> str:
    """The metric that a model is judged by when nobody names one."""
    if task == "regression":
        return "rmse"
    return "auc" if classes == 2 else "log_loss"


def classification(target: Ints, probabilities: Floats, labels: Ints | None = None) -> Scores:
    """AUC, log loss, Brier score, accuracy, F1, precision and recall.

    Two classes: the second is the positive one. More: AUC is one against the rest, F1, precision and recall are means
    over the classes (macro), and the Brier score is the sum over the classes, from 0 to 2.

    Args:
        target: class indices, shape [n].
        probabilities: shape [n, classes], rows sum to 1.
        labels: class indices that the model answered, shape [n]; the most probable class if not given.
    """
    from sklearn.metrics import brier_score_loss, log_loss

    rows, classes = _checked(target, probabilities)
    labels = probabilities.argmax(axis=1) if labels is None else labels
    exact = probabilities.astype(np.float64)
    exact = exact / exact.sum(axis=1, keepdims=True)
    matrix = confusion_matrix(target, labels, classes)
    f1, precision, recall, notes = _label_scores(matrix)
    auc, auc_notes = _auc(target, exact)
    known = list(range(classes))
    brier = (
        brier_score_loss(target, exact[:, 1], labels=known, pos_label=1)
        if classes == 2
        else brier_score_loss(target, exact, labels=known, scale_by_half=False)
    )
    metrics: dict[str, float | None] = {
        "auc": auc,
        "log_loss": float(log_loss(target, exact, labels=known)),
        "brier": float(brier),
        "accuracy": float(np.trace(matrix)) / rows,
        "f1": f1,
        "precision": precision,
        "recall": recall,
    }
    return Scores(metrics, (*auc_notes, *notes))


def regression(target: Floats, values: Floats) -> Scores:
    """RMSE, MAE, R2, mean error (bias) and quantiles of the error; an error is the answer minus the truth.

    Args:
        target: shape [n].
        values: shape [n].
    """
    if target.shape != values.shape or target.size == 0:
        raise InputError(f"target and values must have one shape [n], n > 0; found {target.shape} and {values.shape}")
    truth = target.astype(np.float64)
    error = values.astype(np.float64) - truth
    spread = float(((truth - truth.mean()) ** 2).sum())
    metrics: dict[str, float | None] = {
        "rmse": float(np.sqrt((error**2).mean())),
        "mae": float(np.abs(error).mean()),
        "r2": 1 - float((error**2).sum()) / spread if spread > 0 else None,
        "bias": float(error.mean()),
    }
    for q, value in zip(ERROR_QUANTILES, np.quantile(error, ERROR_QUANTILES), strict=True):
        metrics[f"error_p{round(100 * q):02d}"] = float(value)
    notes = () if spread > 0 else ("r2 is not defined: the target has one value on all holdout rows",)
    return Scores(metrics, notes)


def confusion_matrix(target: Ints, labels: Ints, classes: int) -> NDArray[np.int64]:
    """Counts, shape [classes, classes]: row = true class, column = answered class."""
    cells = np.bincount(target.astype(np.int64) * classes + labels.astype(np.int64), minlength=classes * classes)
    return cells.reshape(classes, classes)


def roc_curve(target: Ints, score: Floats) -> dict[str, list[float]] | None:
    """``fpr``, ``tpr`` and ``thresholds`` of two classes, at most 200 points from (0, 0) to (1, 1); None for one class.

    Args:
        target: 0 or 1, shape [n].
        score: probability of class 1, shape [n].
    """
    from sklearn import metrics

    if len(np.unique(target)) < 2:
        return None
    fpr, tpr, thresholds = metrics.roc_curve(target, score.astype(np.float64))
    # even steps along the curve keep its bend, which even steps in the threshold would not
    along = fpr + tpr
    keep = np.unique(np.searchsorted(along, np.linspace(0, along[-1], ROC_POINTS - 1)))
    keep = np.union1d(keep.clip(max=len(along) - 1), [0])
    # scikit-learn's first threshold is infinite; no probability exceeds 1
    return {
        "fpr": fpr[keep].tolist(),
        "tpr": tpr[keep].tolist(),
        "thresholds": np.clip(thresholds[keep], 0.0, 1.0).tolist(),
    }


def calibration_curve(target: Ints, score: Floats) -> dict[str, list[float]]:
    """``predicted`` mean, ``observed`` share and ``count`` in ten bins of equal width; empty bins are left out.

    Args:
        target: 0 or 1, shape [n].
        score: probability of class 1, shape [n].
    """
    bins = np.minimum((score.astype(np.float64) * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    counts = np.bincount(bins, minlength=CALIBRATION_BINS)
    used = counts > 0
    predicted = np.bincount(bins, weights=score, minlength=CALIBRATION_BINS)[used] / counts[used]
    observed = np.bincount(bins, weights=target, minlength=CALIBRATION_BINS)[used] / counts[used]
    return {"predicted": predicted.tolist(), "observed": observed.tolist(), "count": counts[used].tolist()}


def _checked(target: Ints, probabilities: Floats) -> tuple[int, int]:
    if probabilities.ndim != 2 or probabilities.shape[1] < 2 or target.shape != probabilities.shape[:1]:
        raise InputError(
            "target must have shape [n] and probabilities [n, classes], classes > 1; "
            f"found {target.shape} and {probabilities.shape}"
        )
    rows, classes = probabilities.shape
    if rows == 0:
        raise InputError("metrics need at least one row, found none")
    if not np.isfinite(probabilities).all():
        raise InputError("probabilities must be finite, found NaN or infinity")
    if target.min() < 0 or target.max() >= classes:
        raise InputError(f"class indices must be from 0 to {classes - 1}, found {target.min()} to {target.max()}")
    return rows, classes


def _auc(target: Ints, probabilities: Floats) -> tuple[float | None, Sequence[str]]:
    from sklearn.metrics import roc_auc_score

    classes = probabilities.shape[1]
    counts = np.bincount(target, minlength=classes)
    if (counts > 0).sum() < 2:
        return None, ("auc is not defined: the holdout rows hold one class",)
    if absent := int((counts == 0).sum()):
        return None, (f"auc is not defined: {absent} of {classes} classes have no holdout row",)
    if classes == 2:
        return float(roc_auc_score(target, probabilities[:, 1])), ()
    each = [float(roc_auc_score(target == k, probabilities[:, k])) for k in range(classes)]
    return sum(each) / classes, ()


def _label_scores(matrix: NDArray[np.int64]) -> tuple[float | None, float | None, float | None, list[str]]:
    """F1, precision and recall: of the second of two classes, else means over the classes."""
    right = np.diag(matrix).astype(np.float64)
    truly, answered = matrix.sum(axis=1), matrix.sum(axis=0)
    both = truly + answered
    # a class that is there but never answered has precision 0 in a mean, as scikit-learn counts it
    precisions = np.divide(right, answered, out=np.zeros_like(right), where=answered > 0)
    recalls = np.divide(right, truly, out=np.zeros_like(right), where=truly > 0)
    f1s = np.divide(2 * right, both, out=np.zeros_like(right), where=both > 0)
    notes: list[str] = []
    if len(matrix) == 2:
        precision = float(precisions[1]) if answered[1] else None
        recall = float(recalls[1]) if truly[1] else None
        if precision is None:
            notes.append("precision is not defined: the positive class was never answered")
        if recall is None:
            notes.append("recall is not defined: no holdout row is of the positive class")
        return (float(f1s[1]) if both[1] else None), precision, recall, notes
    if absent := int((truly == 0).sum()):
        notes.append(f"f1, precision and recall are not defined: {absent} of {len(matrix)} classes have no holdout row")
        return None, None, None, notes
    return float(f1s.mean()), float(precisions.mean()), float(recalls.mean()), notes
