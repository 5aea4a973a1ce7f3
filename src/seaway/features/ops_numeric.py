"""Numbers: fill, logarithm, offset and scale, in double; then float32."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seaway.features.fitted import Fitted
from seaway.features.kinds import LOG_FLOOR, Elapsed, MissingIndicator, Numeric, PassThrough
from seaway.features.nodes import FLOAT, Nodes

_LARGEST = float(np.finfo(np.float32).max)


class NumericBlock:
    """Numeric, pass-through and elapsed."""

    def takes(self, fitted: Fitted) -> bool:
        """Those three."""
        return isinstance(fitted.feature, Numeric | PassThrough | Elapsed)

    def names(self, features: Sequence[Fitted]) -> list[str]:
        """The column's own name; elapsed adds ``.days``."""
        return [f.column + (".days" if isinstance(f.feature, Elapsed) else "") for f in _ordered(features)]

    def numbers(self, features: Sequence[Fitted]) -> list[str]:
        """All."""
        return [f.column for f in _ordered(features)]

    def emit(self, nodes: Nodes, features: Sequence[Fitted]) -> str:
        """(log(1 + fill(x)) - offset) / scale, held within float32."""
        features = _ordered(features)
        columns = [f.column for f in features]
        fills = [np.nan if f.fill is None else f.fill for f in features]
        x = nodes.numbers(columns)
        # an infinite value counts as missing, so this is needed even where nothing is filled in
        x = nodes.add("Where", nodes.missing(columns), _column(nodes, fills), x)
        plain = sum(not _log(f) for f in features)
        if plain == 0:
            x = _log1p(nodes, x)
        elif plain < len(features):
            sizes = nodes.constant([plain, len(features) - plain], np.int64)
            x = nodes.add("Concat", *_split_log(nodes, x, sizes), axis=0)
        offsets, scales = [f.offset for f in features], [f.scale for f in features]
        if any(offsets):
            x = nodes.add("Sub", x, _column(nodes, offsets))
        if any(s != 1 for s in scales):
            x = nodes.add("Div", x, _column(nodes, scales))
        x = nodes.add("Clip", x, nodes.constant(-_LARGEST, np.float64), nodes.constant(_LARGEST, np.float64))
        return nodes.add("Cast", x, to=FLOAT)


class MissingBlock:
    """Missing indicators."""

    def takes(self, fitted: Fitted) -> bool:
        """Only those."""
        return isinstance(fitted.feature, MissingIndicator)

    def names(self, features: Sequence[Fitted]) -> list[str]:
        """``column.missing``."""
        return [f"{f.column}.missing" for f in sorted(features, key=_is_string)]

    def numbers(self, features: Sequence[Fitted]) -> list[str]:
        """All but strings."""
        return [f.column for f in features if not _is_string(f)]

    def emit(self, nodes: Nodes, features: Sequence[Fitted]) -> str:
        """1 where missing."""
        parts = []
        if numbers := self.numbers(features):
            parts.append(nodes.add("Cast", nodes.missing(numbers), to=FLOAT))
        if strings := [f.column for f in features if _is_string(f)]:
            one = np.ones(1, np.float32)
            parts.append(nodes.rows([nodes.encode(c, [nodes.missing_key(c)], one, 0.0) for c in strings]))
        return parts[0] if len(parts) == 1 else nodes.add("Concat", *parts, axis=0)


def _is_string(fitted: Fitted) -> bool:
    return fitted.dtype == "string"


def _log(fitted: Fitted) -> bool:
    return isinstance(fitted.feature, Numeric) and fitted.feature.log


def _ordered(features: Sequence[Fitted]) -> list[Fitted]:
    """Logarithms last, floats before whole numbers: rows as `Nodes.numbers` holds them need no gathering."""
    return sorted(features, key=lambda f: (_log(f), f.dtype != "float64"))


def _column(nodes: Nodes, values: Sequence[float]) -> str:
    return nodes.constant(np.asarray(values, np.float64).reshape(-1, 1), np.float64)


def _split_log(nodes: Nodes, x: str, sizes: str) -> tuple[str, str]:
    plain, logs = nodes.add_many("Split", 2, x, sizes, axis=0)
    return plain, _log1p(nodes, logs)


def _log1p(nodes: Nodes, x: str) -> str:
    """log(1 + x) to the last bits for small x too: log(u) * (x / (u - 1)), u = 1 + x (Kahan; HP-15C handbook, 1982)."""
    one = nodes.constant(1.0, np.float64)
    x = nodes.add("Max", x, nodes.constant(LOG_FLOOR, np.float64))
    u = nodes.add("Add", x, one)
    d = nodes.add("Sub", u, one)
    exact = nodes.add("Equal", d, nodes.constant(0.0, np.float64))
    safe = nodes.add("Where", exact, one, d)
    quotient = nodes.add("Mul", nodes.add("Log", u), nodes.add("Div", x, safe))  # this order cannot overflow
    return nodes.add("Where", exact, x, quotient)
