"""Statistics of the training rows for a plan, as aggregates: nothing is read into memory but what they need.

In: a plan, the contract and a frame that narwhals knows and can be lazy. Out: a `FittedPlan`. Polars makes one
streaming pass for all aggregates and counts of categories; exact quantiles hold their column in memory, so for a large
table each has a pass of its own.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import narwhals as nw

from seaway.errors import DataError
from seaway.features.fitted import Fitted
from seaway.features.fitted_plan import FittedPlan
from seaway.features.kinds import LOG_FLOOR, Bucketize, Elapsed, Feature, Numeric, OneHot, Ordinal
from seaway.features.ops_dates import DAY
from seaway.features.plan import FeaturePlan
from seaway.model.contract import Contract, DType

QUANTILES_TOGETHER = 20_000_000
"""Values of which quantiles are taken in one pass; with more, a pass holds one column only."""

LEAST_SCALE = 1e-30
"""Values closer together than this count as constant: onnxruntime takes an offset that is 0 in float32 for none."""


def fit(plan: FeaturePlan, contract: Contract, frame: Any) -> FittedPlan:
    """Learn a plan's statistics.

    Args:
        plan: what to learn.
        contract: the raw columns; the frame has them in the contract's dtypes.
        frame: the training rows, eager or lazy. Nulls, NaN, infinite numbers and empty strings are missing.

    Raises:
        PlanError: the plan does not fit the contract.
        DataError: the frame has no rows.
    """
    plan.check(contract)
    lazy = nw.from_native(frame).lazy()
    dtypes = {c.name: c.dtype for c in contract.columns}
    columns = list(plan.columns)
    # internal names: a raw column may be called like one of ours
    lazy = lazy.select(**{f"c{k}": _present(name, dtypes[name]) for k, name in enumerate(columns)})
    wanted = [_Wanted(f"f{k}", f, dtypes[f.column], f"c{columns.index(f.column)}") for k, f in enumerate(plan.features)]
    aggregates: dict[str, nw.Expr] = {"rows": nw.len()}
    aggregates |= {f"c{k}.n": nw.col(f"c{k}").count() for k in range(len(columns))}
    quantiles: dict[str, nw.Expr] = {}
    for want in wanted:
        aggregates |= want.aggregates()
        quantiles |= want.quantiles()
    counted = [w for w in wanted if isinstance(w.feature, OneHot | Ordinal)]
    together = not quantiles or _row_count(lazy) * len(quantiles) <= QUANTILES_TOGETHER
    frames = [lazy.select(**aggregates, **(quantiles if together else {})), *(w.counts(lazy) for w in counted)]
    first, *tables = _collect(frames)
    found = {name: first[name][0] for name in first.columns}
    if not found["rows"]:
        raise DataError("the training rows must be at least one, found none: check the split")
    if not together:
        for name, quantile in quantiles.items():
            (one,) = _collect([lazy.select(**{name: quantile})])
            found[name] = one[name][0]
    kept = {w.key: t for w, t in zip(counted, tables, strict=True)}
    features = tuple(w.fitted(found, kept.get(w.key)) for w in wanted)
    return FittedPlan(rows=int(found["rows"]), features=features)


def _present(name: str, dtype: DType) -> nw.Expr:
    """The column with null for all that is missing; bool as int64."""
    column = nw.col(name)
    if dtype == "float64":
        return nw.when(column.is_finite()).then(column)
    if dtype == "string":
        return nw.when(column != "").then(column)
    return column.cast(nw.Int64) if dtype == "bool" else column


@dataclass(frozen=True)
class _Wanted:
    """One feature's statistics, before and after they are collected."""

    key: str
    feature: Feature
    dtype: DType
    column: str

    def aggregates(self) -> dict[str, nw.Expr]:
        """By the name of the result."""
        if isinstance(self.feature, Elapsed):
            return {f"{self.key}.min": nw.col(self.column).min().dt.timestamp("us")}
        if not isinstance(self.feature, Numeric):
            return {}
        raw = nw.col(self.column).cast(nw.Float64)
        out = {f"{self.key}.raw_mean": raw.mean()} if self.feature.impute == "mean" else {}
        x = self._scaled()
        if self.feature.scale == "standard":
            out |= {f"{self.key}.mean": x.mean(), f"{self.key}.std": x.std(ddof=0)}
        if self.feature.scale == "min_max":
            out |= {f"{self.key}.min": x.min(), f"{self.key}.max": x.max()}
        return out

    def quantiles(self) -> dict[str, nw.Expr]:
        """By the name of the result."""
        if isinstance(self.feature, Bucketize) and self.feature.quantiles:
            raw = nw.col(self.column).cast(nw.Float64)
            n = self.feature.quantiles
            return {f"{self.key}.q{k}": raw.quantile(k / n, "linear") for k in range(1, n)}
        if not isinstance(self.feature, Numeric):
            return {}
        out = {}
        if self.feature.impute == "median":
            out[f"{self.key}.median"] = nw.col(self.column).cast(nw.Float64).median()
        if self.feature.scale == "robust":
            out |= {f"{self.key}.q{k}": self._scaled().quantile(k / 4, "linear") for k in (1, 2, 3)}
        return out

    def counts(self, lazy: nw.LazyFrame[Any]) -> nw.LazyFrame[Any]:
        """The most frequent values: columns v and n."""
        assert isinstance(self.feature, OneHot | Ordinal)
        values = lazy.select(v=nw.col(self.column)).filter(~nw.col("v").is_null())
        counted = values.group_by("v").agg(n=nw.len())
        return counted.sort("n", "v", descending=[True, False]).head(self.feature.max_categories)

    def _scaled(self) -> nw.Expr:
        """What scale sees: the number, or its logarithm."""
        x = nw.col(self.column).cast(nw.Float64)
        if isinstance(self.feature, Numeric) and self.feature.log:
            # near 0 this loses digits that the graph keeps; for a mean they do not matter
            x = (x.clip(LOG_FLOOR, None) + 1).log()
        return x

    def fitted(self, found: dict[str, Any], kept: nw.DataFrame[Any] | None) -> Fitted:
        """The feature with its statistics."""
        rows = int(found["rows"])
        mine = {name.removeprefix(f"{self.key}."): v for name, v in found.items() if name.startswith(f"{self.key}.")}
        feature = self.feature
        base = Fitted(feature=feature, dtype=self.dtype, missing=rows - int(found[f"{self.column}.n"]))
        if isinstance(feature, Numeric):
            offset, scale = _scale(feature, mine, rows - base.missing)
            return replace(base, fill=_fill(feature, mine), offset=offset, scale=scale)
        if isinstance(feature, Elapsed):
            reference = float(mine["min"] or 0)
            return replace(base, fill=reference, offset=reference, scale=float(DAY))
        if isinstance(feature, Bucketize):
            return replace(base, edges=feature.edges or _edges(mine))
        if kept is None:
            return base
        values, counts = kept["v"].to_list(), kept["n"].to_list()
        least = 1.0
        if isinstance(feature, OneHot):
            least = feature.min_frequency * rows if feature.min_frequency < 1 else feature.min_frequency
        many = sum(n >= least for n in counts)
        return replace(base, categories=tuple(values[:many]), counts=tuple(counts[:many]))


