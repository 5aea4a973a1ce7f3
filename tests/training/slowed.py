"""The PyTorch worker, which samples every step, with one rank slowed if SLOWED says so.

That is ``RANK:data:MS`` or ``RANK:compute:MS``, of every step.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

from seaway.training import worker
from seaway.training.evidence.meter import Meter
from seaway.training.network import fit as network
from seaway.training.network import steps
from seaway.training.network.learner import Batch
from seaway.training.pytorch.fit import fit
from seaway.training.pytorch.group import joined
from seaway.training.pytorch.learner import TorchLearner

NAME = "SLOWED"


def slow(kind: str, seconds: float) -> None:
    """Every batch is read, or every step computed, ``seconds`` later."""
    gathered, summed = steps.gathered, TorchLearner._summed

    def late(*args: Any, **kwargs: Any) -> Iterator[list[Batch]]:
        for together in gathered(*args, **kwargs):
            for batch in together:
                time.sleep(seconds)
                yield [batch]

    def long(self: TorchLearner, batch: Batch) -> Any:
        time.sleep(seconds)
        return summed(self, batch)

    if kind == "data":
        steps.gathered = late
    else:
        TorchLearner._summed = long  # type: ignore[method-assign]


if __name__ == "__main__":
    network.Meter = partial(Meter, every=1)  # type: ignore[misc, assignment]
    if said := os.environ.get(NAME):
        rank, kind, ms = said.split(":")
        if os.environ["RANK"] == rank:
            slow(kind, float(ms) / 1000)
    raise SystemExit(worker.main(fit, joined))
