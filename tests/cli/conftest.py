from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.support.laptop import TestLaptop, running_laptop


@dataclass(frozen=True)
class Seaway:
    """The command, on a laptop of its own."""

    laptop: TestLaptop

    def __call__(self, *arguments: str, check: bool = True, stdin: str | None = None) -> str:
        """What it prints, stdout and stderr together."""
        done = subprocess.run(
            [sys.executable, "-m", "seaway", *arguments],
            env=self.laptop.env,
            capture_output=True,
            text=True,
            timeout=240,
            input=stdin,
        )
        said = done.stdout + done.stderr
        assert not check or done.returncode == 0, f"seaway {' '.join(arguments)}: {said}"
        assert check or done.returncode != 0, f"seaway {' '.join(arguments)} must fail: {said}"
        return said

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """The command as a process."""
        return subprocess.Popen(
            [sys.executable, "-m", "seaway", *arguments],
            env=self.laptop.env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
        )


@pytest.fixture(scope="package")
def seaway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaway]:
    """The command on a laptop for all tests of the command."""
    with running_laptop(tmp_path_factory.mktemp("laptop") / "home") as laptop:
        yield Seaway(laptop)


@pytest.fixture(scope="package")
def taxis(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of made-up trips whose fare follows a rule that trees can learn and a line cannot."""
    draw, rows = np.random.default_rng(0), 4_000
    zone = draw.choice(["north", "south", "harbour"], rows)
    hour, distance = draw.integers(0, 24, rows), draw.gamma(2, 3, rows)
    night = (hour < 6) | (hour > 21)
    fare = 3 + 2 * distance * np.where(night, 1.8, 1) + (zone == "harbour") * np.where(night, 15, 0)
    frame = pl.DataFrame(
        {
            "zone ⚓": zone,
            "hour": hour,
            "distance": [None if d > 15 else round(d, 3) for d in distance],
            "fare": np.round(fare + draw.normal(0, 0.5, rows), 2),
            "tipped": fare + draw.normal(0, 2, rows) > 25,
        }
    )
    path = tmp_path_factory.mktemp("taxis") / "trips.csv"
    frame.write_csv(path)
    return path
