"""Ranks as processes of their own: they train one model together, or say which of them is at fault."""

from __future__ import annotations

import dataclasses
import json
import logging
import re
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch.distributed as dist

from seaway.model import package
from seaway.training.place import Place
from seaway.training.pytorch import meeting, pulse
from seaway.training.pytorch.fit import train
from seaway.training.spec import EXIT_INPUT, EXIT_PEER, TrainSpec
from seaway.training.world import World
from tests.support.waiting import until
from tests.training.inputs import Replicas, free_port, weather_spec

MANY = {"epochs": 400, "patience": 0, "hidden": [32, 32]}
"""More than any test waits for."""


@pytest.fixture
def replicas(tmp_path: Path) -> Iterator[Replicas]:
    started = Replicas(tmp_path)
    yield started
    started.end()


def model(spec: TrainSpec) -> bytes:
    return (Path(spec.output) / "model.onnx").read_bytes()


def history(spec: TrainSpec) -> Any:
    return json.loads((Path(spec.output) / "native" / "network.json").read_text())["losses"]


def test_two_ranks_train_one_model_and_again_when_one_was_killed(tmp_path: Path, replicas: Replicas) -> None:
    whole = weather_spec(tmp_path, "two", rows=3001, epochs=12, patience=0, hidden=[32, 32], batch_size=128)
    ranks = replicas.start(whole)
    assert [r.wait() for r in ranks] == [0, 0], ranks[0].text()[-3000:]
    assert package.load(Path(whole.output)).name == "weather"
    metrics = re.findall(r"^\S+Z (\w+)=(\S+)$", ranks[0].text(), re.M)
    assert dict(metrics).keys() == {"auc", "log_loss", "accuracy"}
    assert float(dict(metrics)["auc"]) > 0.85
    assert "auc=" not in ranks[1].text()
    read = {r: line["rows"] for r in (0, 1) for line in ranks[r].lines() if line["message"] == "read the training data"}
    assert read == {0: 1500, 1: 1501}
    for rank, replica in enumerate(ranks):
        spans = replica.spans()
        assert all(s["attributes"]["rank"] == rank for s in spans)
        assert {"meet", "fit", "read training rows", "epoch 1", "epoch 12"} <= {s["name"] for s in spans}
        assert ("package" in {s["name"] for s in spans}) == (rank == 0)

    cut = dataclasses.replace(whole, output=str(tmp_path / "cut"), checkpoints=str(tmp_path / "kept"))
    ranks = replicas.start(cut)
    ranks[0].until_it_says('"message": "epoch 2"')
    ranks[1].process.kill()
    assert ranks[0].wait() == EXIT_PEER, ranks[0].text()[-3000:]
    assert "rank 0 of 2 cannot go on: no word from rank 1" in ranks[0].error()
    assert not Path(cut.output).exists()
    assert list((tmp_path / "kept").iterdir())
    ranks = replicas.start(cut)
    assert [r.wait() for r in ranks] == [0, 0], ranks[0].text()[-3000:]
    assert "goes on from a checkpoint" in ranks[1].text()
    assert '"message": "epoch 1"' not in ranks[0].text()
    assert history(whole) == history(cut)
    assert model(whole) == model(cut)
    assert not (tmp_path / "kept").exists()


def test_ranks_that_were_told_different_things_are_named(tmp_path: Path, replicas: Replicas) -> None:
    spec, port = weather_spec(tmp_path, "two", **MANY), free_port()
    other = dataclasses.replace(spec, seed=8)
    ranks = [replicas.one(s, rank=r, world_size=w, port=port) for s, r, w in ((spec, 0, 2), (other, 2, 3))]
    assert [r.wait() for r in ranks] == [EXIT_INPUT, EXIT_INPUT]
    told = r"the same: rank 2 \(\S+\) has world_size 3 and rank 0 has 2, spec '\w+' and rank 0 has '\w+': start every"
    for replica in ranks:
        assert re.search(told, replica.error())
        assert "Traceback" not in replica.text()


