"""A request for an answer, read and checked, whichever protocol it came in."""

from __future__ import annotations

from typing import Any

import orjson
from numpy.typing import NDArray

from seaway.serving.refusal import Refusal, shown


class Request:
    """What the model is asked."""

    __slots__ = ("feeds", "identity", "rows", "wanted")

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.feeds: dict[str, NDArray[Any]] = {}
        """The graph's inputs, each of shape [rows]."""
        self.identity: str | None = None
        """The id that the client gave."""
        self.wanted: list[str] | None = None
        """The answers that the client chose; None for all."""


def load_object(body: bytes) -> dict[str, Any]:
    """The JSON object in a body.

    Raises:
        Refusal: 400, it is not one.
    """
    try:
        raw = orjson.loads(body)
    except orjson.JSONDecodeError as e:
        if body.startswith(b"\x1f\x8b"):
            raise Refusal(400, "the body must be sent uncompressed, found gzip") from None
        raise Refusal(400, f"the body must be JSON in UTF-8: {e}") from None
    if type(raw) is not dict:
        raise Refusal(400, f"the body must be a JSON object, found {shown(raw)}")
    return raw


def check_rows(rows: int, max_rows: int) -> None:
    """Raises Refusal (400) if a request holds more rows than this server takes at a time."""
    if rows > max_rows:
        raise Refusal(400, f"a request must hold from 1 to {max_rows:,} rows, found {rows:,}: send fewer at a time")
