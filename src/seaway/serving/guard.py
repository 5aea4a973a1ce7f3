"""The contract as compiled checkers: request values of one column in, the graph's input or violations out.

Built once per model, run for every request. So each checker has a path for one good row that costs well under a
microsecond, a path in C for many good rows, and a slow one that finds the words for values that are not plainly good.
"""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seaway.errors import Violation
from seaway.model.contract import MISSING_INT64, Column, DType
from seaway.serving.refusal import shown

Check = Callable[[list[Any], list[Violation]], NDArray[Any] | None]
"""Values of shape [n] to the graph's input of shape [n]; or None, and what is broken joins the list."""

_INTEGERS = ("INT64", "INT32", "INT16", "INT8", "UINT64", "UINT32", "UINT16", "UINT8")
_NUMBERS = frozenset((*_INTEGERS, "FP64", "FP32", "FP16"))
ACCEPTED: dict[DType, frozenset[str]] = {
    "string": frozenset(("BYTES",)),
    "int64": _NUMBERS,  # a value must convert exactly
    "float64": _NUMBERS,
    "bool": frozenset(("BOOL",)),
    "timestamp": frozenset((*_INTEGERS, "BYTES")),  # microseconds, or ISO 8601
}
"""The Open Inference Protocol's datatypes that a column takes."""

_OBJECT, _INT64, _FLOAT64 = np.dtype(np.object_), np.dtype(np.int64), np.dtype(np.float64)
_LEAST, _GREATEST = -(2**63) + 1, 2**63 - 1  # the least int64 is how missing enters the graph
_EXACT = 2**53  # integers up to here are float64 exactly
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)


class _BrokenError(Exception):
    """A value breaks a rule; the message is the rule."""


class Guard:
    """What one column of the contract lets through."""

    __slots__ = ("accepted", "check", "column", "name")

    def __init__(self, column: Column) -> None:
        self.column = column
        self.name = column.name
        self.accepted = ACCEPTED[column.dtype]
        self.check: Check = _COMPILE[column.dtype](column)

    def absent(self, n: int, broken: list[Violation]) -> NDArray[Any] | None:
        """The input for a column that the request leaves out: missing in every row, if the contract allows it."""
        if not self.column.nullable:
            broken.append(Violation(column=self.name, rule="given", found="nothing", rows=n))
            return None
        return self.check([None] * n, broken)


def _slowly(column: Column, convert: Callable[[Any], Any], missing: Any, dtype: Any) -> Check:
    """The checker that goes value by value and finds the words."""

    def check(values: list[Any], broken: list[Violation]) -> NDArray[Any] | None:
        out: list[Any] = []
        first: dict[str, tuple[int, Any]] = {}
        rows: dict[str, int] = {}
        for row, value in enumerate(values):
            try:
                if value is not None:
                    out.append(convert(value))
                elif column.nullable:
                    out.append(missing)
                else:
                    raise _BrokenError("not null")
            except _BrokenError as e:
                rule = str(e)
                first.setdefault(rule, (row, value))
                rows[rule] = rows.get(rule, 0) + 1
        if not first:
            return np.array(out, dtype)
        for rule, (row, value) in first.items():
            found = "null" if value is None else shown(value)
            broken.append(Violation(column=column.name, rule=rule, found=found, rows=rows[rule], row=row))
        return None

    return check


def _one_of(column: Column) -> str:
    values = column.values or ()
    few = ", ".join(repr(v) for v in values[:6])
    return f"one of {few}" if len(values) <= 6 else f"one of {len(values)} values ({few} ...)"


def _string(column: Column) -> Check:
    allowed = frozenset(column.values) if column.values is not None else None
    rule = _one_of(column)

    def convert(value: Any) -> str:
        if type(value) is not str:
            raise _BrokenError("a string")
        if allowed is not None and value not in allowed:
            raise _BrokenError(rule)
        return value

    slowly = _slowly(column, convert, "", _OBJECT)

    def check_enumeration(values: list[Any], broken: list[Violation]) -> NDArray[Any] | None:
        try:
            if allowed.issuperset(values):  # type: ignore[union-attr]
                return np.array(values, _OBJECT)
        except TypeError:  # a list or an object among the values
            pass
        return slowly(values, broken)

    def check_any(values: list[Any], broken: list[Violation]) -> NDArray[Any] | None:
        if set(map(type, values)) == {str}:
            return np.array(values, _OBJECT)
        return slowly(values, broken)

    return check_any if allowed is None else check_enumeration


