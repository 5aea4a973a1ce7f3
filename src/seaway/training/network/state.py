"""What a checkpoint holds: arrays, and JSON in the metadata of the same safetensors file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_KEY = "seaway"


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A training after an epoch, or at its end."""

    state: Mapping[str, Any]
    """JSON."""
    arrays: Mapping[str, NDArray[Any]]

    def to_bytes(self) -> bytes:
        """As a safetensors file."""
        from safetensors.numpy import save

        # as they lie in memory is how it writes them, whatever their strides say
        arrays = {k: np.ascontiguousarray(v).reshape(v.shape) for k, v in self.arrays.items()}
        content: bytes = save(arrays, metadata={_KEY: json.dumps(self.state, sort_keys=True)})
        return content

    @classmethod
    def from_bytes(cls, content: bytes) -> Checkpoint:
        """What ``to_bytes`` wrote.

        Raises:
            ValueError: it is not that, or not whole.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            arrays = load(content)
            header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
            return cls(state=json.loads(header["__metadata__"][_KEY]), arrays=arrays)
        except (SafetensorError, KeyError, TypeError) as e:
            raise ValueError(f"no checkpoint: {e}") from None
