"""The feature plan: which columns become which features, before anything is learnt from data.

In: JSON or YAML that a person wrote, or a contract from which a plan is inferred. Out: a `FeaturePlan`, checked against
the contract.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from seaway.errors import PlanError
from seaway.features.kinds import Feature, feature_from_dict, nearest

if TYPE_CHECKING:
    from seaway.model.contract import Contract

VERSION = 1
"""Of the plan's JSON."""


@dataclass(frozen=True, kw_only=True)
class FeaturePlan:
    """The features, in order; a column may be in several and need not be in any."""

    features: tuple[Feature, ...]

    def __post_init__(self) -> None:
        if not self.features:
            raise PlanError("a plan must have at least one feature, found none")
        if twice := [f for k, f in enumerate(self.features) if f in self.features[:k]]:
            raise PlanError(
                f"column {twice[0].column!r}: the same {twice[0].transform} is in the plan twice, take one out"
            )

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the raw columns that the plan uses, in order of first use: the inputs of its graph."""
        return tuple(dict.fromkeys(f.column for f in self.features))

    def check(self, contract: Contract) -> None:
        """Whether the plan fits a contract.

        Raises:
            PlanError: a column is not in the contract, or its dtype is not one that the transform takes.
        """
        known = {c.name: c for c in contract.columns}
        for feature in self.features:
            column = known.get(feature.column)
            if feature.column == contract.target.name:
                raise PlanError(f"column {feature.column!r} is the target: a feature of it would give the answer away")
            if column is None:
                near = nearest(feature.column, known) or f"; the contract has {list(known)}"
                raise PlanError(f"column {feature.column!r} must be in the contract{near}")
            if column.dtype not in feature.dtypes:
                raise PlanError(
                    f"column {feature.column!r}, {feature.transform}: takes {' or '.join(feature.dtypes)}, "
                    f"the contract has {column.dtype}: choose another transform"
                )

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {"version": VERSION, "features": [f.to_dict() for f in self.features]}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> FeaturePlan:
        """The plan that ``to_dict`` wrote or a person did.

        Raises:
            PlanError: it is not a plan, in words.
        """
        if not isinstance(raw, Mapping):
            raise PlanError(f"a plan must be an object with version and features, found {type(raw).__name__}")
        if raw.get("version") != VERSION:
            raise PlanError(f"a plan's version must be {VERSION}, found {raw.get('version')!r}")
        if unknown := sorted(set(raw) - {"version", "features"}):
            raise PlanError(f"a plan has version and features, found also {unknown}")
        features = raw.get("features")
        if not isinstance(features, Sequence) or isinstance(features, str):
            raise PlanError(f"a plan's features must be a list, found {features!r}")
        return cls(features=tuple(feature_from_dict(f) for f in features))

    def to_json(self) -> str:
        """As indented JSON text, for a file that people edit."""
        return json.dumps(self.to_dict(), indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def from_text(cls, text: str | bytes) -> FeaturePlan:
        """The plan in a JSON or YAML text.

        Raises:
            PlanError: it is neither, or not a plan.
        """
        raw: Any
        try:
            raw = json.loads(text)
        except ValueError as bad_json:
            try:
                import yaml  # extra `local`; a plan in JSON does without
            except ImportError:
                raise PlanError(f"a plan must be JSON ({bad_json}); for YAML install PyYAML") from None
            try:
                raw = yaml.safe_load(text)
            except (yaml.YAMLError, UnicodeDecodeError) as bad_yaml:
                raise PlanError(f"a plan must be JSON or YAML: {bad_yaml}") from None
        return cls.from_dict(raw)
