"""What every family of transforms provides: the columns it makes, by name, and the nodes that make them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from seaway.features.fitted import Fitted
from seaway.features.nodes import Nodes


class Block(Protocol):
    """A family of transforms. Its columns stand side by side in the feature matrix."""

    def takes(self, fitted: Fitted) -> bool:
        """Whether a feature belongs to this family; every feature belongs to exactly one."""

    def names(self, features: Sequence[Fitted]) -> list[str]:
        """The names of the columns, in order."""

    def numbers(self, features: Sequence[Fitted]) -> list[str]:
        """The raw columns that `emit` will ask for as numbers."""

    def emit(self, nodes: Nodes, features: Sequence[Fitted]) -> str:
        """Add nodes; returns float32 rows [columns, n] in the order of `names`."""
