"""How good the answers on the validation rows are, in NumPy alone: a worker of any framework has these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from seaway.model.contract import Task

if TYPE_CHECKING:
    from numpy.typing import NDArray


def metrics(task: Task, target: NDArray[Any], answers: NDArray[Any]) -> dict[str, float]:
    """Metrics by name; one that is not defined on these rows is left out.

    Args:
        task: classification gives auc, log_loss and accuracy; regression rmse, mae and r2.
        target: [n] class indices or values.
        answers: probabilities [n, K] or values [n].
    """
    return _classification(target, answers) if task == "classification" else _regression(target, answers)


def _classification(target: NDArray[Any], answers: NDArray[Any]) -> dict[str, float]:
    probabilities = answers.astype(np.float64)
    chosen = np.clip(probabilities[np.arange(len(target)), target], np.finfo(np.float32).tiny, 1.0)
    out = {
        "log_loss": float(-np.log(chosen).mean()),
        "accuracy": float((probabilities.argmax(axis=1) == target).mean()),
    }
    columns = [1] if probabilities.shape[1] == 2 else range(probabilities.shape[1])
    each = [area_under_roc(target == k, probabilities[:, k]) for k in columns]
    if all(a is not None for a in each):
        out["auc"] = float(
            np.mean([a for a in each if a is not None])
        )  # one against the rest, every class counts the same
    return out


def _regression(target: NDArray[Any], answers: NDArray[Any]) -> dict[str, float]:
    error = answers.astype(np.float64) - target
    out = {"rmse": float(np.sqrt((error**2).mean())), "mae": float(np.abs(error).mean())}
    spread = float(((target - target.mean()) ** 2).sum())
    if spread > 0:
        out["r2"] = 1.0 - float((error**2).sum()) / spread
    return out


def area_under_roc(positive: NDArray[np.bool_], score: NDArray[Any]) -> float | None:
    """Area under the ROC curve, ties counted half (Mann-Whitney U); None unless both classes are there."""
    wins, losses = int(positive.sum()), int((~positive).sum())
    if not wins or not losses:
        return None
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2.0
    return float((ranks[inverse][positive].sum() - wins * (wins + 1) / 2.0) / (wins * losses))
