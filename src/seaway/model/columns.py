"""Raw columns of a Polars frame as the inputs of an ONNX graph, and back.

Missing values enter as: string ``""``, float64 NaN, int64, bool and timestamp ``MISSING_INT64``. Every input is [n].
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from seaway.model.contract import MISSING_INT64, Column, Contract, DType

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

NUMPY_DTYPE: dict[DType, Any] = {
    "string": np.object_,
    "int64": np.int64,
    "float64": np.float64,
    "bool": np.int64,  # 0, 1 or missing: ONNX has no missing bool
    "timestamp": np.int64,  # microseconds since the epoch, UTC
}


def polars_dtype(dtype: DType) -> Any:
    """The Polars dtype in which a column of the contract is held."""
    import polars as pl

    return {
        "string": pl.String,
        "int64": pl.Int64,
        "float64": pl.Float64,
        "bool": pl.Boolean,
        "timestamp": pl.Datetime("us", "UTC"),
    }[dtype]


def feed(series: pl.Series, column: Column) -> NDArray[Any]:
    """One column as an ONNX input of shape [n]; ``series`` has the contract's dtype."""
    import polars as pl

    if column.dtype == "string":
        return series.fill_null("").to_numpy().astype(object, copy=False)
    if column.dtype == "float64":
        return series.fill_null(float("nan")).to_numpy()
    return series.cast(pl.Int64).fill_null(MISSING_INT64).to_numpy()


def feeds(frame: pl.DataFrame, contract: Contract) -> dict[str, NDArray[Any]]:
    """All columns of the contract as ONNX inputs, by name."""
    return {c.name: feed(frame[c.name], c) for c in contract.columns}
