"""Ranks of TensorFlow as processes of their own under a TFJob's TF_CONFIG: killed, resumed, and what torch computes."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from seaway.model import package
from seaway.training.pytorch.fit import train
from seaway.training.spec import EXIT_PEER, TrainSpec
from tests.training.inputs import Replica, Replicas, free_port, weather_spec

NO_TORCH = {"MASTER_ADDR": "", "MASTER_PORT": "", "WORLD_SIZE": "", "RANK": ""}


@pytest.fixture
def replicas(tmp_path: Path) -> Iterator[Replicas]:
    started = Replicas(tmp_path)
    yield started
    started.end()


def tfjob(replicas: Replicas, spec: TrainSpec) -> list[Replica]:
    """A chief and a worker."""
    port = free_port()
    cluster = {"chief": [f"127.0.0.1:{port}"], "worker": [f"127.0.0.1:{free_port()}"]}
    started = []
    for rank, type_ in enumerate(cluster):
        config = {"cluster": cluster, "task": {"type": type_, "index": 0}, "environment": "cloud"}
        env = {**NO_TORCH, "TF_CONFIG": json.dumps(config)}
        started.append(replicas.one(spec, rank=rank, world_size=2, port=port, **env))
    return started


def history(spec: TrainSpec) -> Any:
    return json.loads((Path(spec.output) / "native" / "network.json").read_text())["losses"]


@pytest.mark.timeout(300)
def test_ranks_of_a_tfjob_go_on_after_one_was_killed_and_compute_what_torch_does(
    tmp_path: Path, replicas: Replicas
) -> None:
    params = {"epochs": 200, "patience": 0, "hidden": [16], "batch_size": 1000, "dropout": 0, "learning_rate": 1e-3}
    spec = weather_spec(tmp_path, "three", rows=301, **params)
    ours = dataclasses.replace(
        spec, framework="tensorflow", output=str(tmp_path / "ours"), checkpoints=str(tmp_path / "kept")
    )
    ranks = tfjob(replicas, ours)
    ranks[0].until_it_says('"message": "epoch 2"')
    ranks[1].process.kill()
    assert ranks[0].wait(30) == EXIT_PEER, ranks[0].text()[-3000:]
    assert ranks[0].error().startswith("error: rank 0 of 2 cannot go on: no word from rank 1")
    assert "Traceback" not in ranks[0].text()
    assert not Path(ours.output).exists()

    ranks = tfjob(replicas, ours)
    assert [r.wait() for r in ranks] == [0, 0], ranks[0].text()[-3000:]
    for rank in ranks:
        assert "goes on from a checkpoint" in rank.text()
        assert "WARNING" not in rank.text()
    assert package.load(Path(ours.output)).name == "weather"
    train(spec)
    losses = [(e["loss"], e["validation_loss"]) for e in history(ours)]
    assert losses == [pytest.approx((e["loss"], e["validation_loss"]), rel=1e-3) for e in history(spec)]
    assert losses[-1][0] < 0.8 * losses[0][0]
