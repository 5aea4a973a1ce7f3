"""What the report draws beyond the numbers: ROC and calibration curves, and histograms.

In: the truth and the answers of each model. Out: points and counts, a few kB however long the holdout is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seaway.evaluation import metrics
from seaway.evaluation.predict import Answers

HISTOGRAM_BINS = 40
VALUE_BINS = 20

Line = tuple[list[float], list[float]]


@dataclass(frozen=True)
class Histogram:
    """Counts between edges."""

    title: str
    x_label: str
    edges: list[float]
    counts: list[int]


@dataclass(frozen=True)
class Curves:
    """Lines by model; empty where a task has none."""

    roc: Mapping[str, Line]
    """False and true positive rates; two classes only."""
    calibration: Mapping[str, Line]
    """Mean answer and what was observed: shares of the positive class (two classes), of right answers (more), means."""
    histograms: tuple[Histogram, ...]

    @classmethod
    def of(cls, truth: NDArray[Any], answers: Mapping[str, Answers], classes: tuple[str, ...]) -> Curves:
        """Curves of every model; histograms of the first one alone."""
        first = next(iter(answers.values()))
        if first.probabilities is None:
            return cls({}, {n: _value_calibration(truth, a) for n, a in answers.items()}, _residuals(truth, first))
        roc = {}
        if len(classes) == 2:
            found = {n: metrics.roc_curve(truth, score) for n, a in answers.items() if (score := _score(a)) is not None}
            roc = {n: (c["fpr"], c["tpr"]) for n, c in found.items() if c is not None}
        calibration = {}
        for name, a in answers.items():
            curve = metrics.calibration_curve(_event(truth, a), _score(a))
            calibration[name] = (curve["predicted"], curve["observed"])
        return cls(roc, calibration, _score_histograms(truth, first, classes))


def _score(answers: Answers) -> NDArray[Any]:
    """Probability of the positive class, or of more than two classes that of the answered one."""
    assert answers.probabilities is not None
    return answers.probabilities[:, 1] if answers.probabilities.shape[1] == 2 else answers.probabilities.max(axis=1)


def _event(truth: NDArray[Any], answers: Answers) -> NDArray[np.int64]:
    """Whether what `_score` is the probability of came true, 0 or 1."""
    assert answers.probabilities is not None
    if answers.probabilities.shape[1] == 2:
        return truth.astype(np.int64)
    right: NDArray[np.int64] = (answers.probabilities.argmax(axis=1) == truth).astype(np.int64)
    return right


def _score_histograms(truth: NDArray[Any], answers: Answers, classes: tuple[str, ...]) -> tuple[Histogram, ...]:
    score, event = _score(answers), _event(truth, answers)
    two = len(classes) == 2
    label = f"probability of {classes[1]}" if two else "probability of the answered class"
    titles = [f"truly {c}" for c in classes] if two else ["wrong answers", "right answers"]
    out = []
    for value, title in enumerate(titles):
        counts, edges = np.histogram(score[event == value], bins=HISTOGRAM_BINS, range=(0.0, 1.0))
        out.append(Histogram(f"{title}: {int(counts.sum()):,} rows", label, edges.tolist(), counts.tolist()))
    return tuple(out)


def _value_calibration(truth: NDArray[Any], answers: Answers) -> Line:
    """Mean answer and mean truth in bins of equally many rows, by answer."""
    assert answers.values is not None
    order = np.argsort(answers.values, kind="stable")
    bins = [b for b in np.array_split(order, VALUE_BINS) if len(b)]
    return [float(answers.values[b].mean()) for b in bins], [float(truth[b].mean()) for b in bins]


def _residuals(truth: NDArray[Any], answers: Answers) -> tuple[Histogram, ...]:
    assert answers.values is not None
    error = answers.values.astype(np.float64) - truth
    # a few far errors would press all others into one bar
    low, high = np.quantile(error, [0.005, 0.995])
    if not low < high:
        low, high = error.min() - 0.5, error.max() + 0.5
    counts, edges = np.histogram(error, bins=HISTOGRAM_BINS, range=(float(low), float(high)))
    outside = len(error) - int(counts.sum())
    return (Histogram(f"errors; {outside:,} rows lie outside", "answer minus truth", edges.tolist(), counts.tolist()),)
