"""Features one value at a time, as plainly as it can be said: what the graph is compared with."""

from __future__ import annotations

import datetime as dt
import itertools
import math
from typing import Any

import numpy as np
import polars as pl

from seaway.features import kinds
from seaway.features.fit import fit
from seaway.features.fitted import Fitted
from seaway.features.fitted_plan import FittedPlan
from seaway.features.graph import to_onnx
from seaway.features.hashing import bucket
from seaway.features.plan import FeaturePlan
from seaway.model import graph as gate
from seaway.model.columns import feeds, polars_dtype
from seaway.model.contract import Column, Contract, DType, Target
from seaway.model.session import open_session

TARGET = Target(name="__y", task="regression", dtype="float64")
LARGEST = float(np.finfo(np.float32).max)


def contract(**dtypes: DType) -> Contract:
    return Contract(columns=tuple(Column(name=n, dtype=d, nullable=True) for n, d in dtypes.items()), target=TARGET)


def frame(signature: Contract, **values: list[Any]) -> pl.DataFrame:
    return pl.DataFrame(values, schema={c.name: polars_dtype(c.dtype) for c in signature.columns})


def plan(*features: kinds.Feature) -> FeaturePlan:
    return FeaturePlan(features=features)


def run(fitted: FittedPlan, signature: Contract, table: pl.DataFrame) -> np.ndarray:
    model = to_onnx(fitted, signature)
    gate.check(model)
    session = open_session(model.SerializeToString())
    inputs = feeds(table, signature)
    return session.run(None, {i.name: inputs[i.name] for i in session.get_inputs()})[0]


def fit_and_run(signature: Contract, table: pl.DataFrame, *features: kinds.Feature) -> tuple[FittedPlan, np.ndarray]:
    fitted = fit(plan(*features), signature, table)
    return fitted, run(fitted, signature, table)


def check(fitted: FittedPlan, got: np.ndarray, table: pl.DataFrame) -> None:
    """Compare every column of the matrix with the reference, by name."""
    wanted: dict[str, list[float]] = {}
    for feature in fitted.features:
        for value in table[feature.column].to_list():
            for name, x in one(feature, value).items():
                wanted.setdefault(name, []).append(x)
    assert got.dtype == np.float32
    assert got.shape == (table.height, len(fitted.feature_names))
    assert set(wanted) == set(fitted.feature_names) or table.height == 0
    for k, name in enumerate(fitted.feature_names):
        expected = np.asarray(wanted.get(name, []), np.float64).astype(np.float32)
        np.testing.assert_allclose(got[:, k], expected, rtol=2e-6, atol=1e-6, err_msg=name)


def one(f: Fitted, value: Any) -> dict[str, float]:
    """The features of one value, by name."""
    name, feature = f.column, f.feature
    absent = value is None or value == "" or (isinstance(value, float) and not math.isfinite(value))
    if isinstance(feature, kinds.Numeric):
        x = f.fill if absent else float(value)
        if x is None:
            return {name: math.nan}
        if feature.log:
            x = math.log1p(max(x, kinds.LOG_FLOOR))
        return {name: max(-LARGEST, min(LARGEST, (x - f.offset) / f.scale))}
    if isinstance(feature, kinds.PassThrough):
        return {name: math.nan if absent else max(-LARGEST, min(LARGEST, float(value)))}
    if isinstance(feature, kinds.MissingIndicator):
        return {f"{name}.missing": float(absent)}
    if isinstance(feature, kinds.Elapsed):
        return {f"{name}.days": 0.0 if absent else (_micros(value) - f.offset) / 86.4e9}
    if isinstance(feature, kinds.Bucketize):
        index = None if absent else sum(float(value) >= e for e in f.edges)
        if feature.encode == "ordinal":
            return {f"{name}.bucket": 0.0 if index is None else index + 1.0}
        bounds = [-math.inf, *f.edges, math.inf]
        names = [
            f"{name}={'[' if k else '('}{a:.12g}, {b:.12g})" for k, (a, b) in enumerate(itertools.pairwise(bounds))
        ]
        return {n: float(k == index) for k, n in enumerate(names)} | {f"{name}=<missing>": float(absent)}
    if isinstance(feature, kinds.Ordinal):
        known = {v: k + 2.0 for k, v in enumerate(f.categories)}
        return {f"{name}.rank": 1.0 if absent else known.get(value, 0.0)}
    if isinstance(feature, kinds.OneHot):
        labels = [str(bool(v)).lower() if f.dtype == "bool" else str(v) for v in f.categories]
        out = {
            f"{name}={label}": float(v == value and not absent) for label, v in zip(labels, f.categories, strict=True)
        }
        unknown = not absent and value not in f.categories
        return out | {f"{name}=<unknown>": float(unknown), f"{name}=<missing>": float(absent)}
    if isinstance(feature, kinds.Hash):
        index = None if absent else bucket(value, feature.buckets, feature.seed)
        return {f"{name}=<missing>": float(absent)} | {f"{name}#{k}": float(k == index) for k in range(feature.buckets)}
    assert isinstance(feature, kinds.DateParts)
    return _date(name, feature, value)


def _micros(value: dt.datetime) -> int:
    return (value - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)


def _date(name: str, feature: kinds.DateParts, value: dt.datetime | None) -> dict[str, float]:
    if value is None:
        out = {f"{name}.{p}.{w}": 0.0 for p in feature.cyclic for w in ("sin", "cos")}
        return (
            out
            | {f"{name}.{p}": -1.0 for p in feature.raw}
            | ({f"{name}.is_weekend": 0.0} if feature.is_weekend else {})
        )
    day = value.timetuple().tm_yday
    parts = {  # value, least, how many
        "hour": (value.hour, 0, 24),
        "minute_of_day": (value.hour * 60 + value.minute, 0, 1440),
        "day_of_week": (value.weekday(), 0, 7),
        "day_of_month": (value.day, 1, 31),
        "month": (value.month, 1, 12),
        "day_of_year": (day, 1, 366),
        "week": ((day - 1) // 7 + 1, 1, 53),
    }
    out = {f"{name}.{p}": float(parts[p][0]) for p in feature.raw}
    for p in feature.cyclic:
        x, least, count = parts[p]
        angle = 2 * math.pi * (x - least) / count
        out |= {f"{name}.{p}.sin": math.sin(angle), f"{name}.{p}.cos": math.cos(angle)}
    if feature.is_weekend:
        out[f"{name}.is_weekend"] = float(value.weekday() >= 5)
    return out
