"""Ranks of JAX as processes of their own: they train one model together, or say in plain words why they cannot."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from seaway.model import package
from seaway.training.spec import ENV, EXIT_INPUT, EXIT_PEER, TrainSpec
from tests.support.waiting import until
from tests.training.inputs import Replicas, free_port, weather_spec

MANY = {"epochs": 10_000, "patience": 0, "hidden": [8]}
"""More than any test waits for."""
QUICK = {"XLA_FLAGS": "--xla_backend_optimization_level=0"}
"""To compile."""


@pytest.fixture
def replicas(tmp_path: Path) -> Iterator[Replicas]:
    started = Replicas(tmp_path)
    yield started
    started.end()


def weather(folder: Path, **params: Any) -> TrainSpec:
    return dataclasses.replace(weather_spec(folder, "two", **params), framework="jax")


def history(spec: TrainSpec) -> Any:
    return json.loads((Path(spec.output) / "native" / "network.json").read_text())["losses"]


def model(spec: TrainSpec) -> bytes:
    return (Path(spec.output) / "model.onnx").read_bytes()


def test_two_ranks_train_one_model_and_again_when_one_was_killed(tmp_path: Path, replicas: Replicas) -> None:
    whole = weather(tmp_path, rows=3001, epochs=12, patience=0, hidden=[16, 16], batch_size=128)
    ranks = replicas.start(whole, **QUICK)
    assert [r.wait() for r in ranks] == [0, 0], ranks[0].text()[-3000:]
    assert package.load(Path(whole.output)).name == "weather"
    metrics = dict(re.findall(r"^\S+Z (\w+)=(\S+)$", ranks[0].text(), re.M))
    assert float(metrics["auc"]) > 0.85
    assert "auc=" not in ranks[1].text()
    read = {r: line["rows"] for r in (0, 1) for line in ranks[r].lines() if line["message"] == "read the training data"}
    assert read == {0: 1500, 1: 1501}

    cut = dataclasses.replace(whole, output=str(tmp_path / "cut"), checkpoints=str(tmp_path / "kept"))
    ranks = replicas.start(cut, **QUICK)
    ranks[0].until_it_says('"message": "epoch 2"')
    ranks[1].process.kill()
    assert ranks[0].wait(30) == EXIT_PEER, ranks[0].text()[-3000:]
    assert "rank 0 of 2 cannot go on: no word from rank 1: the log of that replica" in ranks[0].error()
    assert ranks[0].text().splitlines()[-1].startswith("error: "), "no stack of C++ after it"
    assert not Path(cut.output).exists()
    assert list((tmp_path / "kept").iterdir())
    ranks = replicas.start(cut, **QUICK)
    assert [r.wait() for r in ranks] == [0, 0], ranks[0].text()[-3000:]
    assert "goes on from a checkpoint" in ranks[1].text()
    assert '"message": "epoch 1"' not in ranks[0].text()
    assert history(whole) == history(cut)
    assert model(whole) == model(cut)


def test_a_jaxjobs_ranks_listen_on_this_machine_alone_and_leave_in_order(tmp_path: Path) -> None:
    spec, port = weather(tmp_path, **MANY), free_port()
    known = {k: v for k, v in os.environ.items() if not k.startswith("SEAWAY_")}
    ranks, said = [], []
    for rank in range(2):
        job = {"COORDINATOR_ADDRESS": "127.0.0.1", "COORDINATOR_PORT": str(port)}
        job |= {"NUM_PROCESSES": "2", "PROCESS_ID": str(rank), "SEAWAY_LOG_FORMAT": "json", "OMP_NUM_THREADS": "1"}
        out = (tmp_path / f"out-{rank}").open("wb")
        said.append(tmp_path / f"out-{rank}")
        with out, (tmp_path / f"err-{rank}").open("wb") as err:
            command = [sys.executable, "-W", "error", "-m", "seaway.training.jax"]
            environment = {**known, **job, **QUICK, ENV: spec.to_json()}
            ranks.append(subprocess.Popen(command, env=environment, stdout=out, stderr=err))
    try:

        def trains() -> bool:
            assert ranks[0].poll() is None, (tmp_path / "err-0").read_text()[-3000:]
            return '"message": "epoch 2"' in said[0].read_text()

        until(trains, timeout_s=120, what="the ranks train")
        pids = {r.pid for r in ranks}
        listening = [c for c in psutil.net_connections("inet") if c.pid in pids and c.status == "LISTEN"]
        assert listening, "gloo's own"
        assert {c.laddr.ip for c in listening} == {"127.0.0.1"}
        assert port not in {c.laddr.port for c in listening}, "JAX's coordination service is left"
        ranks[1].send_signal(signal.SIGSTOP)
        ranks[0].send_signal(signal.SIGTERM)
        assert ranks[0].wait(30) == 128 + signal.SIGTERM
        ranks[1].send_signal(signal.SIGCONT)
        assert ranks[1].wait(30) == EXIT_PEER
    finally:
        for process in ranks:
            process.kill()
            process.wait()
    assert "rank 1 of 2 cannot go on: no word from rank 0" in (tmp_path / "err-1").read_text()
    for path in said:
        assert all(line.startswith("{") for line in path.read_text().splitlines()), "gloo's greeting is on stderr"


def test_ranks_that_were_told_different_things_are_named(tmp_path: Path, replicas: Replicas) -> None:
    spec, port = weather(tmp_path, **MANY), free_port()
    other = dataclasses.replace(spec, seed=8)
    ranks = [replicas.one(s, rank=r, world_size=2, port=port) for r, s in enumerate((spec, other))]
    assert [r.wait() for r in ranks] == [EXIT_INPUT, EXIT_INPUT]
    for replica in ranks:
        assert "all ranks must be told the same: rank 1 has another spec than rank 0" in replica.error()
        assert "Traceback" not in replica.text()


def test_a_peer_that_never_comes_is_named(tmp_path: Path, replicas: Replicas) -> None:
    spec, port = weather(tmp_path, **MANY), free_port()
    leader = replicas.one(spec, rank=0, world_size=3, port=port, timeout_s=3)
    other = replicas.one(spec, rank=1, world_size=3, port=free_port(), timeout_s=2)
    assert leader.wait() == EXIT_PEER
    assert f"rank 1, 2 of 3 did not arrive at 127.0.0.1:{port} within 3 s: see whether" in leader.error()
    assert other.wait() == EXIT_PEER
    assert "rank 1 of 3 must reach rank 0 at 127.0.0.1" in other.error()
