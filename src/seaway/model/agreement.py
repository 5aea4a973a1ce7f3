"""The packaging gate: the graph must answer as the framework does.

In: a session over the whole graph, raw rows, and the framework's answers on those rows. Out: how well they agree, or a
`PackageError`. Converters write graphs that run and answer wrongly; this is where such a graph ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from seaway.errors import PackageError
from seaway.model.contract import Task

if TYPE_CHECKING:
    import onnxruntime as ort
    from numpy.typing import NDArray

TOLERANCE = 1e-4
"""Of a probability; of the target's standard deviation for a value."""
_CHUNK = 10_000


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How well a graph and its framework agree."""

    rows: int
    """Rows compared."""
    max_difference: float
    """Greatest absolute difference: of a probability, or of a value in the target's unit."""
    rows_over_tolerance: int
    """Always 0 in a package that was written."""
    tolerance: float
    """Greatest difference allowed, in the unit of ``max_difference``."""

    def to_dict(self) -> dict[str, Any]:
        """As JSON, for model.json."""
        return asdict(self)


def agreement(
    session: ort.InferenceSession,
    feeds: Mapping[str, NDArray[Any]],
    reference: NDArray[Any],
    task: Task,
    target_std: float = 1.0,
) -> Agreement:
    """Compare a graph with its framework.

    Args:
        session: over the whole graph, as `compose` writes it.
        feeds: raw columns by name, each [n].
        reference: the framework's answers: probabilities [n, K], or values [n].
        task: decides which of the outputs is compared.
        target_std: standard deviation of the training target; for regression.

    Raises:
        PackageError: there are no rows, shapes differ, or a row differs by more than the tolerance.
    """
    rows = len(reference)
    if rows == 0:
        raise PackageError("the packaging gate needs at least one held-out row, found none: keep rows for validation")
    # the probabilities are the second output, a value is the first
    output = session.get_outputs()[1 if task == "classification" else 0].name
    answers = np.concatenate(
        [
            session.run([output], {name: column[start : start + _CHUNK] for name, column in feeds.items()})[0]
            for start in range(0, rows, _CHUNK)
        ]
    )
    if answers.shape != reference.shape:
        raise PackageError(f"the graph must answer in the framework's shape {reference.shape}, found {answers.shape}")
    difference = np.abs(answers.astype(np.float64) - reference.astype(np.float64)).reshape(rows, -1).max(axis=1)
    difference[~np.isfinite(difference)] = np.inf
    tolerance = TOLERANCE * (target_std if task == "regression" and target_std > 0 else 1.0)
    over = int((difference > tolerance).sum())
    worst = int(difference.argmax())
    if over:
        raise PackageError(
            f"the graph must agree with the framework within {tolerance:.3g}, found {over:,} of {rows:,} rows over it, "
            f"at most {difference[worst]:.3g}, at row {worst} (graph {_short(answers[worst])}, framework "
            f"{_short(reference[worst])}): the graph does not compute this model: "
            "choose another estimator or other parameters, or in your own script save the graph of what predicts"
        )
    return Agreement(rows=rows, max_difference=float(difference[worst]), rows_over_tolerance=over, tolerance=tolerance)


def _short(answer: Any) -> str:
    return np.array2string(np.asarray(answer), precision=6, threshold=6)