def test_a_peer_that_never_comes_is_named(tmp_path: Path, replicas: Replicas) -> None:
    spec, port = weather_spec(tmp_path, "two", **MANY), free_port()
    leader = replicas.one(spec, rank=0, world_size=3, port=port, timeout_s=4)
    other = replicas.one(spec, rank=1, world_size=3, port=free_port(), timeout_s=2)
    assert leader.wait() == EXIT_PEER
    assert f"rank 1, 2 of 3 did not arrive at 127.0.0.1:{port} within 4 s: see whether" in leader.error()
    assert other.wait() == EXIT_PEER
    assert "rank 1 of 3 must reach rank 0 at 127.0.0.1" in other.error()


def test_sigterm_ends_a_rank_that_waits_for_one_that_hangs(tmp_path: Path, replicas: Replicas) -> None:
    spec = weather_spec(tmp_path, "two", output="out/package", **MANY)
    (tmp_path / "tmp").mkdir()
    ranks = replicas.start(spec, TMPDIR=str(tmp_path / "tmp"))
    ranks[0].until_it_says('"message": "epoch 2"')
    ranks[1].process.send_signal(signal.SIGSTOP)
    try:
        ranks[0].process.send_signal(signal.SIGTERM)
        assert ranks[0].wait(30) == 128 + signal.SIGTERM
    finally:
        ranks[1].process.send_signal(signal.SIGCONT)
    assert ranks[1].wait() == EXIT_PEER
    assert "cannot go on" in ranks[1].error()
    assert not (tmp_path / "out").exists()
    assert not list((tmp_path / "tmp").glob("seaway-*"))  # torch has a cache of its own there


def test_a_port_that_another_process_has_is_told(tmp_path: Path, replicas: Replicas) -> None:
    spec = weather_spec(tmp_path, "two", **MANY)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        leader = replicas.one(spec, rank=0, world_size=2, port=port, timeout_s=1)
        assert leader.wait() == EXIT_PEER
    assert f"port {port} must be free for rank 0 and is not" in leader.error()


def test_a_restarted_rank_takes_no_part_in_a_meeting_that_went_on_with_its_former_self(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spec, port = weather_spec(tmp_path, "two", **MANY), free_port()
    caplog.set_level(logging.INFO)

    def met(rank: int) -> Future[dist.Store]:
        own = World(place=Place(rank=rank, world_size=2), host="127.0.0.1", port=port)
        return pool.submit(meeting.meet, spec, own, timeout_s=60)

    with ThreadPoolExecutor() as pool:
        before = [one.result() for one in (met(0), met(1))]
        again = met(1)
        until(lambda: "waiting for rank 0 to begin anew" in caplog.text)
        assert not again.done()
        before.clear()  # the former rank 0 ends, and its store with it
        leader = met(0)
        leader.result().set("word", "new")
        assert again.result().get("word") == b"new"


def test_a_rank_without_a_sign_of_life_is_missed() -> None:
    port = free_port()
    leader = dist.TCPStore("127.0.0.1", port, is_master=True, wait_for_workers=False)
    stores = [leader, *(dist.TCPStore("127.0.0.1", port, is_master=False) for _ in range(2))]
    told: list[str] = []
    beating = [
        pulse.kept(store, Place(rank=r, world_size=3), silent_s=1, leave=told.append) for r, store in enumerate(stores)
    ]
    with beating[0], beating[1]:
        with beating[2]:
            beats = leader.add("beat-2", 0) + 8
            until(lambda: leader.add("beat-2", 0) > beats)
            assert told == []
        until(lambda: len(told) == 2, what="both others miss rank 2")
    assert {t.split(":")[1] for t in told} == {" no sign of life from rank 2 for 1 s"}


def test_two_ranks_compute_what_one_does(tmp_path: Path, replicas: Replicas) -> None:
    """Every row of a step counts the same, though one rank has more of them: whole batches, nothing left to chance."""
    spec = weather_spec(tmp_path, "three", rows=301, epochs=4, batch_size=1000, dropout=0, class_weight="balanced")
    two = dataclasses.replace(spec, output=str(tmp_path / "two"))
    ranks = replicas.start(two)
    train(spec)
    assert [r.wait() for r in ranks] == [0, 0], ranks[0].text()[-3000:]
    one_of, two_of = (history(s) for s in (spec, two))
    assert [e["loss"] for e in two_of] == pytest.approx([e["loss"] for e in one_of], rel=1e-5)
    assert [e["validation_loss"] for e in two_of] == pytest.approx([e["validation_loss"] for e in one_of], rel=1e-5)
    assert one_of[3]["loss"] < one_of[0]["loss"]
