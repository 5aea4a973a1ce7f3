"""The metrics are those of the books."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as books

from seaway.training.metrics import area_under_roc, metrics


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=2, max_size=60))
def test_the_area_counts_ties_half(pairs: list[tuple[bool, int]]) -> None:
    positive = np.array([p for p, _ in pairs])
    score = np.array([s for _, s in pairs], np.float32)
    found = area_under_roc(positive, score)
    if positive.all() or not positive.any():
        assert found is None
    else:
        assert found == pytest.approx(books.roc_auc_score(positive, score))


@pytest.mark.parametrize("classes", [2, 4])
def test_classification_matches_scikit_learn(classes: int) -> None:
    draw = np.random.default_rng(0)
    target = draw.integers(0, classes, 500)
    answers = draw.dirichlet(np.ones(classes), 500)
    found = metrics("classification", target, answers)
    score = answers[:, 1] if classes == 2 else answers
    assert found["auc"] == pytest.approx(books.roc_auc_score(target, score, multi_class="ovr"))
    assert found["log_loss"] == pytest.approx(books.log_loss(target, answers))
    assert found["accuracy"] == pytest.approx((answers.argmax(axis=1) == target).mean())


def test_regression_matches_scikit_learn() -> None:
    draw = np.random.default_rng(0)
    target, answers = draw.normal(size=(2, 100))
    found = metrics("regression", target, answers)
    assert found["rmse"] == pytest.approx(books.root_mean_squared_error(target, answers))
    assert found["mae"] == pytest.approx(books.mean_absolute_error(target, answers))
    assert found["r2"] == pytest.approx(books.r2_score(target, answers))


def test_what_is_not_defined_is_left_out() -> None:
    one_class = metrics("classification", np.zeros(3, np.int64), np.array([[0.9, 0.1]] * 3))
    assert set(one_class) == {"log_loss", "accuracy"}
    assert set(metrics("regression", np.ones(3), np.ones(3))) == {"rmse", "mae"}


def test_a_certain_error_costs_much_and_not_infinitely() -> None:
    found = metrics("classification", np.array([1]), np.array([[1.0, 0.0]]))
    assert 50 < found["log_loss"] < 100
