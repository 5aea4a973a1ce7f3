"""From a rank's part of a features file to encoded rows.

In: the part, and how its columns are laid out. Out: what all ranks learnt of their rows together, and this rank's rows
encoded by it. The file is read once; rows that would not fit into memory are encoded on disk, some at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from seaway.training.encoding import Encoding
from seaway.training.layout import Layout
from seaway.training.network.rows import Rows, bound, empty
from seaway.training.prefetch import ahead
from seaway.training.tables import Part

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHUNK_ROWS = 65_536
"""Rows at a time that are worked on."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """What the network's scores mean."""

    classes: int
    """0 for values."""
    mean: float = 0.0
    """What a value of 0 means."""
    std: float = 1.0
    """What a value of 1 is above that."""


@dataclass(frozen=True, kw_only=True)
class Raw:
    """One rank's rows before they are encoded; one-hot columns are codes already."""

    numbers: NDArray[np.float32]
    """[n, D]."""
    categories: NDArray[np.int32]
    """[n, categories]."""
    target: NDArray[Any]
    """[n] int64 class indices, or float64 values."""
    total: int
    """Rows of all ranks."""
    mapped: bool
    """Whether they are on disk."""


def read(part: Part, layout: Layout) -> Raw:
    """All rows of a rank's part."""
    rows, numbers, categories = len(part), len(layout.numbers), len(layout.categories)
    # numbers, categories, at most a code for each of both, target
    mapped = rows * (4 * numbers + 4 * categories + 4 * (numbers + categories) + 8) > bound()
    raw = Raw(
        numbers=empty((rows, numbers), np.float32, mapped=mapped),
        categories=empty((rows, categories), np.int32, mapped=mapped),
        target=empty((rows,), np.int64 if part.target.classes else np.float64, mapped=mapped),
        total=part.total,
        mapped=mapped,
    )
    at = 0
    with ahead(part.batches()) as batches:
        for batch in batches:
            here = slice(at, at + len(batch))
            raw.numbers[here], raw.categories[here] = layout.split(batch.features)
            raw.target[here] = batch.target
            at += len(batch)
    return raw


def encode(raw: Raw, encoding: Encoding, target: Target) -> Rows:
    """The rows, encoded; the numbers of ``raw`` are overwritten."""
    rows = len(raw.target)
    codes = empty((rows, len(encoding.offsets)), np.int32, mapped=raw.mapped)
    values = raw.target if target.classes else empty((rows,), np.float32, mapped=raw.mapped)
    for here in chunks(rows):
        raw.numbers[here], codes[here] = encoding.encode(raw.numbers[here], raw.categories[here])
        if not target.classes:
            values[here] = (raw.target[here] - target.mean) / target.std
    found = Rows(numbers=raw.numbers, codes=codes, target=values, total=raw.total)
    found.read_at_random()
    return found


def seen(rows: Rows, encoding: Encoding) -> NDArray[np.int64]:
    """[rows of the table] how often this rank's rows look each up."""
    found = np.zeros(encoding.rows, np.int64)
    for here in chunks(len(rows)):
        found += np.bincount(rows.codes[here].reshape(-1), minlength=encoding.rows)
    return found


def chunks(rows: int) -> Iterator[slice]:
    """Rows a few at a time."""
    for start in range(0, rows, CHUNK_ROWS):
        yield slice(start, min(rows, start + CHUNK_ROWS))
