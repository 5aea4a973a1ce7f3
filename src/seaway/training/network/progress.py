"""How far a training is, and whether it is over."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from seaway.training.network.hyperparameters import Hyperparameters


@dataclass(kw_only=True)
class Progress:
    """How far a training is."""

    losses: list[dict[str, float]] = field(default_factory=list)
    """Of each epoch: ``epoch``, ``loss`` and, where there are validation rows, ``validation_loss``."""
    best_epoch: int = 0
    """The weights that are kept are this epoch's."""
    best_loss: float = math.inf

    @property
    def epoch(self) -> int:
        """How many have ended."""
        return len(self.losses)

    def add(self, loss: float, validation_loss: float | None) -> bool:
        """Count an epoch; whether it is the best so far. Without validation rows the last one is."""
        self.losses.append({"epoch": self.epoch + 1, "loss": loss})
        if validation_loss is not None:
            self.losses[-1]["validation_loss"] = validation_loss
        if validation_loss is not None and not validation_loss < self.best_loss:
            return False
        self.best_epoch, self.best_loss = self.epoch, math.inf if validation_loss is None else validation_loss
        return True

    def is_over(self, wanted: Hyperparameters) -> bool:
        """Whether there is nothing more to learn."""
        waited = self.epoch - self.best_epoch
        return self.epoch >= wanted.epochs or (wanted.patience > 0 and waited >= wanted.patience)

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        out = dataclasses.asdict(self)
        return out | {"best_loss": None if math.isinf(self.best_loss) else self.best_loss}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Progress:
        """What ``to_dict`` wrote."""
        best = math.inf if raw["best_loss"] is None else raw["best_loss"]
        return cls(losses=list(raw["losses"]), best_epoch=raw["best_epoch"], best_loss=best)


def one_cycle(done: float) -> float:
    """Share of the greatest learning rate: up in the first fifth, then down to nothing (Smith and Topin 2018).

    Args:
        done: of all steps, 0 to 1.
    """
    rise, low = 0.2, 0.04
    if done < rise:
        return low + (1 - low) * 0.5 * (1 - math.cos(math.pi * done / rise))
    return 0.5 * (1 + math.cos(math.pi * (done - rise) / (1 - rise)))
