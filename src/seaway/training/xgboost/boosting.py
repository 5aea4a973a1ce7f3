"""Rounds of boosting, until the validation loss gets no better.

In: matrices of this rank's rows. Out: a booster of the best rounds, the same on every rank. A training that goes on
from a round ends as one that was never cut off: the trees of a round follow from the rows, the trees before it and the
seed alone.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import xgboost as xgb

from seaway.errors import InputError
from seaway.observe import logs
from seaway.training.evidence.meter import Meter
from seaway.training.place import Place

EVERY = 10
"""Rounds from one line of the log to the next, and at least from one checkpoint to the next."""
CHECKPOINT_S = 5.0
"""Seconds from one checkpoint to the next."""
MEASURED = 4
"""Rounds that scaling is measured on, after one that warms up."""
DRAWN = ("subsample", "colsample_bytree", "colsample_bylevel", "colsample_bynode")
"""Parameters under 1 of which leave a share of rows or columns to chance."""
_SCHEDULER = Path("/proc/thread-self/schedstat")

_logger = logging.getLogger(__name__)


class Boosting:
    """A training under way.

    Args:
        params: what xgboost is told.
        train: this rank's training rows.
        held_out: this rank's validation rows, or None.
        patience: rounds without a better loss after which it ends; 0 never does.
        before: a booster to go on from, as bytes.
        losses: on the validation rows after each of its rounds.
    """

    def __init__(
        self,
        params: Mapping[str, Any],
        train: xgb.DMatrix,
        held_out: xgb.DMatrix | None,
        *,
        patience: int,
        before: bytes = b"",
        losses: tuple[float, ...] = (),
    ) -> None:
        self._train, self._held_out, self._patience = train, held_out, patience
        self._params = dict(params)
        self._draws = any(params[name] < 1 for name in DRAWN)
        caches = [train] if held_out is None else [train, held_out]
        self.booster = xgb.Booster(self._params, caches, model_file=bytearray(before) if before else None)
        self.losses = list(losses)

    @property
    def rounds(self) -> int:
        """That were boosted."""
        found: int = self.booster.num_boosted_rounds()
        return found

    @property
    def best(self) -> int:
        """Rounds of the best model."""
        if not self.losses or not self._patience:
            return self.rounds
        return self.losses.index(min(self.losses)) + 1

    def run(self, most: int, *, place: Place, meter: Meter, rows: int, keep: Callable[[], None]) -> None:
        """Boost until ``most`` rounds, or until no loss gets better.

        Args:
            most: rounds.
            place: of this rank.
            meter: is told of every round.
            rows: of this rank.
            keep: writes a checkpoint; called after some rounds.

        Raises:
            InputError: the loss is no number any more.
        """
        kept_at, began = time.monotonic(), time.time()
        if self._over():
            return
        for number in meter.batches(range(self.rounds, most)):
            seconds, ran = self._boost(number)
            meter.took(seconds, rows, (ran, seconds - ran, 0.0))
            over = self._over()
            if (number + 1) % EVERY and number + 1 < most and not over:
                continue
            told = {"validation_loss": self.losses[-1]} if self.losses else {}
            figures = meter.epoch(number + 1, told)
            logs.info(_logger, f"round {number + 1}", rank=place.rank, **told, **figures)
            if over:
                break
            # by rank 0's clock alone: it alone writes
            if time.monotonic() - kept_at >= CHECKPOINT_S or number + 1 == EVERY:
                keep()
                kept_at = time.monotonic()
        logs.info(_logger, "boosted", rank=place.rank, rounds=self.rounds, best=self.best)
        _span(place, began, self.rounds)

    def measure(self) -> float:
        """Seconds of some rounds; the booster is of no use afterwards."""
        self.booster.update(self._train, 0)
        at = time.perf_counter()
        for number in range(1, 1 + MEASURED):
            self.booster.update(self._train, number)
        return time.perf_counter() - at

    def content(self) -> bytes:
        """The booster as it is, for a checkpoint."""
        return bytes(self.booster.save_raw("ubj"))

    def finished(self) -> xgb.Booster:
        """The best rounds, by themselves; the matrices are let go of."""
        best = self.booster[: self.best]
        best.set_param({"nthread": self._params["nthread"]})
        self.booster = best
        del self._train, self._held_out
        return best

    def _boost(self, number: int) -> tuple[float, float]:
        """One round; its seconds, and those in which this thread ran or could have run if it had had a core.

        xgboost's exchange between ranks is inside a round, and in all else this thread never sleeps: what is left of
        the seconds is spent waiting for other ranks.
        """
        at, ran = time.perf_counter(), _ran_s()
        if self._draws:
            self._draw_anew()
        self.booster.update(self._train, number)
        if self._held_out is not None:
            said = self.booster.eval_set([(self._held_out, "validation")], number)
            loss = float(said.rpartition(":")[2])
            if not math.isfinite(loss):
                raise InputError(
                    f"the validation loss must be a number, found {loss} after round {number + 1}: set a smaller "
                    "learning_rate, or a greater reg_lambda"
                )
            self.losses.append(loss)
        seconds = time.perf_counter() - at
        return seconds, min(max(_ran_s() - ran, 0.0), seconds)

    def _draw_anew(self) -> None:
        """Let the round draw from the seed and its number alone.

        What grows the trees keeps a state of chance from round to round, which no model file holds; it is built anew
        when the method changes, if only for a moment.
        """
        for method in ("approx", self._params["tree_method"]):
            self.booster.set_param({"tree_method": method})
            self.booster.save_config()  # parameters are read when they are needed

    def _over(self) -> bool:
        return bool(self._patience and self.losses and len(self.losses) - self.best >= self._patience)


def _ran_s() -> float:
    """Seconds that this thread had a core, or waited for one."""
    try:
        waited_ns = int(_SCHEDULER.read_bytes().split()[1])
    except (OSError, IndexError, ValueError):
        waited_ns = 0
    return time.thread_time() + waited_ns / 1e9


def _span(place: Place, began: float, rounds: int) -> None:
    from seaway.observe import spans

    spans.record("boost", start=began, end=time.time(), rank=place.rank, world_size=place.world_size, rounds=rounds)
