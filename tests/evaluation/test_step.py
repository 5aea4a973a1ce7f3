"""The evaluate step writes an evaluation that JSON takes and a report that needs nothing else."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from seaway.errors import InputError, PackageError, SeawayError
from seaway.evaluation.result import Evaluation
from seaway.evaluation.step import evaluate
from seaway.model.contract import Contract, Target
from seaway.promotion.gate import decide
from tests.support import weather
from tests.support.weather import World


def run(world: World, folder: Path, **more: str) -> Evaluation:
    return evaluate(
        model=world.model,
        test=world.test,
        train_features=world.train_features,
        features=world.features,
        evaluation=str(folder / "evaluation.json"),
        report=str(folder / "report.html"),
        **more,
    )


def numbers(value: Any) -> list[float]:
    if isinstance(value, dict):
        return [n for v in value.values() for n in numbers(v)]
    if isinstance(value, list | tuple):
        return [n for v in value for n in numbers(v)]
    return [value] if isinstance(value, float) else []


@pytest.mark.parametrize("kind", ["two", "three", "value"])
def test_an_evaluation_goes_through_json_and_back(tmp_path: Path, kind: str) -> None:
    done = run(World.make(tmp_path, kind), tmp_path)
    assert Evaluation.read(str(tmp_path / "evaluation.json")) == done
    raw = weather.read_json(tmp_path / "evaluation.json")
    assert all(math.isfinite(n) for n in numbers(raw))
    assert raw["champion"] is None
    assert set(raw["baselines"]) == {"trivial", "linear"}
    assert all(set(m) == set(raw["metrics"]) for m in raw["baselines"].values())
    assert done.rows == 1500
    assert done.rows_per_second > 0
    assert not list(tmp_path.glob(".*.part"))


@pytest.mark.parametrize("kind", ["two", "three", "value"])
def test_the_report_needs_nothing_else(tmp_path: Path, kind: str) -> None:
    run(World.make(tmp_path, kind), tmp_path)
    text = (tmp_path / "report.html").read_text()
    assert not re.search(r"https?://|<script|\bsrc=|<link|url\(", text)
    assert "nan" not in re.findall(r'points="[^"]*"', text)
    for words in ("linear baseline", "trivial baseline", "Agreement", "Contract", "run-1", "Köln"):
        assert words in text


def test_the_true_model_beats_the_trivial_baseline_and_equals_the_linear_one(tmp_path: Path) -> None:
    done = run(World.make(tmp_path, "two"), tmp_path)
    assert done.metrics["auc"] == pytest.approx(done.baselines["linear"]["auc"], abs=0.01)
    assert done.baselines["trivial"]["auc"] == 0.5
    assert (done.primary, done.direction) == ("auc", "higher")
    assert sum(map(sum, done.confusion_matrix)) == 1500
    assert done.classes == ("False", "True")
    assert decide(done.to_dict(), baseline="trivial").promoted


def test_the_version_now_served_answers_the_same_rows(tmp_path: Path) -> None:
    world = World.make(tmp_path, "two")
    old = weather.write_package(tmp_path / "old", "two", scale=0.1, version="v1")
    done = run(world, tmp_path, champion=str(old))
    assert done.champion is not None
    assert done.champion["version"] == "v1"
    assert done.champion["metrics"]["log_loss"] > done.metrics["log_loss"]
    assert "now served: v1" in (tmp_path / "report.html").read_text()


def test_the_champions_classes_may_stand_in_another_order(tmp_path: Path) -> None:
    world = World.make(tmp_path, "three")
    turned = dataclasses.replace(weather.TARGETS["three"], classes=("high", "mid", "low"))
    # low and high have opposite weights: minus the weights is the same model with the classes turned round
    contract = Contract(columns=weather.COLUMNS, target=turned)
    old = weather.write_package(tmp_path / "old", "three", scale=-1.0, contract_=contract)
    done = run(world, tmp_path, champion=str(old))
    assert done.champion is not None
    # rows whose classes are equally likely may get another label
    assert done.champion["metrics"] == pytest.approx(done.metrics, abs=0.01)
    assert done.champion["metrics"]["log_loss"] == pytest.approx(done.metrics["log_loss"])


def unserved_column(folder: Path) -> Path:
    extra = dataclasses.replace(weather.COLUMNS[4], name="wind")
    contract = Contract(columns=(*weather.COLUMNS, extra), target=weather.TARGETS["two"])
    return weather.write_package(folder / "old", "two", contract_=contract)


def other_question(folder: Path) -> Path:
    target = Target(name="late", task="classification", dtype="string", classes=("no", "yes"))
    return weather.write_package(folder / "old", "two", contract_=Contract(columns=weather.COLUMNS, target=target))


def changed_file(folder: Path) -> Path:
    old = weather.write_package(folder / "old", "two")
    (old / "model.onnx").write_bytes((old / "model.onnx").read_bytes() + b"x")
    return old


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (unserved_column, "'wind'"),
        (other_question, "same question"),
        (changed_file, "SHA-256"),
        (lambda folder: folder / "none", "none"),
    ],
)
def test_a_champion_that_cannot_answer_is_a_finding_not_a_failure(tmp_path: Path, broken: Any, words: str) -> None:
    done = run(World.make(tmp_path, "two"), tmp_path, champion=str(broken(tmp_path)))
    assert done.champion is not None
    assert words in done.champion["error"]
    assert "could not be evaluated" in (tmp_path / "report.html").read_text()
    assert not decide(done.to_dict(), baseline="trivial").promoted


def test_one_class_in_the_holdout_is_noted_and_not_promoted(tmp_path: Path) -> None:
    test = weather.rows("two", 200).with_columns(late=pl.lit(value=False))
    done = run(World.make(tmp_path, "two", test=test), tmp_path)
    assert done.metrics["auc"] is None
    assert done.roc is None
    assert any("one class" in note for note in done.notes)
    json.loads((tmp_path / "evaluation.json").read_text())
    decision = decide(done.to_dict())
    assert not decision.promoted
    assert "auc" in decision.reasons[0]


def test_a_single_row_can_be_evaluated(tmp_path: Path) -> None:
    for kind in ("two", "value"):
        (tmp_path / kind).mkdir()
        done = run(World.make(tmp_path / kind, kind, test=weather.rows(kind, 1)), tmp_path / kind)
        assert done.rows == 1


def test_a_model_that_answers_nan_fails_the_step_and_writes_nothing(tmp_path: Path) -> None:
    world = World.make(tmp_path, "two", scale=float("nan"))
    with pytest.raises(PackageError, match="must be finite"):
        run(world, tmp_path)
    assert not (tmp_path / "evaluation.json").exists()
    assert not (tmp_path / "report.html").exists()


def test_features_of_another_target_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one, two = World.make(tmp_path / "a", "two"), World.make(tmp_path / "b", "value")
    with pytest.raises(SeawayError, match="its target must be the model's"):
        run(dataclasses.replace(one, features=two.features, train_features=two.train_features), tmp_path)


@pytest.mark.parametrize("change", [{"format": 2}, {"task": "ranking"}, {"primary": "bias"}, {"extra": 1}])
def test_json_that_is_no_evaluation_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    raw = run(World.make(tmp_path, "two", test=weather.rows("two", 20)), tmp_path).to_dict()
    with pytest.raises(InputError):
        Evaluation.from_dict({**raw, **change})
    with pytest.raises(InputError):
        Evaluation.from_dict({k: v for k, v in raw.items() if k != "metrics"})


def test_a_number_that_is_not_finite_is_never_written(tmp_path: Path) -> None:
    done = run(World.make(tmp_path, "two", test=weather.rows("two", 20)), tmp_path)
    with pytest.raises(ValueError, match="not JSON compliant"):
        dataclasses.replace(done, metrics={"auc": float(np.nan)}).write(str(tmp_path / "other.json"))
    assert not (tmp_path / "other.json").exists()
