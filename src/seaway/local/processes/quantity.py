"""Kubernetes quantities: 100m, 1.5, 512Mi, 2G, 1e3."""

from __future__ import annotations

import re

_SUFFIXES = {
    "": 1.0, "n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18,
    "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40, "Pi": 2.0**50, "Ei": 2.0**60,
}  # fmt: skip
_PARTS = re.compile(r"([+-]?[0-9.]+(?:[eE][+-]?\d+)?)(\D{0,2})")


def quantity(text: str | float) -> float:
    """The number that a quantity says; ValueError when it says none."""
    found = _PARTS.fullmatch(str(text))
    if found is None or found[2] not in _SUFFIXES:
        raise ValueError(f"a quantity is a number with a suffix such as m, Ki, Mi, Gi, k, M or G; found {text!r}")
    return float(found[1]) * _SUFFIXES[found[2]]
