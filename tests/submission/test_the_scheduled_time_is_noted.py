"""A recurring run's time reaches the first step, so that the cache's key differs, and is noted there."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from seaway.cli.doctor import doctor_command
from seaway.data.ingest import IngestResult, ingest
from seaway.submission.source import find
from tests.support.pipelines_api import PipelinesApi


def taken(folder: Path, **given: str) -> IngestResult:
    (folder / "t.csv").write_text("a,y\n" + "".join(f"{n},{n % 7}.5\n" for n in range(200)))
    paths = {k: str(folder / k) for k in ("train", "validation", "test", "contract_out", "profile_out", "report")}
    return ingest(data=str(folder / "t.csv"), target="y", **paths, **given)  # type: ignore[arg-type]


def test_ingest_notes_the_scheduled_time(tmp_path: Path) -> None:
    assert taken(tmp_path).scheduled_time == ""
    assert "scheduled for" not in (tmp_path / "report").read_text()
    assert taken(tmp_path, scheduled_time="20270131060000").scheduled_time == "20270131060000"
    assert "20270131060000" in (tmp_path / "report").read_text()


def test_the_pipeline_hands_it_to_ingest(tmp_path: Path) -> None:
    spec, *_ = yaml.safe_load_all(find("train_and_serve", tmp_path).read_text())
    inputs = spec["root"]["dag"]["tasks"]["ingest"]["inputs"]["parameters"]
    assert inputs["scheduled_time"] == {"componentInputParameter": "scheduled_time"}


def test_the_doctor_looks_at_the_pipelines_that_are_named(api: PipelinesApi, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no Kubeflow Pipelines named in SEAWAY_KFP_HOST" in CliRunner().invoke(doctor_command).output
    monkeypatch.setenv("SEAWAY_KFP_HOST", api.url)
    assert f"ok      Kubeflow Pipelines at {api.url}" in CliRunner().invoke(doctor_command).output
    api.token = "secret"
    found = CliRunner().invoke(doctor_command)
    assert found.exit_code == 1
    assert "missing could not find Kubeflow Pipelines" in found.output
