"""What a training worker reads, through the real features step, on rows whose truth is known."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seaway.features.step import featurize
from seaway.training.spec import ENV, TrainSpec
from seaway.training.world import TIMEOUT_ENV
from tests.support import weather
from tests.support.waiting import until


def weather_spec(folder: Path, kind: str, *, rows: int = 900, output: str = "package", **params: Any) -> TrainSpec:
    """Write the inputs of a training on the weather's rows below ``folder``, unless they are there."""
    path = {
        n: str(folder / n) for n in ("train_rows", "validation_rows", "contract", "features", "train", "validation")
    }
    if not Path(path["features"]).exists():
        (folder / "contract").write_text(weather.contract(kind).to_json())
        weather.rows(kind, rows, seed=1).write_parquet(path["train_rows"])
        weather.rows(kind, max(rows // 3, 1), seed=2).write_parquet(path["validation_rows"])
        featurize(
            train=path["train_rows"],
            validation=path["validation_rows"],
            contract=path["contract"],
            features=path["features"],
            train_features=path["train"],
            validation_features=path["validation"],
        )
    path.pop("train_rows")
    return TrainSpec(
        name="weather",
        version="v1",
        framework="pytorch",
        output=str(folder / output),
        params=params,
        seed=7,
        dataset_digest="0" * 64,
        run_id="run-7",
        **path,
    )


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@dataclass
class Replica:
    """One rank as a process of its own; what it writes goes to a file."""

    process: subprocess.Popen[bytes]
    log: Path

    @classmethod
    def start(
        cls, spec: TrainSpec, folder: Path, *, rank: int, world_size: int, port: int, timeout_s: float = 60, **env: str
    ) -> Replica:
        known = {k: v for k, v in os.environ.items() if not k.startswith("SEAWAY_")}
        ranks = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(world_size), "RANK": str(rank)}
        environment: Mapping[str, str] = {
            **known,
            **ranks,
            "SEAWAY_LOG_FORMAT": "json",
            "OMP_NUM_THREADS": "1",
            TIMEOUT_ENV: str(timeout_s),
            ENV: spec.to_json(),
            **env,
        }
        log = folder / f"rank-{rank}.log"
        with log.open("wb") as out:
            command = [sys.executable, "-m", f"seaway.training.{spec.framework}"]
            process = subprocess.Popen(command, env=environment, stdout=out, stderr=subprocess.STDOUT)
        return cls(process, log)

    def text(self) -> str:
        return self.log.read_text()

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text().splitlines() if line.startswith("{")]

    def error(self) -> str:
        return next(line for line in reversed(self.text().splitlines()) if line.startswith("error: "))

    def spans(self) -> list[dict[str, Any]]:
        return [line["span"] for line in self.lines() if "span" in line]

    def until_it_says(self, text: str) -> None:
        def said() -> bool:
            assert self.process.poll() is None or text in self.text(), self.text()[-3000:]
            return text in self.text()

        until(said, timeout_s=120, what=f"{self.log} says {text!r}")

    def wait(self, timeout_s: float = 120) -> int:
        return self.process.wait(timeout=timeout_s)


class Replicas:
    """The ranks that a test starts; none outlives it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._all: list[Replica] = []

    def start(self, spec: TrainSpec, *, world_size: int = 2, **env: str) -> list[Replica]:
        """All ranks of one training."""
        port = free_port()
        return [self.one(spec, rank=r, world_size=world_size, port=port, **env) for r in range(world_size)]

    def one(self, spec: TrainSpec, **place: Any) -> Replica:
        replica = Replica.start(spec, self._folder, **place)
        self._all.append(replica)
        return replica

    def end(self) -> None:
        for replica in self._all:
            if replica.process.poll() is None:
                replica.process.kill()
            replica.process.wait(timeout=30)
