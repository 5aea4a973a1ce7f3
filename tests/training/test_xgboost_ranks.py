"""Ranks of xgboost as processes of their own: the same trees on all, and words when one is missing or lost."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from seaway.errors import DeadlineError
from seaway.model import package
from seaway.training import checkpoints, packaging
from seaway.training.spec import EXIT_INPUT, EXIT_PEER, TrainSpec
from seaway.training.xgboost.fit import train
from tests.training.inputs import TIMEOUT_ENV, Replicas, free_port, weather_spec

TREES = {"max_depth": 4, "min_child_weight": 1, "subsample": 0.7, "colsample_bynode": 0.6}
MANY = {**TREES, "n_estimators": 100_000, "early_stopping_rounds": 0}
"""More than any test waits for."""


@pytest.fixture
def replicas(tmp_path: Path) -> Iterator[Replicas]:
    started = Replicas(tmp_path)
    yield started
    started.end()


def weather(folder: Path, kind: str = "two", **params: Any) -> TrainSpec:
    return dataclasses.replace(weather_spec(folder, kind, **params), framework="xgboost")


def model(spec: TrainSpec) -> bytes:
    return (Path(spec.output) / "model.onnx").read_bytes()


def losses(spec: TrainSpec) -> Any:
    return json.loads((Path(spec.output) / "model.json").read_text())["native"]["losses"]


def test_two_ranks_train_one_model_and_again_when_one_was_killed(tmp_path: Path, replicas: Replicas) -> None:
    whole = weather(tmp_path, rows=3001, n_estimators=60, early_stopping_rounds=0, **TREES)
    ranks = replicas.start(whole)
    assert [r.wait() for r in ranks] == [0, 0], ranks[0].text()[-3000:]
    assert package.load(Path(whole.output)).name == "weather"
    metrics = dict(re.findall(r"^\S+Z (\w+)=(\S+)$", ranks[0].text(), re.M))
    assert float(metrics["auc"]) > 0.85
    assert "auc=" not in ranks[1].text()
    read = {r: line["rows"] for r in (0, 1) for line in ranks[r].lines() if line["message"] == "read the training data"}
    assert read == {0: 1500, 1: 1501}
    report = json.loads((Path(whole.output) / "reports" / "training.json").read_text())
    assert [rank["steps"] for rank in report["ranks"]] == [60, 60]
    rounds = [[line for line in r.lines() if re.fullmatch(r"round \d+", line["message"])] for r in ranks]
    told = [[line["validation_loss"] for line in lines] for lines in rounds]
    assert told[0] == told[1]
    assert len(told[0]) == 6

    slow = {"SEAWAY_TEST_ROUND_S": "0.1", "PYTHONPATH": str(_slowing(tmp_path))}
    cut = dataclasses.replace(whole, output=str(tmp_path / "cut"), checkpoints=str(tmp_path / "kept"))
    ranks = replicas.start(cut, **slow)
    ranks[0].until_it_says('"name": "checkpoint"')
    ranks[1].process.kill()
    assert ranks[0].wait() == EXIT_PEER, ranks[0].text()[-3000:]
    assert "rank 0 of 2 cannot go on: no word from rank 1" in ranks[0].error()
    assert "Traceback" not in ranks[0].text()
    assert not Path(cut.output).exists()
    shutil.copytree(tmp_path / "kept", tmp_path / "copy")
    ranks = replicas.start(cut)
    assert [r.wait() for r in ranks] == [0, 0], ranks[0].text()[-3000:]
    assert "goes on from a checkpoint" in ranks[1].text()
    assert '"message": "round 10"' not in ranks[0].text()
    assert losses(whole) == losses(cut)
    assert model(whole) == model(cut)
    assert not (tmp_path / "kept").exists()

    # and one rank goes on with what two had, in its own way
    alone = dataclasses.replace(cut, output=str(tmp_path / "alone"), checkpoints=str(tmp_path / "copy"))
    train(alone)
    assert losses(alone)[:10] == losses(whole)[:10]
    assert losses(alone)[-1] == pytest.approx(losses(whole)[-1], rel=0.2)
    assert losses(alone) != losses(whole)


def _slowing(folder: Path) -> Path:
    """A folder whose sitecustomize makes every round take a moment, so that a kill comes in the middle."""
    (folder / "slowing").mkdir()
    code = """
import os, time
import seaway.training.xgboost.boosting as boosting
before = boosting.Boosting._boost
def slowly(self, number):
    time.sleep(float(os.environ["SEAWAY_TEST_ROUND_S"]))
    return before(self, number)
boosting.Boosting._boost = slowly
"""
    (folder / "slowing" / "sitecustomize.py").write_text(code)
    return folder / "slowing"


def test_a_training_that_ended_needs_no_other_rank_to_be_packaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = dataclasses.replace(weather(tmp_path, n_estimators=5, **TREES), checkpoints=str(tmp_path / "kept"))
    with monkeypatch.context() as patch:
        patch.setattr(packaging, "write_package", lambda *args, **kwargs: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train(spec)
    assert checkpoints.has_ended(spec)
    one_of_two(monkeypatch, rank=0, port=free_port())
    train(spec)
    assert package.load(Path(spec.output)).name == "weather"
    assert len(losses(spec)) == 5


def one_of_two(monkeypatch: pytest.MonkeyPatch, *, rank: int, port: int) -> None:
    """Make this process one of two ranks, the other of which never comes."""
    told = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": 2, "RANK": rank, TIMEOUT_ENV: 1}
    for name, value in told.items():
        monkeypatch.setenv(name, str(value))


@pytest.mark.parametrize(
    ("rank", "reason"),
    [
        (0, "rank 1 of 2 did not arrive at 127.0.0.1:{} within 1 s"),
        (1, "rank 1 of 2 must reach rank 0 at 127.0.0.1:{}"),
    ],
)
def test_a_peer_that_never_comes_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rank: int, reason: str
) -> None:
    spec, port = weather(tmp_path), free_port()
    one_of_two(monkeypatch, rank=rank, port=port)
    with pytest.raises(DeadlineError, match=re.escape(reason.format(port))):
        train(spec)


def test_ranks_that_were_told_different_things_are_named(tmp_path: Path, replicas: Replicas) -> None:
    spec, port = weather(tmp_path, **MANY), free_port()
    other = dataclasses.replace(spec, seed=8)
    ranks = [replicas.one(s, rank=r, world_size=2, port=port) for r, s in enumerate((spec, other))]
    assert [r.wait() for r in ranks] == [EXIT_INPUT, EXIT_INPUT]
    assert "all ranks must be told the same: rank 1 has another spec than rank 0" in ranks[0].error()


def test_sigterm_ends_a_rank_that_waits_for_one_that_hangs(tmp_path: Path, replicas: Replicas) -> None:
    spec = weather(tmp_path, **MANY)
    spec = dataclasses.replace(spec, output=str(tmp_path / "out" / "package"))
    (tmp_path / "tmp").mkdir()
    ranks = replicas.start(spec, TMPDIR=str(tmp_path / "tmp"))
    ranks[0].until_it_says('"message": "round 10"')
    ranks[1].process.send_signal(signal.SIGSTOP)
    try:
        ranks[0].process.send_signal(signal.SIGTERM)
        assert ranks[0].wait(30) == 128 + signal.SIGTERM
    finally:
        ranks[1].process.send_signal(signal.SIGCONT)
    assert ranks[1].wait() == EXIT_PEER
    assert "cannot go on" in ranks[1].error()
    assert not (tmp_path / "out").exists()
