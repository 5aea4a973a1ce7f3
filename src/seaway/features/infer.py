"""A plan from a contract, for people who have none yet.

The choices suit linear models and boosted trees alike: everything scaled, nothing left missing, categories as one-hot
columns of bounded number.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seaway.errors import PlanError
from seaway.features.kinds import DateParts, Feature, Hash, MissingIndicator, Numeric, OneHot, PassThrough
from seaway.features.plan import FeaturePlan
from seaway.model.contract import Column, Contract

FEW = 200
"""A string with at most this many distinct values keeps them all, if frequent enough."""
MANY = 32
"""Of a string with more, this many are kept."""
RARE = 1e-3
"""A category in a smaller fraction of the rows counts as unknown: training then sees that bucket filled, and a tree has
no columns to search that hardly ever differ."""
IDENTIFIER = 0.5
"""A string with more distinct values than this fraction of the rows names the row: it says nothing of the next one."""


def infer(contract: Contract, profile: Mapping[str, Any] | None = None) -> FeaturePlan:
    """A plan with sensible transforms for every column that can tell something.

    Left out are columns that the profile knows to be constant, and strings that name rows, such as an order's number.

    Args:
        contract: the raw columns.
        profile: what `ingest` counted: ``rows``, and ``name`` and ``distinct`` of each of ``columns``. Without it every
            string is taken to have many values, unless the contract enumerates them.

    Raises:
        PlanError: no column is left.
    """
    counts = {about["name"]: about for about in (profile or {}).get("columns", ())}
    rows = (profile or {}).get("rows")
    features: list[Feature] = []
    named: list[Column] = []
    for column in contract.columns:
        about = counts.get(column.name) or {}
        distinct = about.get("distinct", len(column.values) if column.values is not None else None)
        if distinct is not None and distinct <= 1 and not column.nullable:
            continue
        if column.dtype == "string" and distinct is not None and rows and distinct > max(FEW, IDENTIFIER * rows):
            named.append(column)
            continue
        features += _features(column, distinct)
    if not features:
        features = [Hash(column=c.name) for c in named]
    if not features:
        raise PlanError("a plan must have at least one feature: every column is constant: give `ingest` more columns")
    return FeaturePlan(features=tuple(features))


def _features(column: Column, distinct: int | None) -> list[Feature]:
    name = column.name
    if column.dtype == "string":
        few = distinct is not None and distinct <= FEW
        return [OneHot(column=name, min_frequency=RARE, max_categories=FEW if few else MANY)]
    found: list[Feature]
    if column.dtype == "timestamp":
        found = [DateParts(column=name)]
    elif column.dtype == "bool":
        found = [Numeric(column=name, impute="constant", scale="none") if column.nullable else PassThrough(column=name)]
    else:
        found = [Numeric(column=name)]
    return [*found, MissingIndicator(column=name)] if column.nullable else found