def _fill(feature: Numeric, mine: dict[str, Any]) -> float | None:
    """What missing values become; 0 for the mean or median of nothing, or one beyond a double."""
    if feature.impute == "none":
        return None
    value = feature.fill if feature.impute == "constant" else mine["raw_mean" if feature.impute == "mean" else "median"]
    return float(value) if value is not None and math.isfinite(value) else 0.0


def _scale(feature: Numeric, mine: dict[str, Any], present: int) -> tuple[float, float]:
    """Offset and scale; a constant column, or one without values, has scale 1."""
    if feature.scale == "none" or not present:
        return 0.0, 1.0
    if feature.scale == "standard":
        offset, scale = float(mine["mean"]), float(mine["std"])
        # rounding may leave a constant column a tiny deviation (the bound is that of Chan, Golub and LeVeque, 1983)
        noise = present * sys.float_info.epsilon
        if scale <= math.hypot(math.sqrt(noise) * scale, noise * offset):
            scale = 0.0
    elif feature.scale == "min_max":
        offset, scale = float(mine["min"]), float(mine["max"]) - float(mine["min"])
    else:
        offset, scale = float(mine["q2"]), float(mine["q3"]) - float(mine["q1"])
    if not (math.isfinite(offset) and math.isfinite(scale)):  # numbers near the largest double
        return 0.0, 1.0
    return offset, scale if scale > LEAST_SCALE else 1.0


def _edges(mine: dict[str, Any]) -> tuple[float, ...]:
    """Quantiles as increasing edges; of a column with one value, or none, there is one bucket."""
    values = [float(v) for v in mine.values() if v is not None]
    return tuple(sorted(set(values)))


def _row_count(lazy: nw.LazyFrame[Any]) -> int:
    (one,) = _collect([lazy.select(n=nw.len())])
    return int(one["n"][0])


def _collect(frames: Sequence[nw.LazyFrame[Any]]) -> list[nw.DataFrame[Any]]:
    """The results; Polars reads the rows once for all of them, in a stream."""
    if frames[0].implementation.is_polars():
        import polars as pl

        collected = pl.collect_all([f.to_native() for f in frames], engine="streaming")
        return [nw.from_native(f, eager_only=True) for f in collected]
    return [f.collect("polars") for f in frames]
