"""Two real ranks: the report in the package says whether they were even, and if not, which was slow and why."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from seaway.model import package
from seaway.training.evidence.evidence import Evidence
from seaway.training.spec import TrainSpec
from tests.support.waiting import until
from tests.training import slowed
from tests.training.inputs import Replica, Replicas, weather_spec

ROOT = Path(__file__).parents[2]


@pytest.fixture
def replicas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Replicas]:
    """Ranks of the worker that can be slowed."""
    popen = subprocess.Popen

    def start(command: list[str], **other: Any) -> subprocess.Popen[bytes]:
        return popen([sys.executable, "-m", slowed.__name__], cwd=ROOT, **other)

    monkeypatch.setattr("tests.training.inputs.subprocess.Popen", start)
    started = Replicas(tmp_path)
    yield started
    started.end()


def trained(
    spec: TrainSpec, replicas: Replicas, wanted: Callable[[Evidence], bool], **env: str
) -> tuple[Evidence, list[Replica]]:
    """A training of two ranks whose evidence is as wanted; again if it is not.

    Whoever else has a core of this machine for a while makes the rank slow that wanted it.
    """

    def once() -> tuple[Evidence, list[Replica]] | None:
        ranks = replicas.start(spec, **env)
        assert [r.wait() for r in ranks] == [0, 0], ranks[0].text()[-3000:]
        found = Evidence.from_dict(json.loads((Path(spec.output) / "reports" / "training.json").read_text()))
        return (found, ranks) if wanted(found) else None

    return until(once, timeout_s=60, what="the evidence is as wanted")


@pytest.mark.parametrize(("kind", "said"), [("data", "waits for data"), ("compute", "computes")])
def test_a_rank_that_is_20_ms_a_step_slower_is_named_with_the_reason(
    kind: str, said: str, tmp_path: Path, replicas: Replicas
) -> None:
    spec = weather_spec(tmp_path, "two", rows=3001, epochs=3, patience=0, hidden=[32], batch_size=128)

    def named(found: Evidence) -> bool:
        return f"rank 1 {said}" in found.verdict[0]

    found, ranks = trained(spec, replicas, named, **{slowed.NAME: f"1:{kind}:20"})
    assert found.evenness is not None
    assert found.evenness < 0.9
    first, slow = found.ranks
    assert (first.wait_ms or 0) > 5
    assert (first.wait_ms or 0) > (slow.wait_ms or 0)
    # the steps themselves are rather alike: without the barrier nobody could tell
    speeds = [rank.rows_per_s or 0.0 for rank in found.ranks]
    assert min(speeds) / max(speeds) > found.evenness
    assert package.load(Path(spec.output)).info["files"].keys() >= {"reports/training.json", "reports/training.html"}
    assert f"Rank 1 {said}" in (Path(spec.output) / "reports" / "training.html").read_text()

    assert re.search(rf'"message": "epoch [123]: rank 1 {said}', ranks[0].text())
    assert not re.search(r'"message": "epoch \d: rank', ranks[1].text())
    for rank in ranks:
        epochs = [line for line in rank.lines() if re.fullmatch(r"epoch \d+", line["message"])]
        assert [e["message"] for e in epochs] == ["epoch 1", "epoch 2", "epoch 3"]
        assert epochs[0].keys() >= {"data_ms", "compute_ms", "wait_ms", "rows_per_s", "cpu", "rss_mb", "loss"}


def test_two_even_ranks_are_said_to_be_even_and_what_the_second_adds(tmp_path: Path, replicas: Replicas) -> None:
    spec = weather_spec(tmp_path, "two", rows=12_001, epochs=4, patience=0, hidden=[384, 384], batch_size=512)
    found, _ = trained(replace(spec, measure_scaling=True), replicas, lambda found: (found.evenness or 0) >= 0.9)
    assert re.fullmatch(r"all ranks are busy alike \(evenness (0\.9\d|1\.00)\)", found.verdict[0])
    assert found.scaling is not None
    assert found.scaling.alone > 0
    assert any(f"efficiency {found.scaling.efficiency:.2f}" in v for v in found.verdict)
    assert [e.number for e in found.epochs] == [1, 2, 3, 4]
    assert found.epochs[0].losses.keys() == {"loss", "validation_loss"}
    for rank in found.ranks:
        assert rank.samples >= 20
        assert 0 < (rank.mfu or 0) < 1.2
        assert 0.05 < rank.cpu_util <= (os.cpu_count() or 1) + 0.5
        assert 50 < rank.peak_rss_mb < 4000
