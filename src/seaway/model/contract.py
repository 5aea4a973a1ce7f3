"""The contract: the typed signature of a table's raw columns and of its target.

In: what `ingest` saw in the data, or a JSON file that a person edited. Out: the request guardrail for REST, stream and
batch, and the inputs of the model's ONNX graph.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from seaway.errors import InputError

DType = Literal["string", "int64", "float64", "bool", "timestamp"]
Task = Literal["classification", "regression"]
Value = str | int | float | bool

MISSING_INT64 = -(2**63)
"""How a missing int64, bool or timestamp enters the ONNX graph; NumPy's NaT is the same number."""

V2_DATATYPE: dict[DType, str] = {
    "string": "BYTES",
    "int64": "INT64",
    "float64": "FP64",
    "bool": "BOOL",
    "timestamp": "INT64",  # microseconds since 1970-01-01T00:00:00Z
}
"""The Open Inference Protocol's name for each dtype."""


def check_name(name: str) -> None:
    """Whether a column may have this name: any text but an empty one and those that Polars reads as patterns.

    Raises:
        InputError: it may not.
    """
    if not name:
        raise InputError("a column must have a name, found an empty one: name it in the file's header")
    if name == "*" or (name.startswith("^") and name.endswith("$")):
        raise InputError(f"a column's name must not be a pattern (* or ^...$), found {name!r}: rename it in the header")


@dataclass(frozen=True, kw_only=True)
class Column:
    """One raw column and what its values must hold."""

    name: str
    dtype: DType
    nullable: bool = False
    minimum: float | int | None = None
    """Least value, inclusive; numbers only."""
    maximum: float | int | None = None
    """Greatest value, inclusive; numbers only."""
    values: tuple[Value, ...] | None = None
    """The enumeration, if the column has one: any other value breaks the contract."""

    def __post_init__(self) -> None:
        check_name(self.name)
        if self.dtype not in get_args(DType):
            raise InputError(f"column {self.name!r}: dtype must be one of {get_args(DType)}, found {self.dtype!r}")
        bounds = [b for b in (self.minimum, self.maximum) if b is not None]
        if bounds and self.dtype not in ("int64", "float64"):
            raise InputError(f"column {self.name!r}: only int64 and float64 take minimum and maximum, not {self.dtype}")
        if any(isinstance(b, bool) or not isinstance(b, int | float) or not math.isfinite(b) for b in bounds):
            raise InputError(f"column {self.name!r}: minimum and maximum must be finite numbers, found {bounds}")
        if len(bounds) == 2 and bounds[0] > bounds[1]:
            raise InputError(f"column {self.name!r}: minimum {bounds[0]} must not exceed maximum {bounds[1]}")
        if self.values is not None:
            wanted: dict[str, tuple[type, ...]] = {"string": (str,), "int64": (int,), "bool": (bool,)}
            kinds = wanted.get(self.dtype)
            if kinds is None:
                raise InputError(f"column {self.name!r}: {self.dtype} takes no enumeration, use minimum and maximum")
            if wrong := [v for v in self.values if type(v) not in kinds]:
                raise InputError(f"column {self.name!r}: its values must be {self.dtype}, found {wrong[0]!r}")
            if not self.values or len(set(self.values)) != len(self.values):
                raise InputError(f"column {self.name!r}: its values must be distinct and at least one")

    def to_dict(self) -> dict[str, Any]:
        """As JSON, without what is not set."""
        out: dict[str, Any] = {"name": self.name, "dtype": self.dtype, "nullable": self.nullable}
        for key in ("minimum", "maximum"):
            if getattr(self, key) is not None:
                out[key] = getattr(self, key)
        if self.values is not None:
            out["values"] = list(self.values)
        return out

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Column:
        """The column that ``to_dict`` wrote or a person edited; unknown keys are refused."""
        known = {"name", "dtype", "nullable", "minimum", "maximum", "values"}
        if unknown := set(raw) - known:
            raise InputError(f"a column's keys must be among {sorted(known)}, found {sorted(unknown)}")
        values, name, nullable = raw.get("values"), raw.get("name", ""), raw.get("nullable", False)
        if not isinstance(name, str):
            raise InputError(f"a column's name must be text, found {name!r}")
        if not isinstance(nullable, bool):
            raise InputError(f"column {name!r}: nullable must be true or false, found {nullable!r}")
        return cls(
            name=name,
            dtype=cast(DType, raw.get("dtype")),
            nullable=nullable,
            minimum=raw.get("minimum"),
            maximum=raw.get("maximum"),
            values=None if values is None else tuple(values),
        )


