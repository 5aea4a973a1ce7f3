"""What a network is fed: standardised numbers and codes to look up.

In: the feature matrix. Out: numbers [n, D] float32 around 0, and codes [n, C] into one table: a row for each value of
each category, and for each interval of each number. A number that is also looked up by the interval it lies in lets a
small network learn sharp steps (piecewise encodings of numbers: Gorishniy, Rubachev and Babenko, NeurIPS 2022). A
missing number is the mean, and an interval of its own.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from seaway.training.layout import Layout

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAMPLE_ROWS = 32_768
"""Rows, of all ranks together, that the intervals are cut by."""
CHUNK_ROWS = 65_536
"""Rows at a time that moments are taken of."""
EXACT = 4
"""A number with at most this many times ``bins`` distinct values gets an interval for each."""
BOUND = 10.0
"""Standardised numbers are held within this of 0: one wild value shall not drown the rest."""

Gather = Callable[["NDArray[np.float64]"], "NDArray[np.float64]"]
"""The arrays of all ranks, all of one shape, stacked: [ranks, ...]."""


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """How a feature matrix is encoded."""

    layout: Layout
    mean: NDArray[np.float32]
    """[D] of the numbers."""
    std: NDArray[np.float32]
    """[D]; 1 for a number that never varies."""
    edges: Mapping[int, NDArray[np.float32]]
    """By number, in the order of their codes: interval k begins at edge k - 1. Only numbers that are looked up."""

    @functools.cached_property
    def binned(self) -> NDArray[np.int64]:
        """Numbers that are looked up."""
        return np.array(list(self.edges), np.int64)

    @functools.cached_property
    def missing(self) -> NDArray[np.int64]:
        """For each of `binned`, the code of a missing value, before `offsets` are added; the greatest there is."""
        return np.array([len(e) + 1 for e in self.edges.values()], np.int64)

    @functools.cached_property
    def offsets(self) -> NDArray[np.int64]:
        """[C] first row of the table of each category, then of each of `binned`."""
        sizes = np.concatenate([self.layout.sizes, self.missing]) + 1
        first: NDArray[np.int64] = np.cumsum(sizes) - sizes
        return first

    @functools.cached_property
    def rows(self) -> int:
        """Of the table."""
        return int((np.concatenate([self.layout.sizes, self.missing]) + 1).sum())

    def apply(self, features: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """A matrix [n, F] as numbers [n, D] and codes [n, C]."""
        return self.encode(*self.layout.split(features))

    def encode(
        self, numbers: NDArray[np.float32], categories: NDArray[np.int64] | NDArray[np.int32]
    ) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """What `Layout.split` gave, as numbers [n, D] and codes [n, C]."""
        codes = np.empty((len(numbers), len(self.offsets)), np.int32)
        known = len(self.layout.categories)
        codes[:, :known] = categories
        for at, (number, edges) in enumerate(self.edges.items(), start=known):
            values = numbers[:, number]
            codes[:, at] = np.searchsorted(edges, values, side="right")
            codes[np.isnan(values), at] = len(edges) + 1
        codes += self.offsets.astype(np.int32)
        with np.errstate(over="ignore"):
            standard = (numbers - self.mean) / self.std
        return np.clip(np.nan_to_num(standard, copy=False, nan=0.0), -BOUND, BOUND), codes

    def to_dict(self) -> dict[str, Any]:
        """As JSON; float32 numbers keep all their digits."""
        return {
            "layout": self.layout.to_dict(),
            "mean": self.mean.tolist(),
            "std": self.std.tolist(),
            "edges": [[k, v.tolist()] for k, v in self.edges.items()],
        }

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Encoding:
        """What ``to_dict`` wrote."""
        return cls(
            layout=Layout.from_dict(raw["layout"]),
            mean=np.array(raw["mean"], np.float32),
            std=np.array(raw["std"], np.float32),
            edges={k: np.array(v, np.float32) for k, v in raw["edges"]},
        )


def fit_encoding(layout: Layout, numbers: NDArray[np.float32], *, bins: int, gather: Gather) -> Encoding:
    """Learn how to encode; every rank gives its own rows and gets the same.

    Args:
        layout: of the feature matrix.
        numbers: [n, D], this rank's rows as `Layout.split` gives them.
        bins: intervals of a number with many values; 0 looks up none, but for numbers with missing values.
        gather: brings the ranks' arrays together.
    """
    rows, mean, std = moments(numbers, gather)
    has_missing = rows < gather(np.array([len(numbers)], np.float64)).sum()
    sample = _sample(numbers, gather)
    edges = {}
    for number in range(numbers.shape[1]):
        found = _edges(sample[:, number], bins)
        if len(found) > 1 or has_missing[number]:  # of two values, the number itself says all
            edges[number] = found
    std = np.where(std > 0, std, 1.0)
    return Encoding(layout=layout, mean=mean.astype(np.float32), std=std.astype(np.float32), edges=edges)


def moments(
    values: NDArray[Any], gather: Gather
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Count, mean and standard deviation of each column over all ranks, NaN left out; each [D].

    Sums of squares are taken around the mean of some rows at a time and joined, so that large values with a small
    spread keep their digits (Chan, Golub and LeVeque 1979).
    """
    parts = [_moments(values[start : start + CHUNK_ROWS]) for start in range(0, len(values), CHUNK_ROWS)]
    own = _joined(np.stack(parts or [np.zeros((3, values.shape[1]))]))
    count, mean, spread = _joined(gather(own))
    return count, mean, np.sqrt(spread / np.maximum(count, 1))


