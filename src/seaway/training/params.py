"""Hyperparameters as people, KFP and Katib hand them over: numbers may come as text, whole numbers as 200.0."""

from __future__ import annotations

import json
from typing import Any

from seaway.errors import near

__all__ = ["near", "plain"]


def plain(value: Any) -> Any:
    """A value that came as text, as Katib substitutes them, in its own type."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return {"None": None, "True": True, "False": False}.get(value, value)
