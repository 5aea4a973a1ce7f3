"""What a checkpoint holds: tensors, and JSON in the metadata of the same safetensors file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

_KEY = "seaway"


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A training after an epoch, or at its end."""

    state: Mapping[str, Any]
    """JSON."""
    tensors: Mapping[str, Tensor]

    def to_bytes(self) -> bytes:
        """As a safetensors file."""
        from safetensors.torch import save

        content: bytes = save(dict(self.tensors), metadata={_KEY: json.dumps(self.state, sort_keys=True)})
        return content

    @classmethod
    def from_bytes(cls, content: bytes) -> Checkpoint:
        """What ``to_bytes`` wrote.

        Raises:
            ValueError: it is not that, or not whole.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load

        try:
            tensors = load(content)
            header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
            return cls(state=json.loads(header["__metadata__"][_KEY]), tensors=tensors)
        except (SafetensorError, KeyError, TypeError) as e:
            raise ValueError(f"no checkpoint: {e}") from None
