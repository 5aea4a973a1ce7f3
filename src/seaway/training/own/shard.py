"""One rank's rows for a user's own script: in order or shuffled, in as many steps as every other rank takes.

In: a part of a features file. Out: batches as NumPy arrays or Arrow. Nothing here knows a framework.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from seaway.errors import InputError
from seaway.training.tables import TARGET, Part, Table

if TYPE_CHECKING:
    import pyarrow as pa

WINDOW_ROWS = 262_144
"""Rows that are held and shuffled among one another; a part of no more is shuffled whole, and read only once."""


class Shard:
    """The rows of one rank, read when they are asked for.

    Args:
        part: of the features file.
        seed: of the training; the order of `shuffled` follows from it.
    """

    def __init__(self, part: Part, *, seed: int) -> None:
        self._part, self._seed = part, seed
        self._held: Table | None = None

    def __len__(self) -> int:
        return len(self._part)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the features."""
        return self._part.names

    @property
    def total(self) -> int:
        """Rows of all ranks."""
        return self._part.total

    def steps(self, rows: int) -> int:
        """How many batches of at most ``rows`` rows `shuffled` gives: the same on every rank.

        Raises:
            InputError: a batch must have a row.
        """
        if rows < 1:
            raise InputError(f"a batch must have at least one row, found rows={rows}")
        return -(-(self.total // self._part.place.world_size) // rows)

    def read(self) -> Table:
        """All rows of the part at once: ``features`` float32 [n, F] and ``target`` [n].

        Raises:
            DataError: as `batches`.
        """
        if self._held is None:
            if len(self) > WINDOW_ROWS:
                return self._part.read()
            self._held = self._part.read()
        return self._held

    def batches(self, rows: int = 32_768) -> Iterator[Table]:
        """The rows in order, at most ``rows`` at a time; ranks may differ in their number of batches by one.

        Raises:
            DataError: a feature is infinite, a target is no class or number, or the file is damaged.
        """
        self.steps(rows)
        return self._part.batches(rows)

    def shuffled(self, epoch: int, rows: int) -> Iterator[Table]:
        """The rows in an order that follows from seed, rank and epoch; `steps` batches, the last one may be smaller.

        Where a rank has a row more than another that row may be left out, another one in each epoch.

        Raises:
            DataError: as `batches`.
        """
        left = self.steps(rows)
        draw = np.random.default_rng(np.random.SeedSequence([self._seed, epoch, self._part.place.rank]))
        for table in _cut(self._windows(draw), rows):
            if left == 0:
                return
            left -= 1
            yield table

    def arrow(self) -> pa.Table:
        """All rows as an Arrow table: the features, then ``__target__``."""
        import pyarrow as pa

        table = self.read()
        columns = {name: table.features[:, i] for i, name in enumerate(table.names)}
        return pa.table({**columns, TARGET: table.target})

    def _windows(self, draw: np.random.Generator) -> Iterator[Table]:
        """The rows, those within a window mixed; what a window holds stays for the next but for one block."""
        if len(self) <= WINDOW_ROWS:
            table = self.read()
            yield _taken(table, draw.permutation(len(table)))
            return
        held: Table | None = None
        for block in self._part.batches(WINDOW_ROWS // 8):
            held = block if held is None else _joined(held, block)
            if len(held) >= WINDOW_ROWS:
                order = draw.permutation(len(held))
                yield _taken(held, order[: len(block)])
                held = _taken(held, order[len(block) :])
        if held is not None:
            yield _taken(held, draw.permutation(len(held)))


def _cut(tables: Iterator[Table], rows: int) -> Iterator[Table]:
    """The same rows, ``rows`` at a time."""
    rest: Table | None = None
    for table in tables:
        whole = table if rest is None else _joined(rest, table)
        full = len(whole) // rows * rows
        for start in range(0, full, rows):
            yield _taken(whole, slice(start, start + rows))
        rest = _taken(whole, slice(full, None)) if full < len(whole) else None
    if rest is not None:
        yield rest


def _taken(table: Table, chosen: Any) -> Table:
    return Table(features=table.features[chosen], target=table.target[chosen], names=table.names)


def _joined(one: Table, two: Table) -> Table:
    features = np.concatenate([one.features, two.features])
    return Table(features=features, target=np.concatenate([one.target, two.target]), names=one.names)