def _moments(values: NDArray[Any]) -> NDArray[np.float64]:
    """Count, mean and sum of squares around it, [3, D]."""
    wide = values.astype(np.float64)
    present = ~np.isnan(wide)
    count = present.sum(axis=0)
    mean = wide.sum(axis=0, where=present) / np.maximum(count, 1)
    wide -= mean
    np.square(wide, out=wide)
    return np.stack([count, mean, wide.sum(axis=0, where=present)])


def _joined(parts: NDArray[np.float64]) -> NDArray[np.float64]:
    """The moments of parts [parts, 3, D] as those of all, [3, D]."""
    counts, means, spreads = np.moveaxis(parts, 1, 0)
    total = counts.sum(axis=0)
    mean = (counts * means).sum(axis=0) / np.maximum(total, 1)
    return np.stack([total, mean, spreads.sum(axis=0) + (counts * (means - mean) ** 2).sum(axis=0)])


def _sample(numbers: NDArray[np.float32], gather: Gather) -> NDArray[np.float32]:
    """Rows of all ranks, evenly spaced; a rank with fewer than the others fills up with NaN."""
    lengths = gather(np.array([len(numbers)], np.float64))
    each = int(min(lengths.max(), max(SAMPLE_ROWS // len(lengths), 1)))
    chosen = np.full((each, numbers.shape[1]), np.nan)
    picked = numbers if len(numbers) <= each else numbers[np.linspace(0, len(numbers) - 1, each).astype(np.int64)]
    chosen[: len(picked)] = picked
    return gather(chosen).reshape(-1, numbers.shape[1]).astype(np.float32)


def _edges(values: NDArray[np.float32], bins: int) -> NDArray[np.float32]:
    """Where intervals begin: between any two values if there are few, else at quantiles."""
    distinct = np.unique(values[~np.isnan(values)])
    if bins == 0 or len(distinct) < 2:
        return np.empty(0, np.float32)
    if len(distinct) <= EXACT * bins:
        return np.unique(((distinct[:-1] + distinct[1:].astype(np.float64)) / 2).astype(np.float32))
    cuts = np.quantile(values[~np.isnan(values)], np.linspace(0, 1, bins + 1)[1:-1])
    return np.unique(cuts.astype(np.float32))
