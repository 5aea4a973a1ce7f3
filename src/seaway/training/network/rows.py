"""The encoded rows of one rank: in memory, or in files that are mapped into it where they would not fit.

In: how many rows and of what. Out: batches by the indices of their rows, the same wherever the rows are.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from seaway.errors import DataError, InputError
from seaway.training.memory import memory
from seaway.training.network.learner import Batch

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

BOUND_ENV = "SEAWAY_ROWS_IN_MEMORY_MIB"
"""Rows of one rank that take more than this many MiB when encoded are kept on disk; by default a quarter of the
memory that the process may use."""
_SHARE = 4


def bound() -> int:
    """Bytes of a rank's encoded rows that are kept in memory.

    Raises:
        InputError: the variable holds no size.
    """
    text = os.environ.get(BOUND_ENV)
    if not text:
        return memory() // _SHARE
    try:
        mib = float(text)
    except ValueError:
        mib = -1.0
    if not 0 <= mib < 1e12:
        raise InputError(f"{BOUND_ENV} must be a number of MiB, found {text!r}")
    return int(mib * 2**20)


def empty(shape: tuple[int, ...], dtype: DTypeLike, *, mapped: bool) -> NDArray[Any]:
    """An array to be filled.

    Args:
        shape: of the array.
        dtype: of its values.
        mapped: whether it is a file of the temporary folder, which has no name and goes with the array, however the
            process ends.

    Raises:
        DataError: the disk has not the room.
    """
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    if not mapped or size == 0:
        return np.empty(shape, dtype)
    with tempfile.TemporaryFile(prefix="seaway-rows-") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, size)  # a full disk is an error here, and a dead process later
        except OSError as e:
            raise DataError(
                f"rows that do not fit into memory must fit into the temporary folder {tempfile.gettempdir()}, which "
                f"has no room for {size / 2**20:,.0f} MiB ({e.strerror}): give the replica more memory or a larger "
                "disk, or set TMPDIR"
            ) from e
        return np.memmap(file, dtype, "r+", shape=shape)


@dataclass(frozen=True, kw_only=True)
class Rows:
    """One rank's rows."""

    numbers: NDArray[np.float32]
    """[n, D]."""
    codes: NDArray[np.int32]
    """[n, C]."""
    target: NDArray[np.int64] | NDArray[np.float32]
    """[n] class indices, or standardised values."""
    total: int
    """Rows of all ranks."""

    def __len__(self) -> int:
        return len(self.target)

    @property
    def mapped(self) -> bool:
        """Whether they are on disk."""
        return any(isinstance(a, np.memmap) for a in self._arrays)

    @property
    def _arrays(self) -> tuple[NDArray[Any], ...]:
        return self.numbers, self.codes, self.target

    def at(self, chosen: NDArray[np.integer[Any]]) -> Batch:
        """The rows with these indices, in their order, in memory."""
        if not self.mapped:
            return Batch(*(np.take(a, chosen, axis=0) for a in self._arrays))
        order = np.argsort(chosen)  # a disk is asked in its own order
        found = []
        for array in self._arrays:
            out = np.empty((len(chosen), *array.shape[1:]), array.dtype)
            out[order] = np.take(array, chosen[order], axis=0)
            found.append(out)
        return Batch(*found)

    def slice(self, start: int, stop: int) -> Batch:
        """Neighbouring rows, in memory."""
        return Batch(*(np.asarray(a[start:stop]) for a in self._arrays))

    def read_at_random(self) -> None:
        """Tell the system that rows are asked for in no order: it need not read what lies beside them."""
        for array in self._arrays:
            held = getattr(array, "_mmap", None)
            if held is not None and hasattr(mmap, "MADV_RANDOM"):
                held.madvise(mmap.MADV_RANDOM)
