"""How wide texts are, and how they are made to fit."""

from __future__ import annotations

import unicodedata


def columns(text: str) -> int:
    """How many columns a terminal gives a text: wide characters have two, combining ones none."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def shortened(text: str, width: int) -> str:
    """A text in at most ``width`` columns; of a long one the middle goes, as names often differ at their ends."""
    if columns(text) <= width:
        return text
    keep = max(width, 1) - 1
    head, tail = text[: keep - keep // 2], text[len(text) - keep // 2 :] if keep > 1 else ""
    while columns(head) + columns(tail) > keep:
        head, tail = (head[:-1], tail) if columns(head) >= columns(tail) else (head, tail[1:])
    return f"{head}…{tail}"
