"""A step writes what went in, what came out, and how it failed."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from seaway.errors import DataError
from seaway.observe.step import task


@dataclass
class Artifact:
    path: str
    uri: str
    logged: dict[str, float] = field(default_factory=dict)

    def log_metric(self, name: str, value: float) -> None:
        self.logged[name] = value


@dataclass(frozen=True)
class Result:
    rows: int
    metrics: dict[str, float | None]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("SEAWAY_RUN_DIR", str(tmp_path))
    monkeypatch.setenv("SEAWAY_RUN_ID", "run-1")
    monkeypatch.setenv("TRACEPARENT", "")  # a step sets its own
    before = logging.getLogger().handlers[:]
    yield tmp_path
    for handler in logging.getLogger().handlers:
        if handler not in before:
            handler.close()
    logging.getLogger().handlers[:] = before


def record(folder: Path, name: str) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / "steps" / name).read_text())
    return found


def test_artifacts_become_paths_or_uris_and_metrics_are_logged_when_finite(folder: Path) -> None:
    metrics = Artifact("m", "m")

    def work(*, data: str, model: str, n: int) -> Result:
        assert (data, model, n) == ("/local/data", "s3://b/model", 3)
        return Result(rows=5, metrics={"auc": 0.5, "none": None, "nan": float("nan")})

    arguments = {
        "data": Artifact("/local/data", "s3://b/data"),
        "model": Artifact("/local/model", "s3://b/model"),
        "n": 3,
        "metrics": metrics,
    }
    assert task("work", work, arguments, by_uri=("model",)).rows == 5
    assert metrics.logged == {"auc": 0.5}
    written = record(folder, "01-work.json")
    assert written["state"] == "succeeded"
    assert written["inputs"] == {"data": "/local/data", "model": "s3://b/model", "n": 3}
    assert isinstance(written["outputs"], dict)
    assert written["outputs"]["rows"] == 5
    lines = [json.loads(x) for x in (folder / "steps" / "01-work.log").read_text().splitlines()]
    assert [x["message"] for x in lines] == ["work started", "work succeeded"]


def test_a_failure_is_recorded_and_raised(folder: Path) -> None:
    def work() -> None:
        raise DataError("the file must have rows, found none")

    with pytest.raises(DataError):
        task("work", work, {})
    written = record(folder, "01-work.json")
    assert written["state"] == "failed"
    assert written["error"] == "DataError: the file must have rows, found none"
    assert "Traceback" not in (folder / "steps" / "01-work.log").read_text()


def test_an_unforeseen_failure_leaves_its_traceback_in_the_log(folder: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        task("work", lambda: 1 / 0, {})
    assert "Traceback" in (folder / "steps" / "01-work.log").read_text()


def test_steps_are_numbered_as_they_start(folder: Path) -> None:
    for _ in range(3):
        task("work", lambda: None, {})
    assert sorted(p.name for p in (folder / "steps").glob("[0-9]*.json")) == [f"0{i}-work.json" for i in (1, 2, 3)]
