"""Columns of zeros and ones that never come together, as one column of codes: what trees need of a one-hot encoding.

In: training features [n, F]. Out: which columns are kept, and which are bundled with what codes. A tree's cost grows
with its columns, and a category of 80 values costs 80 of them; bundled it costs one (exclusive feature bundling: Ke et
al., LightGBM, NeurIPS 2017). Codes follow the mean target, so that one threshold parts the categories as well as any
subset of them does (Fisher 1958; for several classes along the first principal component: Coppersmith, Hong and Hosking
1999). The codes are part of the model: its graph computes them from the very features that it is given.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

LEAST = 3
"""Columns that are worth a bundle."""
_PRIOR_ROWS = 20
"""Rows of the overall mean that each category's mean is drawn towards: rare categories come in the middle."""


@dataclass(frozen=True, kw_only=True)
class Bundles:
    """How F columns become fewer."""

    kept: tuple[int, ...]
    """Columns that stay as they are, first in the result."""
    columns: tuple[tuple[int, ...], ...]
    """Columns of each bundle."""
    codes: tuple[tuple[float, ...], ...]
    """Code of each column of each bundle; 0 stands for none of them."""

    @property
    def width(self) -> int:
        """Columns of the result."""
        return len(self.kept) + len(self.columns)

    def apply(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """[n, F] to [n, width]."""
        out = np.empty((len(features), self.width), np.float32)
        out[:, : len(self.kept)] = features[:, self.kept]
        for i, (columns, codes) in enumerate(zip(self.columns, self.codes, strict=True)):
            out[:, len(self.kept) + i] = features[:, columns] @ np.array(codes, np.float32)
        return out

    def prepend(self, model: onnx.ModelProto, features: int) -> onnx.ModelProto:
        """The model on ``features`` columns, given the model on ``width`` columns; ``model`` itself is changed."""
        from onnx import TensorProto, helper, numpy_helper

        graph = model.graph
        bundled = graph.input[0].name
        members = [c for columns in self.columns for c in columns]
        weights = np.zeros((len(members), len(self.columns)), np.float32)
        row = 0
        for i, codes in enumerate(self.codes):
            weights[row : row + len(codes), i] = codes
            row += len(codes)
        constants = {"kept": np.array(self.kept, np.int64), "members": np.array(members, np.int64), "codes": weights}
        graph.initializer.extend(numpy_helper.from_array(v, f"bundles/{k}") for k, v in constants.items())
        nodes = [
            helper.make_node("Gather", ["bundles/features", "bundles/kept"], ["bundles/left"], axis=1),
            helper.make_node("Gather", ["bundles/features", "bundles/members"], ["bundles/parts"], axis=1),
            helper.make_node("MatMul", ["bundles/parts", "bundles/codes"], ["bundles/coded"]),
            helper.make_node("Concat", ["bundles/left", "bundles/coded"], [bundled], axis=1),
        ]
        for node in reversed(nodes):
            graph.node.insert(0, node)
        graph.input[0].CopyFrom(helper.make_tensor_value_info("bundles/features", TensorProto.FLOAT, [None, features]))
        return model

    def to_dict(self) -> dict[str, Any]:
        """As JSON, for model.json: the native checkpoint takes bundled columns."""
        return {
            "kept": list(self.kept),
            "columns": [list(c) for c in self.columns],
            "codes": [list(c) for c in self.codes],
        }


def find_bundles(features: NDArray[np.float32], target: NDArray[Any], *, classes: int = 0) -> Bundles | None:
    """Bundles of neighbouring columns that hold zeros and ones and never two ones in a row; None if there are none.

    Args:
        features: [n, F].
        target: [n] class indices, or values.
        classes: how many classes; 0 for values.
    """
    groups = [g for g in _exclusive(features) if len(g) >= LEAST]
    if not groups:
        return None
    answers = np.eye(classes)[target] if classes else target.astype(np.float64)[:, None]
    answers = answers - answers.mean(axis=0)
    bundled = {c for g in groups for c in g}
    return Bundles(
        kept=tuple(c for c in range(features.shape[1]) if c not in bundled),
        columns=tuple(tuple(g) for g in groups),
        codes=tuple(_codes(features[:, g], answers) for g in groups),
    )


def _exclusive(features: NDArray[np.float32]) -> list[list[int]]:
    """Runs of columns of which each row has at most one."""
    groups: list[list[int]] = []
    used = np.zeros(len(features), np.bool_)
    for column in range(features.shape[1]):
        values = features[:, column]
        ones = values == 1
        if not (ones | (values == 0)).all():
            continue
        if not groups or groups[-1][-1] != column - 1 or (used & ones).any():
            groups.append([])
            used = np.zeros(len(features), np.bool_)
        groups[-1].append(column)
        used |= ones
    return groups


def _codes(members: NDArray[np.float32], answers: NDArray[np.float64]) -> tuple[float, ...]:
    """Codes of the columns [n, columns], where answers [n, A] are around 0."""
    rest = 1.0 - members.sum(axis=1)
    rows = np.append(members.sum(axis=0, dtype=np.float64), rest.sum())
    return codes(rows, np.vstack([members.T.astype(np.float64) @ answers, rest @ answers]))


def codes(rows: NDArray[np.float64], sums: NDArray[np.float64]) -> tuple[float, ...]:
    """Codes of a bundle's columns in the order of the mean answer, such that rows of no member have 0.

    Args:
        rows: [columns + 1] rows of each column, then of none.
        sums: [columns + 1, A] sums of their answers, which are around 0.
    """
    means = sums / (rows + _PRIOR_ROWS)[:, None]
    spread = (means - np.average(means, axis=0, weights=rows)) * np.sqrt(rows)[:, None]
    direction = np.linalg.svd(spread, full_matrices=False)[2][0]
    rank = np.argsort(np.argsort(means @ direction, kind="stable"), kind="stable")
    return tuple((rank[:-1] - rank[-1]).astype(float).tolist())
