"""A replica's place among those that train one model together, whatever the framework.

In: a rank and how many there are. Out: which rows are its own, and spans that say whose they are.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from seaway.errors import InputError
from seaway.observe import spans


@dataclass(frozen=True, kw_only=True)
class Place:
    """Rank and world size."""

    rank: int = 0
    world_size: int = 1

    def __post_init__(self) -> None:
        if self.world_size < 1 or not 0 <= self.rank < self.world_size:
            raise InputError(
                f"a rank must be from 0 to less than the world size, found rank {self.rank} of {self.world_size}: "
                "give every replica its own"
            )

    @property
    def leads(self) -> bool:
        """Whether this rank measures and writes the package."""
        return self.rank == 0

    def part(self, rows: int) -> tuple[int, int]:
        """First row and number of rows of this rank, of ``rows`` in all: contiguous, alike but for one row."""
        start = self.rank * rows // self.world_size
        return start, (self.rank + 1) * rows // self.world_size - start

    def span(self, name: str, /, **attributes: Any) -> AbstractContextManager[dict[str, Any]]:
        """A span of this rank; see `seaway.observe.spans.span`."""
        return spans.span(name, rank=self.rank, world_size=self.world_size, **attributes)


ALONE = Place()
"""A world of one."""
