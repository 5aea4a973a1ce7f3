"""One network learns alike in every framework: the same rows in the same steps, from the same weights."""

from __future__ import annotations

import dataclasses
import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seaway.model import package
from seaway.training.spec import TrainSpec
from tests.training.inputs import Replica, weather_spec

FRAMEWORKS = ["jax", "tensorflow"]
"""Beside PyTorch, which all are compared with."""


def here(spec: TrainSpec) -> float:
    """Train in this process; how far the package's answers are from the framework's."""
    agreed = importlib.import_module(f"seaway.training.{spec.framework}.fit").train(spec).agreement
    assert agreed is not None
    return float(agreed.max_difference)


def by_itself(spec: TrainSpec, folder: Path) -> float:
    """The same as a worker: for a framework that warns when it is loaded, and takes much memory."""
    worker = Replica.start(spec, folder, rank=0, world_size=1, port=1)
    assert worker.wait() == 0, worker.text()[-3000:]
    return float(next(line["max_difference"] for line in worker.lines() if line["message"] == "wrote the package"))


def trained(folder: Path, framework: str, **params: Any) -> tuple[Any, Any]:
    """Losses of all epochs, and the answers of the package."""
    spec = dataclasses.replace(weather_spec(folder, "two", rows=1501, output=framework, **params), framework=framework)
    agreed = by_itself(spec, folder) if framework == "tensorflow" else here(spec)
    assert agreed < 1e-4
    losses = json.loads((Path(spec.output) / "native" / "network.json").read_text())["losses"]
    assert package.load(Path(spec.output)).name == "weather"
    return losses, agreed


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_one_network_learns_alike_in_every_framework(framework: str, tmp_path: Path) -> None:
    params = {"epochs": 4, "patience": 0, "hidden": [16, 16], "dropout": 0.0, "batch_size": 128}
    params |= {"class_weight": "balanced", "weight_decay": 0.05}
    wanted, _ = trained(tmp_path, "pytorch", **params)
    found, _ = trained(tmp_path, framework, **params)
    for name in ("loss", "validation_loss"):
        assert [e[name] for e in found] == pytest.approx([e[name] for e in wanted], abs=1e-3)
        assert np.ptp([e[name] for e in found]) > 1e-2, "it learns"
