"""One rank's rows as xgboost takes them: a batch at a time, each value as the interval it lies in.

In: a `Part` of a features file. Out: a matrix of one byte a value, never a second copy of the float32 features. Rows
that do not fit into memory are read from the file whenever they are asked for; a matrix that does not fit is kept on
disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xgboost as xgb

from seaway.training.layout import Layout
from seaway.training.network.rows import bound
from seaway.training.tables import Part
from seaway.training.xgboost.columns import Columns

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CELL = 4
"""Bytes of a float32, or of a code."""


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Neighbouring rows, taken apart."""

    numbers: NDArray[np.float32]
    """[n, D]."""
    hot: NDArray[np.int32]
    """[n, categories]: see `Layout.split`."""
    target: NDArray[Any]
    """[n] class indices, or values."""


class Shard:
    """The rows of a part, as often as they are asked for."""

    def __init__(self, part: Part, layout: Layout) -> None:
        self.part = part
        self._layout = layout
        size = len(part) * (len(layout.numbers) + len(layout.categories) + 2) * _CELL
        self.in_memory = size <= bound()
        """Whether they are read once."""
        self._kept: list[Piece] = []

    def pieces(self) -> Iterator[Piece]:
        """All rows in order."""
        if self._kept:
            yield from self._kept
            return
        found = []
        for table in self.part.batches():
            numbers, hot = self._layout.split(table.features)
            piece = Piece(numbers=numbers, hot=hot.astype(np.int32), target=table.target)
            if self.in_memory:
                found.append(piece)
            yield piece
        self._kept = found

    def forget(self) -> None:
        """Free the memory; they are read anew when they are asked for again."""
        self._kept = []


class Batches(xgb.DataIter):  # type: ignore[misc]
    """What xgboost reads several times: to find intervals, then to tell each value's."""

    def __init__(self, shard: Shard, columns: Columns, label: Callable[[Piece], dict[str, Any]], cache: str) -> None:
        self._shard, self._columns, self._label = shard, columns, label
        self._pieces = shard.pieces()
        super().__init__(cache_prefix=cache or None, release_data=True)

    def next(self, input_data: Callable[..., Any]) -> bool:
        """Hand over a batch; False after the last."""
        piece = next(self._pieces, None)
        if piece is None:
            return False
        input_data(data=self._columns.matrix(piece.numbers, piece.hot), **self._label(piece))
        return True

    def reset(self) -> None:
        """Begin anew."""
        self._pieces = self._shard.pieces()


def matrix(
    shard: Shard,
    columns: Columns,
    label: Callable[[Piece], dict[str, Any]],
    *,
    max_bin: int,
    threads: int,
    cache: str,
    like: xgb.DMatrix | None = None,
) -> xgb.DMatrix:
    """The rows of this rank; all ranks call it together, for the intervals are those of all ranks' rows.

    Args:
        shard: the rows.
        columns: that trees are grown on.
        label: gives ``label`` and, if any, ``weight`` of a piece's rows.
        max_bin: intervals of a column.
        threads: of this rank.
        cache: of files for what does not fit into memory, the beginning of their paths.
        like: a matrix with the intervals to use: that of the training rows.

    Raises:
        DataError: what `Part.batches` raises.
    """
    size = len(shard.part) * columns.width * (1 if max_bin <= 256 else 2)
    shared: dict[str, Any] = {"max_bin": max_bin, "nthread": threads, "ref": like}
    if size <= bound():
        found: xgb.DMatrix = xgb.QuantileDMatrix(Batches(shard, columns, label, ""), **shared)
    else:
        prefix = f"{cache}-{'train' if like is None else 'validation'}"
        found = xgb.ExtMemQuantileDMatrix(Batches(shard, columns, label, prefix), **shared)
    shard.forget()
    return found