@dataclass(frozen=True, kw_only=True)
class Target:
    """What the model answers."""

    name: str
    task: Task
    dtype: DType
    """Of the raw target column: string, int64 or bool for classes; int64 or float64 for a value."""
    classes: tuple[Value, ...] | None = None
    """Class labels in the order of the probabilities' columns; None for regression."""

    def __post_init__(self) -> None:
        if self.task not in get_args(Task):
            raise InputError(f"target {self.name!r}: task must be one of {get_args(Task)}, found {self.task!r}")
        if self.task == "classification" and (self.classes is None or len(self.classes) < 2):
            raise InputError(
                f"target {self.name!r}: classification needs at least two classes, found {list(self.classes or ())}: "
                "check the target column, or choose task=regression"
            )
        if self.task == "regression" and self.classes is not None:
            raise InputError(f"target {self.name!r}: regression takes no classes, found {list(self.classes)}")

    @property
    def positive(self) -> Value | None:
        """The class whose probability is *the* probability: the second of two; None if there are more."""
        return self.classes[1] if self.classes is not None and len(self.classes) == 2 else None

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        out: dict[str, Any] = {"name": self.name, "task": self.task, "dtype": self.dtype}
        if self.classes is not None:
            out["classes"] = list(self.classes)
        return out

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Target:
        """The target that ``to_dict`` wrote."""
        classes = raw.get("classes")
        return cls(
            name=str(raw.get("name", "")),
            task=cast(Task, raw.get("task")),
            dtype=cast(DType, raw.get("dtype", "string" if classes else "float64")),
            classes=None if classes is None else tuple(classes),
        )


@dataclass(frozen=True, kw_only=True)
class Contract:
    """The raw columns, in order, and the target."""

    columns: tuple[Column, ...]
    target: Target

    def __post_init__(self) -> None:
        names = self.names
        if not names:
            raise InputError("a contract must have at least one column, found none")
        if twice := sorted({n for n in names if names.count(n) > 1}):
            raise InputError(f"column names must be distinct, found twice: {twice}: rename them in the file's header")
        if self.target.name in names:
            raise InputError(
                f"the target {self.target.name!r} must not be among the columns: take it out of the contract"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the raw columns, in order."""
        return tuple(c.name for c in self.columns)

    def column(self, name: str) -> Column:
        """The column of that name.

        Raises:
            InputError: there is none.
        """
        for column in self.columns:
            if column.name == name:
                return column
        raise InputError(f"column {name!r} must be in the contract, which has {list(self.names)}")

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {"version": 1, "columns": [c.to_dict() for c in self.columns], "target": self.target.to_dict()}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Contract:
        """The contract that ``to_dict`` wrote or a person edited.

        Raises:
            InputError: it is not a contract, in words.
        """
        if raw.get("version") != 1:
            raise InputError(f"a contract's version must be 1, found {raw.get('version')!r}")
        columns, target = raw.get("columns"), raw.get("target")
        if not isinstance(columns, Sequence) or isinstance(columns, str) or not isinstance(target, Mapping):
            raise InputError("a contract must have a list 'columns' and an object 'target'")
        return cls(columns=tuple(Column.from_dict(c) for c in columns), target=Target.from_dict(target))

    def to_json(self) -> str:
        """As indented JSON text, for a file that people edit."""
        return json.dumps(self.to_dict(), indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Contract:
        """The contract in a JSON text."""
        try:
            raw = json.loads(text)
        except ValueError as e:
            raise InputError(f"a contract must be JSON: {e}") from None
        if not isinstance(raw, dict):
            raise InputError(f"a contract must be a JSON object, found {type(raw).__name__}")
        return cls.from_dict(raw)
