"""The smoke test's pure part: what to ask a live endpoint, and whether its answer is the package's own.

In: holdout rows, a contract, and the JSON that an endpoint answered. Out: a request of the Open Inference Protocol v2
(https://github.com/kserve/open-inference-protocol), and differences in words. Whoever speaks HTTP does so elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from seaway.data import table
from seaway.data.conform import conform
from seaway.errors import DataError, InputError
from seaway.model.columns import feed
from seaway.model.contract import V2_DATATYPE, Contract

if TYPE_CHECKING:
    from seaway.model.package import Package

TOLERANCE = 1e-4
MANY = 5
"""Differences of one output that are told one by one."""


def sample_rows(test: str, contract: Contract, n: int) -> pl.DataFrame:
    """Up to ``n`` raw rows of a table, spread evenly over it, with the contract's columns and dtypes.

    Raises:
        DataError: the table cannot be read or has no rows.
        ContractError: its columns do not fit the contract.
    """
    if n < 1:
        raise InputError(f"a smoke test must ask with at least one row, found {n}")
    with table.opened(test) as (frame, _), table.reading(test):
        rows = int(frame.select(pl.len()).collect().item())
        if rows == 0:
            raise DataError(f"{test}: must have rows to ask with, found none")
        at = pl.int_range(pl.len(), dtype=pl.Int64)
        return conform(frame, contract).filter(at * n % rows < n).collect()


def request_v2(frame: pl.DataFrame, contract: Contract) -> dict[str, Any]:
    """The request for these rows: one input of shape [n] a column; a missing value is null.

    Timestamps go as int64 microseconds since 1970-01-01T00:00:00Z.
    """
    return {
        "inputs": [
            {
                "name": column.name,
                "shape": [len(frame)],
                "datatype": V2_DATATYPE[column.dtype],
                "data": _data(frame[column.name]),
            }
            for column in contract.columns
        ]
    }


def expected(package: Package, frame: pl.DataFrame) -> dict[str, NDArray[Any]]:
    """The package's own outputs for these rows, by name."""
    session = package.session()
    inputs = {i.name: feed(frame[i.name], package.contract.column(i.name)) for i in session.get_inputs()}
    return dict(zip((o.name for o in session.get_outputs()), session.run(None, inputs), strict=True))


def compare(answer: Mapping[str, Any], expected: Mapping[str, NDArray[Any]], tolerance: float = TOLERANCE) -> list[str]:
    """How an endpoint's answer differs from the package's outputs, in words; empty if it does not.

    Args:
        answer: the response's JSON.
        expected: outputs by name, shape [n] or [n, k].
        tolerance: of numbers, absolute up to 1 and relative beyond; labels must be equal.
    """
    outputs = answer.get("outputs")
    if not isinstance(outputs, Sequence) or isinstance(outputs, str):
        return [f"the answer must have a list 'outputs', found {answer.get('error') or sorted(answer)}"]
    found = {o["name"]: o for o in outputs if isinstance(o, Mapping) and "name" in o}
    differences = []
    for name, wanted in expected.items():
        if name not in found:
            differences.append(f"the answer must have the output {name!r}, found {sorted(found)}")
            continue
        differences += _compare_one(name, found[name], wanted, tolerance)
    return differences


def _data(series: pl.Series) -> list[Any]:
    if series.dtype == pl.Datetime:
        series = series.dt.epoch("us")
    if series.dtype.is_float():
        return [v if v is not None and math.isfinite(v) else None for v in series.to_list()]
    return series.to_list()


def _compare_one(name: str, output: Mapping[str, Any], wanted: NDArray[Any], tolerance: float) -> list[str]:
    if list(output.get("shape", ())) != list(wanted.shape):
        return [f"output {name!r} must have the shape {list(wanted.shape)}, found {output.get('shape')}"]
    data = _flat(output.get("data", ()))
    if len(data) != wanted.size:
        return [f"output {name!r} must hold {wanted.size} values, found {len(data)}"]
    width = wanted.size // len(wanted) if len(wanted) else 1
    numbers = wanted.dtype.kind == "f"
    wrong = [
        (k // width, got, own)
        for k, (got, own) in enumerate(zip(data, wanted.reshape(-1).tolist(), strict=True))
        if not (_close(got, own, tolerance) if numbers else got == own)
    ]
    told = [
        f"output {name!r}, row {row}: the endpoint answers {got!r}, the package {own!r}"
        for row, got, own in wrong[:MANY]
    ]
    if len(wrong) > MANY:
        told.append(f"output {name!r}: {len(wrong) - MANY} more values differ")
    return told


def _flat(data: Any) -> list[Any]:
    if not isinstance(data, Sequence) or isinstance(data, str):
        return [data]
    return [v for item in data for v in (_flat(item) if isinstance(item, list | tuple) else [item])]


def _close(got: Any, own: float, tolerance: float) -> bool:
    if got is None:
        return bool(np.isnan(own))  # JSON has no NaN
    if isinstance(got, bool) or not isinstance(got, int | float):
        return False
    return abs(got - own) <= tolerance * max(1.0, abs(own))
