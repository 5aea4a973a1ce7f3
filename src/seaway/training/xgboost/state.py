"""What a checkpoint holds: the booster in xgboost's own binary JSON, and JSON, in one safetensors file.

The format is short enough to be written by hand: the length of a JSON header, the header, the bytes it tells of.
Source: the README of huggingface/safetensors, "Format".
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_KEY, _DIGEST = "seaway", "sha256"
_LENGTH = 8


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A training after a round, or at its end."""

    state: Mapping[str, Any]
    """JSON."""
    booster: bytes
    """As `Booster.save_raw("ubj")` gives it."""

    def to_bytes(self) -> bytes:
        """As a safetensors file."""
        metadata = {_KEY: json.dumps(self.state, sort_keys=True), _DIGEST: hashlib.sha256(self.booster).hexdigest()}
        size = len(self.booster)
        tensor = {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}
        header = json.dumps({"__metadata__": metadata, "booster": tensor}).encode()
        header += b" " * (-len(header) % _LENGTH)
        return len(header).to_bytes(_LENGTH, "little") + header + self.booster

    @classmethod
    def from_bytes(cls, content: bytes) -> Checkpoint:
        """What ``to_bytes`` wrote.

        Raises:
            ValueError: it is not that, or not whole.
        """
        end = _LENGTH + int.from_bytes(content[:_LENGTH], "little")
        try:
            metadata = json.loads(content[_LENGTH:end])["__metadata__"]
            state, digest = json.loads(metadata[_KEY]), metadata[_DIGEST]
        except (KeyError, TypeError) as e:
            raise ValueError(f"no checkpoint: {e!r}") from None
        booster = content[end:]
        if hashlib.sha256(booster).hexdigest() != digest:
            raise ValueError("the booster is not whole")
        return cls(state=state, booster=booster)
