"""One training is the same wherever its rows are, however its steps are cut, and whoever goes on with it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist

from seaway.errors import InputError
from seaway.training import checkpoints
from seaway.training.network.rows import BOUND_ENV
from seaway.training.place import Place
from seaway.training.pytorch.fit import train
from seaway.training.pytorch.gradients import Gradients
from seaway.training.spec import TrainSpec
from tests.training.inputs import Replicas, weather_spec

QUICK: dict[str, Any] = {"epochs": 4, "hidden": [32, 32], "patience": 0, "dropout": 0, "batch_size": 128}


@pytest.fixture
def replicas(tmp_path: Path) -> Iterator[Replicas]:
    started = Replicas(tmp_path)
    yield started
    started.end()


def native(spec: TrainSpec) -> Any:
    return json.loads((Path(spec.output) / "native" / "network.json").read_text())


def losses(spec: TrainSpec) -> list[float]:
    return [e["validation_loss"] for e in native(spec)["losses"]]


def to(spec: TrainSpec, folder: Path, name: str, **changes: Any) -> TrainSpec:
    params = {**spec.params, **changes.pop("params", {})}
    return dataclasses.replace(spec, output=str(folder / name), params=params, **changes)


def test_rows_on_disk_give_the_same_model_to_the_last_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    spec = weather_spec(tmp_path, "value", **QUICK | {"dropout": 0.2})
    train(spec)
    mapped = to(spec, tmp_path, "mapped")
    monkeypatch.setenv(BOUND_ENV, "0.01")
    caplog.set_level("INFO")
    train(mapped)
    told = [r.fields for r in caplog.records if r.getMessage() == "training"][-1]
    assert told["in_memory"] is False
    assert native(mapped) == native(spec)
    assert (Path(mapped.output) / "model.onnx").read_bytes() == (Path(spec.output) / "model.onnx").read_bytes()


def test_a_step_in_parts_and_in_fewer_bits_learns_the_same(tmp_path: Path) -> None:
    spec = weather_spec(tmp_path, "three", **QUICK)
    train(spec)
    parts = to(spec, tmp_path, "parts", params={"accumulate": 3})
    train(parts)
    assert losses(parts) == pytest.approx(losses(spec), rel=1e-5)
    half = to(spec, tmp_path, "half", params={"precision": "bfloat16"})
    agreed = train(half).agreement
    assert losses(half) == pytest.approx(losses(spec), rel=2e-2)
    assert losses(half) != losses(spec)
    assert agreed is not None
    assert agreed.rows_over_tolerance == 0


def test_the_report_of_the_training_is_in_the_package(tmp_path: Path) -> None:
    spec = weather_spec(tmp_path, "two", **QUICK)
    train(spec)
    told = json.loads((Path(spec.output) / "reports" / "training.json").read_text())
    assert len(told["ranks"]) == 1
    assert told["ranks"][0]["steps"] == 4 * 8
    assert "<html" in (Path(spec.output) / "reports" / "training.html").read_text()


def test_two_ranks_go_on_with_what_one_began_and_measure_what_they_add(
    tmp_path: Path, replicas: Replicas, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = weather_spec(tmp_path, "value", rows=2000, **QUICK | {"epochs": 6, "batch_size": 2000})
    whole = to(spec, tmp_path, "whole")
    train(whole)
    cut = to(spec, tmp_path, "cut", checkpoints=str(tmp_path / "kept"), measure_scaling=True)
    write = checkpoints.write

    class CutError(Exception):
        """Stands for whatever ends a process."""

    def then_end(spec: TrainSpec, place: Place, content: bytes, *, epoch: int, ended: bool = False) -> None:
        write(spec, place, content, epoch=epoch, ended=ended)
        if epoch == 3:
            raise CutError

    with monkeypatch.context() as patched:
        patched.setattr(checkpoints, "write", then_end)
        with pytest.raises(CutError):
            train(cut)
    ranks = replicas.start(cut)
    assert [r.wait() for r in ranks] == [0, 0], ranks[0].text()[-3000:]
    [told] = [line for line in ranks[1].lines() if line["message"] == "goes on from a checkpoint"]
    assert (told["epoch"], told["ranks_before"], told["ranks"]) == (3, 1, 2)
    assert losses(cut)[:3] == losses(whole)[:3]
    assert losses(cut)[3:] == pytest.approx(losses(whole)[3:], rel=1e-4)
    scaling = json.loads((Path(cut.output) / "reports" / "training.json").read_text())["scaling"]
    assert scaling["alone"] > 0
    assert scaling["together"] > 0
    assert not (tmp_path / "kept").exists()


def test_weights_parted_among_two_ranks_learn_what_whole_ones_do(tmp_path: Path, replicas: Replicas) -> None:
    spec = weather_spec(tmp_path, "three", rows=301, **QUICK | {"batch_size": 1000})
    parted = to(spec, tmp_path, "parted", params={"sharding": "full"}, checkpoints=str(tmp_path / "kept"))
    ranks = replicas.start(parted)
    train(spec)
    assert [r.wait() for r in ranks] == [0, 0], ranks[0].text()[-3000:]
    assert losses(parted) == pytest.approx(losses(spec), rel=1e-4)
    with pytest.raises(InputError, match="measure_scaling must be false with sharding"):
        train(to(parted, tmp_path, "never", measure_scaling=True))


def test_gradients_sent_on_the_way_are_those_sent_at_the_end() -> None:
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        sent = []
        for early in (False, True):
            torch.manual_seed(1)
            network = torch.nn.Sequential(*(torch.nn.Linear(8, 8) for _ in range(5)))
            gradients = Gradients(network, bucket_bytes=600)
            assert len(gradients._buckets) == 3
            rows = torch.randn(16, 8)
            for _ in range(2):
                gradients.clear()
                if early:
                    with gradients.sent_early():
                        network(rows).square().sum().backward()
                    assert all(b.sent is not None for b in gradients._buckets)
                else:
                    network(rows).square().sum().backward()
                    assert all(b.sent is None for b in gradients._buckets)
                gradients.add_up()
            sent.append([p.grad.clone() for p in network.parameters()])
        assert all(torch.equal(a, b) for a, b in zip(*sent, strict=True))
        assert all(g.abs().sum() > 0 for g in sent[0])
    finally:
        dist.destroy_process_group()
