"""One condition on an earlier answer of a chain: as text, as a test of a row, as the router's test of a whole answer.

In: ``probability >= 0.3``. Out: whether a row's answer fulfils it, and the condition of an InferenceGraph's step that
is met when at least one row does. The model server and the InferenceGraph's builder share this one reading.
"""

from __future__ import annotations

import json
import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from seaway.errors import InputError

Scalar = str | int | float | bool | None

OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
RESERVED = "when"
"""No answer may have this key: it is the condition's own name in a chain's URL."""

_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_TEXT = re.compile(r"\s*([^\s<>=!]+)\s*(==|!=|<=|>=|<|>)\s*(.+?)\s*", re.DOTALL)
_PLAIN = re.compile(r"[A-Za-z0-9_-]+")
_EXACT = 2**53  # the router compares as float64, which holds integers up to here


def check_key(key: object) -> str:
    """The key of an answer, if it is one: letters, digits and ``_``, so that it fits URLs and conditions unescaped.

    Raises:
        InputError: it is not.
    """
    if not isinstance(key, str) or not _KEY.fullmatch(key) or key == RESERVED:
        raise InputError(
            f"an answer's key must be up to 64 letters, digits or '_', no digit first, and not {RESERVED!r}, "
            f"found {_shown(key)}"
        )
    return key


@dataclass(frozen=True)
class When:
    """A comparison of an earlier answer with a value, for instance ``When("probability", ">=", 0.3)``.

    It holds only where both are of one kind (numbers, texts, true or false): an answer that is null fulfils no
    comparison but ``== null``.
    """

    key: str
    """Of the earlier answer."""
    op: str
    """One of ``OPERATORS``."""
    value: Scalar

    def __post_init__(self) -> None:
        check_key(self.key)
        if self.op not in OPERATORS:
            raise InputError(f"a condition's operator must be one of {list(OPERATORS)}, found {_shown(self.op)}")
        if self.value is not None and not isinstance(self.value, str | int | float | bool):
            raise InputError(
                f"a condition's value must be a number, a text, true, false or null, found {_shown(self.value)}"
            )
        if isinstance(self.value, float) and not math.isfinite(self.value):
            raise InputError(f"a condition's value must be finite, found {self.value}")
        if (self.value is None or isinstance(self.value, bool)) and self.op not in ("==", "!="):
            raise InputError(f"{json.dumps(self.value)} can only be compared by == or !=, found {self.op}")

    @classmethod
    def parse(cls, text: str) -> When:
        """The condition in a text such as ``probability >= 0.3``; the value is JSON.

        Raises:
            InputError: it is not one.
        """
        match = _TEXT.fullmatch(text)
        if match is None:
            raise InputError(
                f"a condition must be KEY OPERATOR VALUE, for instance probability >= 0.3, with one of "
                f"{' '.join(OPERATORS)}, found {_shown(text)}"
            )
        key, op, value = match.groups()
        try:
            return cls(key, op, json.loads(value))
        except InputError:
            raise
        except (ValueError, RecursionError):
            raise InputError(
                f"a condition's value must be a number, true, false, null or a text in double quotes, "
                f"found {_shown(value)}"
            ) from None

    def __str__(self) -> str:
        return f"{self.key}{self.op}{json.dumps(self.value)}"

    def holds(self, answer: Mapping[str, Any]) -> bool:
        """Whether one row's answer, which has the key, fulfils it."""
        found = answer[self.key]
        if self.value is None:
            return (found is None) is (self.op == "==")
        return _kind(found) == _kind(self.value) and OPERATORS[self.op](found, self.value)

    def on_the_line(self, answer: Mapping[str, Any], tolerance: float) -> bool:
        """Whether a row's number is so near to the value that a difference of rounding could decide."""
        found = answer[self.key]
        if _kind(found) != "number" or _kind(self.value) != "number":
            return False
        return bool(abs(found - self.value) <= tolerance * max(1.0, abs(self.value)))  # type: ignore[arg-type]

    @property
    def condition(self) -> str:
        """The router's condition: met by an answer in which at least one row fulfils this; empty if it has none such.

        The router's language (gjson) finds no null and needs escapes in texts; without a condition the step is always
        taken, and the model server still goes row by row.
        """
        if self.value is None or (isinstance(self.value, str) and not _PLAIN.fullmatch(self.value)):
            return ""
        if isinstance(self.value, int) and abs(self.value) >= _EXACT:
            return ""
        return f"predictions.#({self})"


def _kind(value: Any) -> str:
    return {bool: "bool", int: "number", float: "number", str: "text"}.get(type(value), "")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
