"""A rank's figures as a row of numbers, which is what ranks can tell each other in every framework.

In: `RankEvidence` or its parts. Out: float64 numbers, and back.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from seaway.training.evidence.evidence import RankEvidence

_FIELDS = (
    "steps",
    "samples",
    "data_ms",
    "compute_ms",
    "wait_ms",
    "exchange_ms",
    "cpu_util",
    "cpu_peak",
    "computing_cores",
    "cores",
    "gpu_util",
    "peak_rss_mb",
    "peak_gpu_mb",
    "seconds",
    "rows_per_s",
    "flops_per_s",
    "mfu",
)
_WHOLE = frozenset({"steps", "samples", "cores"})
_UNKNOWN = -1.0
"""What stands for None between ranks: not every framework's collectives carry what is no number."""


def _number(value: float | None) -> float:
    return _UNKNOWN if value is None or not math.isfinite(value) else float(value)


def to_row(values: Mapping[str, float | None]) -> list[float]:
    """All of `RankEvidence` but the rank, by name, as numbers."""
    return [_number(values[name]) for name in _FIELDS]


def of_row(rank: int, row: list[float]) -> RankEvidence:
    """What `to_row` took apart."""
    values: dict[str, float | None] = {}
    for name, value in zip(_FIELDS, row, strict=True):
        values[name] = None if value < 0 else int(value) if name in _WHOLE else value
    return RankEvidence(rank=rank, **values)  # type: ignore[arg-type]


def of_epoch(rank: int, row: list[float]) -> RankEvidence:
    """Of the few figures that ranks tell each other after an epoch: samples, data, compute, wait, exchange, rows/s."""
    samples, data, compute, wait, exchange, rows_per_s = row
    return RankEvidence(
        rank=rank,
        samples=int(samples),
        data_ms=data,
        compute_ms=compute,
        wait_ms=wait,
        exchange_ms=exchange,
        rows_per_s=rows_per_s,
    )
