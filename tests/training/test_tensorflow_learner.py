"""The learner of TensorFlow against torch, and what it must not do: trace again, draw otherwise, or forget."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

Findings = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def findings() -> Findings:
    """Of one process, which loads TensorFlow once for all tests."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.training.tensorflow_learning"],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: Findings = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("form", ["classes", "huber", "mse", "linear"])
def test_it_learns_as_torch_does_from_the_same_weights(findings: Findings, form: str) -> None:
    found = findings["beside_torch"][form]
    assert found["losses"] < 1e-5
    assert found["weights"] < 1e-5


def test_no_number_of_rows_makes_it_trace_again(findings: Findings) -> None:
    found = findings["shapes_and_traces"]
    assert found["traces"] == [1, 1, 1, 1]
    assert found["lengths"] == [0, 64, 65]
    assert found["shaped"]


def test_no_rows_teach_nothing(findings: Findings) -> None:
    found = findings["shapes_and_traces"]
    assert found["nobody"] == 0
    assert found["still"]


def test_dropout_follows_from_seed_epoch_rank_and_step_alone(findings: Findings) -> None:
    assert findings["dropout"] == {"again": True, "apart": 12, "none": True}


def test_it_goes_on_to_the_last_bit_where_another_was_cut_off(findings: Findings) -> None:
    assert findings["goes_on"] == {"same": True, "anew": True}


def test_micro_batches_and_compilation_change_digits_at_most(findings: Findings) -> None:
    found = findings["optional"]
    assert found["accumulate"] < 1e-5
    assert found["compile"] < 1e-5


def test_bfloat16_is_near(findings: Findings) -> None:
    assert 0 < findings["optional"]["bfloat16"] < 0.02


def test_its_own_gradients_are_there_when_computed_is_called(findings: Findings) -> None:
    assert findings["optional"]["called"] == 10
    assert findings["optional"]["as_ever"]


def test_its_libraries_are_the_distributions_that_are_installed(findings: Findings) -> None:
    assert findings["framework"]["name"] == "tensorflow"
    for name in findings["framework"]["libraries"]:
        assert importlib.metadata.version(name)
