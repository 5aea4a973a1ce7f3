"""Hyperparameters as people, KFP and Katib hand them over: numbers may come as text, whole numbers as 200.0."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from seaway.errors import near

__all__ = ["Kind", "near", "number", "one_of", "plain", "whole"]


def plain(value: Any) -> Any:
    """A value that came as text, as Katib substitutes them, in its own type."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return {"None": None, "True": True, "False": False}.get(value, value)


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What a hyperparameter may be."""

    must: str
    """In words, for errors."""
    read: Callable[[Any], Any]
    """Its own type from what was given; raises ValueError or TypeError."""


def whole(low: int, high: int) -> Kind:
    """A whole number in a range, its ends included."""

    def read(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
            raise ValueError
        if not low <= value <= high:
            raise ValueError
        return int(value)

    return Kind(must=f"a whole number from {low} to {high:,}", read=read)


def number(low: float, high: float, *, above: bool = False) -> Kind:
    """A number in a range; with ``above`` its lower end is not in it."""

    def read(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise ValueError
        if above and value == low:
            raise ValueError
        return float(value)

    return Kind(must=f"a number {f'over {low:g} and at most' if above else f'from {low:g} to'} {high:g}", read=read)


def one_of(*names: str) -> Kind:
    """One of some names; null is the name ``none``."""

    def read(value: Any) -> str:
        if value is None:
            value = "none"
        if value not in names:
            raise ValueError
        return str(value)

    return Kind(must=f"one of {list(names)}", read=read)
