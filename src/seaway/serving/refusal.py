"""Refusal: why a request gets no answer, as an HTTP status and a JSON body."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from seaway.errors import ContractError, Violation

SHOWN_VIOLATIONS = 100
"""A request that breaks more rules gets the first of them."""


class Refusal(Exception):  # noqa: N818 - it is an answer, not a fault of the server
    """The request cannot be answered; carries the status and the words.

    Args:
        status: HTTP status, 4xx.
        message: what must hold, what was found and what to do.
        violations: the contract's broken rules, for status 400.
    """

    def __init__(self, status: int, message: str, violations: Sequence[Violation] = ()) -> None:
        self.status = status
        self.violations = tuple(violations)
        super().__init__(message)

    def body(self) -> bytes:
        """The JSON body: ``error`` as the Open Inference Protocol has it, and ``violations`` if there are any."""
        out: dict[str, Any] = {"error": _encodable(str(self))}
        if self.violations:
            out["violations"] = [
                {"column": v.column, "row": v.row, "rule": v.rule, "found": _encodable(v.found), "rows": v.rows}
                for v in self.violations[:SHOWN_VIOLATIONS]
            ]
        return orjson.dumps(out)


def of_contract(violations: Sequence[Violation]) -> Refusal:
    """The refusal of rows that break the contract."""
    return Refusal(400, str(ContractError(violations)), violations)


def near(name: object, known: Iterable[str]) -> str:
    """``, did you mean 'x'?`` if one of the known names is near, else an empty text."""
    found = difflib.get_close_matches(str(name)[:200], list(known), n=3, cutoff=0.6)
    return f", did you mean {' or '.join(repr(f) for f in found)}?" if found else ""


def shown(value: object) -> str:
    """A value of a request as a short text."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