def _int64(column: Column) -> Check:
    low = _LEAST if column.minimum is None else max(_LEAST, column.minimum)
    high = _GREATEST if column.maximum is None else min(_GREATEST, column.maximum)
    allowed = frozenset(column.values) if column.values is not None else None
    of_values = _one_of(column)

    def convert(value: Any) -> int:
        if type(value) is float and value.is_integer():
            value = int(value)
        if type(value) is not int:
            raise _BrokenError("an integer")
        if not _LEAST <= value <= _GREATEST:
            raise _BrokenError(f"an integer from {_LEAST} to {_GREATEST}")
        if value < low:
            raise _BrokenError(f"at least {low}")
        if value > high:
            raise _BrokenError(f"at most {high}")
        if allowed is not None and value not in allowed:
            raise _BrokenError(of_values)
        return value

    slowly = _slowly(column, convert, MISSING_INT64, _INT64)

    def check(values: list[Any], broken: list[Violation]) -> NDArray[Any] | None:
        if len(values) == 1:
            value = values[0]
            if type(value) is int and low <= value <= high and (allowed is None or value in allowed):
                return np.array(values, _INT64)
        elif (
            set(map(type, values)) == {int}
            and (min(values) >= low and max(values) <= high)
            and (allowed is None or allowed.issuperset(values))
        ):
            return np.array(values, _INT64)
        return slowly(values, broken)

    return check


def _float64(column: Column) -> Check:
    low = -sys.float_info.max if column.minimum is None else float(column.minimum)
    high = sys.float_info.max if column.maximum is None else float(column.maximum)

    def convert(value: Any) -> float:
        if type(value) is not float and type(value) is not int:
            raise _BrokenError("a number")
        number = float(value)  # orjson gives no integer that is too large for it
        if number != value:
            raise _BrokenError("a number that float64 holds exactly")
        if number - number != 0.0:
            raise _BrokenError("a finite number")
        if number < low:
            raise _BrokenError(f"at least {column.minimum}")
        if number > high:
            raise _BrokenError(f"at most {column.maximum}")
        return number

    slowly = _slowly(column, convert, float("nan"), _FLOAT64)

    def check(values: list[Any], broken: list[Violation]) -> NDArray[Any] | None:
        if len(values) == 1:
            value = values[0]
            kind = type(value)
            if (kind is float or (kind is int and -_EXACT <= value <= _EXACT)) and low <= value <= high:
                return np.array(values, _FLOAT64)
        elif set(map(type, values)) == {float}:
            array = np.array(values, _FLOAT64)
            if low <= array.min() and array.max() <= high:
                return array
        return slowly(values, broken)

    return check


def _bool(column: Column) -> Check:
    allowed = frozenset(column.values) if column.values is not None else None
    of_values = _one_of(column)

    def convert(value: Any) -> int:
        if type(value) is not bool:
            raise _BrokenError("true or false")
        if allowed is not None and value not in allowed:
            raise _BrokenError(of_values)
        return int(value)

    slowly = _slowly(column, convert, MISSING_INT64, _INT64)

    def check(values: list[Any], broken: list[Violation]) -> NDArray[Any] | None:
        if allowed is None and set(map(type, values)) == {bool}:
            return np.array(values, _INT64)
        return slowly(values, broken)

    return check


def _timestamp(column: Column) -> Check:
    rule = f"a timestamp: ISO 8601 text, or microseconds since 1970 UTC from {_LEAST} to {_GREATEST}"

    def convert(value: Any) -> int:
        if type(value) is int and _LEAST <= value <= _GREATEST:
            return value
        if type(value) is not str:
            raise _BrokenError(rule)
        try:
            moment = dt.datetime.fromisoformat(value)
        except ValueError:
            raise _BrokenError(rule) from None
        # a text without an offset is UTC, as in the data
        return ((moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)) - _EPOCH) // _MICROSECOND

    slowly = _slowly(column, convert, MISSING_INT64, _INT64)

    def check(values: list[Any], broken: list[Violation]) -> NDArray[Any] | None:
        if set(map(type, values)) == {int} and min(values) >= _LEAST and max(values) <= _GREATEST:
            return np.array(values, _INT64)
        return slowly(values, broken)

    return check


_COMPILE: dict[DType, Callable[[Column], Check]] = {
    "string": _string,
    "int64": _int64,
    "float64": _float64,
    "bool": _bool,
    "timestamp": _timestamp,
}
