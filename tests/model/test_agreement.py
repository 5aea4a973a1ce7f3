"""The packaging gate lets through what agrees and nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from seaway.errors import PackageError
from seaway.model.agreement import TOLERANCE, agreement
from seaway.model.columns import feeds
from seaway.model.compose import compose
from seaway.model.contract import Task
from seaway.model.session import open_session
from tests.model.test_compose import linear
from tests.support.tiny_features import tiny_contract, tiny_features
from tests.support.tiny_package import tiny_rows

ROWS = 25_000


@pytest.fixture(scope="module", params=["classification", "regression"])
def case(request: pytest.FixtureRequest) -> tuple[Task, ort.InferenceSession, dict[str, Any], Any]:
    """Task, session, inputs of more rows than go at once, and the graph's own answers."""
    task: Task = request.param
    contract = tiny_contract(task)
    whole = compose(tiny_features(), linear(2 if task == "classification" else 1), contract)
    session = open_session(whole.SerializeToString())
    inputs = feeds(tiny_rows(ROWS, contract), contract)
    return task, session, inputs, session.run(None, inputs)[1 if task == "classification" else 0]


def test_equal_answers_agree(case: Any) -> None:
    task, session, inputs, reference = case
    found = agreement(session, inputs, reference, task, 1.0)
    assert (found.rows, found.rows_over_tolerance, found.tolerance) == (ROWS, 0, TOLERANCE)
    assert found.max_difference < 1e-6


def test_one_doctored_row_is_found_and_named(case: Any) -> None:
    task, session, inputs, reference = case
    doctored = reference.copy()
    doctored[12_345] += 0.01
    with pytest.raises(PackageError, match=r"found 1 of 25,000 rows over it, at most 0\.01, at row 12345"):
        agreement(session, inputs, doctored, task, 1.0)


def test_the_tolerance_of_a_value_follows_the_targets_spread(case: Any) -> None:
    task, session, inputs, reference = case
    doctored = reference + (0.001 if task == "regression" else 0.0)
    if task == "classification":
        doctored[0] += 0.001
        with pytest.raises(PackageError, match=r"within 0\.0001"):
            agreement(session, inputs, doctored, task, 100.0)
    else:
        found = agreement(session, inputs, doctored, task, 100.0)
        assert found.tolerance == pytest.approx(0.01)
        assert found.max_difference == pytest.approx(0.001)


def test_not_a_number_never_agrees(case: Any) -> None:
    task, session, inputs, reference = case
    doctored = reference.copy()
    doctored[7] = np.nan
    with pytest.raises(PackageError, match="at most inf, at row 7"):
        agreement(session, inputs, doctored, task, 1.0)


def test_no_rows_and_other_shapes_are_refused(case: Any) -> None:
    task, session, inputs, reference = case
    with pytest.raises(PackageError, match="at least one held-out row"):
        agreement(session, inputs, reference[:0], task, 1.0)
    with pytest.raises(PackageError, match="in the framework's shape"):
        agreement(session, inputs, np.stack([reference, reference]).reshape(ROWS, -1), task, 1.0)
