"""Which columns of the feature matrix are numbers and which, together, are one category.

In: what `featurize` wrote beside its graph. Out: the matrix [n, F] taken apart: numbers [n, D], and one code for each
category: a network looks a category up in a table where a matrix product over its one-hot columns costs as many
multiplications as it has values. The plan is asked, not the data: columns that merely never come together in the
training rows may do so in a request.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from seaway.errors import DataError
from seaway.storage import uri as storage

if TYPE_CHECKING:
    from numpy.typing import NDArray

STATISTICS = "statistics.json"


@dataclass(frozen=True, kw_only=True)
class Category:
    """Neighbouring columns of which at most one is 1."""

    name: str
    """The raw column."""
    start: int
    """Its first column in the matrix."""
    size: int


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What the columns of a feature matrix are."""

    width: int
    categories: tuple[Category, ...] = ()

    @functools.cached_property
    def hot(self) -> NDArray[np.int64]:
        """Columns of all categories."""
        found = [c for category in self.categories for c in range(category.start, category.start + category.size)]
        return np.array(found, np.int64)

    @functools.cached_property
    def numbers(self) -> NDArray[np.int64]:
        """All other columns."""
        return np.setdiff1d(np.arange(self.width, dtype=np.int64), self.hot)

    @functools.cached_property
    def ordinals(self) -> NDArray[np.float32]:
        """[columns of `hot`, categories]: their product is each category's code."""
        out = np.zeros((len(self.hot), len(self.categories)), np.float32)
        row = 0
        for k, category in enumerate(self.categories):
            out[row : row + category.size, k] = np.arange(1, category.size + 1)
            row += category.size
        return out

    @functools.cached_property
    def sizes(self) -> NDArray[np.int64]:
        """The greatest code of each category."""
        return np.array([c.size for c in self.categories], np.int64)

    def split(self, features: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Numbers [n, D], and codes [n, categories]: 0 for none of the columns, 1 for the first ..."""
        with np.errstate(invalid="ignore"):  # what is no number is no code either
            codes = (_columns(features, self.hot) @ self.ordinals).astype(np.int64)
        return np.ascontiguousarray(_columns(features, self.numbers)), np.clip(codes, 0, self.sizes)

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {"width": self.width, "categories": [[c.name, c.start, c.size] for c in self.categories]}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Layout:
        """What ``to_dict`` wrote."""
        found = tuple(Category(name=n, start=start, size=size) for n, start, size in raw["categories"])
        return cls(width=raw["width"], categories=found)


def _columns(features: NDArray[np.float32], chosen: NDArray[np.int64]) -> NDArray[np.float32]:
    """Some columns, without a copy where they stand side by side."""
    if len(chosen) and chosen[-1] - chosen[0] == len(chosen) - 1:
        return features[:, chosen[0] : chosen[-1] + 1]
    return features[:, chosen]


def read_layout(features: str, names: tuple[str, ...]) -> Layout:
    """The layout of a matrix with the columns ``names``.

    Args:
        features: URI of the folder that `featurize` wrote; without statistics.json all columns are numbers.
        names: of the features, as the training file has them.

    Raises:
        DataError: the statistics are of other features.
        PlanError: they are not what `featurize` writes.
    """
    from seaway.features.families import ONE_HOT
    from seaway.features.fitted_plan import FittedPlan

    uri = storage.join(features, STATISTICS)
    if not storage.exists(uri):
        return Layout(width=len(names))
    fitted = FittedPlan.from_dict(json.loads(storage.read_bytes(uri)))
    if fitted.feature_names != names:
        raise DataError(
            f"{uri}: must be of the {len(names)} features {list(names[:3])} ..., found {len(fitted.feature_names)} "
            f"{list(fitted.feature_names[:3])} ...: give the files of one features step"
        )
    hot = [f for f in fitted.features if ONE_HOT.takes(f)]
    start = len(names) - len(ONE_HOT.names(hot))  # they are last
    categories = []
    for f in hot:
        size = len(ONE_HOT.names([f]))
        categories.append(Category(name=f.column, start=start, size=size))
        start += size
    return Layout(width=len(names), categories=tuple(categories))
