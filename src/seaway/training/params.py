"""Hyperparameters as people, KFP and Katib hand them over: numbers may come as text, whole numbers as 200.0."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from typing import Any


def plain(value: Any) -> Any:
    """A value that came as text, as Katib substitutes them, in its own type."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return {"None": None, "True": True, "False": False}.get(value, value)


def near(word: str, names: Iterable[str]) -> str:
    """The end of an error text: names that ``word`` may have been meant for, or nothing."""
    found = difflib.get_close_matches(word, list(names), n=3)
    return f": did you mean {' or '.join(repr(f) for f in found)}?" if found else ""
