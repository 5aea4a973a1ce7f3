"""The train step shows the page of the package that it made, and its figures as metrics."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from seaway.launch.train import Trained
from seaway.launch.training_report import read_evidence
from seaway.model import package
from seaway.training.sklearn.fit import train
from tests.training.inputs import weather_spec


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A package that the sklearn worker wrote."""
    spec = replace(weather_spec(tmp_path, "two", estimator="logistic"), framework="sklearn")
    train(spec)
    return Path(spec.output)


def test_a_package_tells_what_its_training_used(model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    page = tmp_path / "step" / "report"
    found = read_evidence(str(model), package.read_info(str(model)), report=str(page))
    assert found is not None
    assert page.read_bytes() == (model / "reports" / "training.html").read_bytes()
    assert found.figures().keys() == {"evenness", "cpu_util", "peak_rss_mb"}
    assert all(math.isfinite(v) for v in found.figures().values())
    (rank,) = found.ranks
    assert rank.seconds > 0
    assert [r.getMessage() for r in caplog.records] == list(found.verdict)
    assert found.verdict[-1].startswith("the training uses ")

    step = Trained(
        model_uri=str(model),
        version="v1",
        job="j",
        metrics={"auc": 0.9},
        figures=found.figures(),
        verdict=found.verdict,
    )
    assert step.flat_metrics.keys() == {"auc", *found.figures()}
    assert step.headline == found.verdict[0]


def test_a_package_without_a_report_has_a_page_that_says_so(model: Path, tmp_path: Path) -> None:
    info = package.read_info(str(model))
    info["files"] = {k: v for k, v in info["files"].items() if not k.startswith("reports/")}
    page = tmp_path / "report"
    assert read_evidence(str(model), info, report=str(page)) is None
    assert "measured nothing about itself" in page.read_text()
    assert read_evidence(str(model), info, report="") is None


def test_figures_of_another_format_are_left_out_and_the_page_is_shown(
    model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    data = model / "reports" / "training.json"
    data.write_text(json.dumps({**json.loads(data.read_text()), "format": 99}))
    page = tmp_path / "report"
    assert read_evidence(str(model), package.read_info(str(model)), report=str(page)) is None
    assert "<h2>Verdict" in page.read_text()
    assert "left out of the metrics" in caplog.text
