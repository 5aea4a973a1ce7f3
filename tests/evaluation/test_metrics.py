"""Metrics agree with numbers worked out by hand and with scikit-learn, and are never NaN."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from seaway.errors import InputError
from seaway.evaluation import metrics


def three_classes(n: int = 500) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    raw = rng.random((n, 3)) ** 3
    p = raw / raw.sum(axis=1, keepdims=True)
    return np.array([rng.choice(3, p=row) for row in p]), p


def test_four_rows_worked_out_by_hand() -> None:
    truth = np.array([0, 0, 1, 1])
    p1 = np.array([0.1, 0.6, 0.4, 0.9])
    got = metrics.classification(truth, np.stack([1 - p1, p1], axis=1)).metrics
    assert got["auc"] == pytest.approx(0.75)  # of the four pairs, (0.6, 0.4) is in the wrong order
    assert got["brier"] == pytest.approx((0.01 + 0.36 + 0.36 + 0.01) / 4)
    assert got["log_loss"] == pytest.approx(-(math.log(0.9) + math.log(0.4)) / 2)
    assert (got["accuracy"], got["precision"], got["recall"], got["f1"]) == (0.5, 0.5, 0.5, 0.5)


def test_errors_worked_out_by_hand() -> None:
    got = metrics.regression(np.array([1.0, 2.0, 3.0]), np.array([2.0, 2.0, 5.0])).metrics
    assert got["rmse"] == pytest.approx(math.sqrt(5 / 3))
    assert got["mae"] == 1.0
    assert got["bias"] == 1.0
    assert got["r2"] == pytest.approx(1 - 5 / 2)
    assert got["error_p50"] == 1.0


def test_many_classes_agree_with_scikit_learn() -> None:
    truth, p = three_classes()
    got = metrics.classification(truth, p).metrics
    labels = p.argmax(axis=1)
    assert got["auc"] == pytest.approx(sk.roc_auc_score(truth, p, multi_class="ovr", average="macro"))
    assert got["log_loss"] == pytest.approx(sk.log_loss(truth, p))
    assert got["f1"] == pytest.approx(sk.f1_score(truth, labels, average="macro"))
    assert got["precision"] == pytest.approx(sk.precision_score(truth, labels, average="macro"))
    assert got["recall"] == pytest.approx(sk.recall_score(truth, labels, average="macro"))
    assert got["brier"] == pytest.approx(((p - np.eye(3)[truth]) ** 2).sum(axis=1).mean())
    assert (metrics.confusion_matrix(truth, labels, 3) == sk.confusion_matrix(truth, labels)).all()


def test_labels_count_as_the_model_gave_them_not_as_the_largest_probability() -> None:
    p = np.array([[0.5, 0.5], [0.5, 0.5]])
    assert metrics.classification(np.array([1, 0]), p, np.array([1, 0])).metrics["accuracy"] == 1.0


def test_one_class_in_the_holdout_gives_none_and_says_why() -> None:
    got = metrics.classification(np.zeros(3, int), np.array([[0.9, 0.1]] * 3))
    assert got.metrics["auc"] is None
    assert got.metrics["recall"] is None
    assert got.metrics["log_loss"] == pytest.approx(-math.log(0.9))
    assert any("one class" in note for note in got.notes)


def test_an_absent_class_gives_none_and_says_why() -> None:
    truth, p = three_classes()
    got = metrics.classification(truth[truth != 2], p[truth != 2])
    assert got.metrics["auc"] is None
    assert got.metrics["f1"] is None
    assert any("1 of 3 classes" in note for note in got.notes)


def test_a_constant_target_has_no_r2() -> None:
    got = metrics.regression(np.ones(4), np.zeros(4))
    assert got.metrics["r2"] is None
    assert "r2" in got.notes[0]


@settings(deadline=None)
@given(st.data())
def test_every_metric_is_finite_or_none_with_a_note(data: st.DataObject) -> None:
    classes = data.draw(st.integers(2, 4))
    n = data.draw(st.integers(1, 12))
    truth = np.array(data.draw(st.lists(st.integers(0, classes - 1), min_size=n, max_size=n)))
    raw = np.array(
        data.draw(
            st.lists(st.lists(st.sampled_from([0, 1, 5]), min_size=classes, max_size=classes), min_size=n, max_size=n)
        )
    )
    p = ((raw + 1e-9) / (raw + 1e-9).sum(axis=1, keepdims=True)).astype(np.float32)
    got = metrics.classification(truth, p)
    assert all(v is None or math.isfinite(v) for v in got.metrics.values())
    assert got.notes or None not in got.metrics.values()
    assert set(got.metrics) == set(metrics.DIRECTIONS["classification"])


def test_a_roc_curve_is_short_finite_and_has_the_same_area() -> None:
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 2, 20_000)
    score = (rng.random(20_000) + truth * 0.4) / 1.4
    curve = metrics.roc_curve(truth, score)
    assert curve is not None
    fpr, tpr, thresholds = (np.array(curve[k]) for k in ("fpr", "tpr", "thresholds"))
    assert len(fpr) <= 200
    assert (fpr[0], tpr[0], fpr[-1], tpr[-1]) == (0, 0, 1, 1)
    assert np.isfinite(thresholds).all()
    assert (np.diff(fpr) >= 0).all()
    assert (np.diff(tpr) >= 0).all()
    assert (np.diff(thresholds) <= 0).all()
    assert np.trapezoid(tpr, fpr) == pytest.approx(sk.roc_auc_score(truth, score), abs=1e-3)


def test_one_class_has_no_roc_curve() -> None:
    assert metrics.roc_curve(np.ones(3, int), np.array([0.1, 0.2, 0.3])) is None


def test_calibration_counts_every_row_once() -> None:
    score = np.array([0.0, 0.05, 0.1, 0.95, 1.0])
    got = metrics.calibration_curve(np.array([0, 1, 0, 1, 1]), score)
    assert got["count"] == [2, 1, 2]
    assert got["observed"] == [0.5, 0.0, 1.0]
    assert got["predicted"] == pytest.approx([0.025, 0.1, 0.975])


@pytest.mark.parametrize(
    ("truth", "p", "words"),
    [
        (np.array([], int), np.zeros((0, 2)), "at least one row"),
        (np.array([0]), np.array([[np.nan, 1.0]]), "finite"),
        (np.array([2]), np.array([[0.5, 0.5]]), "class indices"),
        (np.array([0]), np.array([0.5]), "shape"),
    ],
)
def test_input_that_no_metric_fits_is_refused(truth: np.ndarray, p: np.ndarray, words: str) -> None:
    with pytest.raises(InputError, match=words):
        metrics.classification(truth, p)


def test_the_metric_to_judge_by_has_a_better_side() -> None:
    assert [metrics.primary("classification", k) for k in (2, 3)] == ["auc", "log_loss"]
    assert metrics.primary("regression") in metrics.DIRECTIONS["regression"]
