"""Which rows each rank learns from in which step of an epoch.

In: rows of all ranks, the batch size. Out: the same number of steps on every rank, in which each row comes once,
though rows do not divide evenly; and their order, which follows from the seed, the epoch and the rank alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from seaway.training.network.learner import Batch
from seaway.training.network.rows import Rows
from seaway.training.place import Place

if TYPE_CHECKING:
    from numpy.typing import NDArray

GATHERED_ROWS = 16_384
"""Rows at a time that are brought together: of several small steps, for each hand-over to another thread costs."""


@dataclass(frozen=True, kw_only=True)
class Steps:
    """Of every epoch of a training."""

    place: Place
    lengths: tuple[tuple[int, int], ...]
    """Lengths of ranks' parts, and how many ranks have each."""
    own: int
    """Rows of this rank."""
    count: int
    """Steps of an epoch."""

    def bounds(self, step: int) -> tuple[int, int]:
        """First and last but one of this rank's places in the order."""
        return self.own * step // self.count, self.own * (step + 1) // self.count

    def everyones(self, step: int) -> int:
        """Rows of all ranks in a step."""
        return sum(
            ranks * (rows * (step + 1) // self.count - rows * step // self.count) for rows, ranks in self.lengths
        )


def steps(total: int, batch_size: int, place: Place) -> Steps:
    """The steps of a training.

    Args:
        total: rows of all ranks.
        batch_size: rows of a step, all ranks together, at most, but for one a rank at least.
        place: of this rank.
    """
    lengths = Counter(Place(rank=r, world_size=place.world_size).part(total)[1] for r in range(place.world_size))
    count = -(-max(lengths) // max(1, batch_size // place.world_size))
    return Steps(place=place, lengths=tuple(sorted(lengths.items())), own=place.part(total)[1], count=count)


def order(rows: int, place: Place, *, seed: int, epoch: int) -> NDArray[np.uint32] | NDArray[np.uint64]:
    """The order in which a rank's rows come in an epoch."""
    random = np.random.default_rng(np.random.SeedSequence([seed, epoch, place.rank]))
    indices: NDArray[Any] = np.arange(rows).astype(np.uint32 if rows <= 2**32 else np.uint64)
    random.shuffle(indices)
    return indices


def gathered(rows: Rows, chosen: NDArray[Any], parts: Steps, *, count: int = 0) -> Iterator[list[Batch]]:
    """The batches of an epoch, those of several steps together.

    Args:
        rows: of this rank.
        chosen: their order.
        parts: the steps.
        count: of the steps, the first; 0 for all.
    """
    first, last = 0, count or parts.count
    while first < last:
        begin, end = parts.bounds(first)
        next_ = first + 1
        while next_ < last and parts.bounds(next_)[1] - begin <= GATHERED_ROWS:
            end, next_ = parts.bounds(next_)[1], next_ + 1
        together = rows.at(chosen[begin:end])
        yield [together.rows(a - begin, b - begin) for a, b in map(parts.bounds, range(first, next_))]
        first = next_
