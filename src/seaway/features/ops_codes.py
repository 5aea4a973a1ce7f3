"""Categories: ranks as numbers, and indices of the one column that is 1 of a one-hot feature."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seaway.features.fitted import Fitted
from seaway.features.hashing import DOMAIN
from seaway.features.kinds import Hash, OneHot, Ordinal
from seaway.features.nodes import INT64, Nodes


class OrdinalBlock:
    """Ordinal."""

    def takes(self, fitted: Fitted) -> bool:
        """Only those."""
        return isinstance(fitted.feature, Ordinal)

    def names(self, features: Sequence[Fitted]) -> list[str]:
        """``column.rank``."""
        return [f"{f.column}.rank" for f in features]

    def numbers(self, features: Sequence[Fitted]) -> list[str]:
        """None: looked up by key."""
        return []

    def emit(self, nodes: Nodes, features: Sequence[Fitted]) -> str:
        """0 unknown, 1 missing, 2 the most frequent ..."""
        ranks = []
        for f in features:
            keys = [nodes.missing_key(f.column), *f.categories]
            ranks.append(nodes.encode(f.column, keys, np.arange(1, len(keys) + 1, dtype=np.float32), 0.0))
        return nodes.rows(ranks)


class OneHotBlock:
    """One-hot and hash. Emits, for each feature, the index of its 1 among the columns of the whole block."""

    def takes(self, fitted: Fitted) -> bool:
        """Those two."""
        return isinstance(fitted.feature, OneHot | Hash)

    def names(self, features: Sequence[Fitted]) -> list[str]:
        """``column=<unknown>``, ``column=<missing>``, ``column=value``; for hash ``column=<missing>``, ``column#0``."""
        out = []
        for f in features:
            if isinstance(f.feature, Hash):
                out += [f"{f.column}=<missing>", *(f"{f.column}#{k}" for k in range(f.feature.buckets))]
            else:
                out += [f"{f.column}={v}" for v in ("<unknown>", "<missing>", *map(_text, _labels(f)))]
        return out

    def numbers(self, features: Sequence[Fitted]) -> list[str]:
        """None: looked up by key."""
        return []

    def emit(self, nodes: Nodes, features: Sequence[Fitted], *, start: int = 0) -> str:
        """Indices as int64 rows [features, n]; the block's first column has index ``start``."""
        codes = []
        for f in features:
            if isinstance(f.feature, Hash):
                codes.append(_hashed(nodes, f.column, f.feature, start))
            else:
                keys = [nodes.missing_key(f.column), *f.categories]
                codes.append(nodes.encode(f.column, keys, start + np.arange(1, len(keys) + 1), start))
            start += len(self.names([f]))
        return nodes.rows(codes)


def _hashed(nodes: Nodes, column: str, options: Hash, start: int) -> str:
    hashed = nodes.add("MurmurHash3", column, domain=DOMAIN, seed=options.seed, positive=1)
    bucket = nodes.add("Mod", nodes.add("Cast", hashed, to=INT64), nodes.constant(options.buckets, np.int64))
    # one step past <missing>, or none at all if the value is missing
    present = nodes.encode(column, [""], np.zeros(1, np.int64), 1)
    step = nodes.add("Mul", nodes.add("Add", bucket, nodes.constant(1, np.int64)), present)
    return nodes.add("Add", step, nodes.constant(start, np.int64))


def _labels(fitted: Fitted) -> list[object]:
    return [bool(v) for v in fitted.categories] if fitted.dtype == "bool" else list(fitted.categories)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
