"""The epochs: steps over each rank's own rows with gradients averaged, early stopping that all ranks decide alike.

In: a learner, encoded rows, hyperparameters. Out: the weights that did best on the validation rows. All that is random
follows from seed, epoch and rank, so the same seed and world size give the same weights, whether the training was cut
off in between or not.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING, Any, SupportsFloat

import numpy as np

from seaway.errors import InputError
from seaway.observe import logs
from seaway.training.evidence.meter import Meter
from seaway.training.network import steps as schedule
from seaway.training.network.hyperparameters import Hyperparameters
from seaway.training.network.learner import Arrays, Batch, Learner
from seaway.training.network.progress import Progress, one_cycle
from seaway.training.network.rows import Rows
from seaway.training.network.steps import Steps
from seaway.training.peers import Peers, total
from seaway.training.prefetch import ahead

if TYPE_CHECKING:
    from numpy.typing import NDArray

_EVALUATED = 16_384
"""Rows at a time where nothing is learnt."""
_HELD = 256
"""Losses that are asked for together: each may make the device wait."""
_WARM_UP, _TIMED = 3, 30
"""Steps of the measurement of what more ranks add."""

_logger = logging.getLogger(__name__)


class Training:
    """One training between two epochs; all of it goes into a checkpoint and comes back from one."""

    def __init__(self, learner: Learner, wanted: Hyperparameters, *, peers: Peers, seed: int, meter: Meter) -> None:
        self.learner = learner
        self.progress = Progress()
        self.best: Arrays = {}
        """Weights of the best epoch."""
        self._wanted = wanted
        self._peers = peers
        self._seed = seed
        self._meter = meter

    def run(self, train: Rows, validation: Rows | None, keep: Callable[[], None]) -> None:
        """Train until it is over.

        Args:
            train: this rank's rows.
            validation: this rank's rows to judge by, if there are any.
            keep: called after each epoch.

        Raises:
            InputError: the loss is no number any more.
        """
        place = self._peers.place
        while not self.progress.is_over(self._wanted):
            number, began = self.progress.epoch + 1, time.monotonic()
            with place.span(f"epoch {number}") as attributes:
                loss = self._epoch(train, number)
                judged = None if validation is None else self._evaluate(validation)
                if not math.isfinite(loss) or (judged is not None and not math.isfinite(judged)):
                    raise InputError(
                        f"the loss must stay a finite number, became {loss} in epoch {number}, validation {judged}: "
                        f"lower learning_rate, found {self._wanted.learning_rate:g}"
                    )
                if self.progress.add(loss, judged):
                    self.best = self.learner.weights()
                seconds = time.monotonic() - began
                losses = self.progress.losses[-1]
                measured = self._meter.epoch(number, losses)
                attributes |= losses | measured | {"rows_per_s": round(train.total / seconds)}
            best = {"best_epoch": self.progress.best_epoch, "seconds": round(seconds, 3)}
            logs.info(_logger, f"epoch {number}", **attributes, **best)
            keep()

    def _epoch(self, rows: Rows, number: int) -> float:
        """One pass over all ranks' rows, in the same number of steps on each; the mean loss."""
        parts, rate = self._steps(rows)
        self.learner.begin_epoch(number)
        summed, held = 0.0, list[SupportsFloat]()
        with self._batches(rows, parts, number) as batches:
            for step, batch in enumerate(self._meter.batches(batches)):
                done = (number - 1) * parts.count + step
                now = rate * one_cycle(done / (self._wanted.epochs * parts.count))
                with self._meter.step(done, len(batch)) as computed:
                    held.append(self.learner.step(batch, rate=now, everyones=parts.everyones(step), computed=computed))
                if len(held) == _HELD:
                    summed += sum(map(float, held))
                    held.clear()
        return self._mean(summed + sum(map(float, held)), rows)

    def _steps(self, rows: Rows) -> tuple[Steps, float]:
        """Of an epoch, and the greatest learning rate."""
        batch_size, rate = self._wanted.for_world(self._peers.place.world_size)
        return schedule.steps(rows.total, batch_size, self._peers.place), rate

    @contextmanager
    def _batches(self, rows: Rows, parts: Steps, epoch: int, *, count: int = 0) -> Iterator[Iterator[Batch]]:
        """This rank's batches of the first ``count`` steps of an epoch, or of all; read in a thread."""
        chosen = schedule.order(len(rows), parts.place, seed=self._seed, epoch=epoch)
        with ahead(schedule.gathered(rows, chosen, parts, count=count)) as together:
            yield chain.from_iterable(together)

    def _evaluate(self, rows: Rows) -> float:
        """The mean loss of all ranks' rows, the same on every rank."""
        world_size = self._peers.place.world_size
        most = -(-rows.total // world_size)  # of any rank: all take as many batches
        found = [self.learner.loss(rows.slice(at, at + _EVALUATED)) for at in range(0, most, _EVALUATED)]
        return self._mean(sum(map(float, found)), rows)

    def _mean(self, summed: float, rows: Rows) -> float:
        return float(total(self._peers, np.array(summed))) / rows.total

    def measure_scaling(self, rows: Rows) -> None:
        """Time some steps of rank 0 alone and then of all together; the training is as before."""
        weights, optimizer = self.learner.weights(), self.learner.optimizer()
        parts, rate = self._steps(rows)
        count = min(parts.count, _WARM_UP + _TIMED)
        warm = min(_WARM_UP, count - 1)
        self.learner.begin_epoch(1)
        own = everyones = 0.0
        if self._peers.place.leads:
            own = self._timed(rows, parts, rate, count=count, warm=warm, exchange=False)
        self._peers.barrier()
        everyones = self._timed(rows, parts, rate, count=count, warm=warm, exchange=True)
        alone, together = self._peers.gather(np.array([own, everyones]))[0]
        self.learner.restore(weights, optimizer)
        self._meter.baseline(float(alone), float(together))
        logs.info(_logger, "measured the scaling", rows_per_s_alone=round(alone), rows_per_s_together=round(together))

    def _timed(self, rows: Rows, parts: Steps, rate: float, *, count: int, warm: int, exchange: bool) -> float:
        """Rows a second: those of all ranks where they exchange, else this rank's."""
        loss: SupportsFloat = 0.0
        done, began = 0, time.perf_counter()
        with self._batches(rows, parts, 1, count=count) as batches:
            for step, batch in enumerate(batches):
                if step == warm:
                    float(loss)  # now it is computed
                    done, began = 0, time.perf_counter()
                everyones = parts.everyones(step) if exchange else max(len(batch), 1)
                loss = self.learner.step(batch, rate=rate * one_cycle(0), everyones=everyones, exchange=exchange)
                done += parts.everyones(step) if exchange else len(batch)
            float(loss)
        return done / max(time.perf_counter() - began, 1e-9)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All that changes in an epoch; called by all ranks."""
        out: dict[str, NDArray[Any]] = {f"network/{k}": v for k, v in self.learner.weights().items()}
        out |= {f"best/{k}": v for k, v in self.best.items()}
        return out | {f"optimizer/{k}": v for k, v in self.learner.optimizer().items()}

    def restore(self, progress: Progress, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Be where a training was when it gave these; called by all ranks."""
        parts: dict[str, dict[str, NDArray[Any]]] = {"network": {}, "best": {}, "optimizer": {}}
        for name, array in arrays.items():
            kind, _, rest = name.partition("/")
            parts[kind][rest] = array
        self.learner.restore(parts["network"], parts["optimizer"])
        self.best = parts["best"]
        self.progress = progress
