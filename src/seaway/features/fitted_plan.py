"""A plan with what was learnt from the training rows: all that a feature graph is made of.

In: a plan and statistics, from `seaway.features.fit` or from JSON. Out: a `FittedPlan`, whose ``feature_names`` name
the columns of the feature matrix.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from seaway.errors import PlanError
from seaway.features.families import BLOCKS
from seaway.features.fitted import TARGET, Fitted
from seaway.features.plan import FeaturePlan

VERSION = 1
"""Of the JSON."""


@dataclass(frozen=True, kw_only=True)
class FittedPlan:
    """Every feature of a plan with its statistics."""

    rows: int
    """Training rows seen."""
    features: tuple[Fitted, ...]

    @property
    def plan(self) -> FeaturePlan:
        """The plan that was fitted."""
        return FeaturePlan(features=tuple(f.feature for f in self.features))

    @functools.cached_property
    def feature_names(self) -> tuple[str, ...]:
        """The name of each column of the feature matrix, all distinct; numbers first, one-hot columns last."""
        taken: dict[str, int] = {TARGET: 1}
        out = []
        for block in BLOCKS:
            for name in block.names([f for f in self.features if block.takes(f)]):
                unique = name
                while unique in taken:
                    taken[name] = taken.get(name, 1) + 1
                    unique = f"{name}#{taken[name]}"
                taken[unique] = 1
                out.append(unique)
        return tuple(out)

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {"version": VERSION, "rows": self.rows, "features": [f.to_dict() for f in self.features]}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> FittedPlan:
        """The fitted plan that ``to_dict`` wrote.

        Raises:
            PlanError: it is not one.
        """
        if not isinstance(raw, Mapping) or raw.get("version") != VERSION or not isinstance(raw.get("features"), list):
            raise PlanError(f"statistics must be a fitted plan of version {VERSION}: run `featurize` again")
        return cls(rows=int(raw.get("rows", 0)), features=tuple(Fitted.from_dict(f) for f in raw["features"]))

    def to_json(self) -> str:
        """As indented JSON text."""
        return json.dumps(self.to_dict(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
