"""The columns that trees are grown on: numbers as they are, and each one-hot encoding as one column of codes.

In: this rank's training rows, and which columns the feature plan made of one category. Out: `Bundles`, the same on
every rank; see `seaway.training.bundles` for why. Categories are taken from the plan and not found in the data: every
rank sees other rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from seaway.training.bundles import LEAST, Bundles, codes
from seaway.training.layout import Layout
from seaway.training.peers import Peers, total

if TYPE_CHECKING:
    from numpy.typing import NDArray


def worthwhile(layout: Layout) -> Layout:
    """The layout with small categories left as columns."""
    return Layout(width=layout.width, categories=tuple(c for c in layout.categories if c.size >= LEAST))


class Tally:
    """Rows and answers of each category's columns, added up a batch at a time."""

    def __init__(self, layout: Layout, *, classes: int) -> None:
        self._classes = classes
        self._layout = layout
        width = (classes or 1) + 1
        self._sums = [np.zeros((c.size + 1, width)) for c in layout.categories]
        """By category: [none and each column, rows and sums of answers]."""

    def add(self, hot: NDArray[np.int32], target: NDArray[np.int64] | NDArray[np.float64]) -> None:
        """Take rows into account.

        Args:
            hot: [n, categories]: 0 for none of the columns, 1 for the first ..., as `Layout.split` gives them.
            target: [n] class indices, or values.
        """
        for k, sums in enumerate(self._sums):
            for answer in range(sums.shape[1]):
                weights = None
                if answer and self._classes:
                    weights = (target == answer - 1).astype(np.float64)
                elif answer:
                    weights = target.astype(np.float64)
                sums[:, answer] += np.bincount(hot[:, k], weights, minlength=len(sums))

    def bundles(self, peers: Peers) -> Bundles | None:
        """The bundles of all ranks' rows; None where no category is worth one."""
        if not self._sums:
            return None
        found = []
        for own in self._sums:
            sums = np.roll(total(peers, own), -1, axis=0)  # none of the columns comes last
            rows, answers = sums[:, 0], sums[:, 1:]
            found.append(codes(rows, answers - rows[:, None] * (answers.sum(axis=0) / rows.sum())))
        return Bundles(
            kept=tuple(self._layout.numbers.tolist()),
            columns=tuple(tuple(range(c.start, c.start + c.size)) for c in self._layout.categories),
            codes=tuple(found),
        )


@dataclass(frozen=True, kw_only=True)
class Columns:
    """From what `Layout.split` gives to what trees are grown on."""

    layout: Layout
    bundles: Bundles | None

    @property
    def width(self) -> int:
        """Columns that trees are grown on."""
        return self.bundles.width if self.bundles else self.layout.width

    def matrix(self, numbers: NDArray[np.float32], hot: NDArray[np.int32]) -> NDArray[np.float32]:
        """[n, width], equal to `Bundles.apply` of the feature matrix."""
        if self.bundles is None:
            return numbers
        tables = [np.array((0.0, *code), np.float32) for code in self.bundles.codes]
        return np.column_stack([numbers, *(table[hot[:, k]] for k, table in enumerate(tables))])
