"""The epochs: steps over each rank's own rows with gradients averaged, early stopping that all ranks decide alike.

In: a network, encoded rows, hyperparameters. Out: the weights that did best on the validation rows. All that is random
follows from seed, epoch and rank, so the same seed and world size give the same weights, whether the training was cut
off in between or not.
"""

from __future__ import annotations

import dataclasses
import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from seaway.errors import InputError
from seaway.observe import logs
from seaway.training.place import Place
from seaway.training.pytorch import group
from seaway.training.pytorch.hyperparameters import Hyperparameters
from seaway.training.pytorch.network import Network

Loss = Callable[[Tensor, Tensor], Tensor]
"""Scores [n, K] and target [n] to the sum over the rows."""
_EVALUATED = 16_384
"""Rows at a time where nothing is learnt."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Rows:
    """This rank's rows, encoded."""

    numbers: Tensor
    """[n, D] float32."""
    codes: Tensor
    """[n, C] int32."""
    target: Tensor
    """[n] int64 class indices, or float32 standardised values."""
    total: int
    """Rows of all ranks."""

    def __len__(self) -> int:
        return len(self.target)


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


class Training:
    """One training between two epochs; all of it goes into a checkpoint and comes back from one."""

    def __init__(self, network: Network, wanted: Hyperparameters, loss: Loss, *, place: Place, seed: int) -> None:
        self.network = network
        self.progress = Progress()
        self.best = _copied(network)
        self._wanted = wanted
        self._loss = loss
        self._place = place
        self._seed = seed
        self._device = next(network.parameters()).device
        rate, decay = wanted.learning_rate, wanted.weight_decay
        self._optimizer = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=decay)
        self._parallel: nn.Module = network
        if dist.is_initialized():
            self._parallel = nn.parallel.DistributedDataParallel(network, gradient_as_bucket_view=True)

    def run(self, train: Rows, validation: Rows | None, keep: Callable[[], None]) -> None:
        """Train until it is over.

        Args:
            train: this rank's rows.
            validation: this rank's rows to judge by, if there are any.
            keep: called after each epoch.

        Raises:
            InputError: the loss is no number any more.
        """
        while not self.progress.is_over(self._wanted):
            number, began = self.progress.epoch + 1, time.monotonic()
            with self._place.span(f"epoch {number}") as attributes:
                loss = self._epoch(train, number)
                judged = None if validation is None else self._evaluate(validation)
                if not math.isfinite(loss) or (judged is not None and not math.isfinite(judged)):
                    raise InputError(
                        f"the loss must stay a finite number, became {loss} in epoch {number}, validation {judged}: "
                        f"lower learning_rate, found {self._wanted.learning_rate:g}"
                    )
                if self.progress.add(loss, judged):
                    self.best = _copied(self.network)
                seconds = time.monotonic() - began
                attributes |= self.progress.losses[-1] | {"rows_per_s": round(train.total / seconds)}
            if self._place.leads:
                best = {"best_epoch": self.progress.best_epoch, "seconds": round(seconds, 3)}
                logs.info(_logger, f"epoch {number}", **attributes, **best)
            keep()

    def _epoch(self, rows: Rows, number: int) -> float:
        """One pass over all ranks' rows, in the same number of steps on each; the mean loss."""
        place = self._place
        sequence = np.random.SeedSequence([self._seed, number, place.rank])
        random = torch.Generator().manual_seed(int(sequence.generate_state(1)[0]))
        torch.manual_seed(int(sequence.generate_state(2)[1]))  # of dropout
        order = torch.randperm(len(rows), generator=random)
        lengths = [Place(rank=r, world_size=place.world_size).part(rows.total)[1] for r in range(place.world_size)]
        steps = -(-max(lengths) // max(1, self._wanted.batch_size // place.world_size))
        summed = 0.0
        self._parallel.train()
        for step in range(steps):
            own = order[len(rows) * step // steps : len(rows) * (step + 1) // steps]
            everyones = sum(n * (step + 1) // steps - n * step // steps for n in lengths)
            self._set_rate(((number - 1) * steps + step) / (self._wanted.epochs * steps))
            scores = self._parallel(rows.numbers[own].to(self._device), rows.codes[own].to(self._device))
            loss = self._loss(scores, rows.target[own].to(self._device))
            self._optimizer.zero_grad()
            # gradients are averaged over the ranks: so each row of the step counts the same, wherever it is
            (loss * (place.world_size / everyones)).backward()
            self._optimizer.step()
            summed += float(loss.detach())
        return float(group.total(np.array(summed))) / rows.total

    def _set_rate(self, done: float) -> None:
        for param_group in self._optimizer.param_groups:
            param_group["lr"] = self._wanted.learning_rate * one_cycle(done)

    def _evaluate(self, rows: Rows) -> float:
        """The mean loss of all ranks' rows, the same on every rank."""
        summed = 0.0
        self.network.eval()
        with torch.no_grad():
            for start in range(0, len(rows), _EVALUATED):
                part = slice(start, start + _EVALUATED)
                scores = self.network(rows.numbers[part].to(self._device), rows.codes[part].to(self._device))
                summed += float(self._loss(scores, rows.target[part].to(self._device)))
        return float(group.total(np.array(summed))) / rows.total

    def tensors(self) -> dict[str, Tensor]:
        """All that changes in an epoch, on the CPU."""
        out = {f"network/{k}": v for k, v in self.network.state_dict().items()}
        out |= {f"best/{k}": v for k, v in self.best.items()}
        for index, moments in self._optimizer.state_dict()["state"].items():
            out |= {f"optimizer/{index}/{k}": v for k, v in moments.items()}
        return {k: v.detach().cpu().contiguous() for k, v in out.items()}

    def restore(self, progress: Progress, tensors: Mapping[str, Tensor]) -> None:
        """Be where a training was when it gave these."""
        parts: dict[str, dict[str, Tensor]] = {"network": {}, "best": {}, "optimizer": {}}
        for name, tensor in tensors.items():
            kind, _, rest = name.partition("/")
            parts[kind][rest] = tensor
        self.network.load_state_dict(parts["network"])
        self.best = {k: v.to(self._device) for k, v in parts["best"].items()}
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in parts["optimizer"].items():
            index, _, key = name.partition("/")
            state.setdefault(int(index), {})[key] = tensor
        groups = self._optimizer.state_dict()["param_groups"]
        self._optimizer.load_state_dict({"state": state, "param_groups": groups})
        self.progress = progress


def one_cycle(done: float) -> float:
    """Share of the greatest learning rate: up in the first fifth, then down to nothing (Smith and Topin 2018).

    Args:
        done: of all steps, 0 to 1.
    """
    rise, low = 0.2, 0.04
    if done < rise:
        return low + (1 - low) * 0.5 * (1 - math.cos(math.pi * done / rise))
    return 0.5 * (1 + math.cos(math.pi * (done - rise) / (1 - rise)))


def _copied(network: Network) -> dict[str, Tensor]:
    return {k: v.detach().clone() for k, v in network.state_dict().items()}
