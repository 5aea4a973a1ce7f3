"""One feature with what was learnt of it from the training rows.

In: a feature and its statistics, from `seaway.features.fit` or from JSON. Out: what its family of transforms emits.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from seaway.errors import PlanError
from seaway.features.kinds import Feature, feature_from_dict
from seaway.model.contract import DType

TARGET = "__target__"
"""The last column of a file of features; no feature may have this name."""


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """One feature and its statistics; which of them it has depends on its transform."""

    feature: Feature
    dtype: DType
    """Of the raw column."""
    missing: int
    """Training rows without a value; infinite ones count."""
    fill: float | None = None
    """Numeric: what a missing value becomes, before log and scale; None leaves it NaN."""
    offset: float = 0.0
    """Numeric, elapsed: subtracted after fill and log."""
    scale: float = 1.0
    """Numeric, elapsed: divided by, after the offset."""
    edges: tuple[float, ...] = ()
    """Bucketize: the inner edges."""
    categories: tuple[Any, ...] = ()
    """One-hot and ordinal: those kept, most frequent first."""
    counts: tuple[int, ...] = ()
    """How many training rows hold each category kept."""

    @property
    def column(self) -> str:
        """The raw column."""
        return self.feature.column

    def to_dict(self) -> dict[str, Any]:
        """As JSON, without the statistics it does not have."""
        out: dict[str, Any] = {"feature": self.feature.to_dict(), "dtype": self.dtype, "missing": self.missing}
        for field in dataclasses.fields(self)[3:]:
            value = getattr(self, field.name)
            if value != field.default:
                out[field.name] = list(value) if isinstance(value, tuple) else value
        return out

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Fitted:
        """What ``to_dict`` wrote."""
        rest: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in raw.items() if k != "feature"}
        try:
            return cls(feature=feature_from_dict(raw["feature"]), **rest)
        except (KeyError, TypeError) as e:
            raise PlanError(f"a fitted feature must be as `featurize` wrote it: {e}: run `featurize` again") from None
