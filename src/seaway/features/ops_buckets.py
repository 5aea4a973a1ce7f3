"""Numbers as the interval they lie in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seaway.features.fitted import Fitted
from seaway.features.kinds import Bucketize
from seaway.features.nodes import FLOAT, Nodes


class BucketBlock:
    """Bucketize: all buckets of all columns in one comparison."""

    def takes(self, fitted: Fitted) -> bool:
        """Only those."""
        return isinstance(fitted.feature, Bucketize)

    def names(self, features: Sequence[Fitted]) -> list[str]:
        """``column=[low, high)`` and ``column=<missing>``, or ``column.bucket``."""
        out = []
        for f in _ordered(features):
            if _one_hot(f):
                low = ["(-inf", *(f"[{e:.12g}" for e in f.edges)]
                high = [*(f"{e:.12g}" for e in f.edges), "inf"]
                out += [f"{f.column}={a}, {b})" for a, b in zip(low, high, strict=True)]
                out.append(f"{f.column}=<missing>")
            else:
                out.append(f"{f.column}.bucket")
        return out

    def numbers(self, features: Sequence[Fitted]) -> list[str]:
        """All."""
        return [f.column for f in features]

    def emit(self, nodes: Nodes, features: Sequence[Fitted]) -> str:
        """One-hot rows first, then ordinal ones."""
        features = _ordered(features)
        hot, ordinal = [f for f in features if _one_hot(f)], [f for f in features if not _one_hot(f)]
        parts = []
        if hot:
            parts.append(_member(nodes, hot, missing=True))
        if ordinal:
            # each value is in one bucket at most: the sum of bucket numbers times membership is that bucket's number
            weights = np.zeros((len(ordinal), sum(len(f.edges) + 1 for f in ordinal)), np.float32)
            end = 0
            for k, f in enumerate(ordinal):
                count = len(f.edges) + 1
                weights[k, end : end + count] = np.arange(1, count + 1)
                end += count
            parts.append(
                nodes.add("MatMul", nodes.constant(weights, np.float32), _member(nodes, ordinal, missing=False))
            )
        return parts[0] if len(parts) == 1 else nodes.add("Concat", *parts, axis=0)


def _member(nodes: Nodes, features: Sequence[Fitted], *, missing: bool) -> str:
    """Which bucket each value is in, as float rows of 0 and 1; the last of a column is for missing values if asked."""
    columns: list[str] = []
    low: list[float] = []
    high: list[float] = []
    absent: list[bool] = []
    for f in features:
        count = len(f.edges) + 1 + missing
        columns += [f.column] * count
        low += [-np.inf, *f.edges, *([np.nan] if missing else [])]
        # NaN: never beyond the last bucket; comparisons with NaN are false
        high += [*f.edges, np.nan, *([np.nan] if missing else [])]
        absent += [False] * (count - missing) + [True] * missing
    x = nodes.numbers(columns)
    gone = nodes.missing(columns)
    above = nodes.add("GreaterOrEqual", x, _column(nodes, low))
    below = nodes.add("Not", nodes.add("GreaterOrEqual", x, _column(nodes, high)))
    inside = nodes.add("And", nodes.add("And", above, below), nodes.add("Not", gone))
    if missing:
        marker = nodes.constant(np.asarray(absent).reshape(-1, 1), np.bool_)
        inside = nodes.add("Or", inside, nodes.add("And", gone, marker))
    return nodes.add("Cast", inside, to=FLOAT)


def _one_hot(fitted: Fitted) -> bool:
    return isinstance(fitted.feature, Bucketize) and fitted.feature.encode == "one_hot"


def _ordered(features: Sequence[Fitted]) -> list[Fitted]:
    return sorted(features, key=lambda f: not _one_hot(f))


def _column(nodes: Nodes, values: Sequence[float]) -> str:
    return nodes.constant(np.asarray(values, np.float64).reshape(-1, 1), np.float64)
